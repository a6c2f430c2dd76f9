//! systemd's `Type=notify`: that we serve, and which process is the main one (sd_notify(3)). Nothing where nobody asked for it.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// We serve.
pub fn ready() {
    say(&format!("READY=1\nMAINPID={}", std::process::id()));
}

/// From now on another process is the service.
pub fn main_process(pid: u32) {
    say(&format!("MAINPID={pid}"));
}

fn say(text: &str) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let bytes = place.as_bytes();
    let address = match bytes.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&place),
    };
    let sent = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address));
    // Whoever asked for it will say what is missing.
    drop(sent);
}
