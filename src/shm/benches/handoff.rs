//! What one hand-off through the exchange costs.
fn main() {}
