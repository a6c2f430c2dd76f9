//! `close()` of the iterable, whatever happens (W24, W25).

use crate::harness::python;
use crate::{breaks_off, is_error, ok, servers, setup};

#[test]
fn w24_close_is_called_at_the_end() {
    for server in servers() {
        assert_eq!(server.get("/w24/end/end").expect(200).text(), "onetwo");
        assert_eq!(server.dir().wait("end.closed"), "1 True");
    }
}

#[test]
fn w24_close_is_called_after_an_error() {
    for server in servers() {
        breaks_off(server, "/w24/error/error");
        assert_eq!(server.dir().wait("error.closed"), "1 True");
        server.wait_log("w24 raised on purpose");
        breaks_off(server, "/w24/bad_block/bad-block");
        assert_eq!(server.dir().wait("bad-block.closed"), "1 True");
    }
}

#[test]
fn w24_close_is_called_where_start_response_never_was() {
    for server in servers() {
        is_error(server.get("/w24/early/early"));
        assert!(server.dir().wait("early.closed").starts_with("1 "));
    }
}

#[test]
fn w24_close_is_called_for_head() {
    for server in servers() {
        server
            .client()
            .request("HEAD", "/w24/end/head", "", b"")
            .expect(200);
        assert!(server.dir().wait("head.closed").starts_with("1 "));
    }
}

#[test]
fn w24_close_is_called_when_the_length_is_reached() {
    for server in servers() {
        assert_eq!(
            server.get("/w24/too_long/too-long").expect(200).text(),
            "one"
        );
        assert!(server.dir().wait("too-long.closed").starts_with("1 "));
    }
}

#[test]
fn w24_close_is_called_when_the_client_leaves() {
    for server in servers() {
        let mut client = server.client();
        client.send("GET /w24/client_leaves/leaves HTTP/1.1\r\nHost: test\r\n\r\n");
        client.wait_bytes(100_000);
        drop(client);
        server.dir().wait("leaves.closed");
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
            !server.dir().has("w25.asked"),
            "asked for {}",
            server.dir().read("w25.asked")
        );
    }
}
