//! Replays this crate's corpora through its fuzz functions.

#[path = "../../proto/tests/replay/mod.rs"]
mod replay;

#[test]
fn the_corpus_is_replayed() {
    replay::replay(&[
        ("exchange", shm::fuzz::fuzz_operations),
        ("record", shm::request::fuzz_decode),
        ("answer", shm::response::fuzz_decode),
    ]);
}
