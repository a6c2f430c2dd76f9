//! The call and its environ (W1 to W9), and what applications expect beyond the PEP (W42).

use crate::harness::Client;
use crate::{ok, servers};

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
