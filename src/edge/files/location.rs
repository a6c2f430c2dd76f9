//! A static location: where its files are, and what its options make of them, prepared at the start.
//!
//! Owns the checked options and what follows from them. Must not know entries, caches or requests.

use super::mount::Mount;
use config::{CacheRule, Pattern, StaticMount, Symlinks, Try};
use proto::accept_encoding::Coding;
use proto::mime;
use std::io;
use uring::fs::Directory;

pub struct Location {
    pub mount: Mount,
    pub options: config::StaticOptions,
    /// `try_files`, or what stands for it; a fixed path with the key of its own in the cache.
    pub steps: Box<[Step]>,
    /// Status to the page that is its body, with the key of its own.
    pub pages: Box<[(u16, Fixed)]>,
    /// Siblings to look for, best first.
    pub codings: Box<[Coding]>,
    /// The configured headers as lines: of what is no error, and of what is.
    pub lines: Box<[u8]>,
    pub error_lines: Box<[u8]>,
}

/// One thing to try.
pub enum Step {
    /// The path itself, with this behind it.
    File(Box<[u8]>),
    /// The path as a directory.
    Directory,
    Fixed(Fixed),
    Status(u16),
}

/// A path that the configuration names.
pub struct Fixed {
    /// No path of a request begins like it: a fixed path is known for itself, apart from requests for the same path.
    key: Box<[u8]>,
}

impl Fixed {
    fn new(path: &str) -> Fixed {
        let mut key = vec![b'!'];
        key.extend_from_slice(path.as_bytes());
        Fixed { key: key.into() }
    }

    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn path(&self) -> &[u8] {
        &self.key[1..]
    }
}

impl Location {
    /// `directory` is the location's, open.
    pub fn new(mount: &StaticMount, directory: Directory) -> io::Result<Location> {
        let options = mount.options.clone();
        let codings = options.precompressed.iter().map(|coding| match coding {
            config::Coding::Zstd => Coding::Zstd,
            config::Coding::Brotli => Coding::Brotli,
            config::Coding::Gzip => Coding::Gzip,
        });
        let steps = options.try_files.iter().map(|step| match step {
            Try::Uri(suffix) if suffix == "/" => Step::Directory,
            Try::Uri(suffix) => Step::File(suffix.as_bytes().into()),
            Try::Path(path) => Step::Fixed(Fixed::new(path)),
            Try::Status(status) => Step::Status(*status),
        });
        let pages = options
            .error_pages
            .iter()
            .map(|(status, path)| (*status, Fixed::new(path)));
        let error_lines = lines(&options.headers_always)?;
        let lines = [lines(&options.headers)?, error_lines.clone()].concat();
        Ok(Location {
            mount: Mount::new(&mount.dir, directory)?,
            steps: steps.collect(),
            pages: pages.collect(),
            codings: codings.collect(),
            lines: lines.into(),
            error_lines: error_lines.into(),
            options,
        })
    }

    /// How paths are opened; the owner policy refuses every link here and looks at them apart.
    pub fn symlinks(&self) -> uring::fs::Symlinks {
        match self.options.symlinks {
            Symlinks::WithinRoot => uring::fs::Symlinks::WithinRoot,
            Symlinks::Off | Symlinks::Owner => uring::fs::Symlinks::Refuse,
            Symlinks::Any => uring::fs::Symlinks::Anywhere,
        }
    }

    /// Whether a refused link is worth a look at its owner.
    pub fn asks_owners(&self) -> bool {
        self.options.symlinks == Symlinks::Owner
    }

    pub fn page(&self, status: u16) -> Option<&Fixed> {
        self.pages
            .iter()
            .find(|(each, _)| *each == status)
            .map(|(_, page)| page)
    }

    /// `Content-Type` of the file at `path`.
    pub fn content_type(&self, path: &[u8]) -> Vec<u8> {
        let (essence, is_text) = self.type_of(path);
        let mut value = essence.as_bytes().to_vec();
        if is_text && !self.options.charset.is_empty() {
            value.extend_from_slice(b"; charset=");
            value.extend_from_slice(self.options.charset.as_bytes());
        }
        value
    }

    fn type_of(&self, path: &[u8]) -> (&str, bool) {
        let is_own = |extension: &[u8]| {
            let mut types = self.options.types.iter();
            types.find(|(own, _)| own.as_bytes().eq_ignore_ascii_case(extension))
        };
        let own = mime::extension(path).and_then(is_own).map(|(_, own)| own);
        let named = match own {
            Some(own) => own,
            None => match mime::find(path) {
                Some(known) => return (known.essence, known.charset),
                None => &self.options.default_type,
            },
        };
        (
            named,
            named.starts_with("text/") && !named.contains("charset="),
        )
    }

    /// Whether the file at `path` may have precompressed siblings.
    pub fn may_have_siblings(&self, path: &[u8]) -> bool {
        !self.codings.is_empty()
            && !mime::is_compressed(self.type_of(path).0)
            && !self
                .codings
                .iter()
                .any(|coding| path.ends_with(coding.extension().as_bytes()))
    }

    /// Appends the configured headers and `Cache-Control` of the file at `path`; returns the seconds until `Expires`.
    pub fn append_lines(&self, path: &[u8], out: &mut Vec<u8>) -> Option<u64> {
        out.extend_from_slice(&self.lines);
        let rule = self.options.cache.iter().find(|rule| fits(rule, path));
        let rule = rule?;
        if !rule.control.is_empty() {
            append_line(out, b"Cache-Control", rule.control.as_bytes());
        }
        rule.expires_s
    }
}

fn lines(headers: &[(String, String)]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        if config::is_own_field(name) {
            let message = format!("headers: {name} is written by the server itself");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        append_line(&mut lines, name.as_bytes(), value.as_bytes());
    }
    Ok(lines)
}

fn fits(rule: &CacheRule, path: &[u8]) -> bool {
    match &rule.pattern {
        Pattern::Hashed => proto::hashed::is_hashed(path),
        Pattern::Glob(pattern) => proto::glob::fits(pattern, path),
    }
}

/// `Name: value`, with its end of line.
pub fn append_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
