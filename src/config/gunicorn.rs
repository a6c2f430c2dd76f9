//! Options of gunicorn that are not here, and what to do instead. For those who change one word of their command line.

use crate::app::InterfaceChoice;

/// What a worker class says about the application.
pub fn interface_of(class: &str) -> Result<InterfaceChoice, String> {
    match class {
        "sync" | "gthread" => Ok(InterfaceChoice::Wsgi),
        "asgi" => Ok(InterfaceChoice::Asgi),
        _ if class.starts_with("gunicorn.workers.sync.")
            || class.starts_with("gunicorn.workers.gthread.") =>
        {
            Ok(InterfaceChoice::Wsgi)
        }
        _ if class.starts_with("uvicorn.workers.") || class.starts_with("uvicorn_worker.") => {
            Ok(InterfaceChoice::Asgi)
        }
        "gevent" | "gevent_wsgi" | "gevent_pywsgi" | "eventlet" | "tornado" => Err(format!(
            "{class} workers are not here: leave the option out, and for applications that wait a lot give --threads \
             (each of gevent's greenlets would have been a thread)"
        )),
        _ => Err(format!(
            "'{class}' is no worker class that is known here (sync, gthread, asgi, uvicorn.workers.UvicornWorker, \
             uvicorn_worker.UvicornWorker); leave it out, or name what the application speaks: --interface wsgi or asgi"
        )),
    }
}

/// What to tell those who type gunicorn's other options.
pub const ADVICE: &[(&str, &str)] = &[
    (
        "worker-connections",
        "use --max-connections (of the whole server) and --pending (of each application)",
    ),
    (
        "limit-request-field_size",
        "use --limit-request-head, which bounds the request line and all headers together",
    ),
    (
        "worker-tmp-dir",
        "leave it out; ringgate has no heartbeat files",
    ),
    ("check-config", "use `ringgate check` with the same options"),
    (
        "reuse-port",
        "leave it out; each ring thread has a socket of its own",
    ),
];
