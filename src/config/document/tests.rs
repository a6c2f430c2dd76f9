//! Files as people write them, and what they are told.

mod applications;
mod mistakes;

use super::*;
use crate::files::{
    Autoindex, CacheRule, Coding, EntityTag, Pattern, StaticOptions, Symlinks, Try,
};

fn good(text: &str) -> Document {
    read(text, "f.toml", Path::new("/srv")).unwrap_or_else(|mistake| panic!("{mistake}\n{text}"))
}

fn bad(text: &str) -> String {
    match read(text, "f.toml", Path::new("/srv")) {
        Err(mistake) => mistake.0,
        Ok(document) => panic!("accepted: {document:?}\n{text}"),
    }
}

/// The options of a location with these lines.
fn location(lines: &str) -> StaticOptions {
    let mut document = good(&format!(
        "[[server.location]]\npath = '/s'\ndir = 'd'\n{lines}"
    ));
    document.statics.remove(0).options
}

/// What is said about line 4 and those after it.
fn bad_location(lines: &str) -> String {
    bad(&format!(
        "[[server.location]]\npath = '/s'\ndir = 'd'\n{lines}"
    ))
}

#[test]
fn options_are_texts_as_typed() {
    let document = good(
        "bind = [':1', ':2']\nworkers = 4\nkeep_alive = 2.5\ntimeout = '2m'\nlimit_request_body = '1g'\naccess_log = false\n\
         env = { B = '1', A = 'x=y' }\nkind = 'processes'\n[server]\nrings = 0x2\npythonpath = 'lib'",
    );
    let values = |name: &str| document.options[name].values.join(" ");
    for (name, expected) in [
        ("bind", ":1 :2"),
        ("workers", "4"),
        ("keep-alive", "2.5"),
        ("timeout", "2m"),
        ("limit-request-body", "1g"),
        ("access-log", "off"),
        ("env", "A=x=y B=1"),
        ("kind", "processes"),
        ("rings", "2"),
        ("pythonpath", "lib"),
    ] {
        assert_eq!(values(name), expected, "{name}");
    }
    assert_eq!(document.options["workers"].label, "f.toml:2:1: workers");
}

#[test]
fn a_location_has_the_defaults_of_the_model() {
    let document = good(
        "[[server.location]]\npath = '/s/'\ndir = 'd/./e'\n[[server.location]]\npath = '/'\nalias = '/x'",
    );
    let both = [
        StaticMount::new("/s", "/srv/d/e"),
        StaticMount::new("", "/x"),
    ];
    assert_eq!(document.statics, both);
    let other = good("[[server]]\n[[server.location]]\npath = '/s'\ndir = 'd'");
    assert_eq!(other.statics.len(), 1);
}

#[test]
fn a_location_takes_every_option() {
    let options = location(
        "index = ['a.html', 'b.htm']\ntry_files = ['$uri', '$uri/', '$uri.html', '/x/y.html', '=404']\nautoindex = 'json'\n\
         precompressed = ['br', 'gzip']\nsymlinks = 'owner'\netag = 'weak'\ndotfiles = true\n\
         headers = { X-A = 'b', Vary = 'Cookie' }\nheaders_always = { X-C = 'd' }\n\
         types = { '.MJS' = 'text/javascript', wasm = 'application/wasm' }\ndefault_type = 'text/plain'\ncharset = 'latin-1'\n\
         error_pages = { 404 = '/404.html', 500 = '/5.html' }\ninternal = true\n\
         cache = [{ match = 'hashed', control = 'public, immutable' }, { match = '*.css', max_age = '1h', expires = true }]",
    );
    let expected = StaticOptions {
        index: vec!["a.html".into(), "b.htm".into()],
        try_files: vec![
            Try::Uri("".into()),
            Try::Uri("/".into()),
            Try::Uri(".html".into()),
            Try::Path("/x/y.html".into()),
            Try::Status(404),
        ],
        autoindex: Autoindex::Json,
        precompressed: vec![Coding::Brotli, Coding::Gzip],
        symlinks: Symlinks::Owner,
        etag: EntityTag::Weak,
        dotfiles: true,
        headers: vec![("Vary".into(), "Cookie".into()), ("X-A".into(), "b".into())],
        headers_always: vec![("X-C".into(), "d".into())],
        cache: vec![
            CacheRule {
                pattern: Pattern::Hashed,
                control: "public, immutable".into(),
                expires_s: None,
            },
            CacheRule {
                pattern: Pattern::Glob("*.css".into()),
                control: "max-age=3600".into(),
                expires_s: Some(3600),
            },
        ],
        types: vec![
            ("mjs".into(), "text/javascript".into()),
            ("wasm".into(), "application/wasm".into()),
        ],
        default_type: "text/plain".into(),
        charset: "latin-1".into(),
        error_pages: vec![(404, "/404.html".into()), (500, "/5.html".into())],
        internal: true,
    };
    assert_eq!(options, expected);
}

