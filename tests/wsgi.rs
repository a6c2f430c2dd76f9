//! What PEP 3333 asks of a server, duty by duty (W1 to W41), through the real binary with both kinds of workers, with one thread and with several.
//!
//! The other half of each test is the page of the same name in apps/duties.py; most pages run inside wsgiref.validate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::response::Framing;
use harness::{Client, Response, Server, Setup, eventually, python, shared, skipped};
use std::sync::OnceLock;

fn setup(kind: &str) -> Setup {
    let setup = Setup::app("duties:application")
        .kind(kind)
        .workers(2)
        .option("--env", "FROM_THE_DEPLOYER=a=b c");
    setup.dir().write("source.bin", "abcdefghij".repeat(10));
    setup
}

/// One server of each kind that the test's Python can do, and one with several threads, shared by all tests of this file.
fn servers() -> Vec<&'static Server> {
    static PROCESSES: OnceLock<Server> = OnceLock::new();
    static THREADS: OnceLock<Server> = OnceLock::new();
    static INTERPRETERS: OnceLock<Server> = OnceLock::new();
    let mut servers = vec![shared(&PROCESSES, || setup("processes"))];
    servers.push(shared(&THREADS, || {
        let setup = setup("processes").option("--threads", "3");
        setup.also("--env", "THREADS=3")
    }));
    if python::has_interpreters() {
        servers.push(shared(&INTERPRETERS, || setup("interpreters")));
    } else {
        skipped("interpreters need CPython 3.13 or newer");
    }
    servers
}

/// The page must say "ok".
#[track_caller]
fn ok(target: &str) {
    for server in servers() {
        assert_eq!(server.get(target).expect(200).text(), "ok", "{target}");
    }
}

#[track_caller]
fn ok_with(method: &str, target: &str, headers: &str, body: &[u8]) {
    for server in servers() {
        let response = server
            .client()
            .request(method, target, headers, body)
            .expect(200);
        assert_eq!(response.text(), "ok", "{target}");
    }
}

/// Waits for a mark that the page leaves in the server's directory.
fn mark(server: &Server, name: &str) -> String {
    let path = server.dir().path().join(name);
    eventually(name, || {
        path.exists()
            .then(|| std::fs::read_to_string(&path).unwrap())
    })
}

fn source() -> String {
    "abcdefghij".repeat(10)
}

/// A request whose response must not look whole: it breaks off, or, where nothing of it has left yet, an error page
/// takes its place.
#[track_caller]
fn breaks_off(server: &Server, target: &str) {
    let mut client = server.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
    match client.try_response("GET") {
        Ok(response) => assert!(
            matches!(response.status, 500 | 502),
            "{target}: {response:?}"
        ),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{target}"),
    }
}

#[track_caller]
fn is_error(response: Response) {
    let response = response.expect(500);
    assert!(
        !response.text().contains("Traceback"),
        "the client sees the traceback: {}",
        response.text()
    );
}

const LINES: &[u8] = b"one\ntwo\nthree";

#[test]
fn w01_the_app_is_called_with_positional_arguments() {
    ok("/w01/positional");
}

#[test]
fn w02_environ_is_a_dict_of_its_own_that_the_app_may_change() {
    for server in servers() {
        let mut client = server.client();
        for _ in 0..6 {
            assert_eq!(client.get("/w02/dict").expect(200).text(), "ok");
        }
    }
}

#[test]
fn w03_required_keys() {
    ok("/w03/keys");
    ok("/w03/keys?query=1");
    for server in servers() {
        let response = server
            .client()
            .send("GET /w03/keys HTTP/1.0\r\n\r\n")
            .response();
        assert_eq!(response.expect(200).text(), "ok", "without a Host");
    }
}

#[test]
fn w04_cgi_values_are_latin1_strings() {
    for server in servers() {
        let mut client = server.client();
        client.send(b"GET /w04/strings/%C3%A4%FF%20b?q=%C3%A4 HTTP/1.1\r\nHost: test\r\nX-Raw: caf\xe9\r\n\r\n");
        assert_eq!(client.response().expect(200).text(), "ok");
    }
}

#[test]
fn w05_what_is_missing_is_absent() {
    ok("/w05/absent");
}

