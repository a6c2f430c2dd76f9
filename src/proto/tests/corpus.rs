//! Replays this crate's corpora through its fuzz functions.

mod replay;

use replay::Fuzz;

/// Every fuzz target of the crate, by the name of its corpus directory.
const TARGETS: &[(&str, Fuzz)] = &[
    ("request", proto::http1::request::fuzz_request),
    ("chunked", proto::http1::chunked::fuzz_chunked),
    ("app_head", proto::http1::app_head::fuzz_app_head),
    ("target", proto::target::fuzz_target),
    ("path", proto::path::fuzz_path),
    ("range", proto::range::fuzz_range),
    ("etag", proto::etag::fuzz_etag),
    ("conditional", proto::conditional::fuzz_conditional),
    ("date", proto::date::fuzz_date),
    (
        "accept_encoding",
        proto::accept_encoding::fuzz_accept_encoding,
    ),
    ("mime", proto::mime::fuzz_mime),
    ("accept", proto::accept::fuzz_accept),
    ("glob", proto::glob::fuzz_glob),
    ("hashed", proto::hashed::fuzz_hashed),
    ("listing", proto::listing::fuzz_listing),
    ("websocket", proto::websocket::reader::fuzz_reader),
    ("handshake", proto::websocket::handshake::fuzz_handshake),
    ("proxy", proto::proxy::fuzz_proxy),
    ("inflate", proto::websocket::deflate::fuzz_inflate),
];

#[test]
fn the_corpus_is_replayed() {
    replay::replay(TARGETS);
}
