//! What the scope says of a request (A8, A35, A36).

use crate::harness::python;
use crate::harness::{Client, Setup};
use crate::{ok, servers, setup};

// The http scope.

#[test]
fn a08_the_scope_says_what_was_asked() {
    for server in servers() {
        let mut client = server.client();
        let port = client.local_port();
        client.send(
            "GET /a08/a%20b/%C3%A9/c%2Fd?x=%20&y HTTP/1.1\r\nHost: Example.com\r\nX-B: 1\r\nx-a: 2\r\nX-b: 3\r\nX_B: 4\r\nProxy: 5\r\n\r\n",
        );
        let scope = client.response().expect(200).json();
        assert_eq!(scope["type"], "http");
        assert_eq!(scope["http_version"], "1.1");
        assert_eq!(scope["method"], "GET");
        assert_eq!(scope["scheme"], "http");
        assert_eq!(scope["path"], "/a08/a b/é/c/d");
        assert_eq!(scope["raw_path"], "/a08/a%20b/%C3%A9/c%2Fd");
        assert_eq!(scope["query_string"], "x=%20&y");
        assert_eq!(scope["root_path"], "");
        assert_eq!(scope["client"], serde_json::json!(["127.0.0.1", port]));
        assert_eq!(
            scope["server"],
            serde_json::json!(["127.0.0.1", server.address().port()])
        );
        let headers = scope["headers"].as_array().unwrap().clone();
        let custom: Vec<_> = headers
            .iter()
            .filter(|pair| pair[0].as_str().unwrap().starts_with("x-"))
            .collect();
        let expected = serde_json::json!([["x-b", "1"], ["x-a", "2"], ["x-b", "3"]]);
        assert_eq!(serde_json::json!(custom), expected, "order and duplicates");
        assert!(headers.contains(&serde_json::json!(["host", "Example.com"])));
        // As for WSGI: an application that makes variables of them would take them for others.
        for name in ["x_b", "proxy"] {
            assert!(headers.iter().all(|pair| pair[0] != name), "{headers:?}");
        }
        let old = server.client().send("GET /a08 HTTP/1.0\r\n\r\n").response();
        assert_eq!(old.json()["http_version"], "1.0");
    }
}

#[test]
fn a08_a_unix_socket_is_named_by_its_path() {
    let setup = setup("processes").unbound();
    let path = setup.dir().path().join("app.sock");
    let server = setup
        .option("--bind", format!("unix:{}", path.display()))
        .start();
    let mut client = Client::connect_unix(&path);
    let scope = client.get("/a08").expect(200).json();
    let path = path.to_string_lossy();
    assert_eq!(scope["server"], serde_json::json!([path, null]));
    assert_eq!(scope["client"], serde_json::Value::Null);
    // A proxy tells an address and no port, and a client's port is a number.
    let forwarded = "GET /a08 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    let scope = client.send(forwarded).response().expect(200).json();
    assert_eq!(scope["client"], serde_json::json!(["192.0.2.7", 0]));
    drop(server);
}

#[test]
fn a08_root_path_is_part_of_the_path() {
    for kind in python::kinds() {
        let server = Setup::app("asgi_duties:application")
            .kind(kind)
            .option("--root-path", "/outer")
            .start();
        let scope = server.get("/a08?q").json();
        assert_eq!(scope["root_path"], "/outer");
        assert_eq!(scope["raw_path"], "/a08");
        assert_eq!(scope["path"], "/outer/a08");
    }
}

#[test]
fn a35_a36_neither_tls_on_plain_connections_nor_debug() {
    ok("/a36");
}