#[test]
fn w06_the_wsgi_variables_are_there_and_truthful() {
    ok("/w06/wsgi");
}

#[test]
fn w07_further_cgi_variables() {
    ok("/w07/cgi");
}

#[test]
fn w08_the_deployer_may_set_the_environment() {
    ok("/w08/deployer");
}

#[test]
fn w09_own_keys_are_lower_case_with_a_prefix() {
    ok("/w09/names");
}

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

#[test]
fn w14_start_response_returns_write() {
    ok("/w14/start_response");
}

#[test]
fn w15_headers_wait_for_the_first_block_that_is_not_empty() {
    for server in servers() {
        let response = server.get("/w15/late_headers").expect(418);
        assert_eq!(
            (response.reason.as_str(), response.text().as_str()),
            ("Teapot", "replaced")
        );
        assert_eq!(
            (response.header("x-first"), response.header("x-second")),
            (None, Some("yes"))
        );
    }
}

#[test]
fn w15_an_exhausted_iterable_sends_the_headers() {
    for server in servers() {
        let mut client = server.client();
        let response = client.get("/w15/exhausted").expect(200);
        assert_eq!(
            (response.header("x-empty"), response.body.len()),
            (Some("yes"), 0)
        );
        client.expect_open();
    }
}

#[test]
fn w16_a_second_start_response_is_an_error() {
    ok("/w16/twice");
    for server in servers() {
        is_error(server.get("/w16/fatal"));
    }
}

#[test]
fn w17_exc_info_replaces_headers_that_were_not_sent() {
    for server in servers() {
        let response = server.get("/w17/replace").expect(500);
        assert_eq!(
            (
                response.reason.as_str(),
                response.text().as_str(),
                response.header("x-first")
            ),
            ("Replaced", "ok", None)
        );
    }
}

#[test]
fn w17_exc_info_is_raised_again_once_headers_were_sent() {
    for server in servers() {
        assert_eq!(server.get("/w17/raise").expect(200).text(), "sent;ok");
    }
}

#[test]
fn w18_bad_status_and_headers_are_refused_at_the_call() {
    ok("/w18/status");
    ok("/w18/headers");
    ok("/w18/lengths");
}

#[test]
fn w19_hop_by_hop_headers_are_refused() {
    ok("/w19/hop_by_hop");
}

#[test]
fn w20_date_and_server_are_added_where_missing() {
    for server in servers() {
        let response = server.get("/w20/added").expect(200);
        assert!(
            response
                .header("date")
                .is_some_and(|date| date.ends_with(" GMT") && date.len() == 29),
            "{response:?}"
        );
        assert!(
            response
                .header("server")
                .is_some_and(|value| value.starts_with("ringgate")),
            "{response:?}"
        );
        let response = server.get("/w20/own").expect(200);
        assert_eq!(
            response.header("date"),
            Some("Sun, 06 Nov 1994 08:49:37 GMT")
        );
        assert_eq!(response.header("server"), Some("mine"));
    }
}

#[test]
fn w21_start_response_may_come_in_the_first_iteration() {
    ok("/w21/generator");
}

#[test]
fn w22_each_block_leaves_before_the_next_is_computed() {
    for server in servers() {
        let mut client = server.client();
        client.send("GET /w22/unbuffered/w22 HTTP/1.1\r\nHost: test\r\n\r\n");
        for number in 0..3 {
            client.wait_text(&format!("block {number};"));
            server.dir().write(&format!("w22.{number}"), "");
        }
        assert_eq!(
            client.response().expect(200).text(),
            "block 0;block 1;block 2;"
        );
    }
}

#[test]
fn w23_written_data_leave_before_iterated_data() {
    for server in servers() {
        let mut client = server.client();
        client.send("GET /w23/write/w23 HTTP/1.1\r\nHost: test\r\n\r\n");
        client.wait_text("written;");
        server.dir().write("w23.go", "");
        assert_eq!(
            client.response().expect(200).text(),
            "written;again;iterated"
        );
    }
}

#[test]
fn w24_close_is_called_at_the_end() {
    for server in servers() {
        assert_eq!(server.get("/w24/end/end").expect(200).text(), "onetwo");
        assert_eq!(mark(server, "end.closed"), "1 True");
    }
}

