//! Opens the listening sockets, which outlive every edge, and words what stands in the way.
//!
//! Owns the descriptors and the unix sockets' names (removed on drop). Invariant: a TCP address has one socket per ring thread, all on the same
//! port, all listening before the first edge starts. A server that takes another's place has that one's sockets, however many these are, and
//! whoever waits in their queues; what it adds to them takes connections when it serves itself.

use crate::estate::{Estate, Inherited};
use crate::holder;
use crate::names::{self, SocketName};
use config::world::plain;
use config::{Address, Config, Mistake};
use control::heir::Asked;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use sys::socket::Bound;

/// One address of `--bind`.
pub struct Listener {
    /// As the configuration has it.
    pub asked: Asked,
    /// With the chosen port.
    pub address: Address,
    pub sockets: Vec<OwnedFd>,
    /// It was taken over from another server.
    pub taken_over: bool,
    pub name: Option<SocketName>,
}

impl Listener {
    /// Somebody else bound it.
    fn is_inherited(&self) -> bool {
        matches!(self.asked, Asked::Descriptor(_))
    }
}

/// Descriptors that somebody else bound. To be taken before anything is opened, while the numbers still mean them.
pub fn take_inherited(config: &Config) -> Result<Vec<(i32, OwnedFd)>, Mistake> {
    let take = |fd: &i32| {
        let socket = sys::process::inherited(*fd).map_err(|error| inherited_mistake(*fd, &error));
        socket.map(|socket| (*fd, socket))
    };
    config.inherited.iter().map(take).collect()
}

fn inherited_mistake(fd: i32, error: &io::Error) -> Mistake {
    Mistake(format!(
        "fd://{fd}: descriptor {fd} cannot be listened on ({}); it has to be inherited, bound and a stream socket",
        plain(error)
    ))
}

/// All rings share such a socket: others may hold it too.
fn inherited(fd: i32, socket: OwnedFd, backlog: u32) -> Result<Listener, Mistake> {
    let bound = sys::socket::listen_bound(socket.as_fd(), backlog)
        .map_err(|error| inherited_mistake(fd, &error))?;
    Ok(Listener {
        asked: Asked::Descriptor(fd),
        address: match bound {
            Bound::Ip(address) => Address::Tcp(address),
            Bound::Unix(path) => Address::Unix(path),
        },
        sockets: vec![socket],
        taken_over: false,
        name: None,
    })
}

/// Everything of `--bind`, or the first that cannot be had.
pub fn open(config: &Config, passed: Vec<(i32, OwnedFd)>) -> Result<Vec<Listener>, Mistake> {
    let passed = passed
        .into_iter()
        .map(|(fd, socket)| inherited(fd, socket, config.backlog));
    let binds = config.binds.iter().map(|address| bind(address, config));
    binds.chain(passed).collect()
}

/// What a configuration that is read again adds to `present`, or the first that cannot be had. Its `binds` become those that are listened on, with
/// their ports; what was inherited stays.
pub fn open_more(config: &mut Config, present: &[Listener]) -> Result<Vec<Listener>, Mistake> {
    let mut known: Vec<&Address> = present
        .iter()
        .filter(|listener| !listener.is_inherited())
        .map(|listener| &listener.address)
        .collect();
    let mut fresh = Vec::new();
    let mut binds = Vec::new();
    for wanted in &config.binds {
        match known.iter().position(|known| is_met(wanted, known)) {
            Some(at) => binds.push(known.swap_remove(at).clone()),
            None => {
                let listener = bind(wanted, config)?;
                binds.push(listener.address.clone());
                fresh.push(listener);
            }
        }
    }
    let inherited = present.iter().filter(|listener| listener.is_inherited());
    binds.extend(inherited.map(|listener| listener.address.clone()));
    config.binds = binds;
    Ok(fresh)
}

/// Whether listening on `known` is what is wanted: a port of 0 has its number by now.
fn is_met(wanted: &Address, known: &Address) -> bool {
    match (wanted, known) {
        (Address::Tcp(wanted), Address::Tcp(known)) if wanted.port() == 0 => {
            wanted.ip() == known.ip()
        }
        _ => wanted == known,
    }
}

