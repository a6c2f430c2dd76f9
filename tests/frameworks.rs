//! Frameworks as people use them, visited by the clients that people use, and what `auto` decides for each.
//!
//! Flask and Django are looked at closely. All of them serve one common site (tests/apps/frameworks), which tests/visitors/site.py visits.
//! Tornado speaks neither WSGI nor ASGI; what WSGI applications use of it is here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::HUP;
use harness::{Server, Setup, python, skipped};
use std::process::Command;

/// One server for each kind, or none where the frameworks are not installed.
fn servers(target: &str) -> Vec<Server> {
    if !python::has_frameworks() {
        skipped("RINGGATE_TEST_PYTHON is not set; scripts/test sets it");
        return Vec::new();
    }
    let kinds = if python::has_interpreters() {
        vec!["processes", "interpreters"]
    } else {
        vec!["processes"]
    };
    kinds
        .into_iter()
        .map(|kind| Setup::app(target).kind(kind).workers(2).start())
        .collect()
}

#[test]
fn flask() {
    for server in servers("flask_app:app") {
        let mut client = server.client();
        assert_eq!(client.get("/").expect(200).text(), "Hello, Flask!");
        assert_eq!(
            client.get("/user/J%C3%BCrgen?x=1").expect(200).json(),
            serde_json::json!({"name": "Jürgen", "x": "1"})
        );
        let form = client
            .request(
                "POST",
                "/form",
                "Content-Type: application/x-www-form-urlencoded\r\n",
                b"a=1&b=%C3%BC",
            )
            .expect(200);
        assert_eq!(form.json(), serde_json::json!({"a": "1", "b": "ü"}));
        let json = client
            .request(
                "POST",
                "/json",
                "Content-Type: application/json\r\n",
                br#"{"x": [1, 2]}"#,
            )
            .expect(200);
        assert_eq!(json.json(), serde_json::json!({"x": [1, 2]}));
        let part =
            "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.bin\"\r\n\r\n";
        let body = [part.as_bytes(), &[7; 300_000], b"\r\n--B--\r\n"].concat();
        let upload = client
            .request(
                "POST",
                "/upload",
                "Content-Type: multipart/form-data; boundary=B\r\n",
                &body,
            )
            .expect(200);
        assert_eq!(
            upload.json(),
            serde_json::json!({"name": "f.bin", "bytes": 300_000})
        );
        assert_eq!(client.get("/stream").expect(200).text(), "0;1;2;3;4;");
        assert!(
            client
                .get("/file")
                .expect(200)
                .text()
                .starts_with("\"\"\"A Flask")
        );
        client
            .request("GET", "/file", "Range: bytes=0-2\r\n", b"")
            .expect(206);
        client.get("/none").expect(404);
        client.get("/fail").expect(500);
        server.wait_log("flask failed on purpose");
        let redirect = client.get("/redirect").expect(302);
        assert_eq!(redirect.header("location"), Some("/"));
        let cookies = client.get("/session").expect(200);
        let cookie = cookies
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(
            client
                .request("GET", "/session", &format!("Cookie: {cookie}\r\n"), b"")
                .expect(200)
                .text(),
            "2"
        );
    }
}

#[test]
fn django() {
    for server in servers("django_app:application") {
        let mut client = server.client();
        assert_eq!(client.get("/").expect(200).text(), "Hello, Django!");
        assert_eq!(
            client.get("/template/Zo%C3%AB").expect(200).text().trim(),
            "<p>Zoë &amp; friends</p>"
        );
        assert_eq!(
            client.get("/orm").expect(200).json(),
            serde_json::json!({"count": 3, "names": ["a", "b", "c"]})
        );
        assert_eq!(client.get("/stream").expect(200).text(), "0;1;2;");
        assert!(
            client
                .get("/file")
                .expect(200)
                .text()
                .starts_with("\"\"\"Django")
        );
        client.get("/none").expect(404);
        client.get("/fail").expect(500);
        server.wait_log("django failed on purpose");
        assert_eq!(
            client
                .request(
                    "POST",
                    "/post",
                    "Content-Type: application/x-www-form-urlencoded\r\n",
                    b"a=1"
                )
                .expect(200)
                .text(),
            "1"
        );
    }
}

