//! Replays this crate's corpora through its fuzz functions.

#[path = "../../proto/tests/replay/mod.rs"]
mod replay;

#[test]
fn the_corpus_is_replayed() {
    replay::replay(&[("document", config::document::fuzz_document)]);
}
