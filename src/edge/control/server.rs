//! The control socket: who asks gets one answer and the end of the stream.
//!
//! Owns the listener's task. Bounded in askers, bytes and time: an asker that says nothing is hung up on.
//! Must not know what commands mean; the supervisor does.

use super::{Control, status};
use control::message::FromEdge;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};

/// The command whose answer is followed by the end of this process.
const STAYS: &str = "upgrade";
/// Askers served at the same time.
const ASKERS_MAX: usize = 32;
/// Longest request, of which only the first line counts.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Longest name of a command.
const NAME_BYTES_MAX: usize = 32;
/// For the request to arrive, and for the answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a command: a reload imports the app anew.
const COMMAND_PATIENCE: Duration = Duration::from_secs(600);
/// After a failed accept (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the listener from now on.
pub fn start(control: &Rc<Control>, listener: OwnedFd) {
    let listener = sys::socket::set_nonblocking(listener.as_fd(), true)
        .and_then(|()| UnixListener::from_std(listener.into()));
    match listener {
        Ok(listener) => {
            tokio_uring::spawn(accept(Rc::clone(control), listener));
        }
        Err(error) => {
            control.logs.say(
                config::LogLevel::Error,
                format!("the control socket cannot be served: {error}"),
            );
        }
    }
}

async fn accept(control: Rc<Control>, listener: UnixListener) {
    let places = Arc::new(Semaphore::new(ASKERS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let control = Rc::clone(&control);
                tokio_uring::spawn(async move {
                    // An asker that hangs up or stalls only loses its own answer.
                    drop(answer(&control, stream).await);
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn answer(control: &Control, mut stream: UnixStream) -> io::Result<()> {
    let line = tokio::time::timeout(PATIENCE, read_line(&mut stream)).await??;
    let http = line.starts_with("GET ");
    let request = if http {
        line.split(' ').nth(1).unwrap_or("").trim_start_matches('/')
    } else {
        line.trim()
    };
    let is_command = !http && !["status", ""].contains(&request) && is_name(request);
    control.commands.borrow_mut().unwritten += usize::from(is_command);
    let (status, document) = match request {
        "status" | "" => ("200 OK", status::document(&control.world.borrow())),
        // A GET must not change anything.
        _ if http => ("404 Not Found", outcome(false, "there is /status")),
        name if !is_name(name) => ("400 Bad Request", outcome(false, "that is no command")),
        name => ("200 OK", command(control, name).await),
    };
    let mut body = serde_json::to_vec(&document).map_err(io::Error::other)?;
    let stays = request == STAYS && document["ok"] == true;
    body.push(b'\n');
    if http {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        body.splice(0..0, head.into_bytes());
    }
    let written = tokio::time::timeout(PATIENCE, stream.write_all(&body)).await;
    control.commands.borrow_mut().unwritten -= usize::from(is_command);
    written??;
    if stays {
        // Its asker waits for our end, which is the end of the stream.
        control.commands.borrow_mut().watchers.push(stream);
        return Ok(());
    }
    tokio::time::timeout(PATIENCE, stream.shutdown()).await?
}

/// The first line, without its end; the end of the stream ends it as well.
async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    while bytes.len() < REQUEST_BYTES_MAX {
        let mut buffer = [0; 512];
        let n = stream.read(&mut buffer).await?;
        bytes.extend_from_slice(&buffer[..n]);
        if n == 0 || memchr::memchr(b'\n', &bytes).is_some() {
            break;
        }
    }
    let end = memchr::memchr(b'\n', &bytes).unwrap_or(bytes.len());
    Ok(String::from_utf8_lossy(&bytes[..end]).trim().to_owned())
}

/// Commands are short words; anything else is not worth the supervisor's time.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// Passes a command to the supervisor and waits for what becomes of it.
async fn command(control: &Control, name: &str) -> serde_json::Value {
    let (asker, result) = oneshot::channel();
    let id = {
        let mut commands = control.commands.borrow_mut();
        commands.last_id += 1;
        let id = commands.last_id;
        commands.waiting.insert(id, asker);
        id
    };
    control
        .supervisor
        .send(FromEdge::Command {
            id,
            name: name.to_owned(),
        })
        .await;
    let result = tokio::time::timeout(COMMAND_PATIENCE, result).await;
    control.commands.borrow_mut().waiting.remove(&id);
    match result {
        Ok(Ok((ok, message))) => outcome(ok, &message),
        Ok(Err(_)) => outcome(false, "the edge is ending"),
        Err(_) => outcome(false, "no answer from the supervisor"),
    }
}

fn outcome(ok: bool, message: &str) -> serde_json::Value {
    serde_json::json!({ "ok": ok, "message": message })
}
