//! The command line: subcommand dispatch and exit codes.
//!
//! Exit codes: 0 ended as asked, 1 a mistake of the user's, 3 the server failed, 4 no application could be loaded.
#![forbid(unsafe_code)]

use config::{Invocation, Mistake, Surroundings};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    call_ourselves("ringgate");
    let arguments: Result<Vec<String>, _> = std::env::args_os()
        .skip(1)
        .map(|word| word.into_string())
        .collect();
    let around = match surroundings() {
        Ok(around) => around,
        Err(error) => {
            return refuse(&format!(
                "the current directory is gone ({}); change to another one",
                config::world::plain(&error)
            ));
        }
    };
    let Ok(arguments) = arguments else {
        return refuse("an argument is not UTF-8; ringgate takes UTF-8 only");
    };
    match parse(&arguments, &around) {
        Ok(Invocation::Print(text)) => print(&text),
        Ok(Invocation::Edge) => edge(),
        Ok(Invocation::Serve(config)) => {
            let read_again = move || match parse(&arguments, &around)? {
                Invocation::Serve(config) => Ok(*config),
                _ => Err(Mistake("it does not say what to serve any more".into())),
            };
            supervisor::serve(*config, Box::new(read_again))
        }
        Ok(Invocation::Check(config)) => supervisor::check(*config, edge::control::try_ring),
        Ok(Invocation::Status { socket, json }) => supervisor::status(&socket, json),
        Ok(Invocation::Reload { socket }) => supervisor::reload(&socket),
        Ok(Invocation::Upgrade { socket }) => supervisor::upgrade(&socket),
        Err(mistake) => {
            supervisor::tell_of(&mistake);
            refuse(&mistake.0)
        }
    }
}

fn parse(arguments: &[String], around: &Surroundings) -> Result<Invocation, Mistake> {
    let outside = config::Outside {
        variable: &|name| std::env::var(name).ok(),
        read: &|path| std::fs::read_to_string(path),
        ask: &supervisor::settings,
    };
    config::parse(arguments, &outside, around)
}

fn surroundings() -> std::io::Result<Surroundings> {
    Ok(Surroundings {
        cwd: std::env::current_dir()?,
        processors: sys::cpu::usable(),
        user_id: sys::process::user_id(),
        xdg_runtime_dir: std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute()),
        port: std::env::var("PORT").ok().filter(|port| !port.is_empty()),
        passed_fds: passed_fds(),
    })
}

/// Descriptors that systemd's socket activation passes to this process; a variable that is another's says nothing. A server that takes
/// another's place has that one's.
fn passed_fds() -> u8 {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let ours = |pid: u32| pid == std::process::id() || supervisor::is_heir();
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if ours(pid) => count.min(32) as u8,
        _ => 0,
    }
}

/// The edge acts upon its supervisor's messages alone; a signal to the whole process group (Ctrl-C) is not for it.
fn edge() -> ExitCode {
    call_ourselves("ringgate-edge");
    use sys::signal::Signal;
    for signal in [
        Signal::Int,
        Signal::Quit,
        Signal::Term,
        Signal::Hup,
        Signal::Usr1,
        Signal::Usr2,
        Signal::Winch,
    ] {
        if let Err(error) = sys::signal::ignore(signal) {
            eprintln!("ringgate edge: {error}");
        }
    }
    edge::control::run()
}

/// What `top` and `pgrep` show; started by way of /proc/self/exe it would be `exe`.
fn call_ourselves(name: &str) {
    // Without it all works.
    drop(std::fs::write("/proc/self/comm", name));
}

fn print(text: &str) -> ExitCode {
    // A reader that closed the pipe (`ringgate --help | head -1`) has what it wanted.
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn refuse(message: &str) -> ExitCode {
    // Not `eprintln`: it panics when nobody reads, and the exit code would tell of that instead.
    let _unread = writeln!(std::io::stderr(), "ringgate: {message}");
    ExitCode::from(1)
}