/// Django that says what its workers load at their first request, and whose URLs behave as `urls` says.
fn django_ahead(urls: &str) -> Option<Setup> {
    if !python::has_frameworks() {
        skipped("RINGGATE_TEST_PYTHON is not set; scripts/test sets it");
        return None;
    }
    let setup = Setup::app("django_ahead:app").workers(1);
    Some(setup.env("AHEAD", urls))
}

#[test]
fn django_loads_nothing_at_the_first_request() {
    for kind in python::kinds() {
        for preload in ["--preload", "--no-preload"] {
            let Some(setup) = django_ahead("fine") else {
                return;
            };
            let server = setup.kind(kind).arg(preload).start();
            assert_eq!(
                server.get("/").expect(200).json(),
                serde_json::json!({
                    "late": [],
                    "shared": *kind == "processes" && preload == "--preload",
                    "text": "1. März 2026 1"
                }),
                "{kind} {preload}"
            );
        }
    }
}

#[test]
fn django_urls_that_start_threads_are_loaded_after_the_fork() {
    let Some(setup) = django_ahead("thread") else {
        return;
    };
    // The warm-up imports them too, and finds the thread.
    let setup = setup.option("--warmup", "/").arg("--warmup-before-fork");
    let server = setup.kind("processes").start();
    server.wait_log("importing the app's URLs started threads; each worker imports them by itself");
    server.wait_log("not before the fork: they leave open: thread");
    let told = server.get("/").expect(200).json();
    assert_eq!(told["shared"], true);
    assert_eq!(told["late"], serde_json::json!([]));
}

#[test]
fn django_urls_count_for_auto() {
    let Some(setup) = django_ahead("refuses") else {
        return;
    };
    if !python::has_interpreters() {
        return skipped("interpreters need CPython 3.13 or newer");
    }
    let server = setup.start();
    server.wait_log("stubborn._core");
    assert_eq!(
        server.status()["apps"][0]["workers"][0]["kind"],
        "processes"
    );
    server.get("/").expect(200);
}

#[test]
fn django_urls_that_cannot_be_imported_fail_requests_at_a_start_and_a_new_generation() {
    for kind in [&["auto"][..], python::kinds()].concat() {
        let Some(setup) = django_ahead("") else {
            return;
        };
        let mode = setup.dir().path().join("mode");
        std::fs::write(&mode, "broken").unwrap();
        let setup = setup.kind(kind).env("AHEAD", &mode);
        let server = setup.start();
        server.wait_log(
            "Django's URLs do not load: ImportError: no such view; requests may fail likewise",
        );
        for _ in 0..2 {
            server.get("/").expect(500);
        }
        std::fs::write(&mode, "fine").unwrap();
        server.signal(HUP);
        server.wait_log("generation 2 is up");
        server.get("/").expect(200);
        std::fs::write(&mode, "broken").unwrap();
        server.signal(HUP);
        server.wait_log("generation 2 keeps serving");
        server.get("/").expect(200);
    }
}

#[test]
fn check_finds_django_urls_that_cannot_be_imported() {
    if !python::has_frameworks() {
        return skipped("RINGGATE_TEST_PYTHON is not set; scripts/test sets it");
    }
    for (urls, code) in [("fine", 0), ("broken", 4)] {
        let output = Command::new(env!("CARGO_BIN_EXE_ringgate"))
            .args(["check", "django_ahead:app", "--chdir"])
            .arg(python::apps())
            .arg("--python")
            .arg(python::python())
            .env("AHEAD", urls)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(
            said.contains("django_ahead:app cannot be loaded: Django's URLs do not load: ImportError: no such view"),
            code != 0,
            "{said}"
        );
    }
}

/// The common site of tests/apps/frameworks, in one framework.
struct Site {
    /// As on its front page.
    name: &'static str,
    target: &'static str,
    /// What it needs installed.
    modules: &'static [&'static str],
    /// What tests/visitors/site.py looks at besides the common pages.
    features: &'static [&'static str],
    /// What `auto` takes from 3.13 on.
    auto: Auto,
}

enum Auto {
    Interpreters,
    /// One of these modules refuses or loses its C part, and the log names it.
    Processes(&'static [&'static str]),
}

const WSGI: &[Site] = &[
    Site {
        name: "flask",
        target: "site_flask:app",
        modules: &["flask"],
        features: &[],
        auto: Auto::Interpreters,
    },
    Site {
        name: "django",
        target: "site_django:wsgi",
        modules: &["django"],
        features: &["await"],
        auto: Auto::Interpreters,
    },
    Site {
        name: "falcon",
        target: "site_falcon:wsgi",
        modules: &["falcon"],
        features: &[],
        auto: Auto::Processes(&["falcon."]),
    },
    Site {
        name: "tornado",
        target: "site_tornado:wsgi",
        modules: &["tornado"],
        features: &["front"],
        auto: Auto::Processes(&["tornado.speedups"]),
    },
];

