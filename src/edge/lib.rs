//! The edge process: N ring threads that own every client connection, and one control thread.
//!
//! A ring thread accepts, parses, routes and answers; static files from its own cache, dynamic requests through the exchange
//! (`shm`) to the app hosts. Nothing Python-shaped and nothing blocking lives here. The control thread talks to the
//! supervisor, writes the logs and answers `status`; what it learns reaches the ring threads through their mailboxes.
//!
//! Floors inside the crate, ground first: `timestamp`, `stats`, `snapshot`, `worker_socket`, `gate`, `familiar`, `batch`, `doze` | `mailbox` (with `error_log` and
//! `tally`, whose messages it carries), `access_log` | `route`, `forwarded`, `odd_headers`, `respond`, `files`, `app` | `ring` | `connection` | `accept` | `thread` | `control`.

#![forbid(unsafe_code)]

mod accept;
mod access_log;
mod app;
mod batch;
mod connection;
pub mod control;
mod doze;
mod error_log;
mod familiar;
mod files;
mod forwarded;
mod gate;
mod mailbox;
mod odd_headers;
mod respond;
mod ring;
mod route;
mod snapshot;
pub mod stats;
mod tally;
mod thread;
mod timestamp;
mod worker_socket;

/// The edge process, started by the supervisor with its channel as descriptor 3.
pub use control::run as main;
