//! What is sent of a file: conditions and ranges, over a real directory.

use super::real::Site;
use super::*;

#[test]
fn conditions() {
    let site = Site::new("conditions");
    site.write("a.txt", "hello").write("large", pattern(50_000));
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
    for name in ["a.txt", "large"] {
        let file = std::fs::File::options()
            .write(true)
            .open(site.path(name))
            .expect("open");
        file.set_modified(old).expect("utimens");
    }
    site.serve(async |server: Server| {
        for path in ["/s/a.txt", "/s/large"] {
            let plain = server.ask(&format!("GET {path}")).await;
            let tag = plain.header("ETag").expect("a tag").to_owned();
            assert_eq!(
                plain.header("Last-Modified"),
                Some("Sun, 06 Nov 1994 08:49:37 GMT")
            );
            // The rules are proto's (`tests/properties.rs`); here every verdict once, of memory and of a file.
            for (fields, status) in [
                (format!("If-None-Match: \"x\", {tag}"), 304),
                ("If-None-Match: \"x\"".into(), 200),
                (
                    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT".into(),
                    304,
                ),
                (
                    "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT".into(),
                    412,
                ),
                (format!("If-Match: {tag}"), 200),
                (format!("If-Match: \"x\"\r\nIf-None-Match: {tag}"), 412),
            ] {
                for method in ["GET", "HEAD"] {
                    let reply = server.ask(&format!("{method} {path}\r\n{fields}")).await;
                    assert_eq!(reply.status, status, "{method} {fields}");
                    if status == 304 {
                        assert_eq!(reply.header("ETag"), Some(tag.as_str()));
                        assert_eq!(reply.header("Content-Length"), None);
                        assert!(reply.body.is_empty());
                    }
                }
            }
        }
    });
}

#[test]
fn ranges() {
    let site = Site::new("ranges");
    let large = pattern(50_000);
    site.write("small", &large[..1000]).write("large", &large);
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
    for name in ["small", "large"] {
        let file = std::fs::File::options()
            .write(true)
            .open(site.path(name))
            .expect("open");
        file.set_modified(old).expect("utimens");
    }
    site.serve(async |server: Server| {
        for (path, whole) in [("/s/small", &large[..1000]), ("/s/large", &large[..])] {
            let length = whole.len();
            for (range, span) in [
                ("0-0", 0..1),
                ("0-499", 0..500),
                ("500-", 500..length),
                ("-1", length - 1..length),
                ("-99999999", 0..length),
                ("0-99999999", 0..length),
                ("999-999", 999..1000),
            ] {
                let reply = server
                    .ask(&format!("GET {path}\r\nRange: bytes={range}"))
                    .await;
                assert_eq!(reply.status, 206, "{range}");
                let expected = format!("bytes {}-{}/{length}", span.start, span.end - 1);
                assert_eq!(reply.header("Content-Range"), Some(expected.as_str()));
                assert!(reply.body == whole[span], "{range}");
            }
            for (fields, status) in [
                (format!("Range: bytes={length}-"), 416),
                ("Range: bytes=-0".into(), 416),
                ("Range: bytes=5-4".into(), 200),
                ("Range: lines=0-4".into(), 200),
                ("Range: bytes=0-4\r\nRange: bytes=0-4".into(), 200),
                ("Range: bytes=0-4\r\nIf-Range: \"x\"".into(), 200),
                (
                    "Range: bytes=0-4\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT".into(),
                    206,
                ),
                (
                    "Range: bytes=0-4\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT".into(),
                    200,
                ),
                ("Range: bytes=0-4\r\nIf-None-Match: *".into(), 304),
            ] {
                let reply = server.ask(&format!("GET {path}\r\n{fields}")).await;
                assert_eq!(reply.status, status, "{fields}");
                if status == 416 {
                    assert_eq!(
                        reply.header("Content-Range"),
                        Some(format!("bytes */{length}").as_str())
                    );
                }
            }
            let tag = server
                .ask(&format!("HEAD {path}"))
                .await
                .header("ETag")
                .map(str::to_owned);
            let request = format!(
                "GET {path}\r\nRange: bytes=0-4\r\nIf-Range: {}",
                tag.expect("a tag")
            );
            assert_eq!(server.status(&request).await, 206);
        }
    });
}

#[test]
fn several_ranges_make_a_multipart() {
    let site = Site::new("multipart");
    let large = pattern(50_000);
    site.write("small.txt", &large[..1000])
        .write("large.txt", &large);
    site.serve(async |server: Server| {
        for (path, whole) in [("/s/small.txt", &large[..1000]), ("/s/large.txt", &large[..])] {
            let reply = server.ask(&format!("GET {path}\r\nRange: bytes=0-9,500-599,-5")).await;
            assert_eq!(reply.status, 206);
            let types: Vec<_> = reply.head.matches("Content-Type: ").collect();
            assert_eq!(types.len(), 1, "{}", reply.head);
            let boundary =
                reply.header("Content-Type").and_then(|value| value.strip_prefix("multipart/byteranges; boundary="));
            let mut expected = Vec::new();
            let length = whole.len();
            for span in [0..10, 500..600, length - 5..length] {
                let head = format!(
                    "\r\n--{}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {}-{}/{length}\r\n\r\n",
                    boundary.expect("a boundary"),
                    span.start,
                    span.end - 1,
                );
                expected.extend_from_slice(head.as_bytes());
                expected.extend_from_slice(&whole[span]);
            }
            expected.extend_from_slice(format!("\r\n--{}--\r\n", boundary.expect("a boundary")).as_bytes());
            assert!(reply.body == expected);
        }
    });
}

#[test]
fn the_boundary_differs_from_answer_to_answer() {
    let site = Site::new("boundary");
    site.write("a", pattern(1000));
    site.serve(async |server: Server| {
        let request = "GET /s/a\r\nRange: bytes=0-1,500-501";
        let first = server.ask(request).await;
        let second = server.ask(request).await;
        assert_ne!(first.header("Content-Type"), second.header("Content-Type"));
    });
}
