//! The keys of the file's sections, defined once: the reader, the sample and the reference page are made from them.
//!
//! The top level and `[server]` have the options of [`crate::options`]; here is what only a file can say. Texts only:
//! what a key does is in `location` and `application`.

/// One key of a section.
pub struct Key {
    pub name: &'static str,
    /// What the value looks like.
    pub shape: &'static str,
    /// In words; "" where there is none.
    pub default: &'static str,
    /// A value as it would be written.
    pub example: &'static str,
    /// Whole sentences.
    pub help: &'static str,
}

const fn key(
    name: &'static str,
    shape: &'static str,
    default: &'static str,
    example: &'static str,
    help: &'static str,
) -> Key {
    Key {
        name,
        shape,
        default,
        example,
        help,
    }
}

/// `[[server.location]]`, in the order of the sample.
pub const LOCATION: &[Key] = &[
    key(
        "path",
        "URL prefix",
        "",
        "\"/static\"",
        "Where the files appear. Prefixes match whole path segments, the longest wins.",
    ),
    key(
        "dir",
        "directory",
        "",
        "\"staticfiles\"",
        "What stands there: the rest of the path is looked for below this directory (nginx's `alias`).",
    ),
    key(
        "alias",
        "directory",
        "",
        "\"staticfiles\"",
        "nginx's word for `dir`; one of the two.",
    ),
    key(
        "index",
        "list of names",
        "[\"index.html\"]",
        "[\"index.html\", \"index.htm\"]",
        "Files that answer for their directory, in this order; [] for none.",
    ),
    key(
        "try_files",
        "list",
        "[\"$uri\", \"$uri/\"]",
        "[\"$uri\", \"$uri.html\", \"=404\"]",
        "What to look for, in order: \"$uri\" the path itself, \"$uri/\" its directory, \"$uri.html\" with something behind it, \
         \"/page.html\" a path inside the location, and at the end perhaps \"=404\", a status.",
    ),
    key(
        "spa",
        "true or false",
        "false",
        "true",
        "A single-page application: short for try_files = [\"$uri\", \"$uri/\", \"/index.html\"].",
    ),
    key(
        "autoindex",
        "true, false or \"json\"",
        "false",
        "true",
        "Whether a directory without an index file is listed: as a page (as JSON for those who prefer it), or as JSON always.",
    ),
    key(
        "precompressed",
        "list of codings, or false",
        "[\"zstd\", \"br\", \"gzip\"]",
        "[\"br\", \"gzip\"]",
        "Compressed siblings (`app.css.zst`, `.br`, `.gz`) that may answer clients who accept them, best first.",
    ),
    key(
        "symlinks",
        "\"within-root\", \"off\", \"owner\" or \"any\"",
        "\"within-root\"",
        "\"owner\"",
        "Symbolic links that a path may go through: those that stay below the directory, none, those whose owner owns what they lead to, any.",
    ),
    key(
        "etag",
        "true, false or \"weak\"",
        "true",
        "\"weak\"",
        "Whether files have an ETag. \"weak\": one that promises the same meaning but not the same bytes, so that ranges are never resumed by it.",
    ),
    key(
        "dotfiles",
        "true or false",
        "false",
        "true",
        "Serve names that begin with a dot. `/.well-known` at the root of the site is served in any case.",
    ),
    key(
        "headers",
        "table",
        "{}",
        "{ X-Content-Type-Options = \"nosniff\" }",
        "Response headers added to every answer of the location that is not an error.",
    ),
    key(
        "headers_always",
        "table",
        "{}",
        "{ X-Frame-Options = \"DENY\" }",
        "Response headers added to every answer of the location, errors too (nginx's `add_header ... always`).",
    ),
    key(
        "cache",
        "list of rules",
        "[]",
        "[{ match = \"hashed\", control = \"public, max-age=31536000, immutable\" }, { match = \"**\", max_age = \"1h\" }]",
        "Cache-Control by file; the first rule that matches decides. Without a rule there is none, for hashed names neither.",
    ),
    key(
        "types",
        "table",
        "{}",
        "{ \".mjs\" = \"text/javascript\" }",
        "Media types by file extension, before the built-in table.",
    ),
    key(
        "default_type",
        "media type",
        "\"application/octet-stream\"",
        "\"text/plain\"",
        "Media type of files whose extension no table knows.",
    ),
    key(
        "charset",
        "text, or false",
        "\"utf-8\"",
        "\"utf-8\"",
        "Put behind text types that name none.",
    ),
    key(
        "error_pages",
        "table",
        "{}",
        "{ 404 = \"/404.html\" }",
        "Files of the location that answer errors, by status.",
    ),
    key(
        "internal",
        "true or false",
        "false",
        "true",
        "For X-Accel-Redirect only: clients who ask for it get 404.",
    ),
];

