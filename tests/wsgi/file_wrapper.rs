//! `wsgi.file_wrapper` (W36 to W41).

use crate::{breaks_off, ok, servers, source};

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
        server.dir().wait("w37.closed");
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
