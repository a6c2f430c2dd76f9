//! Real clients: curl, Python's http.client, requests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Server, Setup, python, shared, skipped};
use std::process::Command;
use std::sync::OnceLock;

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    shared(&SERVER, || {
        let setup = Setup::app("basic:application").workers(2);
        setup.dir().write("files/large.bin", vec![b'z'; 3_000_000]);
        let files = format!("/static={}", setup.dir().path().join("files").display());
        setup.also("--static", files)
    })
}

fn url(path: &str) -> String {
    format!("http://{}{path}", server().address())
}

/// curl's output and exit code; `None` where there is no curl.
fn curl(arguments: &[&str]) -> Option<(i32, Vec<u8>)> {
    match Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60"])
        .args(arguments)
        .output()
    {
        Ok(output) => Some((output.status.code().unwrap_or(-1), output.stdout)),
        Err(_) => {
            skipped("there is no curl here");
            None
        }
    }
}

#[test]
fn curl_gets_and_posts() {
    let Some((code, body)) = curl(&[&url("/hello")]) else {
        return;
    };
    assert_eq!((code, body.as_slice()), (0, b"Hello, world!\n".as_slice()));
    let (code, body) = curl(&["--data-binary", "hello", &url("/echo")]).unwrap();
    assert_eq!((code, body.as_slice()), (0, b"hello".as_slice()));
    let (code, body) = curl(&[
        "-H",
        "Transfer-Encoding: chunked",
        "--data-binary",
        "hello",
        &url("/echo"),
    ])
    .unwrap();
    assert_eq!((code, body.as_slice()), (0, b"hello".as_slice()));
    let (code, body) = curl(&["--http1.0", &url("/hello")]).unwrap();
    assert_eq!((code, body.as_slice()), (0, b"Hello, world!\n".as_slice()));
    let (code, _) = curl(&["--head", &url("/hello")]).unwrap();
    assert_eq!(code, 0);
}

#[test]
fn curl_waits_for_100_continue() {
    let upload = server().dir().write("upload.bin", vec![b'u'; 2_000_000]);
    let data = format!("@{}", upload.display());
    let Some((code, body)) = curl(&[
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        &data,
        &url("/echo"),
    ]) else {
        return;
    };
    assert_eq!((code, body.len()), (0, 2_000_000));
}

#[test]
fn curl_resumes_a_download() {
    let part = server().dir().write("part.bin", vec![b'z'; 1_000_000]);
    let Some((code, _)) = curl(&[
        "-C",
        "-",
        "-o",
        part.to_str().unwrap(),
        &url("/static/large.bin"),
    ]) else {
        return;
    };
    assert_eq!(code, 0);
    assert_eq!(std::fs::metadata(part).unwrap().len(), 3_000_000);
}

#[test]
fn curl_reuses_its_connection() {
    let target = url("/hello");
    let Some((code, out)) = curl(&[
        "-w",
        "%{num_connects};",
        "-o",
        "/dev/null",
        "-o",
        "/dev/null",
        "-o",
        "/dev/null",
        &target,
        &target,
        &target,
    ]) else {
        return;
    };
    assert_eq!(
        (code, String::from_utf8_lossy(&out).as_ref()),
        (0, "1;0;0;")
    );
}

#[test]
fn python_http_client() {
    let program = r#"
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=60)
for round in range(20):
    connection.request("POST", "/echo", body=b"x" * round * 1000)
    response = connection.getresponse()
    assert response.status == 200 and response.read() == b"x" * round * 1000
connection.request("POST", "/echo", body=iter([b"a", b"bc"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
assert connection.getresponse().read() == b"abc"
connection.request("GET", "/stream/5/1000")
assert len(connection.getresponse().read()) == 5000
connection.request("HEAD", "/hello")
assert connection.getresponse().read() == b""
connection.request("GET", "/hello")
assert connection.getresponse().read() == b"Hello, world!\n"
print("ok")
"#;
    assert_eq!(
        python::run(&["-c", program, &server().address().to_string()]).trim(),
        "ok"
    );
}

#[test]
fn python_requests() {
    if !python::has_frameworks() {
        return skipped("RINGGATE_TEST_PYTHON is not set; scripts/test sets it");
    }
    let program = r#"
import sys, requests
base = "http://" + sys.argv[1]
with requests.Session() as session:
    session.trust_env = False
    for _ in range(10):
        assert session.get(base + "/hello").text == "Hello, world!\n"
    assert session.post(base + "/echo", data=b"y" * 200_000).content == b"y" * 200_000
    assert session.post(base + "/echo", data=iter([b"a", b"b"])).content == b"ab"
    assert len(session.get(base + "/static/large.bin").content) == 3_000_000
    first = session.get(base + "/static/large.bin", headers={"Range": "bytes=0-9"})
    assert first.status_code == 206 and first.content == b"z" * 10
    etag = first.headers["etag"]
    assert session.get(base + "/static/large.bin", headers={"If-None-Match": etag}).status_code == 304
    with session.get(base + "/stream/100/1000", stream=True) as response:
        assert sum(map(len, response.iter_content(777))) == 100_000
    assert session.get(base + "/status/404/None").status_code == 404
print("ok")
"#;
    assert_eq!(
        python::run(&["-c", program, &server().address().to_string()]).trim(),
        "ok"
    );
}