/// A rule of `cache`.
pub const CACHE: &[Key] = &[
    key(
        "match",
        "\"hashed\" or a pattern",
        "",
        "\"*.css\"",
        "\"hashed\": names with a content hash in them, as Django's ManifestStaticFilesStorage (`app.3f9c2a7b1d0e.css`) and bundlers \
         (`app-3f9c2a7b.js`) make them. Else a pattern: `*` within a segment, `**` across segments, `?` one character; without a slash it \
         is for the file's name, with one for the path inside the location.",
    ),
    key(
        "control",
        "text",
        "",
        "\"public, max-age=31536000, immutable\"",
        "The value of Cache-Control as it stands.",
    ),
    key(
        "max_age",
        "duration",
        "",
        "\"1h\"",
        "Short for control = \"max-age=SECONDS\".",
    ),
    key(
        "expires",
        "true, or a duration",
        "false",
        "true",
        "Also send Expires, for caches of HTTP/1.0; true: as far ahead as max_age.",
    ),
];

/// `[app.NAME]`.
pub const APPLICATION: &[Key] = &[
    key(
        "target",
        "MODULE:CALLABLE",
        "",
        "\"shop.wsgi:application\"",
        "The WSGI or ASGI application, as on the command line.",
    ),
    key(
        "mount",
        "URL prefix",
        "\"/\"",
        "\"/\"",
        "Where it hangs; it sees the prefix as SCRIPT_NAME.",
    ),
    key(
        "route",
        "sections",
        "[]",
        "[{ path = \"/reports\", timeout = \"2m\", concurrency = 2 }]",
        "Rules for a part of its paths, usually written as sections [[app.shop.route]].",
    ),
];

/// `[[app.NAME.route]]`.
pub const ROUTE: &[Key] = &[
    key(
        "path",
        "URL prefix",
        "",
        "\"/reports\"",
        "The paths that are meant: prefix of the whole path at a segment boundary. The longest that fits decides.",
    ),
    key(
        "timeout",
        "seconds",
        "as the application's",
        "\"2m\"",
        "Time to answer; 0: no limit.",
    ),
    key(
        "concurrency",
        "number",
        "0",
        "2",
        "Requests of this route that run at once; further ones wait without holding a worker, so that a slow route leaves room for \
         the others. 0: no bound.",
    ),
    key(
        "health",
        "true or false",
        "false",
        "true",
        "Health checks: never refused for want of room, and taken before what waits.",
    ),
];

/// Words of other servers and near misses, and what to write here.
pub const ADVICE: &[(&str, &str)] = &[
    (
        "root",
        "write dir, which takes the place of path (nginx's alias)",
    ),
    ("add_header", "write headers = { Name = \"value\" }"),
    (
        "expires",
        "write cache = [{ match = \"**\", max_age = \"1h\", expires = true }]",
    ),
    (
        "cache_control",
        "write cache = [{ match = \"**\", control = \"...\" }]",
    ),
    ("gzip_static", "write precompressed = [\"gzip\"]"),
    ("brotli_static", "write precompressed = [\"br\"]"),
    ("disable_symlinks", "write symlinks = \"off\" or \"owner\""),
    ("error_page", "write error_pages = { 404 = \"/404.html\" }"),
    ("file_server", "write [[server.location]] with path and dir"),
    ("static", "write [[server.location]] with path and dir"),
    ("location", "write [[server.location]]"),
    ("listen", "write bind = \"0.0.0.0:8000\""),
    ("mount", "write [app.NAME] with target and mount"),
    ("target", "write [app.NAME] with target"),
    ("config", "a file names no other file"),
    (
        "ready_fd",
        "a descriptor is inherited, so it stands on the command line",
    ),
    ("proxy_pass", "upstreams are not there yet"),
    ("upstream", "upstreams are not there yet"),
    ("ssl_certificate", "TLS is not there yet"),
    ("tls", "TLS is not there yet"),
    ("server_name", "there is one server for all names so far"),
    (
        "sendfile",
        "leave it out; files are always sent without a copy where that is faster",
    ),
    (
        "open_file_cache",
        "leave it out; open files are always cached, and a change shows within a second",
    ),
];
