//! The lives of workers: replaced because of their age or size, more in bursts, fewer when asked, warmed up; clients notice nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::load::Load;
use harness::server::HUP;
use harness::{Server, Setup, eventually, process, python, skipped};

const TTIN: i32 = 21;
const TTOU: i32 = 22;

fn living(kind: &str) -> Setup {
    Setup::app("living:application")
        .kind(kind)
        .workers(2)
        .option("--rings", "2")
}

fn interpreters() -> bool {
    let there = python::has_interpreters();
    if !there {
        skipped("interpreters need CPython 3.13 or newer");
    }
    there
}

/// What the supervisor's table says of the app.
fn table(server: &Server) -> serde_json::Value {
    server.status()["processes"]["apps"][0].clone()
}

fn count(server: &Server, name: &str) -> u64 {
    table(server)[name].as_u64().unwrap()
}

#[track_caller]
fn unharmed(load: Load) {
    let tally = load.finish();
    assert!(
        tally.refused.is_empty() && tally.broken.is_empty() && tally.ok > 0,
        "{tally:?}"
    );
}

#[track_caller]
fn wait_workers(server: &Server, number: usize) {
    eventually("the number of workers", || {
        (server.process_workers().len() == number).then_some(())
    });
}

#[test]
fn processes_are_replaced_after_max_requests_and_nobody_notices() {
    let server = living("processes")
        .option("--max-requests", "100")
        .option("--max-requests-jitter", "20")
        .start();
    let load = Load::start(server.address(), 8, "/hello");
    let first = server.process_workers();
    eventually("workers are replaced", || {
        (count(&server, "recycled") >= 6).then_some(())
    });
    unharmed(load);
    assert_eq!(
        server.hosts().len(),
        1,
        "they are forked from the same host"
    );
    wait_workers(&server, 2);
    let last = server.process_workers();
    assert!(first.iter().all(|pid| !last.contains(pid)));
    server.wait_log("is replaced after ");
}

#[test]
fn interpreters_are_replaced_by_a_generation_after_max_requests() {
    if !interpreters() {
        return;
    }
    let server = living("interpreters")
        .option("--max-requests", "300")
        .start();
    let load = Load::start(server.address(), 8, "/hello");
    eventually("generations follow each other", || {
        (count(&server, "recycled") >= 3).then_some(())
    });
    unharmed(load);
    server.wait_log("generation 3 is up");
}

#[test]
fn a_worker_that_grows_too_large_is_replaced() {
    let server = living("processes")
        .workers(1)
        .option("--max-rss", (100 << 20).to_string())
        .start();
    let worker = server.process_workers()[0];
    let mut client = server.client();
    for _ in 0..120 {
        client.get("/grow").expect(404);
    }
    assert!(process::resident_kib(worker) > 100 << 10);
    let load = Load::start(server.address(), 4, "/hello");
    eventually("it is replaced", || (!process::alive(worker)).then_some(()));
    unharmed(load);
    server.wait_log("MiB of memory");
}

#[test]
fn ttin_and_ttou_change_the_number_of_workers() {
    let server = living("processes").start();
    let load = Load::start(server.address(), 4, "/hello");
    server.signal(TTIN);
    wait_workers(&server, 3);
    server.signal(TTOU);
    wait_workers(&server, 2);
    server.signal(TTOU);
    wait_workers(&server, 1);
    server.signal(TTOU);
    server.wait_log("fewer workers than 1 are not possible");
    unharmed(load);
    // HUP starts as many as there are.
    server.signal(HUP);
    server.wait_log("generation 2 is up");
}

#[test]
fn interpreters_can_be_more_and_fewer_too() {
    if !interpreters() {
        return;
    }
    let server = living("interpreters").start();
    let workers = |number: usize| {
        eventually("the number of workers", || {
            let workers = server.status()["apps"][0]["workers"].as_array()?.len();
            (workers == number && server.hosts().len() == 1).then_some(())
        });
    };
    let load = Load::start(server.address(), 4, "/hello");
    server.signal(TTIN);
    workers(3);
    assert_eq!(table(&server)["generations"][0]["generation"], 1);
    server.signal(TTOU);
    workers(2);
    assert_eq!(table(&server)["generations"][0]["generation"], 2);
    unharmed(load);
}

