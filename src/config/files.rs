//! How a directory is served: the checked options of one static location, in nginx's vocabulary where nginx has a word.
//!
//! Owns the types and their defaults. Invariants (upheld by `check`): header names are tokens and values without CR, LF or NUL,
//! paths of `try_files`, `error_pages` begin with '/', codings and patterns are unique in their list.
//! Must not know how they are written in a file or on a command line, or how they are carried out.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A directory served by the edge. Same shape of prefix as [`crate::App::mount`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticMount {
    pub url: String,
    /// Absolute.
    pub dir: PathBuf,
    #[serde(default)]
    pub options: StaticOptions,
}

impl StaticMount {
    /// A directory with every default.
    pub fn new(url: impl Into<String>, dir: impl Into<PathBuf>) -> StaticMount {
        StaticMount {
            url: url.into(),
            dir: dir.into(),
            options: StaticOptions::default(),
        }
    }
}

/// What a location does beyond sending the file that its path names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StaticOptions {
    /// Names that answer for a directory, in order of preference.
    pub index: Vec<String>,
    /// What to look for instead, in order; empty: only the path itself.
    pub try_files: Vec<Try>,
    pub autoindex: Autoindex,
    /// Siblings (`style.css.br`) that may answer, best first; empty: none.
    pub precompressed: Vec<Coding>,
    pub symlinks: Symlinks,
    pub etag: EntityTag,
    /// Serve names that begin with a dot. `/.well-known` at the root of the site is served in any case.
    pub dotfiles: bool,
    /// Added to every answer of the location that is not an error; none of them [`is_own_field`].
    pub headers: Vec<(String, String)>,
    /// Added to every answer of the location, errors too; none of them in `headers` or [`is_own_field`].
    pub headers_always: Vec<(String, String)>,
    /// The first rule whose pattern fits the file decides its `Cache-Control`.
    pub cache: Vec<CacheRule>,
    /// File extension (without the dot, lower case) to media type; before the maintained table.
    pub types: Vec<(String, String)>,
    /// Media type of a file that no table knows.
    pub default_type: String,
    /// Put behind text types that name no charset; empty: none.
    pub charset: String,
    /// Status to a path inside the location whose file is the body of that error.
    pub error_pages: Vec<(u16, String)>,
    /// Only `X-Accel-Redirect` of an app reaches it; clients get 404.
    pub internal: bool,
}

impl Default for StaticOptions {
    fn default() -> StaticOptions {
        StaticOptions {
            index: vec!["index.html".into()],
            try_files: Vec::new(),
            autoindex: Autoindex::Off,
            precompressed: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
            symlinks: Symlinks::WithinRoot,
            etag: EntityTag::Strong,
            dotfiles: false,
            headers: Vec::new(),
            headers_always: Vec::new(),
            cache: Vec::new(),
            types: Vec::new(),
            default_type: "application/octet-stream".into(),
            charset: "utf-8".into(),
            error_pages: Vec::new(),
            internal: false,
        }
    }
}

/// Response fields that follow from the file, the rules for it, the request or the connection: neither `headers` nor
/// `headers_always` may name them.
const OWN_FIELDS: [&str; 20] = [
    "accept-ranges",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "location",
    "proxy-connection",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Is the field the server's alone to write?
pub fn is_own_field(name: &str) -> bool {
    OWN_FIELDS.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// One step of `try_files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Try {
    /// `$uri` with something behind it: "" the path itself, "/" its directory, ".html" its page.
    Uri(String),
    /// A fixed path inside the location, e.g. `/index.html` for a single-page application.
    Path(String),
    /// `=404`: this status.
    Status(u16),
}

impl Try {
    /// The file, its directory's index, else the page that runs the application in the browser.
    pub fn single_page() -> Vec<Try> {
        let page = Try::Path("/index.html".into());
        vec![Try::Uri(String::new()), Try::Uri("/".into()), page]
    }
}

/// What a directory without an index file answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Autoindex {
    /// 403.
    Off,
    /// A page, or JSON where `Accept` prefers it.
    Html,
    /// JSON always.
    Json,
}

/// A content coding of which siblings may exist; the suffix is nginx's and Caddy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// `.zst`
    Zstd,
    /// `.br`
    Brotli,
    /// `.gz`
    Gzip,
}

/// Which symbolic links a path may go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Symlinks {
    /// Those that stay below the location's directory.
    WithinRoot,
    /// None.
    Off,
    /// Any whose owner owns the file it leads to.
    Owner,
    /// Any.
    Any,
}

/// What a file's `ETag` promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityTag {
    /// The same bytes, as far as the file system's clock can tell.
    Strong,
    /// The same meaning: good for a cache, not for a range.
    Weak,
    /// None is sent.
    Off,
}

/// `Cache-Control` by file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRule {
    pub pattern: Pattern,
    /// The header's value, e.g. `public, max-age=31536000, immutable`; empty: none.
    pub control: String,
    /// Also send `Expires`, so many seconds from now.
    pub expires_s: Option<u64>,
}

/// Which files a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Names with a content hash in them, as Django's ManifestStaticFilesStorage (`app.3f9c2a7b1d0e.css`) and bundlers make
    /// (`app-3f9c2a7b.js`).
    Hashed,
    /// A glob over the path inside the location: `*` within a segment, `**` across segments, `?` one character.
    Glob(String),
}
