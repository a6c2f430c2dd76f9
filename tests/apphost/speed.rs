//! What a call costs in a worker: run on demand (`cargo test --release --test apphost -- --ignored --nocapture speed`).