#[test]
fn requests_that_wait_make_more_workers() {
    let server = living("processes")
        .workers(1)
        .option("--workers-max", "3")
        .start();
    let mut clients: Vec<_> = (0..3).map(|_| server.client()).collect();
    for (name, client) in ["a", "b", "c"].iter().zip(&mut clients) {
        client.send(format!("GET /block/{name} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }
    // The third is only started when there are three workers.
    wait_workers(&server, 3);
    for name in ["a", "b", "c"] {
        server.dir().wait(&format!("{name}.started"));
        server.dir().write(&format!("{name}.go"), "");
    }
    for client in &mut clients {
        client.response().expect(200);
    }
    assert_eq!(table(&server)["workers"]["max"], 3);
}

#[test]
fn without_preload_every_worker_imports_by_itself() {
    let server = living("processes").arg("--no-preload").start();
    let parent = server.hosts()[0];
    let shared = |pid: u32| process::status_field(pid, "RssFile:").is_some();
    assert!(shared(parent));
    server.dir().write("mode", "later");
    // A worker that is forked after the change reads it.
    for pid in server.process_workers() {
        process::kill(pid, 9);
    }
    eventually("the new code", || {
        (server.get("/mode").expect(200).text() == "later").then_some(())
    });
}

#[test]
fn new_workers_are_warmed_up_before_they_take_traffic() {
    for kind in ["processes", "interpreters"] {
        if kind == "interpreters" && !interpreters() {
            continue;
        }
        let server = living(kind).option("--warmup", "/warm,/hello?x=1").start();
        let warmed = std::fs::read_dir(server.dir().path()).unwrap().flatten();
        let warmed =
            warmed.filter(|entry| entry.file_name().to_string_lossy().starts_with("warmed-"));
        assert!(warmed.count() >= 1);
        // A start goes on without them, a generation that would take over does not.
        server.dir().write("mode", "cold");
        server.signal(HUP);
        server.wait_log("generation 2 does not pass its warm-up: the warm-up request /warm failed: RuntimeError: it stays cold");
        server.wait_log("generation 1 keeps serving");
        assert_eq!(server.get("/mode").expect(200).text(), "");
        server.dir().write("mode", "teapot");
        server.signal(HUP);
        server.wait_log("the warm-up request /warm was answered 503");
        server.dir().write("mode", "fine");
        server.signal(HUP);
        eventually("the good generation", || {
            (server.get("/mode").expect(200).text() == "fine").then_some(())
        });
    }
}

#[test]
fn a_start_goes_on_although_its_warm_up_fails() {
    let setup = living("processes").option("--warmup", "/warm");
    setup.dir().write("mode", "cold");
    let server = setup.start();
    server.wait_log("the warm-up request /warm failed: RuntimeError: it stays cold");
    server.get("/hello").expect(200);
}

#[test]
fn hup_reads_the_configuration_again() {
    let setup = Setup::bare();
    let text = |workers: usize, target: &str| {
        let chdir = python::apps();
        let chdir = chdir.display();
        format!(
            "chdir = '{chdir}'\n[app.root]\ntarget = '{target}'\nworkers = {workers}\nkind = 'processes'\n"
        )
    };
    let file = setup
        .dir()
        .write("site.toml", text(1, "living:application"));
    let server = setup.option("--config", file).start();
    let load = Load::start(server.address(), 4, "/hello");
    wait_workers(&server, 1);
    server
        .dir()
        .write("site.toml", text(3, "living:application"));
    server.signal(HUP);
    // Three there are already while the first is still beside two of the new ones.
    server.wait_log("generation 2 is up");
    wait_workers(&server, 3);
    server.dir().write("site.toml", "workers = 'many'\n");
    server.signal(HUP);
    server.wait_log("the configuration cannot be used, and the old one stays");
    load.wait_answers(50);
    assert_eq!(server.process_workers().len(), 3);
    let answer = server.command(&["reload"]);
    assert!(!answer.status.success());
    unharmed(load);
}

const ASGI: &str = "
import os
MODE = open(os.path.join(os.environ['TEST_DIR'], 'mode')).read()
async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        while True:
            message = await receive()
            await send({'type': message['type'] + '.complete'})
    await receive()
    if scope['path'] == '/warm' and MODE == 'cold':
        raise RuntimeError('it stays cold')
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': MODE.encode()})
";

#[test]
fn asgi_workers_are_warmed_up_on_their_own_loop() {
    for kind in ["processes", "interpreters"] {
        if kind == "interpreters" && !interpreters() {
            continue;
        }
        let setup = Setup::bare().arg("warm:app").workers(2).kind(kind);
        setup.dir().write("warm.py", ASGI);
        setup.dir().write("mode", "one");
        let chdir = setup.dir().path().to_owned();
        let server = setup
            .option("--chdir", chdir)
            .option("--warmup", "/warm")
            .start();
        let load = Load::start(server.address(), 4, "/");
        server.dir().write("mode", "cold");
        server.signal(HUP);
        server.wait_log("generation 2 does not pass its warm-up: the warm-up request /warm failed: RuntimeError: it stays cold");
        assert_eq!(server.get("/").expect(200).text(), "one");
        server.dir().write("mode", "two");
        server.signal(HUP);
        eventually("the good generation", || {
            (server.get("/").expect(200).text() == "two").then_some(())
        });
        unharmed(load);
    }
}
