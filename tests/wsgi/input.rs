//! `wsgi.input` and `wsgi.errors` (W10 to W13).

use crate::{LINES, ok, ok_with, servers};

#[test]
fn w10_input_reads_in_every_way() {
    for case in [
        "read_size",
        "readline",
        "read_all",
        "read_minus_one",
        "iterate",
        "readlines",
        "mixed",
    ] {
        ok_with("POST", &format!("/w10/{case}"), "", LINES);
    }
}

#[test]
fn w11_input_ends_at_content_length() {
    ok_with("POST", "/w11/end", "", b"12345");
    ok("/w11/empty");
    ok_with("POST", "/w11/empty", "Content-Length: 0\r\n", b"");
}

#[test]
fn w11_input_does_not_run_into_the_next_request() {
    for server in servers() {
        let mut client = server.client();
        client.send("POST /w11/end HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n12345GET /w21/generator HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.response().expect(200).text(), "ok");
        assert_eq!(client.response().expect(200).text(), "ok");
    }
}

#[test]
fn w12_errors_takes_any_text() {
    ok("/w12/errors");
    for server in servers() {
        for text in [
            "w12 written",
            "w12 first line",
            "w12 second line",
            "w12 printed",
            "w12 any text: grüße 緑 🚪",
        ] {
            server.wait_log(text);
        }
    }
}

#[test]
fn w13_chunked_bodies_arrive_decoded() {
    let body = b"5;ext=1\r\nhello\r\n7\r\n, world\r\n0\r\nTrailer: x\r\n\r\n";
    for server in servers() {
        let mut client = server.client();
        client.send(
            [
                b"POST /w13/chunked HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
                    .as_slice(),
                body,
            ]
            .concat(),
        );
        assert_eq!(client.response().expect(200).text(), "ok");
        assert_eq!(
            client.get("/w21/generator").expect(200).text(),
            "ok",
            "the connection goes on behind the trailers"
        );
    }
}
