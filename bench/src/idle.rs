//! What an idle keep-alive connection costs the edge: its private memory before and with many of them open.

use crate::process::Group;
use crate::stacks::Tools;
use crate::tree;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// Connections opened, used once and closed before the baseline: tables and pools have then grown to their usual size.
const BASELINE_CONNECTIONS: usize = 64;

pub fn run(tools: &Tools, connections: usize, scratch: &Path) -> Result<String, String> {
    let port = crate::cases::free_port()?;
    let argv: Vec<String> = format!(
        "{} -b 127.0.0.1:{port} --rings 1 --keep-alive 600 --control {} --static /={}",
        tools.ringgate.display(),
        scratch.join("control.sock").display(),
        scratch.join("static").display()
    )
    .split_whitespace()
    .map(str::to_owned)
    .collect();
    let mut group = Group::start(&argv, &[0, 1], scratch, &[], &scratch.join("idle.log"))
        .map_err(|error| error.to_string())?;
    let result = group
        .wait_for_port(port)
        .and_then(|()| measure(&group, port, connections));
    group.stop();
    result
}

fn measure(group: &Group, port: u16, connections: usize) -> Result<String, String> {
    let edge = tree::read(group.id())
        .edge
        .ok_or("no edge process was found")?;
    let private = || {
        tree::private_bytes(edge).ok_or_else(|| "the edge's smaps_rollup cannot be read".to_owned())
    };
    drop(open(port, BASELINE_CONNECTIONS)?);
    let before = private()?;
    let held = open(port, connections)?;
    let after = private()?;
    let each = after.saturating_sub(before) as f64 / connections as f64;
    drop(held);
    Ok(format!(
        "{connections} idle keep-alive connections: edge private memory {:.1} MiB -> {:.1} MiB, {each:.0} bytes each\n",
        before as f64 / 1048576.0,
        after as f64 / 1048576.0
    ))
}

/// Opens connections, each with one request answered.
fn open(port: u16, count: usize) -> Result<Vec<TcpStream>, String> {
    (0..count)
        .map(|index| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| {
                format!("connection {index}: {error} (is `ulimit -n` too low?)")
            })?;
            stream
                .write_all(b"GET /file-100 HTTP/1.1\r\nHost: bench\r\n\r\n")
                .map_err(|error| format!("connection {index}: {error}"))?;
            let mut answer = [0; 4096];
            match stream.read(&mut answer) {
                Ok(length) if answer[..length].starts_with(b"HTTP/1.1 200") => Ok(stream),
                Ok(_) => Err(format!("connection {index}: no 200")),
                Err(error) => Err(format!("connection {index}: {error}")),
            }
        })
        .collect()
}
