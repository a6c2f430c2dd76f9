//! What servers in front say of a client: the PROXY protocol, and headers that only they are to set.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Server, Setup};

/// Answers with the variables that the query names.
const APP: &str = "\
def application(environ, start_response):
    names = environ['QUERY_STRING'].split(',')
    body = '|'.join(str(environ.get(name, 'none')) for name in names).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

fn setup() -> Setup {
    let setup = Setup::bare().arg("app");
    setup.dir().write("app.py", APP);
    setup
}

fn ask(server: &Server, target: &str, headers: &str) -> String {
    let mut client = server.client();
    client
        .request("GET", target, headers, b"")
        .expect(200)
        .text()
}

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n";
const WHO: &str = "GET /?REMOTE_ADDR,REMOTE_PORT HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_proxy_names_the_client_once_for_all_requests_of_the_connection() {
    let server = setup()
        .arg("--proxy-protocol")
        .option("--access-log", "-")
        .start();
    let mut client = server.client();
    // It may come in pieces, and alone.
    for piece in [&LINE[..4], &LINE[4..]] {
        client.send(piece);
    }
    for _ in 0..2 {
        client.send(WHO);
        assert_eq!(client.response().expect(200).text(), "192.0.2.7|56324");
    }
    server.wait_log("192.0.2.7 - - [");
    let mut client = server.client();
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\x0a\0\0\x01\0\x50\x01\xbb";
    client.send([&second[..], WHO.as_bytes()].concat());
    assert_eq!(client.response().expect(200).text(), "192.0.2.8|80");
    // Without it, as gunicorn has it, the connection is one like any other.
    assert!(ask(&server, "/?REMOTE_ADDR", "").starts_with("127.0.0.1"));
    let mut client = server.client();
    client.send("PROXY TCP4 nonsense\r\n");
    client.response().expect(400);
}

#[test]
fn only_those_who_may_name_another_client() {
    let server = setup()
        .option("--proxy-protocol", "v1")
        .option("--proxy-allow-from", "10.0.0.0/8")
        .start();
    let mut client = server.client();
    client.send([LINE, WHO.as_bytes()].concat());
    client.response().expect(403);
    assert_eq!(ask(&server, "/?REMOTE_ADDR", ""), "127.0.0.1");
    drop(server);
    // Whoever is named is who X-Forwarded-For is believed of.
    let server = setup().option("--proxy-protocol", "v1").start();
    let mut client = server.client();
    let forwarded = "GET /?REMOTE_ADDR HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    client.send([LINE, forwarded.as_bytes()].concat());
    assert_eq!(client.response().expect(200).text(), "192.0.2.7");
    drop(server);
    // Nobody asked for it: it is no request.
    let server = setup().start();
    let mut client = server.client();
    client.send(LINE);
    client.response().expect(400);
}

#[test]
fn headers_with_an_underscore_need_the_operators_word() {
    let headers = "X_User: bob\r\nREMOTE_USER: eve\r\nSCRIPT_NAME: /shop\r\n";
    let target = "/shop/cart?SCRIPT_NAME,PATH_INFO,HTTP_X_USER,HTTP_REMOTE_USER,REMOTE_USER";
    let cases: [(&[&str], &str); 4] = [
        (&[], "/shop|/cart|none|none|none"),
        (
            &["--forwarder-headers", "REMOTE_USER"],
            "|/shop/cart|none|eve|none",
        ),
        (
            &["--forwarded-allow-ips", "10.0.0.1"],
            "|/shop/cart|none|none|none",
        ),
        (&["--header-map", "dangerous"], "/shop|/cart|bob|eve|none"),
    ];
    for (options, expected) in cases {
        let server = options
            .iter()
            .fold(setup(), |setup, option| setup.arg(*option))
            .start();
        assert_eq!(ask(&server, target, headers), expected, "{options:?}");
    }
    let server = setup().option("--header-map", "refuse").start();
    let mut client = server.client();
    client
        .request("GET", "/", "X_User: bob\r\n", b"")
        .expect(400);
    assert_eq!(
        ask(&server, "/shop?SCRIPT_NAME", "SCRIPT_NAME: /shop\r\n"),
        "/shop"
    );
}
