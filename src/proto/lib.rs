//! HTTP as pure functions and small state machines: bytes in, bytes out.
//!
//! Owns: parsing request heads, chunked bodies, response heads, request targets, conditional requests, ranges,
//! dates, media types and content negotiation. Every rule names its RFC section.
//! Invariants: no IO, no clock (time is an argument), no unsafe, no allocation on the path of a plain request, and no
//! input whatsoever panics. Must not know: rings, sockets, files, Python.
#![forbid(unsafe_code)]

pub mod accept;
pub mod accept_encoding;
pub mod conditional;
pub mod date;
pub mod etag;
pub mod glob;
pub mod hashed;
pub mod http1;
pub mod listing;
pub mod mime;
pub mod multipart;
pub mod path;
pub mod proxy;
pub mod range;
pub mod reject;
#[cfg(test)]
mod seed;
pub mod selection;
pub mod status;
pub mod target;
pub mod text;
pub mod websocket;

pub use http1::request::{Body, Head, Header, HeaderStorage, Limits, Method, Parse, Version};
pub use reject::Reject;
