//! `start_response`, `write` and the iterable: when what is sent (W14 to W23), and what goes ahead of it (W43).

use crate::harness::Setup;
use crate::harness::response::Framing;
use crate::{is_error, ok, servers};

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
fn w19_hop_by_hop_headers_are_left_out_where_they_are_tolerated() {
    let server = Setup::app("duties:application")
        .arg("--tolerate-hop-by-hop")
        .start();
    let mut client = server.client();
    let response = client.get("/w19/tolerated").expect(200);
    assert_eq!(
        (response.framing, response.text()),
        (Framing::Length, "ok".into())
    );
    for name in [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "upgrade",
        "te",
    ] {
        assert_eq!(response.header(name), None);
    }
    client.expect_open();
    let response = client.get("/w19/tolerated?close").expect(200);
    assert!(response.closes(), "{response:?}");
    client.expect_close();
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
fn w43_early_hints_go_ahead() {
    for server in servers() {
        let mut client = server.client();
        client.send("GET /w43/hints/w43 HTTP/1.1\r\nHost: test\r\n\r\n");
        let first = client.take_head();
        assert_eq!(
            first,
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
        );
        server.dir().write("w43.go", "");
        let second = client.take_head();
        assert!(
            second.contains("Link: </b.js>; rel=preload\r\n"),
            "{second}"
        );
        let response = client.response().expect(200);
        assert_eq!(response.header("link"), None);
        assert_eq!(response.text(), "sent;ok");
        // An old client knows of none.
        let mut client = server.client();
        client.send("GET /w43/hints/w43 HTTP/1.0\r\n\r\n");
        assert_eq!(client.response().expect(200).text(), "sent;ok");
        std::fs::remove_file(server.dir().path().join("w43.go")).expect("a file");
    }
}
