//! The configuration file through the real binary: what it serves, what it says of mistakes, the sample.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Setup, TempDir, python};
use std::process::Command;

/// Exit code and stderr of `ringgate ARGUMENTS` in a directory.
fn ringgate(dir: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringgate"))
        .args(arguments)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_file_serves_applications_and_directories() {
    let setup = Setup::bare();
    let dir = setup.dir();
    dir.write("etc/files/a.css", "css");
    dir.write("etc/app/index.html", "the page");
    let config = dir.write(
        "etc/site.toml",
        format!(
            "# Every path but this one is relative to etc.\nchdir = '{}'\nworkers = 1\nserver_header = 'from the file'\n\
             env = {{ GREETING = 'hello' }}\npid = 'site.pid'\n\
             [app.root]\ntarget = 'basic'\n[app.second]\ntarget = 'basic'\nmount = '/second'\n\
             [[server.location]]\npath = '/files'\ndir = 'files'\n\
             [[server.location]]\npath = '/page'\nalias = './app/'\n",
            python::apps().display()
        ),
    );
    let server = setup.option("--config", config).start();
    assert_eq!(server.get("/files/a.css").expect(200).text(), "css");
    let page = server.get("/page/").expect(200);
    assert_eq!(
        (page.text().as_str(), page.header("server")),
        ("the page", Some("from the file"))
    );
    server.get("/second/nothing").expect(404);
    assert!(server.dir().path().join("etc/site.pid").exists());
    let status = ringgate(
        server.dir(),
        &["status", "--control-socket", "control.sock", "--json"],
    )
    .1;
    assert!(
        status.contains("\"root\"") && status.contains("\"second\""),
        "{status}"
    );
}

#[test]
fn the_command_line_and_the_environment_win() {
    let setup = Setup::bare();
    setup.dir().write("site.toml", "server_header = 'file'\nbind = 'unix:unused.sock'\n[[server.location]]\npath = '/'\ndir = 'one'\n");
    setup.dir().write("one/x", "one");
    setup.dir().write("two/x", "two");
    let server = setup
        .option("--static", "/=two")
        .env("RINGGATE_CONFIG", "site.toml")
        .env("RINGGATE_SERVER_HEADER", "environment")
        .start();
    let response = server.get("/x").expect(200);
    assert_eq!(
        (response.text().as_str(), response.header("server")),
        ("two", Some("environment"))
    );
    assert!(!server.dir().path().join("unused.sock").exists());
}

#[test]
fn check_tells_every_mistake_with_its_line_and_column() {
    let dir = TempDir::new();
    dir.write("bad.toml", "workers = 'many'\n  worker = 1\n\n[[server.location]]\npath = 'static'\ndir = 'x'\nspa = 1\n");
    let (code, _, said) = ringgate(&dir, &["check", "--config", "bad.toml"]);
    let expected = "ringgate: bad.toml:1:11: workers: expected a whole number, not 'many'\n\
                    bad.toml:2:3: no key 'worker'; did you mean 'workers'?\n\
                    bad.toml:5:8: path: a URL prefix starts with '/', unlike 'static'\n\
                    bad.toml:7:7: spa: expected true or false, not 1\n";
    assert_eq!((code, said.as_str()), (1, expected));
    // Serving says the same, and starts nothing.
    assert_eq!(ringgate(&dir, &["--config", "bad.toml"]).2, expected);
    dir.write("bad.toml", "workers = 1\nbacklog = 2\nworkers = 3\n");
    let said = ringgate(&dir, &["check", "-c", "bad.toml"]).2;
    assert_eq!(said, "ringgate: bad.toml:3:1: workers is there twice\n");
    dir.write("bad.toml", "workers = \n[x");
    let (code, _, said) = ringgate(&dir, &["check", "-c", "bad.toml"]);
    assert!(
        code == 1 && said.starts_with("ringgate: bad.toml:1:11: ") && !said.contains("panicked"),
        "{said}"
    );
}

#[test]
fn what_a_file_names_must_be_there() {
    let dir = TempDir::new();
    dir.write(
        "site.toml",
        "[[server.location]]\npath = '/s'\ndir = 'nowhere'\n",
    );
    let (code, _, said) = ringgate(&dir, &["check", "-c", "site.toml"]);
    assert!(
        code == 1
            && said.contains("location /s/ (")
            && said.contains("nowhere (No such file or directory)"),
        "{said}"
    );
    dir.write(
        "site.toml",
        "sendfile_roots = 'nowhere'\n[[server.location]]\npath = '/s'\ndir = '.'\n",
    );
    let (code, _, said) = ringgate(&dir, &["check", "-c", "site.toml"]);
    assert!(
        code == 1 && said.contains("sendfile-roots: no directory "),
        "{said}"
    );
    let (code, _, said) = ringgate(&dir, &["-c", "missing.toml"]);
    let expected =
        "ringgate: --config: 'missing.toml' cannot be read (No such file or directory)\n";
    assert_eq!((code, said.as_str()), (1, expected));
    std::fs::write(dir.path().join("latin.toml"), b"# \xe9\n").unwrap();
    let (code, _, said) = ringgate(&dir, &["-c", "latin.toml"]);
    assert!(code == 1 && said.contains("it is not UTF-8"), "{said}");
}

#[test]
fn the_sample_says_nothing_and_a_line_of_it_something() {
    let dir = TempDir::new();
    let (code, sample, _) = ringgate(&dir, &["config", "--sample"]);
    assert_eq!(code, 0);
    dir.write("sample.toml", &sample);
    let (code, _, said) = ringgate(&dir, &["check", "-c", "sample.toml"]);
    assert!(code == 1 && said.contains("nothing to serve"), "{said}");
    let (code, said, _) = ringgate(&dir, &["check", "-c", "sample.toml", "--static", "/=."]);
    assert!(code == 0 && said.contains("all well"), "{said}");
    dir.write("sample.toml", sample.replace("#workers = 4", "workers = 0"));
    let (code, _, said) = ringgate(&dir, &["check", "-c", "sample.toml", "--static", "/=."]);
    assert!(
        code == 1 && said.contains("workers: 0 is out of range"),
        "{said}"
    );
}

#[test]
fn a_single_page_application_from_the_command_line() {
    let setup = Setup::bare();
    setup.dir().write("dist/index.html", "the application");
    setup.dir().write("dist/assets/a.js", "js");
    let server = setup.option("--spa", "/=dist").start();
    assert_eq!(server.get("/assets/a.js").expect(200).text(), "js");
    for path in ["/", "/users/7", "/index.html"] {
        assert_eq!(
            server.get(path).expect(200).text(),
            "the application",
            "{path}"
        );
    }
    let (code, _, said) = ringgate(server.dir(), &["check", "--spa", "/=nowhere"]);
    assert!(code == 1 && said.contains("no directory"), "{said}");
}

#[test]
fn applications_may_have_pythons_of_their_own() {
    let Some(other) = python::others().into_iter().next() else {
        return harness::skipped("no other Python on this machine");
    };
    let setup = Setup::bare();
    let dir = setup.dir();
    dir.write(
        "version.py",
        "import sys\n\
         def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'%d' % sys.version_info[1]]\n",
    );
    dir.write(
        "site.toml",
        format!(
            "workers = 1\n[app.usual]\ntarget = 'version'\n[app.other]\ntarget = 'version'\nmount = '/other'\npython = '{}'\nkind = 'processes'\n",
            other.path.display()
        ),
    );
    let server = setup.option("--config", "site.toml").start();
    let usual = python::minor_version().to_string();
    assert_eq!(server.get("/").expect(200).text(), usual);
    assert_eq!(server.get("/other").text(), other.minor.to_string());
}
