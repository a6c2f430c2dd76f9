//! Sockets as the world offers them: free, taken, stale.

use super::*;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// A path in a directory of this test's own.
fn path(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("ringgate-listen-{}-{number}", std::process::id()));
    fs::create_dir_all(&dir).expect("directory");
    dir.join(name)
}

fn config(bind: &str, rings: usize) -> Config {
    let mut config = Config::bare();
    config
        .binds
        .push(config::value::address(bind, Path::new("/")).expect("address"));
    config.rings = rings;
    config
}

fn refused(config: &Config) -> String {
    match open(config, Vec::new()) {
        Ok(_) => panic!("it can be opened"),
        Err(mistake) => mistake.0,
    }
}

#[test]
fn a_free_port_is_the_same_for_every_ring() {
    let listeners = open(&config("127.0.0.1:0", 3), Vec::new()).expect("listeners");
    assert_eq!(listeners[0].sockets.len(), 3);
    for socket in &listeners[0].sockets {
        let address = sys::socket::local_address(socket.as_fd()).expect("address");
        assert_eq!(Address::Tcp(address), listeners[0].address);
    }
}

#[test]
fn a_port_of_another_server_is_taken_even_if_both_would_share_it() {
    let first = open(&config("127.0.0.1:0", 2), Vec::new()).expect("listeners");
    let Address::Tcp(address) = first[0].address else {
        panic!("tcp")
    };
    for rings in [1, 2] {
        let message = refused(&config(&address.to_string(), rings));
        let ours = format!("(pid {})", std::process::id());
        assert!(
            message.starts_with(&format!("--bind: {address} is taken by ")),
            "{message}"
        );
        assert!(message.contains(&ours), "{message}");
    }
}

#[test]
fn an_address_of_another_machine_is_said_to_be_one() {
    let message = refused(&config("192.0.2.1:0", 1));
    assert_eq!(
        message,
        "--bind: 192.0.2.1:0 is no address of this machine (`ip address` lists them)"
    );
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let path = path("x.sock");
    drop(sys::socket::unix_listen(&path, 1).expect("listen"));
    assert!(path.exists());
    let bind = format!("unix:{}", path.display());
    let listeners = open(&config(&bind, 2), Vec::new()).expect("stale, so replaced");
    assert_eq!(listeners[0].sockets.len(), 1);
    assert!(refused(&config(&bind, 1)).contains("in use by another server"));
    drop(listeners);
    assert!(!path.exists());
    fs::write(&path, "precious").expect("write");
    assert!(refused(&config(&bind, 1)).contains("is no socket"));
    assert_eq!(fs::read_to_string(&path).expect("read"), "precious");
}

#[test]
fn a_default_control_socket_in_use_gets_a_name_of_its_own_and_a_chosen_one_is_refused() {
    let mut config = Config::bare();
    config.control_socket = path("ringgate.sock");
    let (first, _socket, _name) = control(&config).expect("free");
    assert_eq!(first, config.control_socket);
    let mode = fs::metadata(&first).expect("socket").mode();
    assert_eq!(mode & 0o777, 0o600);
    let (second, _socket, _name) = control(&config).expect("another name");
    assert!(
        second
            .display()
            .to_string()
            .contains(&std::process::id().to_string())
    );
    config.control_socket_chosen = true;
    assert!(control(&config).is_err());
}