fn bind(address: &Address, config: &Config) -> Result<Listener, Mistake> {
    match address {
        Address::Tcp(address) => tcp(*address, config.rings, config.backlog),
        Address::Unix(path) => {
            let (socket, name) = unix(path, config.backlog, None)
                .map_err(|error| unix_mistake("--bind", path, &error))?;
            Ok(Listener {
                asked: Asked::Address(address.clone()),
                address: address.clone(),
                sockets: vec![socket],
                taken_over: false,
                name: Some(name),
            })
        }
    }
}

/// Listens as before another server took over, which is gone: what it had too is there, with whoever waits in it; what it had not is opened anew.
pub fn take_back(listeners: &mut Vec<Listener>, config: &Config) -> Result<(), Mistake> {
    for listener in listeners.iter_mut() {
        let Some(name) = &mut listener.name else {
            continue;
        };
        name.take();
        if let Address::Unix(path) = &listener.address
            && !name.is_there()
        {
            let (socket, fresh) = unix(path, config.backlog, None)
                .map_err(|error| unix_mistake("--bind", path, &error))?;
            // Beside the one whose name is gone: somebody may wait there.
            listener.sockets.push(socket);
            listener.name = Some(fresh);
        }
    }
    let fresh = open_more(&mut config.clone(), listeners)?;
    listeners.extend(fresh);
    Ok(())
}

/// The same for a server that takes another's place: what that one has is taken from it, the rest is opened.
pub fn take_over(config: &Config, estate: &mut Estate) -> Result<Vec<Listener>, Mistake> {
    let descriptors = config.inherited.iter().map(|fd| {
        let found = estate.take(&Asked::Descriptor(*fd)).ok_or_else(|| {
            Mistake(format!(
                "fd://{fd}: the running server has no such descriptor; a listener that somebody else binds takes a restart"
            ))
        });
        found.map(|inherited| adopt(inherited, config))
    });
    let mut listeners = descriptors.collect::<Result<Vec<_>, _>>()?;
    let binds =
        config.binds.iter().map(
            |address| match estate.take(&Asked::Address(address.clone())) {
                Some(mut inherited) => {
                    inherited.asked = Asked::Address(address.clone());
                    Ok(adopt(inherited, config))
                }
                None => bind(address, config),
            },
        );
    let mut all = binds.collect::<Result<Vec<_>, _>>()?;
    all.append(&mut listeners);
    Ok(all)
}

fn adopt(inherited: Inherited, config: &Config) -> Listener {
    let Inherited {
        asked,
        address,
        mut sockets,
    } = inherited;
    if let (Address::Tcp(address), Asked::Address(_)) = (&address, &asked) {
        // Bound, but deaf until we serve. Where that is refused, rings share a socket.
        while sockets.len() < config.rings
            && let Ok(socket) = sys::socket::tcp_bind(*address, true)
        {
            sockets.push(socket);
        }
    }
    let name = match &address {
        Address::Unix(path) => SocketName::of_another(path).ok(),
        Address::Tcp(_) => None,
    };
    Listener {
        asked,
        address,
        sockets,
        taken_over: true,
        name,
    }
}

/// What was taken over takes connections with this server's backlog, and what was added to it does so at all.
pub fn begin(listeners: &[Listener], backlog: u32) -> io::Result<()> {
    for listener in listeners.iter().filter(|each| each.taken_over) {
        for socket in &listener.sockets {
            match listener.address {
                Address::Tcp(_) => sys::socket::tcp_listen(socket.as_fd(), backlog)?,
                Address::Unix(_) => sys::socket::listen(socket.as_fd(), backlog)?,
            }
        }
    }
    Ok(())
}

fn tcp(address: SocketAddr, rings: usize, backlog: u32) -> Result<Listener, Mistake> {
    let open = || -> io::Result<Listener> {
        if address.port() != 0 {
            // With SO_REUSEPORT alone we would silently share the port with another server of this user.
            drop(sys::socket::tcp_bind(address, false)?);
        }
        // Also for one ring: its successor may have more.
        let first = sys::socket::tcp_bind(address, true)?;
        let chosen = sys::socket::local_address(first.as_fd())?;
        let mut sockets = vec![first];
        for _ in 1..rings {
            sockets.push(sys::socket::tcp_bind(chosen, true)?);
        }
        for socket in &sockets {
            sys::socket::tcp_listen(socket.as_fd(), backlog)?;
        }
        Ok(Listener {
            asked: Asked::Address(Address::Tcp(address)),
            address: Address::Tcp(chosen),
            sockets,
            taken_over: false,
            name: None,
        })
    };
    open().map_err(|error| tcp_mistake(address, &error))
}

