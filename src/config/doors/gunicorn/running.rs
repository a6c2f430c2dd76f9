//! What an app runs with, in gunicorn's words: for its hooks, which look at `server.cfg`.

use crate::app::{AppOptions, InterfaceChoice};
use serde_json::json;

/// JSON, times in seconds.
pub fn running(options: &AppOptions) -> String {
    let class = match options.interface {
        InterfaceChoice::Asgi => "asgi",
        _ if options.threads > 1 => "gthread",
        _ => "sync",
    };
    json!({
        "workers": options.workers,
        "threads": options.threads,
        "worker_class": class,
        "worker_class_str": class,
        "timeout": options.timeout_ms / 1000,
        "graceful_timeout": options.graceful_ms / 1000,
        "max_requests": options.max_requests,
        "max_requests_jitter": options.max_requests_jitter,
        "preload_app": options.preload,
        "reload": options.reload,
        "root_path": options.root_path,
        "chdir": options.chdir,
    })
    .to_string()
}
