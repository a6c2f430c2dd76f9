//! WSGI (PEP 3333): a claimed request becomes an environ, a call and an answer.
//!
//! `gateway` serves one request after another. Floors: `response` (what was said so far), `session` (the request in work, shared
//! with the Python objects that act on it), `input`, `responder`, `early_hints` and `file_wrapper` (those objects), `environ`, `trouble`, `gateway`. What a head may hold is in `crate::header`.

mod early_hints;
mod environ;
mod file_wrapper;
mod gateway;
mod input;
mod responder;
mod response;
mod session;
mod trouble;

pub use gateway::{Gateway, Outcome, Setting};
