//! Lengths, line ends, errors and answers without a body (W26 to W35).

use crate::harness::response::Framing;
use crate::{breaks_off, is_error, ok, servers};

#[test]
fn w26_one_block_gets_a_content_length() {
    for server in servers() {
        let response = server.get("/w26/one_block").expect(200);
        assert_eq!(
            (response.header("content-length"), response.framing),
            (Some("10"), Framing::Length)
        );
    }
}

#[test]
fn w26_not_after_write() {
    for server in servers() {
        assert_eq!(
            server.get("/w26/written").expect(200).text(),
            "written;iterated"
        );
    }
}

#[test]
fn w26_a_bytes_object_is_no_list_of_blocks() {
    for server in servers() {
        is_error(server.get("/w26/bytes_itself"));
    }
}

#[test]
fn w27_unknown_length_is_chunked_on_1_1_and_closes_on_1_0() {
    for server in servers() {
        let mut client = server.client();
        let response = client.get("/w27/unknown_length").expect(200);
        assert_eq!(
            (response.framing, response.text().as_str()),
            (Framing::Chunked, "onetwo")
        );
        client.expect_open();
        let mut client = server.client();
        client.send(
            "GET /w27/unknown_length HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n",
        );
        let response = client.response().expect(200);
        assert_eq!(
            (response.framing, response.text().as_str()),
            (Framing::Close, "onetwo")
        );
    }
}

#[test]
fn w28_no_more_than_content_length_is_sent() {
    for server in servers() {
        let mut client = server.client();
        assert_eq!(client.get("/w28/too_many/many").expect(200).text(), "12345");
        client.expect_open();
        assert!(
            !server.dir().has("many.went-on"),
            "iterated beyond the length"
        );
        assert_eq!(
            server.get("/w28/write_too_many/write").expect(200).text(),
            "12345"
        );
        assert_ne!(
            server.dir().wait("write.refused"),
            "None",
            "write() takes more than the length"
        );
    }
}

#[test]
fn w28_fewer_than_content_length_close_the_connection() {
    for server in servers() {
        breaks_off(server, "/w28/too_few");
        breaks_off(server, "/w28/none_at_all");
        server.wait_log("Content-Length");
    }
}

#[test]
fn w29_line_endings_stay() {
    for server in servers() {
        assert_eq!(
            server.get("/w29/line_endings").expect(200).body,
            b"a\nb\r\nc\rd\x00\xff"
        );
    }
}

#[test]
fn w30_blocks_that_are_not_bytes_are_errors() {
    for server in servers() {
        for case in ["text_block", "none", "number_block", "never_started"] {
            let mut client = server.client();
            is_error(client.get(&format!("/w30/{case}")));
        }
        server.wait_log("str");
    }
}

#[test]
fn w31_exceptions_are_logged_and_answered_500() {
    for server in servers() {
        let mut client = server.client();
        is_error(client.get("/w31/raises"));
        let line = server.wait_log("w31 raised on purpose");
        assert!(line.contains("RuntimeError"), "{line}");
        server.wait_log("duties/framing.py");
        is_error(server.get("/w31/raises_in_iteration"));
        server.wait_log("w31 raised before a block");
        is_error(server.get("/w31/strange_error"));
        is_error(server.get("/w31/deep"));
        ok("/w21/generator");
    }
}

#[test]
fn w31_a_late_exception_breaks_the_response_off() {
    for server in servers() {
        breaks_off(server, "/w31/raises_late");
        // And where some of it is out already, there is no error page, and no end that looks clean.
        let mut client = server.client();
        client.send("GET /w31/raises_later/late HTTP/1.1\r\nHost: test\r\n\r\n");
        client.wait_text("sent");
        server.dir().write("late.go", "");
        let error = client
            .try_response("GET")
            .expect_err("a whole response where it must break off");
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        server.wait_log("w31 raised late");
    }
}

#[test]
fn w32_expect_100_continue() {
    for server in servers() {
        let mut client = server.client();
        client.send("POST /w32/continue HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.response().status, 100);
        client.send("body");
        assert_eq!(client.response().expect(200).text(), "body");
        let mut client = server.client();
        client.send(
            "POST /w32/continue HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
        );
        assert_eq!(client.response().expect(200).text(), "body");
    }
}

#[test]
fn w33_conditional_requests_are_the_apps_affair() {
    for server in servers() {
        let response = server
            .client()
            .request(
                "GET",
                "/w33/conditional",
                "If-None-Match: \"x\"\r\nRange: bytes=0-1\r\n",
                b"",
            )
            .expect(200);
        assert_eq!(response.json(), serde_json::json!(["\"x\"", "bytes=0-1"]));
    }
}

#[test]
fn w34_head_runs_the_app_and_drops_the_body() {
    for server in servers() {
        let mut client = server.client();
        let response = client.request("HEAD", "/w34/head/w34", "", b"").expect(200);
        assert_eq!(response.header("content-length"), Some("5"));
        assert_eq!(server.dir().wait("w34.method"), "HEAD");
        client
            .request("HEAD", "/w34/head_no_length", "", b"")
            .expect(200);
        let response = client
            .request("HEAD", "/w34/head_empty", "", b"")
            .expect(200);
        assert_eq!(response.header("content-length"), Some("12345"));
        client.expect_open();
    }
}

#[test]
fn w34_204_and_304_have_no_body() {
    for server in servers() {
        let mut client = server.client();
        client.get("/w34/no_content").expect(204);
        client.get("/w34/no_content_with_body").expect(204);
        let response = client.get("/w34/not_modified").expect(304);
        assert_eq!(response.header("transfer-encoding"), None);
        client.expect_open();
    }
}

#[test]
fn w34_an_informational_status_is_no_answer() {
    for server in servers() {
        is_error(server.get("/w34/informational"));
    }
}

#[test]
fn w35_a_worker_is_one_thread_unless_asked() {
    for _ in 0..8 {
        ok("/w35/threads");
    }
}
