//! The app host's beginning: takes the first order from descriptor 3 and becomes a probe, a host of interpreters or a zygote.

use crate::ffi::{Handle, Object, Python, Result};
use crate::hooks::Hooks;
use crate::interpreters::Interpreters;
use crate::line::{Descriptors, EXIT_ORPHANED, Line};
use crate::load::LoadError;
use crate::prelude::Prelude;
use crate::{load, private, probe, zygote};
use config::Kind;
use control::Channel;
use control::message::{FromHost, HostSpec, ToHost};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Takes the first order and runs it. Ends the process.
pub fn main(py: Python<'_>) -> Result<Object> {
    let line = match Channel::inherited() {
        Ok(channel) => Line::new(channel),
        Err(error) => {
            eprintln!(
                "ringgate: this module is started by ringgate, with a control socket as descriptor 3 ({error})"
            );
            sys::process::exit_now(EXIT_ORPHANED);
        }
    };
    let prelude = Rc::new(Prelude::new(py)?);
    prelude.call(py, c"leave_signals", &[])?;
    // Blocked so far, as the supervisor has it, and so it would be in every program that the app starts.
    if let Err(error) = sys::signal::unblock_all() {
        line.fail(LoadError::new("start", format!("pthread_sigmask: {error}")));
    }
    let resumed = zygote::resumed();
    let passed = resumed.map(|_| passed_channel());
    let next_order = || match &passed {
        Some(channel) => resumed_order(channel),
        None => py.detached(|| line.receive()),
    };
    let first = next_order();
    let (ToHost::Start { spec }, descriptors) = first else {
        line.fail(LoadError::new("start", "the first order was not `start`"));
    };
    if let Err(error) = std::env::set_current_dir(&spec.chdir) {
        line.fail(LoadError::new(
            "start",
            format!("cannot change to {}: {error}", spec.chdir.display()),
        ));
    }
    if (spec.probe || spec.kind == Kind::Interpreters)
        && let Err(raised) = private::prepare(py, &spec)
    {
        line.fail(raised.into());
    }
    if spec.probe {
        let verdict = probe::run(py, &spec);
        line.send(&FromHost::Probe { verdict });
        private::clean();
        sys::process::exit_now(0);
    }
    let descriptors = match Descriptors::split(&spec, descriptors, next_order) {
        Ok(descriptors) => descriptors,
        Err(error) => line.fail(LoadError::new("start", error.to_string())),
    };
    match spec.kind {
        Kind::Processes => {
            let share = match spec.options.preload {
                true => resumed.unwrap_or(zygote::Share::Ahead),
                false => zygote::Share::Nothing,
            };
            zygote::run(py, &prelude, line, *spec, descriptors, share)
        }
        Kind::Interpreters => {
            let signal = py.integer(i64::from(sys::process::stack_signal()))?;
            prelude.call(py, c"arm_stack_signal", &[&signal])?;
            let hooked = match hooks_of_server(py, &prelude, &spec) {
                Ok(hooked) => hooked,
                Err(error) => line.fail(error),
            };
            py.detached(move || -> () {
                Interpreters::start(line, *spec, descriptors, hooked).run()
            });
            // `run` ends the process.
            Ok(py.none())
        }
    }
}

/// Kind `interpreters`: the hooks of the server run here, in the main interpreter, which serves nothing.
fn hooks_of_server(
    py: Python<'_>,
    prelude: &Prelude,
    spec: &HostSpec,
) -> std::result::Result<Option<Handle>, LoadError> {
    if spec.options.hooks.is_none() {
        return Ok(None);
    }
    load::prepare(py, prelude, spec, None)?;
    // What they are is left where visitors find it.
    Hooks::start(py, spec)?;
    Ok(Some(Handle::current(py)))
}

/// Where this process, in its former life, left orders for itself.
fn passed_channel() -> Channel {
    match sys::process::inherited(sys::process::PASSED_FD) {
        Ok(fd) => Channel::from_fd(fd),
        Err(error) => no_orders(Some(error)),
    }
}

fn resumed_order(passed: &Channel) -> (ToHost, Vec<OwnedFd>) {
    match passed.recv() {
        Ok(Some(order)) => order,
        other => no_orders(other.err()),
    }
}

fn no_orders(error: Option<std::io::Error>) -> ! {
    eprintln!("ringgate: the orders for the new start are missing ({error:?})");
    sys::process::exit_now(EXIT_ORPHANED);
}
