//! What is asked: forms of the target, methods, paths, the host, the version.

use crate::{exchange, refused, server};

#[test]
fn absolute_form() {
    let mut client = server().client();
    client
        .send("GET http://test/hello HTTP/1.1\r\nHost: test\r\n\r\n")
        .response()
        .expect(200);
    client.send("GET http://test:81/environ/x?q=1 HTTP/1.1\r\nHost: test:81\r\n\r\n");
    let environ = client.response().expect(200).json();
    assert_eq!(
        (
            environ["PATH_INFO"].as_str(),
            environ["QUERY_STRING"].as_str()
        ),
        (Some("/environ/x"), Some("q=1"))
    );
    client
        .send("GET HTTP://TEST/hello HTTP/1.1\r\nHost: test\r\n\r\n")
        .response()
        .expect(200);
    client.send("GET http://test HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(
        client.response().status,
        404,
        "the root, which basic.py does not have"
    );
}

#[test]
fn absolute_form_against_another_host_is_refused() {
    refused("GET http://other/hello HTTP/1.1\r\nHost: test\r\n\r\n", 400);
    refused(
        "GET http://test:8080/hello HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
    );
}

#[test]
fn options_asterisk() {
    let mut client = server().client();
    let response = client
        .send("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n")
        .response();
    assert!(matches!(response.status, 200 | 204), "{response:?}");
    assert!(response.header("allow").is_some(), "{response:?}");
    client.expect_open();
    refused("GET * HTTP/1.1\r\nHost: test\r\n\r\n", 400);
}

#[test]
fn connect_is_not_for_us() {
    let mut client = server().client();
    client.send("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
    let response = client.response();
    assert!(matches!(response.status, 400 | 405 | 501), "{response:?}");
}

#[test]
fn own_methods_reach_the_app() {
    for method in ["PUT", "DELETE", "PATCH", "PROPFIND", "M-SEARCH", "X!"] {
        let response = server()
            .client()
            .request(method, "/echo", "", b"abc")
            .expect(200);
        assert_eq!(response.header("x-method"), Some(method));
    }
}

#[test]
fn the_query_and_the_path_are_taken_apart() {
    let mut client = server().client();
    for (target, path, query) in [
        ("/environ/a%20b?c=%20d?e", "/environ/a b", "c=%20d?e"),
        ("/environ/?", "/environ/", ""),
        ("/environ/%25%32%35", "/environ/%25", ""),
        ("/environ/a;b=c", "/environ/a;b=c", ""),
    ] {
        let environ = client.get(target).expect(200).json();
        assert_eq!(
            (
                environ["PATH_INFO"].as_str(),
                environ["QUERY_STRING"].as_str()
            ),
            (Some(path), Some(query)),
            "{target}"
        );
    }
}

#[test]
fn paths_that_cannot_be_decoded_are_refused() {
    let mut client = server().client();
    for target in ["/%zz", "/%4", "/%", "/a%00b", "/../..", "/%2e%2e/x"] {
        client.get(target).expect(400);
    }
}

#[test]
fn a_host_is_required_once_and_well_formed() {
    refused("GET /hello HTTP/1.1\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    for host in [
        "a b", "a/b", "a@b", "a,b", "a:b:c", "a:99999x", "[::1", "a?b", "a#b", "a\\b",
    ] {
        refused(format!("GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
    for host in ["a", "a.b:80", "127.0.0.1", "[::1]:8000", "xn--4ca", "a_b"] {
        exchange(format!("GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect(200);
    }
}

#[test]
fn other_versions_are_refused() {
    refused("GET /hello HTTP/2.0\r\nHost: test\r\n\r\n", 505);
    refused("GET /hello HTTP/3.1\r\nHost: test\r\n\r\n", 505);
    refused("GET /hello HTTP/0.9\r\nHost: test\r\n\r\n", 505);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    for version in [
        "HTTP/1",
        "HTTP/1.",
        "HTTP/11",
        "http/1.1",
        "HTTP/1.1x",
        "HTTP /1.1",
        "HTTP/a.b",
        "XTTP/1.1",
        "HTTP/01.1",
    ] {
        let response = exchange(format!("GET /hello {version}\r\nHost: test\r\n\r\n"));
        assert!(
            matches!(response.status, 400 | 505),
            "{version}: {response:?}"
        );
    }
}