#[test]
fn w24_close_is_called_after_an_error() {
    for server in servers() {
        breaks_off(server, "/w24/error/error");
        assert_eq!(mark(server, "error.closed"), "1 True");
        server.wait_log("w24 raised on purpose");
        breaks_off(server, "/w24/bad_block/bad-block");
        assert_eq!(mark(server, "bad-block.closed"), "1 True");
    }
}

#[test]
fn w24_close_is_called_where_start_response_never_was() {
    for server in servers() {
        is_error(server.get("/w24/early/early"));
        assert!(mark(server, "early.closed").starts_with("1 "));
    }
}

#[test]
fn w24_close_is_called_for_head() {
    for server in servers() {
        server
            .client()
            .request("HEAD", "/w24/end/head", "", b"")
            .expect(200);
        assert!(mark(server, "head.closed").starts_with("1 "));
    }
}

#[test]
fn w24_close_is_called_when_the_length_is_reached() {
    for server in servers() {
        assert_eq!(
            server.get("/w24/too_long/too-long").expect(200).text(),
            "one"
        );
        assert!(mark(server, "too-long.closed").starts_with("1 "));
    }
}

#[test]
fn w24_close_is_called_when_the_client_leaves() {
    for server in servers() {
        let mut client = server.client();
        client.send("GET /w24/client_leaves/leaves HTTP/1.1\r\nHost: test\r\n\r\n");
        client.wait_bytes(100_000);
        drop(client);
        mark(server, "leaves.closed");
    }
}

#[test]
fn w24_a_close_that_raises_is_logged_and_hurts_nobody() {
    for server in servers() {
        let mut client = server.client();
        assert_eq!(
            client.get("/w24/close_raises/raises").expect(200).text(),
            "one"
        );
        server.wait_log("w24 close raised on purpose");
        client.expect_open();
    }
}

#[test]
fn w24_the_validator_sees_every_iterable_closed() {
    for kind in ["processes", "interpreters"] {
        if kind == "interpreters" && !python::has_interpreters() {
            continue;
        }
        let server = setup(kind).start();
        for target in [
            "/w21/generator",
            "/w15/exhausted",
            "/w27/unknown_length",
            "/w03/keys",
        ] {
            server.get(target).expect(200);
            server.client().request("HEAD", target, "", b"").expect(200);
        }
        let (status, log) = server.stop();
        assert!(status.success(), "{status}\n{log}");
        assert!(
            !log.contains("garbage collected") && !log.contains("AssertionError"),
            "{log}"
        );
    }
}

