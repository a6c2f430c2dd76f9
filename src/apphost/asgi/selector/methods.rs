//! What `asgi.py` and the event loop call.

use super::{SLEEP_MS, Selector};
use crate::ffi::{
    Arguments, Class, Exception, Kind, Method, MethodEntry, Object, Python, Raised, Result, methods,
};
use crate::forked;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd};
use sys::epoll::{READABLE, WRITABLE};

/// `selectors.EVENT_READ` and `EVENT_WRITE`.
const READ: isize = 1;
const WRITE: isize = 2;

impl Class for Selector {
    const NAME: &'static CStr = c"_ringgate.Selector";
    const DOC: &'static CStr = c"A worker's event loop, from the exchange's side.";
    const METHODS: &'static [MethodEntry] = &[
        methods::entry::<Select>(),
        methods::entry::<Watch>(),
        methods::entry::<Add>(),
        methods::entry::<Modify>(),
        methods::entry::<Remove>(),
        methods::entry::<Turn>(),
        methods::entry::<Flush>(),
        methods::entry::<TakeFiles>(),
        methods::entry::<Descriptors>(),
        methods::entry::<Leaving>(),
        methods::entry::<Pending>(),
        methods::entry::<WhenQuiet>(),
        methods::entry::<GoAway>(),
        methods::entry::<CancelAll>(),
        methods::entry::<Leave>(),
        methods::END,
    ];
}

struct Select;
impl Method for Select {
    type Class = Selector;
    const NAME: &'static CStr = c"select";
    const DOC: &'static CStr =
        c"select(timeout=None): sleeps until something is ready; a list of (key, events).";

    fn call(py: Python<'_>, this: &Selector, arguments: Arguments<'_>) -> Result<Object> {
        let arguments = arguments.between(py, "select", 0, 1)?;
        let timeout_ms = match arguments.first() {
            Some(timeout) if !timeout.is_none() => {
                // Rounded up, so that a timer is due when the sleep ends.
                let ms = (timeout.to_f64()? * 1000.0).ceil();
                Some(ms.clamp(0.0, f64::from(SLEEP_MS)) as u32)
            }
            _ => None,
        };
        let ready = this.select(py, timeout_ms)?;
        let list = py.list()?;
        if ready.is_empty() {
            return Ok(list);
        }
        let Some(keys) = this.keys.borrow().clone() else {
            return Ok(list);
        };
        for found in ready {
            let number = py.integer(found.token as i64)?;
            let Some(key) = keys
                .as_dict()
                .map(|keys| keys.get(&number))
                .transpose()?
                .flatten()
            else {
                continue;
            };
            // As `selectors.EpollSelector` reads them: errors and hang-ups wake both.
            let mut events = 0;
            if found.events & !READABLE != 0 {
                events |= WRITE;
            }
            if found.events & !WRITABLE != 0 {
                events |= READ;
            }
            let wanted = key
                .call_member(c"__getitem__", &[&py.integer(2)?])?
                .to_isize()?;
            let events = py.integer((events & wanted) as i64)?;
            list.append(&py.tuple(&[&key, &events])?)?;
        }
        Ok(list)
    }
}

struct Watch;
impl Method for Watch {
    type Class = Selector;
    const NAME: &'static CStr = c"watch";
    const DOC: &'static CStr = c"watch(keys): the table of what is registered.";

    fn call(py: Python<'_>, this: &Selector, arguments: Arguments<'_>) -> Result<Object> {
        if let [keys] = arguments.between(py, "watch", 1, 1)? {
            this.keys.replace(Some(keys.clone()));
        }
        Ok(py.none())
    }
}

/// A descriptor and what is asked of it.
fn asked(arguments: &[Object]) -> Result<(i32, u32)> {
    let number = arguments[0].to_isize()? as i32;
    let events = match arguments.get(1) {
        Some(events) => events.to_isize()?,
        None => 0,
    };
    let mut flags = 0;
    if events & READ != 0 {
        flags |= READABLE;
    }
    if events & WRITE != 0 {
        flags |= WRITABLE;
    }
    Ok((number, flags))
}

fn os_error(py: Python<'_>, error: &std::io::Error) -> Raised {
    Raised::new(py, Kind::OSError, &error.to_string())
}

struct Add;
impl Method for Add {
    type Class = Selector;
    const NAME: &'static CStr = c"add";
    const DOC: &'static CStr = c"add(descriptor, events)";

    fn call(py: Python<'_>, this: &Selector, arguments: Arguments<'_>) -> Result<Object> {
        let (number, flags) = asked(arguments.between(py, "add", 2, 2)?)?;
        this.epoll
            .add(number, flags, number as u64)
            .map_err(|error| os_error(py, &error))?;
        this.registered.set(this.registered.get() + 1);
        Ok(py.none())
    }
}

struct Modify;
impl Method for Modify {
    type Class = Selector;
    const NAME: &'static CStr = c"modify";
    const DOC: &'static CStr = c"modify(descriptor, events)";

    fn call(py: Python<'_>, this: &Selector, arguments: Arguments<'_>) -> Result<Object> {
        let (number, flags) = asked(arguments.between(py, "modify", 2, 2)?)?;
        this.epoll
            .modify(number, flags, number as u64)
            .map_err(|error| os_error(py, &error))?;
        Ok(py.none())
    }
}

struct Remove;
impl Method for Remove {
    type Class = Selector;
    const NAME: &'static CStr = c"remove";
    const DOC: &'static CStr = c"remove(descriptor)";

