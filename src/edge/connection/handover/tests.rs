//! What is kept of a head, what is asked for, how two heads become one.

use super::*;

fn handover(fields: &[(&str, &str)]) -> Option<Handover> {
    Handover::new(
        fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    )
}

#[test]
fn the_first_wish_counts_and_nginxs_fields_are_kept() {
    assert_eq!(handover(&[("Content-Type", "text/plain")]), None);
    let found = handover(&[
        ("content-type", "a/b"),
        ("X-Accel-Redirect", "/a b\u{e9}%20#?x"),
        ("X-Sendfile", "/x"),
        ("ETag", "\"1\""),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Content-Length", "3"),
    ])
    .expect("a wish");
    assert_eq!(found.to, Destination::Url("/a%20b%C3%A9%20%23?x".into()));
    let kept = "content-type: a/b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n";
    assert_eq!(String::from_utf8_lossy(&found.kept), kept);
    assert!(!found.whole_only);
    let found =
        handover(&[("x-sendfile", "/srv/\u{e9}"), ("accept-ranges", "None")]).expect("a wish");
    assert_eq!(found.to, Destination::File("/srv/\u{e9}".into()));
    assert!(found.whole_only);
    assert_eq!(found.to.to_string(), "X-Sendfile of /srv/\\xc3\\xa9");
}

#[test]
fn the_apps_fields_take_the_place_of_the_files() {
    let merged = |status: &str, own: &str, kept: &str, body: &str| {
        let mut out = b"before ".to_vec();
        let answer = format!("HTTP/1.1 {status} X\r\nServer: r\r\n{own}\r\n{body}");
        append_with(
            answer.as_bytes(),
            status.parse().expect("a status"),
            kept.as_bytes(),
            &mut out,
        );
        let prefix = format!("before HTTP/1.1 {status} X\r\nServer: r\r\n");
        String::from_utf8(out)
            .expect("text")
            .strip_prefix(&prefix)
            .expect("the same start")
            .to_owned()
    };
    let kept =
        "content-type: a/b\r\nCache-Control: private\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n";
    let own = "Content-Type: t/x\r\nETag: \"1\"\r\nCache-Control: max-age=1\r\n";
    assert_eq!(
        merged("200", own, kept, "body\r\n\r\nX"),
        format!("ETag: \"1\"\r\n{kept}\r\nbody\r\n\r\nX")
    );
    let parts = "Content-Type: multipart/byteranges; boundary=x\r\n";
    assert_eq!(
        merged("206", parts, kept, "b"),
        format!("{parts}Cache-Control: private\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nb")
    );
    assert_eq!(
        merged("304", "ETag: \"1\"\r\n", kept, ""),
        "ETag: \"1\"\r\nCache-Control: private\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
    );
    let page = "Content-Type: text/html\r\n";
    assert_eq!(
        merged("404", page, kept, "p"),
        format!("{page}Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\np")
    );
}

#[test]
fn a_wish_has_the_fields_that_matter() {
    let mut asked = vec![0; 1024];
    let request = shm::request::Request {
        method: b"POST",
        target: b"/x",
        path: b"/x",
        ..Default::default()
    };
    let fields: [(&[u8], &[u8]); 3] = [
        (b"range", b"bytes=0-1"),
        (b"cookie", b"c"),
        (b"If-None-Match", b"*"),
    ];
    let body_at = shm::request::encode(&mut asked, &request, fields).expect("fits");
    let length = shm::request::set_body(
        &mut asked,
        shm::request::Body::Inline {
            offset: body_at,
            len: 0,
        },
        None,
    );
    asked.truncate(length);
    let text = |fields: &[(&str, &str)], asked: &[u8], manner: Manner| {
        let handover = handover(fields).expect("a wish");
        String::from_utf8(wish(asked, &handover, manner)).expect("text")
    };
    let url = ("x-accel-redirect", "/f?q");
    assert_eq!(
        text(&[url], &asked, Manner::LAST),
        "GET /f?q HTTP/1.1\r\nHost: localhost\r\nrange: bytes=0-1\r\nIf-None-Match: *\r\n\r\n"
    );
    let head = Manner {
        head_only: true,
        version: Version::Http10,
        ..Manner::LAST
    };
    assert_eq!(
        text(&[url, ("Accept-Ranges", "none")], &asked, head),
        "HEAD /f?q HTTP/1.0\r\nHost: localhost\r\nIf-None-Match: *\r\n\r\n"
    );
    assert_eq!(
        text(&[url], b"garbage", Manner::LAST),
        "GET /f?q HTTP/1.1\r\nHost: localhost\r\n\r\n"
    );
}