const ASGI: &[Site] = &[
    Site {
        name: "starlette",
        target: "site_starlette:app",
        modules: &["starlette", "python_multipart"],
        features: &["thread", "state", WEBSOCKET, SUBPROTOCOL],
        auto: Auto::Interpreters,
    },
    Site {
        name: "fastapi",
        target: "site_fastapi:app",
        modules: &["fastapi", "python_multipart"],
        features: &["thread", "state", WEBSOCKET, SUBPROTOCOL],
        auto: Auto::Processes(&["pydantic_core._pydantic_core"]),
    },
    Site {
        name: "litestar",
        target: "site_litestar:app",
        modules: &["litestar"],
        features: &["thread", "state", WEBSOCKET, SUBPROTOCOL],
        auto: Auto::Processes(&["msgspec._core"]),
    },
    Site {
        name: "falcon",
        target: "site_falcon:asgi",
        modules: &["falcon"],
        features: &[WEBSOCKET, SUBPROTOCOL],
        auto: Auto::Processes(&["falcon.cyutil"]),
    },
    Site {
        name: "quart",
        target: "site_quart:app",
        modules: &["quart"],
        features: &["thread", "state", WEBSOCKET, SUBPROTOCOL],
        auto: Auto::Interpreters,
    },
    Site {
        name: "sanic",
        target: "site_sanic:app",
        modules: &["sanic"],
        features: &["state", WEBSOCKET],
        auto: Auto::Processes(&["httptools.", "ujson", "uvloop"]),
    },
    Site {
        name: "django",
        target: "site_django:asgi",
        modules: &["django"],
        features: &["await"],
        auto: Auto::Interpreters,
    },
    Site {
        name: "django",
        target: "site_channels:asgi",
        modules: &["channels"],
        features: &["await", WEBSOCKET, SUBPROTOCOL],
        auto: Auto::Interpreters,
    },
];

const WEBSOCKET: &str = "websocket";
const SUBPROTOCOL: &str = "subprotocol";

impl Site {
    /// Starts it, unless it is not installed here.
    fn start(&self, kind: &str) -> Option<Server> {
        let missing = self.modules.iter().find(|module| !python::has(module));
        if let Some(module) = missing {
            skipped(&format!("{}: {module} is not installed", self.target));
            return None;
        }
        let setup = Setup::app(self.target)
            .option("--chdir", python::apps().join("frameworks"))
            .workers(2);
        Some(if kind == "auto" {
            setup.start()
        } else {
            setup.kind(kind).start()
        })
    }

    /// Every client visits every page.
    #[track_caller]
    fn visit(&self, server: &Server) {
        python::visit(server.address(), self.name, self.features);
        if !self.features.contains(&"front") {
            server.wait_log(&format!("{} failed on purpose", self.name));
        }
    }
}

/// Visits each with the kind that `auto` takes, which must be the expected one, and with interpreters wherever they are possible.
fn visit_all(sites: &[Site]) {
    if !python::has_frameworks() {
        return skipped("RINGGATE_TEST_PYTHON is not set; scripts/test sets it");
    }
    for site in sites {
        let Some(server) = site.start("auto") else {
            continue;
        };
        let kind = server.status()["apps"][0]["workers"][0]["kind"].clone();
        match &site.auto {
            Auto::Interpreters if python::has_interpreters() => {
                assert_eq!(kind, "interpreters", "{}: {}", site.target, server.log());
                site.visit(&site.start("processes").expect("installed"));
            }
            Auto::Processes(modules) if python::has_interpreters() => {
                assert_eq!(kind, "processes", "{}: {}", site.target, server.log());
                let log = server.log();
                assert!(
                    modules.iter().any(|module| log.contains(module)),
                    "{}: the log names the module:\n{log}",
                    site.target
                );
            }
            _ => assert_eq!(kind, "processes"),
        }
        site.visit(&server);
    }
}

#[test]
fn wsgi_frameworks_and_their_clients() {
    visit_all(WSGI);
}

#[test]
fn asgi_frameworks_and_their_clients() {
    visit_all(ASGI);
}
