//! Flask and Django as people write them, with both kinds of workers, and what `auto` decides for them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Server, Setup, python, skipped};

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

#[test]
fn auto_takes_interpreters_for_both() {
    if !python::has_frameworks() || !python::has_interpreters() {
        return skipped("needs the frameworks and CPython 3.13 or newer");
    }
    for target in ["flask_app:app", "django_app:application"] {
        let server = Setup::app(target).workers(2).start();
        server.get("/").expect(200);
        assert_eq!(
            server.status()["apps"][0]["workers"][0]["kind"],
            "interpreters",
            "{target}: {}",
            server.log()
        );
    }
}
