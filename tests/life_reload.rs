//! `--reload`: the code on disk is what answers, and a page says why when it cannot be loaded. `--touch-reload` likewise, without the page.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Server, Setup, eventually};

const GOOD: &str = "
def app(environ, start_response):
    import part
    body = part.TEXT.encode()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [body]
";

fn developing() -> Setup {
    let setup = Setup::bare().arg("shop:app").workers(1).kind("processes");
    let dir = setup.dir();
    dir.write("code/shop.py", GOOD);
    dir.write("code/part.py", "TEXT = 'one'\n");
    let chdir = dir.path().join("code");
    setup.option("--chdir", chdir)
}

fn answers(server: &Server, text: &str) {
    eventually(text, || {
        let response = server.get("/");
        (response.status == 200 && response.text() == text).then_some(())
    });
}

#[test]
fn a_changed_module_is_loaded_anew_also_one_imported_while_serving() {
    let server = developing().arg("--reload").start();
    answers(&server, "one");
    server.dir().write("code/part.py", "TEXT = 'two'\n");
    answers(&server, "two");
    server.wait_log("shop: files have changed; loading it anew");
}

#[test]
fn code_that_does_not_import_is_shown_until_it_does() {
    let server = developing().arg("--reload").start();
    answers(&server, "one");
    server
        .dir()
        .write("code/shop.py", "raise RuntimeError('<b>broken</b>')\n");
    let page = eventually("the page", || {
        let page = server.get("/any/path");
        (page.status == 500).then_some(page)
    });
    let text = page.text();
    assert!(
        text.contains("RuntimeError: &lt;b&gt;broken&lt;/b&gt;"),
        "{text}"
    );
    assert!(
        text.contains("\nTraceback (most recent call last):\n") && text.contains("shop.py"),
        "{text}"
    );
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    server.dir().write("code/shop.py", GOOD);
    answers(&server, "one");
}

#[test]
fn code_that_never_imported_is_shown_too() {
    let setup = developing().arg("--reload");
    setup
        .dir()
        .write("code/shop.py", "import nothing_of_this_name\n");
    let server = setup.start();
    let page = server.get("/").expect(500);
    assert!(page.text().contains("nothing_of_this_name"));
    server.dir().write("code/shop.py", GOOD);
    answers(&server, "one");
}

#[test]
fn other_files_count_if_they_are_named() {
    let setup = developing()
        .arg("--reload")
        .option("--reload-include", "*.txt");
    setup.dir().write(
        "code/part.py",
        "TEXT = open(__file__.replace('part.py', 'text.txt')).read()\n",
    );
    setup.dir().write("code/text.txt", "one");
    let server = setup.start();
    answers(&server, "one");
    server.dir().write("code/text.txt", "two");
    answers(&server, "two");
}

#[test]
fn a_touched_file_loads_anew_and_bad_code_leaves_the_old_one_serving() {
    let setup = developing();
    let file = setup.dir().write("reload-me", "");
    let server = setup.option("--touch-reload", file).start();
    answers(&server, "one");
    server.dir().write("code/part.py", "TEXT = 'two'\n");
    server.dir().write("reload-me", "");
    answers(&server, "two");
    server
        .dir()
        .write("code/shop.py", "raise RuntimeError('no')\n");
    server.dir().write("reload-me", "");
    server.wait_log("keeps serving");
    answers(&server, "two");
}
