//! HTTP/1.x messages (RFC 9112): the request head, the chunked body, the response head.

pub mod app_head;
pub mod chunked;
pub mod framing;
pub mod head;
pub mod request;
pub mod response;

mod fields;
#[cfg(test)]
mod request_body_tests;
#[cfg(test)]
mod request_tests;
