//! What is served, and from where.

use super::{Form, Opt, PLAIN};

pub const ROWS: &[Opt] = &[
    Opt {
        name: "config",
        short: Some('c'),
        value: "FILE",
        form: Form::Path,
        file: false,
        help: "Read a configuration file; the command line and the environment win over it",
        more: "`ringgate config --sample` prints one with every key, docs/configuration.md explains them. Relative paths in a file \
               are relative to the file's directory.",
        ..PLAIN
    },
    Opt {
        name: "mount",
        value: "PREFIX=MODULE:CALLABLE",
        many: true,
        file: false,
        help: "Serve another application below a prefix, e.g. /blog=blog:app (repeatable)",
        more: "The application sees the prefix as SCRIPT_NAME. The longest matching prefix wins; prefixes match whole path \
               segments. Each application has workers of its own.",
        ..PLAIN
    },
    Opt {
        name: "static",
        value: "URL=DIR",
        many: true,
        file: false,
        help: "Serve files of a directory, e.g. /static=./static (repeatable)",
        more: "Python never sees these requests. DIR is relative to the directory in which ringgate was started.",
        ..PLAIN
    },
    Opt {
        name: "spa",
        value: "URL=DIR",
        many: true,
        file: false,
        help: "Serve a single-page application, e.g. /=./dist: as --static, with its index.html for every other path (repeatable)",
        ..PLAIN
    },
    Opt {
        name: "sendfile-roots",
        value: "DIR[,DIR]",
        many: true,
        help: "Directories whose files applications may send by an X-Sendfile header (repeatable, or separated by commas)",
        more: "The application answers with `X-Sendfile: /absolute/path` and no body, and the edge sends the file. Without this option the \
               header is refused with 502. X-Accel-Redirect, which names a URL of a location, needs no option.",
        ..PLAIN
    },
    Opt {
        name: "interface",
        value: "INTERFACE",
        form: Form::Choice(&["auto", "wsgi", "asgi"]),
        default: Some("auto"),
        synonyms: &[("asgi3", "asgi")],
        app: true,
        help: "What the application speaks: auto, wsgi or asgi",
        more: "auto looks at the callable, and says in the log what it found.",
        ..PLAIN
    },
    Opt {
        name: "factory",
        form: Form::Flag,
        default: Some("false"),
        app: true,
        help: "The target is a factory: call it without arguments and serve what it returns",
        more: "As uvicorn has it. `shop:create_app()` says the same without an option.",
        ..PLAIN
    },
    Opt {
        name: "root-path",
        value: "PATH",
        app: true,
        help: "URL prefix that a server in front has cut off; applications see it as root_path and SCRIPT_NAME",
        ..PLAIN
    },
    Opt {
        name: "python",
        value: "PATH",
        form: Form::Path,
        default_words: Some(
            "that of its own environment, else $VIRTUAL_ENV/bin/python, else python3",
        ),
        help: "The Python that runs the applications (CPython 3.10 or newer)",
        more: "Installed in a virtual environment, ringgate takes that environment's. A bare name is looked up on PATH.",
        app: true,
        ..PLAIN
    },
    Opt {
        name: "chdir",
        value: "DIR",
        form: Form::Path,
        default_words: Some("the current directory"),
        help: "Directory that the applications run in and are imported from",
        app: true,
        ..PLAIN
    },
    Opt {
        name: "pythonpath",
        value: "DIR[,DIR]",
        many: true,
        help: "Further directories to import from (repeatable, or separated by commas)",
        app: true,
        ..PLAIN
    },
    Opt {
        name: "env",
        short: Some('e'),
        value: "NAME=VALUE",
        many: true,
        env: false,
        help: "Set a variable in the applications' environment (repeatable)",
        app: true,
        ..PLAIN
    },
    Opt {
        name: "log-config",
        value: "FILE",
        form: Form::Path,
        app: true,
        help: "Python logging for the application: a file for logging.config, as .ini, .json or .yaml",
        more: "It is applied in the application's own interpreters before the application is imported; ringgate's own logs are not concerned.",
        ..PLAIN
    },
    Opt {
        name: "hooks",
        value: "FILE",
        form: Form::Path,
        app: true,
        help: "A file in gunicorn's words whose functions are called as hooks (post_fork, worker_exit, ...)",
        more: "It is executed in the application's own interpreters, never in the edge. `--config gunicorn.conf.py` implies it. docs/migrating.md lists the hooks.",
        ..PLAIN
    },
];
