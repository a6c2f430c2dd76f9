//! WSGI (PEP 3333): a claimed request becomes an environ, a call and an answer.
//!
//! `gateway` serves one request after another. Floors: `header` (what a head may hold), `response` (what was said so far), `session` (the request in work, shared
//! with the Python objects that act on it), `input`, `responder` and `file_wrapper` (those objects), `environ`, `trouble`, `gateway`.

mod environ;
mod file_wrapper;
mod gateway;
mod header;
mod input;
mod responder;
mod response;
mod session;
mod trouble;

pub use gateway::{Gateway, Outcome, Setting};
