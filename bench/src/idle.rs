//! What an idle keep-alive connection costs: the edge's private memory, and the kernel's, before and with many of them open.

use crate::process::Group;
use crate::stacks::Tools;
use crate::tree;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Connections opened, used and closed before the baseline, and requests on each: tables, pools and receive buffers have then
/// grown to their usual size.
const BASELINE_CONNECTIONS: usize = 64;
const BASELINE_REQUESTS: usize = 32;
/// Descriptors beside the connections, of the bench and of the edge, which keeps 2,048 for itself.
const DESCRIPTORS_BESIDE: usize = 2560;
/// Connections from one source address: its ports are fewer than 28,232 on a machine with the usual range.
const PER_SOURCE: usize = 20_000;

/// What a process may hold at most is the machine's choice (RLIMIT_NOFILE): beyond it, several servers share the connections.
pub fn run(tools: &Tools, connections: usize, scratch: &Path) -> Result<String, String> {
    let descriptors = raise_descriptors(connections + DESCRIPTORS_BESIDE)
        .map_err(|error| format!("the limit of descriptors: {error}"))?;
    let part_max = descriptors.saturating_sub(DESCRIPTORS_BESIDE).max(1);
    let parts = connections.div_ceil(part_max);
    let mut servers = Vec::new();
    let result = (0..parts)
        .try_for_each(|number| {
            servers.push(Server::start(tools, part_max, number, scratch)?);
            Ok(())
        })
        .and_then(|()| measure(tools, &servers, connections));
    servers.into_iter().for_each(|server| server.group.stop());
    result
}

struct Server {
    group: Group,
    port: u16,
    edge: i32,
}

impl Server {
    fn start(
        tools: &Tools,
        part_max: usize,
        number: usize,
        scratch: &Path,
    ) -> Result<Server, String> {
        let port = crate::cases::free_port()?;
        let argv: Vec<String> = format!(
            "{} -b 127.0.0.1:{port} --rings 1 --keep-alive 600 --max-connections {} --control {} --static /={}",
            tools.ringgate.display(),
            part_max + BASELINE_CONNECTIONS,
            scratch.join(format!("control-{number}.sock")).display(),
            scratch.join("static").display()
        )
        .split_whitespace()
        .map(str::to_owned)
        .collect();
        let log = scratch.join("idle.log");
        let mut group =
            Group::start(&argv, &[0, 1], scratch, &[], &log).map_err(|error| error.to_string())?;
        let up = group.wait_for_port(port).and_then(|()| {
            // The first answer comes from the edge.
            drop(open(port, BASELINE_CONNECTIONS, BASELINE_REQUESTS)?);
            let edge = tree::read(group.id()).edge;
            edge.ok_or_else(|| "no edge process was found".to_owned())
        });
        match up {
            Ok(edge) => Ok(Server { group, port, edge }),
            Err(message) => {
                group.stop();
                Err(message)
            }
        }
    }
}

/// Raises the limit of this process, which the servers inherit, as far as it is allowed; what it is then.
fn raise_descriptors(wanted: usize) -> io::Result<usize> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // Beyond the hard limit needs CAP_SYS_RESOURCE.
    for most in [limit.rlim_max.max(wanted as u64), limit.rlim_max] {
        limit.rlim_cur = most;
        limit.rlim_max = most;
        // SAFETY: as above.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0 {
            return Ok(usize::try_from(most).unwrap_or(usize::MAX));
        }
    }
    Err(io::Error::last_os_error())
}