    fn call(py: Python<'_>, this: &Selector, arguments: Arguments<'_>) -> Result<Object> {
        let (number, _) = asked(arguments.between(py, "remove", 1, 1)?)?;
        // One that was closed has left by itself.
        drop(this.epoll.remove(number));
        this.registered.set(this.registered.get().saturating_sub(1));
        Ok(py.none())
    }
}

struct Turn;
impl Method for Turn {
    type Class = Selector;
    const NAME: &'static CStr = c"turn";
    const DOC: &'static CStr =
        c"turn(): for a loop that sleeps by itself: the seat's eventfd has rung.";

    fn call(py: Python<'_>, this: &Selector, _arguments: Arguments<'_>) -> Result<Object> {
        this.turn(py)?;
        Ok(py.none())
    }
}

struct Flush;
impl Method for Flush {
    type Class = Selector;
    const NAME: &'static CStr = c"flush";
    const DOC: &'static CStr = c"flush(): lets heads leave that wait for their bodies.";

    fn call(py: Python<'_>, this: &Selector, _arguments: Arguments<'_>) -> Result<Object> {
        this.desk.inside(py, || {
            this.desk.flush_heads();
            Ok(())
        })?;
        Ok(py.none())
    }
}

struct TakeFiles;
impl Method for TakeFiles {
    type Class = Selector;
    const NAME: &'static CStr = c"take_files";
    const DOC: &'static CStr = c"take_files(): the socket for descriptors is readable.";

    fn call(py: Python<'_>, this: &Selector, _arguments: Arguments<'_>) -> Result<Object> {
        this.desk.take_files(py);
        Ok(py.none())
    }
}

struct Descriptors;
impl Method for Descriptors {
    type Class = Selector;
    const NAME: &'static CStr = c"descriptors";
    const DOC: &'static CStr =
        c"descriptors(turn): (eventfd, socket), for a loop that sleeps by itself and calls turn.";

    fn call(py: Python<'_>, this: &Selector, arguments: Arguments<'_>) -> Result<Object> {
        if let [turn, flush] = arguments.between(py, "descriptors", 2, 2)? {
            this.turn.replace(Some(turn.clone()));
            this.desk.flush.replace(Some(flush.clone()));
        }
        let number = |fd: std::os::fd::BorrowedFd<'_>| py.integer(i64::from(fd.as_raw_fd()));
        py.tuple(&[
            &number(this.desk.wake.as_fd())?,
            &number(this.desk.socket())?,
        ])
    }
}

struct Leaving;
impl Method for Leaving {
    type Class = Selector;
    const NAME: &'static CStr = c"leaving";
    const DOC: &'static CStr =
        c"leaving(error=None): whether this worker takes no more requests; None: its seat was taken away. A copy ends of what left the loop.";

    fn call(py: Python<'_>, this: &Selector, arguments: Arguments<'_>) -> Result<Object> {
        let error = arguments.between(py, "leaving", 0, 1)?.first();
        if forked::is_copy() {
            let error = error.map(|error| Exception::from_object(error.clone()).restore());
            forked::leave(py, error);
        }
        Ok(if this.desk.revoked.get() {
            py.none()
        } else {
            py.boolean(this.desk.draining.get())
        })
    }
}

struct Pending;
impl Method for Pending {
    type Class = Selector;
    const NAME: &'static CStr = c"pending";
    const DOC: &'static CStr = c"pending(): requests that are not over.";

    fn call(py: Python<'_>, this: &Selector, _arguments: Arguments<'_>) -> Result<Object> {
        py.integer(this.desk.pending() as i64)
    }
}

struct WhenQuiet;
impl Method for WhenQuiet {
    type Class = Selector;
    const NAME: &'static CStr = c"when_quiet";
    const DOC: &'static CStr = c"when_quiet(callback): called when no request is left.";

    fn call(py: Python<'_>, this: &Selector, arguments: Arguments<'_>) -> Result<Object> {
        if let [callback] = arguments.between(py, "when_quiet", 1, 1)? {
            this.desk.when_quiet.replace(Some(callback.clone()));
        }
        Ok(py.none())
    }
}

struct GoAway;
impl Method for GoAway {
    type Class = Selector;
    const NAME: &'static CStr = c"go_away";
    const DOC: &'static CStr = c"go_away(): closes every WebSocket with 1012.";

    fn call(py: Python<'_>, this: &Selector, _arguments: Arguments<'_>) -> Result<Object> {
        this.desk.inside(py, || {
            for request in this.desk.running() {
                request.go_away(py);
            }
            Ok(())
        })?;
        Ok(py.none())
    }
}

struct CancelAll;
impl Method for CancelAll {
    type Class = Selector;
    const NAME: &'static CStr = c"cancel_all";
    const DOC: &'static CStr = c"cancel_all(): cancels what still runs.";

    fn call(py: Python<'_>, this: &Selector, _arguments: Arguments<'_>) -> Result<Object> {
        if this.desk.hold(py) {
            for request in this.desk.running() {
                request.cancel(py);
            }
            this.desk.release();
        }
        Ok(py.none())
    }
}

struct Leave;
impl Method for Leave {
    type Class = Selector;
    const NAME: &'static CStr = c"leave";
    const DOC: &'static CStr = c"leave(): stands up from the seat.";

    fn call(py: Python<'_>, this: &Selector, _arguments: Arguments<'_>) -> Result<Object> {
        this.desk.inside(py, || {
            drop(this.desk.seat.take());
            Ok(())
        })?;
        Ok(py.none())
    }
}