#[test]
fn short_forms() {
    assert_eq!(location("spa = true").try_files, Try::single_page());
    assert_eq!(location("spa = false"), StaticOptions::default());
    assert_eq!(location("autoindex = true").autoindex, Autoindex::Html);
    assert_eq!(location("precompressed = false").precompressed, []);
    assert_eq!(location("precompressed = true"), StaticOptions::default());
    assert_eq!(location("charset = false").charset, "");
    assert_eq!(location("etag = false").etag, EntityTag::Off);
    assert_eq!(location("etag = true"), StaticOptions::default());
    assert_eq!(location("index = 'x'").index, ["x"]);
    assert_eq!(location("index = []").index, [""; 0]);
    let year = &location("cache = { match = '**', max_age = '1y' }").cache[0];
    assert_eq!(
        (year.control.as_str(), year.expires_s),
        ("max-age=31536000", None)
    );
}

#[test]
fn what_is_wrong_with_a_location_is_told() {
    for (lines, expected) in [
        (
            "tryfiles = []",
            "f.toml:4:1: no key 'tryfiles' of a location; did you mean 'try_files'?",
        ),
        (
            "root = 'x'",
            "f.toml:4:1: no key 'root' of a location: write dir, which takes the place of path (nginx's alias)",
        ),
        (
            "alias = 'x'",
            "f.toml:4:1: dir and alias are the same; write one of them",
        ),
        (
            "try_files = ['index.html']",
            "f.toml:4:14: try_files: 'index.html' is neither $uri with something behind it, nor a path that begins with '/', nor a status such as =404",
        ),
        (
            "try_files = ['=404', '$uri']",
            "f.toml:4:22: try_files: nothing comes after =404, which always answers",
        ),
        (
            "try_files = '=200'",
            "f.toml:4:13: try_files: '=200' is no status from =400 to =599",
        ),
        (
            "try_files = '/../x'",
            "f.toml:4:13: try_files: '/../x' has a segment that no path inside the location has",
        ),
        (
            "try_files = '/$args'",
            "f.toml:4:13: try_files: '/$args' has a variable; only $uri at its beginning is known",
        ),
        (
            "try_files = '@app'",
            "f.toml:4:13: try_files: '@app': there are no named locations; a path under no location goes to the application by itself",
        ),
        (
            "spa = true\ntry_files = '$uri'",
            "f.toml:4:1: spa is short for a try_files of its own; write one of them",
        ),
        ("spa = 1", "f.toml:4:7: spa: expected true or false, not 1"),
        (
            "autoindex = 'xml'",
            "f.toml:4:13: autoindex: expected \"html\", \"json\", not \"xml\"",
        ),
        (
            "symlinks = true",
            "f.toml:4:12: symlinks: expected \"within-root\", \"off\", \"owner\", \"any\", not true",
        ),
        (
            "etag = 'strong'",
            "f.toml:4:8: etag: expected \"weak\", not \"strong\"",
        ),
        (
            "headers = { Allow = 'GET' }",
            "f.toml:4:13: headers: Allow is written by the server itself",
        ),
        (
            "precompressed = ['br', 'lz4']",
            "f.toml:4:24: precompressed: expected \"zstd\", \"br\", \"gzip\", not \"lz4\"",
        ),
        (
            "index = ['a/b']",
            "f.toml:4:10: index: 'a/b' is no file name",
        ),
        (
            "headers = { A = 'x' }\nheaders_always = { a = 'y' }",
            "f.toml:5:20: headers_always: a is given twice",
        ),
        (
            "headers_always = { ETag = 'x' }",
            "f.toml:4:20: headers_always: ETag is written by the server itself",
        ),
        (
            "headers = { 'A B' = 'x' }",
            "f.toml:4:13: headers: 'A B' is no header name",
        ),
        (
            "headers = { A = \"x\\ny\" }",
            "f.toml:4:17: headers.A: a character that no header may have",
        ),
        (
            "headers = { date = 'x' }",
            "f.toml:4:13: headers: date is written by the server itself",
        ),
        (
            "headers = { Cache-Control = 'x' }",
            "f.toml:4:13: headers: Cache-Control is what cache rules are for: cache = [{ match = \"**\", control = \"...\" }]",
        ),
        (
            "types = { '.a.b' = 'x/y' }",
            "f.toml:4:11: types: '.a.b' is no file extension such as .mjs",
        ),
        (
            "types = { mjs = 'javascript' }",
            "f.toml:4:17: types: 'javascript' is no media type such as text/javascript",
        ),
        (
            "error_pages = { 200 = '/x' }",
            "f.toml:4:17: error_pages: '200' is no status from 400 to 599",
        ),
        (
            "error_pages = { 404 = 'x' }",
            "f.toml:4:23: error_pages: 'x' does not begin with '/'",
        ),
        (
            "cache = [{ control = 'x' }]",
            "f.toml:4:10: a cache rule without match",
        ),
        (
            "cache = [{ match = '*', maxage = 3 }]",
            "f.toml:4:25: no key 'maxage' of a cache rule; did you mean 'max_age'?",
        ),
        (
            "cache = [{ match = '*', control = 'x', max_age = 3 }]",
            "f.toml:4:10: cache: control says all of it; max_age is for rules without",
        ),
        (
            "cache = [{ match = '*', expires = true }]",
            "f.toml:4:35: expires: true is as far ahead as max_age, which is not there",
        ),
        (
            "cache = [{ match = '*', max_age = 'long' }]",
            "f.toml:4:35: max_age: expected seconds, or a time with a unit (500ms, 30s, 2m, 1h), not 'long'",
        ),
        (
            "[[server.location]]\npath = '/s/'\ndir = 'e'",
            "f.toml:4:1: two at /s/: here and in line 1",
        ),
    ] {
        assert_eq!(bad_location(lines), expected, "{lines}");
    }
}