fn measure(tools: &Tools, servers: &[Server], connections: usize) -> Result<String, String> {
    let private = || {
        servers
            .iter()
            .map(|server| tree::private_bytes(server.edge))
            .sum::<Option<u64>>()
            .ok_or_else(|| "an edge's smaps_rollup cannot be read".to_owned())
    };
    let (before, kernel_before) = (private()?, kernel_bytes());
    let share = connections.div_ceil(servers.len());
    let mut holders = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let count = share.min(connections - number * share);
        holders.push(Holder::start(tools, server.port, count)?);
    }
    let (after, kernel_after) = (private()?, kernel_bytes());
    let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / connections as f64;
    drop(holders);
    let mut text = format!(
        "{connections} idle keep-alive connections on {} server(s): edge private memory {:.1} MiB -> {:.1} MiB, {:.0} bytes each\n",
        servers.len(),
        before as f64 / 1048576.0,
        after as f64 / 1048576.0,
        each(before, after)
    );
    if let (Some(before), Some(after)) = (kernel_before, kernel_after) {
        text.push_str(&format!(
            "the kernel's slabs on this machine: {:.1} MiB more, {:.0} bytes for each connection, both of its ends included\n",
            after.saturating_sub(before) as f64 / 1048576.0,
            each(before, after)
        ));
    }
    Ok(text)
}

/// A process that holds the clients' ends of connections until it is dropped.
struct Holder(Child);

impl Holder {
    fn start(tools: &Tools, port: u16, count: usize) -> Result<Holder, String> {
        let mut child = Command::new(&tools.itself)
            .args(["hold", &port.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("a process to hold connections: {error}"))?;
        let mut line = String::new();
        let output = child.stdout.take().expect("piped");
        let read = BufReader::new(output).read_line(&mut line);
        let holder = Holder(child);
        match read {
            Ok(_) if line == HELD => Ok(holder),
            _ => Err(format!("connections could not be opened: {line}")),
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            eprintln!("ringgate-bench: waiting for a holder: {error}");
        }
    }
}

const HELD: &str = "held\n";

/// Opens connections and holds them until the standard input ends.
pub fn hold(port: u16, count: usize) -> Result<(), String> {
    let held = open(port, count, 1).inspect_err(|message| println!("{message}"))?;
    print!("{HELD}");
    let waited = io::stdout()
        .flush()
        .and_then(|()| io::stdin().read(&mut [0]));
    drop(held);
    waited.map(drop).map_err(|error| error.to_string())
}

/// All slabs of the kernel (proc(5), meminfo).
fn kernel_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Opens connections, each with some requests answered, from as many source addresses as their ports need.
fn open(port: u16, count: usize, requests: usize) -> Result<Vec<TcpStream>, String> {
    (0..count)
        .map(|index| {
            let failed = |error: io::Error| format!("connection {index}: {error}");
            let source = Ipv4Addr::new(127, 0, 1, (index / PER_SOURCE) as u8 + 1);
            let mut stream = connect(source, port).map_err(failed)?;
            for _ in 0..requests {
                stream
                    .write_all(b"GET /file-100 HTTP/1.1\r\nHost: bench\r\n\r\n")
                    .map_err(failed)?;
                let mut answer = [0; 4096];
                let length = stream.read(&mut answer).map_err(failed)?;
                if !answer[..length].starts_with(b"HTTP/1.1 200") {
                    return Err(format!("connection {index}: no 200"));
                }
            }
            Ok(stream)
        })
        .collect()
}

/// A connection from an address of the loopback network.
fn connect(source: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    // SAFETY: no memory is passed; the descriptor is owned at once.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let on: libc::c_int = 1;
    let address = |ip: Ipv4Addr, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(ip).to_be(),
        },
        sin_zero: [0; 8],
    };
    let (from, to) = (address(source, 0), address(Ipv4Addr::LOCALHOST, port));
    let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // The port is chosen when the destination is known, so that it need be free for that one alone.
    // SAFETY: the option and the addresses outlive the calls, and their sizes are given.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        ) < 0
            || libc::bind(socket.as_raw_fd(), (&raw const from).cast(), size) < 0
            || libc::connect(socket.as_raw_fd(), (&raw const to).cast(), size) < 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(TcpStream::from(socket))
}
