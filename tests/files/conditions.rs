//! Conditions and ranges.

use super::harness::{self, Setup, TempDir};
use super::{LARGE, get_with, pattern, server};

#[test]
fn conditional_requests() {
    let whole = server().get("/static/hello.txt").expect(200);
    let (etag, date) = (
        whole.header("etag").unwrap().to_owned(),
        whole.header("last-modified").unwrap().to_owned(),
    );
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    let future = "Fri, 06 Nov 2150 08:49:37 GMT";
    for (headers, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-None-Match: W/{etag}\r\n"), 304),
        (format!("If-None-Match: \"a\", {etag}, \"b\"\r\n"), 304),
        ("If-None-Match: *\r\n".into(), 304),
        ("If-None-Match: \"a\"\r\n".into(), 200),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        (format!("If-Modified-Since: {future}\r\n"), 304),
        (format!("If-Modified-Since: {old}\r\n"), 200),
        ("If-Modified-Since: nonsense\r\n".into(), 200),
        (
            format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {date}\r\n"),
            200,
        ),
        (
            format!("If-None-Match: {etag}\r\nIf-Modified-Since: {old}\r\n"),
            304,
        ),
        (format!("If-Match: {etag}\r\n"), 200),
        ("If-Match: *\r\n".into(), 200),
        ("If-Match: \"a\"\r\n".into(), 412),
        (format!("If-Match: W/{etag}\r\n"), 412),
        (format!("If-Unmodified-Since: {date}\r\n"), 200),
        (format!("If-Unmodified-Since: {old}\r\n"), 412),
        (
            format!("If-Match: {etag}\r\nIf-Unmodified-Since: {old}\r\n"),
            200,
        ),
    ] {
        let response = get_with("/static/hello.txt", &headers);
        assert_eq!(response.status, status, "{headers:?}");
        if status == 304 {
            assert_eq!(response.header("etag"), Some(etag.as_str()));
            assert!(
                response
                    .header("content-length")
                    .is_none_or(|length| length == "13")
            );
        }
    }
}

#[test]
fn single_ranges() {
    let middle = pattern(100_000);
    let mut client = server().client();
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=99999-", 99_999, 100_000),
        ("bytes=50000-", 50_000, 100_000),
        ("bytes=-1", 99_999, 100_000),
        ("bytes=-200000", 0, 100_000),
        ("bytes=10-9999999999999999999999", 10, 100_000),
        ("bytes=99999-200000", 99_999, 100_000),
    ] {
        let response = client
            .request(
                "GET",
                "/static/middle.bin",
                &format!("Range: {range}\r\n"),
                b"",
            )
            .expect(206);
        assert!(response.body == middle[start..end], "{range}");
        assert_eq!(
            response.header("content-range"),
            Some(format!("bytes {start}-{}/100000", end - 1).as_str()),
            "{range}"
        );
    }
    for range in ["bytes=100000-", "bytes=100000-100001", "bytes=-0"] {
        let response = client
            .request(
                "GET",
                "/static/middle.bin",
                &format!("Range: {range}\r\n"),
                b"",
            )
            .expect(416);
        assert_eq!(
            response.header("content-range"),
            Some("bytes */100000"),
            "{range}"
        );
    }
    for range in [
        "bytes=5-4",
        "bytes=x-",
        "bytes",
        "lines=1-2",
        "bytes=",
        "bytes=-",
        "bytes=1-2x",
        "0-1",
    ] {
        let response = client.request(
            "GET",
            "/static/middle.bin",
            &format!("Range: {range}\r\n"),
            b"",
        );
        assert!(
            response.status == 200 && response.body.len() == 100_000,
            "{range}: {}",
            response.status
        );
    }
    // Who bounds every download by a range is told that there is nothing, not that it went wrong.
    for range in ["bytes=0-", "bytes=0-99", "bytes=-1", "bytes=5-"] {
        let response = client
            .request(
                "GET",
                "/static/empty.txt",
                &format!("Range: {range}\r\n"),
                b"",
            )
            .expect(200);
        assert_eq!(response.header("content-range"), None, "{range}");
    }
    let head = client.request("HEAD", "/static/middle.bin", "Range: bytes=0-9\r\n", b"");
    assert!(
        matches!(
            (head.status, head.header("content-length")),
            (200, Some("100000")) | (206, Some("10"))
        ),
        "{head:?}"
    );
}

#[test]
fn a_range_of_a_large_file_is_spliced_from_its_place() {
    let large = pattern(LARGE);
    let response = get_with("/static/large.bin", "Range: bytes=1234567-4234567\r\n").expect(206);
    assert!(response.body == large[1_234_567..=4_234_567]);
}

#[test]
fn if_range_guards_the_range() {
    let whole = server().get("/static/hello.txt").expect(200);
    let (etag, date) = (
        whole.header("etag").unwrap().to_owned(),
        whole.header("last-modified").unwrap().to_owned(),
    );
    for (condition, status) in [
        (etag.clone(), 206),
        (format!("W/{etag}"), 200),
        ("\"other\"".into(), 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT".into(), 200),
        (date, 206),
    ] {
        assert_eq!(
            get_with(
                "/static/hello.txt",
                &format!("Range: bytes=0-4\r\nIf-Range: {condition}\r\n")
            )
            .status,
            status,
            "{condition}"
        );
    }
}

/// Whether its time could hide a change is the file system's secret for a moment; what is certain: a weak tag never resumes a range, and
/// the tag is strong soon, of the same text.
#[test]
fn the_tag_of_a_new_file_becomes_strong() {
    let dir = TempDir::new();
    let server = Setup::bare()
        .also("--static", format!("/={}", dir.path().display()))
        .start();
    let mut client = server.client();
    dir.write("new.txt", "Hello, file!\n");
    let first = client.get("/new.txt").expect(200);
    let tag = first.header("etag").unwrap().to_owned();
    let strong = tag.trim_start_matches("W/");
    if tag != strong {
        let fields = format!("Range: bytes=0-4\r\nIf-Range: {tag}\r\n");
        client.request("GET", "/new.txt", &fields, b"").expect(200);
    }
    harness::eventually("a strong tag", || {
        (client.get("/new.txt").header("etag") == Some(strong)).then_some(())
    });
    let fields = format!("Range: bytes=0-4\r\nIf-Range: {strong}\r\n");
    client.request("GET", "/new.txt", &fields, b"").expect(206);
}

#[test]
fn the_precondition_comes_before_the_range() {
    let etag = server()
        .get("/static/hello.txt")
        .header("etag")
        .unwrap()
        .to_owned();
    assert_eq!(
        get_with(
            "/static/hello.txt",
            &format!("Range: bytes=0-4\r\nIf-None-Match: {etag}\r\n")
        )
        .status,
        304
    );
    assert_eq!(
        get_with(
            "/static/hello.txt",
            "Range: bytes=0-4\r\nIf-Match: \"x\"\r\n"
        )
        .status,
        412
    );
}
