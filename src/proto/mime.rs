//! Media types by file name: mime_guess's table, with the entries where the web has moved on, and `charset=utf-8` for
//! the types that are text.

/// A media type to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mime {
    /// `text/html`
    pub essence: &'static str,
    /// `; charset=utf-8` follows.
    pub charset: bool,
}

impl Mime {
    /// What a file without a known extension is.
    pub const UNKNOWN: Mime = Mime {
        essence: "application/octet-stream",
        charset: false,
    };
    pub const HTML: Mime = Mime {
        essence: "text/html",
        charset: true,
    };
    pub const JSON: Mime = Mime {
        essence: "application/json",
        charset: false,
    };
    pub const TEXT: Mime = Mime {
        essence: "text/plain",
        charset: true,
    };

    /// Appends the value of `Content-Type`.
    pub fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.essence.as_bytes());
        if self.charset {
            out.extend_from_slice(b"; charset=utf-8");
        }
    }
}

/// Where we differ from the table, or need no search: the everyday extensions, in lower case.
const OVERRIDES: &[(&str, Mime)] = &[
    ("avif", plain("image/avif")),
    ("cjs", text("text/javascript")),
    ("css", text("text/css")),
    ("csv", text("text/csv")),
    ("geojson", plain("application/geo+json")),
    ("gif", plain("image/gif")),
    ("gz", plain("application/gzip")),
    ("htm", text("text/html")),
    ("html", text("text/html")),
    ("ico", plain("image/x-icon")),
    ("ics", text("text/calendar")),
    ("jpeg", plain("image/jpeg")),
    ("jpg", plain("image/jpeg")),
    ("js", text("text/javascript")),
    ("json", plain("application/json")),
    ("jsonld", plain("application/ld+json")),
    ("jxl", plain("image/jxl")),
    ("m3u8", plain("application/vnd.apple.mpegurl")),
    ("map", plain("application/json")),
    ("md", text("text/markdown")),
    ("mid", plain("audio/midi")),
    ("midi", plain("audio/midi")),
    ("mjs", text("text/javascript")),
    ("mp4", plain("video/mp4")),
    ("otf", plain("font/otf")),
    ("pdf", plain("application/pdf")),
    ("png", plain("image/png")),
    ("rpm", plain("application/x-rpm")),
    ("svg", plain("image/svg+xml")),
    ("svgz", plain("image/svg+xml")),
    ("toml", plain("application/toml")),
    ("ts", plain("video/mp2t")),
    ("ttf", plain("font/ttf")),
    ("txt", text("text/plain")),
    ("usdz", plain("model/vnd.usdz+zip")),
    ("vcf", text("text/vcard")),
    ("vtt", text("text/vtt")),
    ("wasm", plain("application/wasm")),
    ("webm", plain("video/webm")),
    ("webmanifest", plain("application/manifest+json")),
    ("webp", plain("image/webp")),
    ("wgsl", text("text/wgsl")),
    ("woff", plain("font/woff")),
    ("woff2", plain("font/woff2")),
    ("xhtml", plain("application/xhtml+xml")),
    ("xml", plain("application/xml")),
    ("yaml", plain("application/yaml")),
    ("yml", plain("application/yaml")),
    ("zst", plain("application/zstd")),
];

const fn text(essence: &'static str) -> Mime {
    Mime {
        essence,
        charset: true,
    }
}

const fn plain(essence: &'static str) -> Mime {
    Mime {
        essence,
        charset: false,
    }
}

/// Longer extensions are unknown.
const EXTENSION_BYTES_MAX: usize = 16;

/// The media type of a file called `path` (only its last extension counts).
pub fn of_path(path: &[u8]) -> Mime {
    find(path).unwrap_or(Mime::UNKNOWN)
}

/// As [`of_path`]; `None` where no table knows the extension.
pub fn find(path: &[u8]) -> Option<Mime> {
    of_extension(extension(path)?)
}

/// What stands behind the last dot of the last segment. A leading dot makes a hidden name, not an extension.
pub fn extension(path: &[u8]) -> Option<&[u8]> {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    match name.iter().rposition(|&byte| byte == b'.') {
        Some(dot) if dot > 0 => Some(&name[dot + 1..]),
        _ => None,
    }
}

/// Whether the bytes of a type are compressed already, so that nobody keeps a precompressed sibling.
pub fn is_compressed(essence: &str) -> bool {
    match essence.split_once('/') {
        Some(("image", kind)) => !matches!(kind, "svg+xml" | "bmp" | "x-icon" | "tiff"),
        Some(("audio" | "video", _)) => true,
        Some(("font", kind)) => matches!(kind, "woff" | "woff2"),
        Some(("application", kind)) => matches!(
            kind,
            "gzip" | "zip" | "zstd" | "x-bzip2" | "x-xz" | "x-7z-compressed"
        ),
        _ => false,
    }
}

fn of_extension(extension: &[u8]) -> Option<Mime> {
    let mut lower = [0u8; EXTENSION_BYTES_MAX];
    let lower = lower.get_mut(..extension.len())?;
    lower.copy_from_slice(extension);
    lower.make_ascii_lowercase();
    let extension = std::str::from_utf8(lower).ok()?;
    if let Ok(index) = OVERRIDES.binary_search_by(|(known, _)| (*known).cmp(extension)) {
        return Some(OVERRIDES[index].1);
    }
    // XML declares its own encoding; other text is taken to be UTF-8.
    mime_guess::from_ext(extension)
        .first_raw()
        .map(|essence| Mime {
            essence,
            charset: essence.starts_with("text/") && essence != "text/xml",
        })
}

/// Fuzz: no panic, and what comes out can stand in a header.
pub fn fuzz_mime(data: &[u8]) {
    let mut out = Vec::new();
    of_path(data).append(&mut out);
    assert!(crate::multipart::is_content_type(&out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_names() {
        assert!(OVERRIDES.is_sorted_by_key(|(extension, _)| *extension));
        for (path, expected) in [
            ("/index.html", "text/html; charset=utf-8"),
            ("/a/APP.JS", "text/javascript; charset=utf-8"),
            ("app.min.mjs", "text/javascript; charset=utf-8"),
            ("/main.css.map", "application/json"),
            ("/x.wasm", "application/wasm"),
            ("/f.woff2", "font/woff2"),
            ("/logo.svg", "image/svg+xml"),
            ("/a.tar.gz", "application/gzip"),
            ("/a.py", "text/plain; charset=utf-8"),
            ("/a.mp3", "audio/mpeg"),
            // A stream's playlist and its pieces: mime_guess's types are played by few.
            ("/live.m3u8", "application/vnd.apple.mpegurl"),
            ("/live-1.ts", "video/mp2t"),
            ("/a.vcf", "text/vcard; charset=utf-8"),
            ("/a.unknownthing", "application/octet-stream"),
            ("/a.averyveryverylongextension", "application/octet-stream"),
            ("/README", "application/octet-stream"),
            ("/dir.html/file", "application/octet-stream"),
            ("/.html", "application/octet-stream"),
            ("/a.", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            let mut out = Vec::new();
            of_path(path.as_bytes()).append(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{path}");
        }
        assert_eq!(of_path(b"/a.\xff\xfe"), Mime::UNKNOWN);
    }
}