#[test]
fn every_mistake_is_told_in_the_files_order() {
    let all = bad("worker = 1\nrings = 0\n[[server.location]]\npath = 'x'\nfoo = 1\n");
    let places: Vec<&str> = all
        .lines()
        .map(|line| line.split(": ").next().unwrap_or_default())
        .collect();
    assert_eq!(
        places,
        [
            "f.toml:1:1",
            "f.toml:2:9",
            "f.toml:3:1",
            "f.toml:4:8",
            "f.toml:5:1"
        ],
        "{all}"
    );
}

#[test]
fn the_sample_parses_and_so_does_everything_it_shows() {
    let sample = sample::sample();
    let empty = good(&sample);
    assert!(empty.options.is_empty() && empty.apps.is_empty() && empty.statics.is_empty());
    let shown: Vec<&str> = sample
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
            _ => line,
        })
        .collect();
    let document = good(&shown.join("\n"));
    assert_eq!((document.apps.len(), document.statics.len()), (1, 2));
    let known = options().filter(|option| !option.hidden).count();
    assert_eq!(document.options.len(), known);
    for key in keys::LOCATION
        .iter()
        .chain(keys::CACHE)
        .chain(keys::APPLICATION)
    {
        let mentioned = sample.contains(&format!("#{} = ", key.name))
            || sample.contains(&format!("# {} (", key.name));
        assert!(
            mentioned || ["alias", "route"].contains(&key.name),
            "{}",
            key.name
        );
    }
}

/// Every text is judged without a panic, also one that was right before a few of its bytes changed.
#[test]
fn no_text_panics() {
    let sample = sample::sample().replace("\n#", "\n");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut refused = 0;
    for _ in 0..500 {
        let mut bytes = sample.clone().into_bytes();
        for _ in 0..=next(4) {
            if bytes.len() < 2 {
                break;
            }
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = b"\"'[]{}=#.\n\\0\xc3"[next(13)],
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        refused += usize::from(read(&text, "f", Path::new("/")).is_err());
    }
    assert!(refused > 0);
}

#[test]
fn garbage_is_refused() {
    for text in [
        "\0",
        "[",
        "[[",
        "a",
        "= 1",
        "[app]\n[app]",
        "x = \"",
        "[[server.location]]\nheaders = 3",
        "server.location = [1]",
        "app = [1]",
        "\u{feff}workers = 1\nä",
    ] {
        assert!(read(text, "f", Path::new("/")).is_err(), "{text}");
    }
}
