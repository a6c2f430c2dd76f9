//! The parent process: opens the sockets, starts and watches edge and app hosts, takes signals. Never parses traffic.
#![forbid(unsafe_code)]

mod policy;
