//! `ringgate status`, `ringgate reload` and `ringgate upgrade`: ask the running server over its control socket and show the answer.
//!
//! Knows the document's shape only as far as the table shows it; what is missing is left out, for the server may be of
//! another version.

mod table;

use crate::terminal::say;
use config::Mistake;
use config::world::plain;
use serde_json::Value;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A reload imports the applications anew.
const RELOAD_PATIENCE: Duration = Duration::from_secs(600);

/// Prints the table, or the whole document as JSON.
pub fn status(socket: &Path, json: bool) -> ExitCode {
    let text = match ask(socket, "status", PATIENCE) {
        Ok(text) => text,
        Err(mistake) => return crate::refuse(&mistake),
    };
    let shown = match (json, serde_json::from_str::<Value>(&text)) {
        (_, Err(_)) => {
            let advice = format!(
                "{} answered with something else than a status document",
                socket.display()
            );
            return crate::refuse(&Mistake(advice));
        }
        (true, Ok(document)) => format!("{document:#}\n"),
        (false, Ok(document)) => table::text(&document),
    };
    match io::stdout().write_all(shown.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Has the applications' code loaded anew and waits until the new generation serves, or does not come up.
pub fn reload(socket: &Path) -> ExitCode {
    let text = match ask(socket, "reload", RELOAD_PATIENCE) {
        Ok(text) => text,
        Err(mistake) => return crate::refuse(&mistake),
    };
    match serde_json::from_str::<Outcome>(&text) {
        Ok(outcome) if outcome.ok => {
            say(&outcome.message);
            ExitCode::SUCCESS
        }
        Ok(outcome) => {
            crate::refuse(&Mistake(outcome.message));
            ExitCode::from(crate::policy::EXIT_APP)
        }
        Err(_) => crate::refuse(&Mistake(format!(
            "{} answered with something else than an outcome",
            socket.display()
        ))),
    }
}

/// Has a new server take the running one's place: returns when that one serves and the old one has answered its last request.
pub fn upgrade(socket: &Path) -> ExitCode {
    let answer = connect(socket).and_then(|stream| {
        let mut reader = io::BufReader::new(stream);
        let line = exchange(&mut reader, "upgrade", RELOAD_PATIENCE);
        line.map(|line| (line, reader))
            .map_err(|error| unanswered(socket, &error))
    });
    let (line, mut reader) = match answer {
        Ok(answer) => answer,
        Err(mistake) => return crate::refuse(&mistake),
    };
    match serde_json::from_str::<Outcome>(&line) {
        Ok(outcome) if outcome.ok => {
            say(&outcome.message);
            // The stream ends with the old server's edge; however it ends.
            drop(reader.read_to_end(&mut Vec::new()));
            say("the old server has finished");
            ExitCode::SUCCESS
        }
        Ok(outcome) => crate::refuse(&Mistake(outcome.message)),
        Err(_) => crate::refuse(&Mistake(format!(
            "{} answered with something else than an outcome; its log may say more",
            socket.display()
        ))),
    }
}

#[derive(serde::Deserialize)]
struct Outcome {
    ok: bool,
    message: String,
}

/// One request, one answer.
fn ask(socket: &Path, request: &str, patience: Duration) -> Result<String, Mistake> {
    let mut reader = io::BufReader::new(connect(socket)?);
    exchange(&mut reader, request, patience).map_err(|error| unanswered(socket, &error))
}

/// Sends the request and reads a line.
fn exchange(
    reader: &mut io::BufReader<UnixStream>,
    request: &str,
    patience: Duration,
) -> io::Result<String> {
    let mut stream = reader.get_ref();
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut text = String::new();
    reader.read_line(&mut text)?;
    Ok(text)
}

fn unanswered(socket: &Path, error: &io::Error) -> Mistake {
    let shown = socket.display();
    Mistake(match error.kind() {
        io::ErrorKind::WouldBlock => {
            format!(
                "the server on {shown} does not answer; its edge may be starting, or rests (after WINCH; HUP wakes it)"
            )
        }
        _ => format!("{shown}: {}", plain(error)),
    })
}

fn connect(socket: &Path) -> Result<UnixStream, Mistake> {
    let shown = socket.display();
    let other = "for another server name its socket with --control-socket PATH (its start-up banner names it)";
    let owner = std::fs::metadata(socket).map(|meta| meta.uid());
    if owner
        .as_ref()
        .is_ok_and(|owner| ![0, sys::process::user_id()].contains(owner))
    {
        return Err(Mistake(format!(
            "{shown} belongs to another user, so what it says is not to be trusted; {other}"
        )));
    }
    UnixStream::connect(socket).map_err(|error| {
        Mistake(match error.kind() {
            io::ErrorKind::NotFound => format!("no server runs here: there is no {shown}; {other}"),
            io::ErrorKind::ConnectionRefused => {
                format!("no server runs here: nobody listens on {shown} any more; {other}")
            }
            io::ErrorKind::PermissionDenied => {
                format!("{shown} is for the user who runs the server, and root")
            }
            _ => format!("{shown}: {}", plain(&error)),
        })
    })
}