fn tcp_mistake(address: SocketAddr, error: &io::Error) -> Mistake {
    let port = address.port();
    Mistake(match error.kind() {
        io::ErrorKind::AddrInUse => match holder::of_port(port) {
            Some(holder) => format!(
                "--bind: {address} is taken by {holder}; stop it, or listen elsewhere with --bind"
            ),
            None => format!(
                "--bind: {address} is taken (`ss -ltnp 'sport = :{port}'` as root says by whom); listen elsewhere with --bind"
            ),
        },
        io::ErrorKind::PermissionDenied => format!(
            "port {port} is for root only; use a port from 1024, or allow it: \
             setcap cap_net_bind_service=+ep on this executable, or sysctl net.ipv4.ip_unprivileged_port_start={port}"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("--bind: {address} is no address of this machine (`ip address` lists them)")
        }
        _ => format!("--bind: cannot listen on {address} ({})", plain(error)),
    })
}

/// Listens on a unix socket. A socket that nobody listens on any more is replaced; anything else stays.
pub fn unix(path: &Path, backlog: u32, mode: Option<u32>) -> io::Result<(OwnedFd, SocketName)> {
    let socket = match sys::socket::unix_listen_with(path, backlog, mode) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            fs::remove_file(path)?;
            sys::socket::unix_listen_with(path, backlog, mode)?
        }
        other => other?,
    };
    Ok((socket, SocketName::new(path)?))
}

fn is_stale(path: &Path) -> bool {
    let socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    socket && sys::socket::unix_connect(path).is_err_and(refused)
}

pub fn unix_mistake(option: &str, path: &Path, error: &io::Error) -> Mistake {
    let shown = path.display();
    let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    Mistake(match error.kind() {
        io::ErrorKind::AddrInUse if is_socket => {
            format!(
                "{option}: {shown} is in use by another server; stop it, or choose another path"
            )
        }
        io::ErrorKind::AddrInUse => {
            format!("{option}: {shown} exists and is no socket; remove it, or choose another path")
        }
        io::ErrorKind::InvalidInput => format!(
            "{option}: {shown} is longer than the 107 bytes that a unix socket's path may have"
        ),
        _ => format!("{option}: cannot listen on {shown} ({})", plain(error)),
    })
}

const CONTROL_BACKLOG: u32 = 16;
const OWNER_ONLY: u32 = 0o600;

/// As `control`, beside a server whose socket stands at `known`: under a name for the meantime.
pub fn control_beside(
    config: &Config,
    known: &Path,
) -> Result<(PathBuf, OwnedFd, SocketName), Mistake> {
    let proper = match config.control_socket_chosen {
        true => &config.control_socket,
        false => known,
    };
    let path = names::beside(proper);
    let (socket, name) = unix(&path, CONTROL_BACKLOG, Some(OWNER_ONLY))
        .map_err(|error| unix_mistake("--control-socket", &path, &error))?;
    Ok((path, socket, name))
}

/// The status socket, for this user alone. A default that another ringgate uses gets our pid into its name.
pub fn control(config: &Config) -> Result<(PathBuf, OwnedFd, SocketName), Mistake> {
    const BACKLOG: u32 = CONTROL_BACKLOG;
    let path = config.control_socket.clone();
    let (path, opened) = match unix(&path, BACKLOG, Some(OWNER_ONLY)) {
        Err(_) if !config.control_socket_chosen => {
            let name = format!(
                "ringgate-{}-{}.sock",
                sys::process::user_id(),
                std::process::id()
            );
            let beside = path.parent().unwrap_or(Path::new("/tmp")).join(&name);
            match unix(&beside, BACKLOG, Some(OWNER_ONLY)) {
                Err(_) => {
                    let last = std::env::temp_dir().join(name);
                    let opened = unix(&last, BACKLOG, Some(OWNER_ONLY));
                    (last, opened)
                }
                opened => (beside, opened),
            }
        }
        opened => (path, opened),
    };
    let (socket, name) = opened.map_err(|error| unix_mistake("--control-socket", &path, &error))?;
    Ok((path, socket, name))
}

#[cfg(test)]
mod tests;