#[test]
fn w25_no_other_attribute_of_the_iterable_is_used() {
    ok("/w25/attributes");
    ok("/w25/old_iteration");
    ok("/w25/tuple");
    for server in servers() {
        assert!(
            !server.dir().path().join("w25.asked").exists(),
            "asked for {}",
            server.dir().read("w25.asked")
        );
    }
}

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
            !server.dir().path().join("many.went-on").exists(),
            "iterated beyond the length"
        );
        assert_eq!(
            server.get("/w28/write_too_many/write").expect(200).text(),
            "12345"
        );
        assert_ne!(
            mark(server, "write.refused"),
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
        server.wait_log("duties.py");
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
        assert_eq!(mark(server, "w34.method"), "HEAD");
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

#[test]
fn w36_file_wrapper_sends_the_file() {
    for server in servers() {
        let mut client = server.client();
        assert_eq!(client.get("/w36/wrapper").expect(200).text(), source());
        client.expect_open();
    }
}

#[test]
fn w36_only_the_returned_wrapper_is_sent() {
    ok("/w36/not_returned");
    for server in servers() {
        assert_eq!(
            server.get("/w36/middleware").expect(200).text(),
            source().replace('a', "A")
        );
        assert_eq!(
            server.get("/w36/after_write").expect(200).text(),
            format!("before;{}", source())
        );
    }
}

#[test]
fn w36_head_sends_no_file() {
    for server in servers() {
        let mut client = server.client();
        client.request("HEAD", "/w36/wrapper", "", b"").expect(200);
        client.expect_open();
    }
}

#[test]
fn w37_the_wrapper_closes_what_can_be_closed() {
    ok("/w37/has_close");
    for server in servers() {
        assert_eq!(server.get("/w37/closes/w37").expect(200).text(), source());
        mark(server, "w37.closed");
    }
}

#[test]
fn w38_from_the_current_position_to_the_end_or_the_length() {
    for server in servers() {
        assert_eq!(
            server.get("/w38/position").expect(200).text(),
            source()[10..]
        );
        assert_eq!(
            server
                .get("/w38/position_after_wrapping")
                .expect(200)
                .text(),
            source()[7..]
        );
        let mut client = server.client();
        assert_eq!(
            client.get("/w38/length").expect(200).text(),
            source()[5..25]
        );
        client.expect_open();
        breaks_off(server, "/w38/short");
    }
}

#[test]
fn w39_files_without_a_descriptor_are_read() {
    for server in servers() {
        assert_eq!(
            server.get("/w39/bytes_io").expect(200).text(),
            "0123456789".repeat(3000)
        );
        assert_eq!(
            server.get("/w39/gzip").expect(200).text(),
            "plain text ".repeat(1000)
        );
        assert_eq!(server.get("/w39/pipe").expect(200).text(), "through a pipe");
        assert_eq!(server.get("/w39/read_only").expect(200).text(), "onetwo");
    }
}

#[test]
fn w40_the_wrapper_can_be_iterated_both_ways() {
    ok("/w40/iterable");
}

#[test]
fn w41_the_length_of_a_file_is_that_of_the_file() {
    for server in servers() {
        let response = server.get("/w41/length").expect(200);
        assert_eq!(response.header("content-length").unwrap_or("100"), "100");
        assert_eq!(response.text(), source());
    }
}

fn shown(client: &mut Client, target: &str, headers: &str) -> serde_json::Value {
    client
        .send(format!(
            "GET {target} HTTP/1.1\r\nHost: test:81\r\n{headers}\r\n"
        ))
        .response()
        .expect(200)
        .json()
}

#[test]
fn w42_what_applications_expect_beyond_the_pep() {
    for server in servers() {
        let mut client = server.client();
        let environ = shown(&mut client, "/w42/headers/%41%2fb//c?x=1&y", "");
        assert_eq!(environ["REMOTE_ADDR"], "127.0.0.1");
        assert_eq!(environ["REMOTE_PORT"], client.local_port().to_string());
        assert_eq!(environ["RAW_URI"], "/w42/headers/%41%2fb//c?x=1&y");
        assert_eq!(environ["REQUEST_URI"], "/w42/headers/%41%2fb//c?x=1&y");
        assert_eq!(environ["PATH_INFO"], "/w42/headers/A/b//c");
        assert_eq!(environ["QUERY_STRING"], "x=1&y");
        assert!(
            environ["SERVER_SOFTWARE"]
                .as_str()
                .is_some_and(|value| value.starts_with("ringgate")),
            "{environ}"
        );
        assert_eq!(environ["HTTP_HOST"], "test:81");
        assert_eq!(environ["SERVER_PROTOCOL"], "HTTP/1.1");
    }
}

#[test]
fn w42_headers_that_would_deceive_are_dropped_or_joined() {
    for server in servers() {
        let mut client = server.client();
        let headers = "X-A: 1\r\nx-a: 2\r\nCookie: a=1\r\nCookie: b=2\r\nX_Underscore: no\r\nProxy: http://evil\r\nContent_Length: 9\r\nContent-Type: text/x\r\n";
        let environ = shown(&mut client, "/w42/headers", headers);
        assert_eq!(
            environ["HTTP_X_A"]
                .as_str()
                .map(|value| value.replace(' ', "")),
            Some("1,2".into())
        );
        assert_eq!(environ["HTTP_COOKIE"], "a=1; b=2");
        assert_eq!(environ["CONTENT_TYPE"], "text/x");
        for absent in [
            "HTTP_X_UNDERSCORE",
            "HTTP_PROXY",
            "HTTP_CONTENT_LENGTH",
            "HTTP_CONTENT_TYPE",
        ] {
            assert!(environ.get(absent).is_none(), "{absent}: {environ}");
        }
        assert_eq!(
            environ
                .get("CONTENT_LENGTH")
                .and_then(|value| value.as_str())
                .unwrap_or(""),
            ""
        );
    }
}
