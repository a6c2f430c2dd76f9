//! Texts into values: numbers with units, addresses, prefixes, targets. Pure; an error says what was expected.
//!
//! Knows no option by name, so its errors have no subject: the caller puts one in front.

use crate::model::Address;
use crate::options::Form;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A number, a duration in milliseconds or a size in bytes, within the form's bounds.
pub fn number(form: Form, text: &str) -> Result<u64, String> {
    match form {
        Form::Integer { min, max } => {
            let value = text
                .parse::<u64>()
                .map_err(|_| format!("expected a whole number, not '{text}'"))?;
            within(value, min, max, |bound| bound.to_string())
        }
        Form::Duration { min_ms, max_ms } => {
            within(duration_ms(text)?, min_ms, max_ms, duration_text)
        }
        Form::Bytes { min, max } => within(bytes(text)?, min, max, bytes_text),
        Form::Text | Form::Path | Form::Choice(_) | Form::Flag => {
            Err(format!("'{text}' is no number"))
        }
    }
}

fn within(value: u64, min: u64, max: u64, show: impl Fn(u64) -> String) -> Result<u64, String> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(format!(
        "{} is out of range: from {} to {}",
        show(value),
        show(min),
        show(max)
    ))
}

/// `30`, `0.5`, `500ms`, `30s`, `2m`, `1h`, `7d`, `1y` (365 days) in milliseconds.
fn duration_ms(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("expected seconds, or a time with a unit (500ms, 30s, 2m, 1h), not '{text}'");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1.0,
        "" | "s" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        "y" => 365.0 * 86_400_000.0,
        _ => return Err(wrong()),
    };
    if digits.is_empty()
        || !digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(wrong());
    }
    let value: f64 = digits.parse().map_err(|_| wrong())?;
    // Saturates far beyond every bound.
    Ok((value * unit_ms).round() as u64)
}

/// `1048576`, `64k`, `100m`, `1g` in bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected bytes, or a size with a unit (64k, 100m, 1g), not '{text}'");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let count = digits.parse::<u64>().map_err(|_| wrong())?;
    count.checked_mul(factor).ok_or_else(wrong)
}

/// 30 s, 500 ms.
pub fn duration_text(ms: u64) -> String {
    match ms % 1000 {
        0 => format!("{} s", ms / 1000),
        _ => format!("{ms} ms"),
    }
}

/// 100 MiB, 16 KiB, 8190 bytes.
pub fn bytes_text(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >> shift > 0 && bytes.trailing_zeros() >= shift {
            return format!("{} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

/// `HOST:PORT`, `[V6]:PORT`, `:PORT`, `HOST`, `unix:PATH`. Names are not resolved, `localhost` aside.
pub fn address(text: &str, cwd: &Path) -> Result<Address, String> {
    let wrong = |why: &str| {
        format!("{why}: '{text}' (write 127.0.0.1:8000, [::1]:8000, :8000 or unix:/run/shop.sock)")
    };
    let text_without_scheme = text
        .strip_prefix("http://")
        .or(text.strip_prefix("tcp://"))
        .unwrap_or(text)
        .trim_end_matches('/');
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(wrong("a path is missing"));
        }
        return Ok(Address::Unix(absolute(path, cwd)));
    }
    if text.starts_with("https://") {
        return Err(wrong("TLS is not available yet"));
    }
    if let Ok(address) = text_without_scheme.parse::<SocketAddr>() {
        return Ok(Address::Tcp(address));
    }
    let (host, port) = match text_without_scheme
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(host) => (host, "8000"),
        None => text_without_scheme
            .rsplit_once(':')
            .unwrap_or((text_without_scheme, "8000")),
    };
    let port: u16 = port
        .parse()
        .map_err(|_| wrong("a port is a number from 0 to 65535"))?;
    let ip = match host {
        "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host if host.contains(':') && !text_without_scheme.starts_with('[') => {
            return Err(wrong("an IPv6 address stands in brackets"));
        }
        host => host
            .parse()
            .map_err(|_| wrong("expected an IP address or localhost"))?,
    };
    Ok(Address::Tcp(SocketAddr::new(ip, port)))
}

/// A path made absolute without looking at the file system; `.` and doubled slashes go.
pub fn absolute(text: &str, cwd: &Path) -> PathBuf {
    let joined = cwd.join(text);
    joined
        .components()
        .filter(|part| !matches!(part, std::path::Component::CurDir))
        .collect()
}

/// `/blog` or `/blog/` to "/blog"; `/` to "".
pub fn prefix(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("a URL prefix starts with '/', unlike '{text}'"));
    }
    let trimmed = text.trim_end_matches('/');
    if trimmed
        .split('/')
        .skip(1)
        .any(|segment| segment.is_empty() || segment == "." || segment == "..")
    {
        return Err(format!(
            "'{text}' has an empty, '.' or '..' segment, which no request path has"
        ));
    }
    if trimmed.contains(['?', '#']) || trimmed.chars().any(char::is_control) {
        return Err(format!("'{text}' is no URL path"));
    }
    Ok(trimmed.to_owned())
}

/// `module`, `module:callable`, `module:factory('x')` to the full form with a callable.
pub fn target(text: &str) -> Result<String, String> {
    let (module, callable) = match text.split_once(':') {
        Some((module, callable)) => (module, callable),
        None => (text, "application"),
    };
    if module.contains('/') || (module.ends_with(".py") && text.contains(".py")) {
        let stem = module.trim_end_matches(".py").trim_start_matches("./");
        let (dir, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let advice = if dir.is_empty() {
            String::new()
        } else {
            format!(" with --chdir {dir}")
        };
        return Err(format!(
            "'{module}' is a file; name the module: {name}:{callable}{advice}"
        ));
    }
    if module.is_empty() || !module.split('.').all(is_identifier) {
        return Err(format!(
            "'{module}' is no module name (write MODULE:CALLABLE, e.g. shop.wsgi:application)"
        ));
    }
    let name = match callable.split_once('(') {
        Some((name, rest)) if rest.ends_with(')') => name,
        Some(_) => return Err(format!("the call '{callable}' has no closing parenthesis")),
        None => callable,
    };
    if name.is_empty() || !name.split('.').all(is_identifier) {
        return Err(format!(
            "'{callable}' is no callable's name (write MODULE:CALLABLE, e.g. shop.wsgi:application)"
        ));
    }
    Ok(format!("{module}:{callable}"))
}

/// Words as a shell would cut them, without its variables and patterns.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(each) = rest.next() {
        match (quote, each) {
            (Some(mark), _) if each == mark => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(each),
            (None, '\'' | '"') => {
                quote = Some(each);
                word.get_or_insert_default();
            }
            (_, '\\') => {
                let next = rest.next().ok_or("a backslash stands at the end")?;
                if quote.is_some() && !matches!(next, '"' | '\\') {
                    word.get_or_insert_default().push('\\');
                }
                word.get_or_insert_default().push(next);
            }
            (None, _) if each.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(each),
        }
    }
    if let Some(mark) = quote {
        return Err(format!("the quote {mark} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

/// As Python has it, but for the rarer Unicode categories.
fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|first| first == '_' || first.is_alphabetic())
        && chars.all(|each| each == '_' || each.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: Form = Form::Duration {
        min_ms: 0,
        max_ms: 3_600_000,
    };

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        for (text, ms) in [
            ("30", 30_000),
            ("0.5", 500),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("0", 0),
        ] {
            assert_eq!(number(SECONDS, text), Ok(ms), "{text}");
        }
        for text in ["", "s", "-1", "1d", "1e3", "nan", "inf", "1.2.3", "2h"] {
            assert!(number(SECONDS, text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        let form = Form::Bytes {
            min: 1,
            max: 1 << 40,
        };
        for (text, bytes) in [
            ("1", 1),
            ("64k", 65_536),
            ("100M", 100 << 20),
            ("1g", 1 << 30),
            ("2KiB", 2048),
        ] {
            assert_eq!(number(form, text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "0", "1t", "-1", "99999999999g"] {
            assert!(number(form, text).is_err(), "{text}");
        }
        assert_eq!(
            number(form, "0"),
            Err("0 bytes is out of range: from 1 bytes to 1 TiB".into())
        );
    }

    #[test]
    fn addresses() {
        let cwd = Path::new("/srv");
        let tcp = |text: &str| Address::Tcp(text.parse().expect("address"));
        for (text, expected) in [
            ("127.0.0.1:0", tcp("127.0.0.1:0")),
            ("[::1]:80", tcp("[::1]:80")),
            ("[::]", tcp("[::]:8000")),
            (":9000", tcp("0.0.0.0:9000")),
            ("localhost:1", tcp("127.0.0.1:1")),
            ("10.0.0.1", tcp("10.0.0.1:8000")),
            ("http://127.0.0.1:8000/", tcp("127.0.0.1:8000")),
            ("tcp://127.0.0.1:8000", tcp("127.0.0.1:8000")),
            ("unix:run/x.sock", Address::Unix("/srv/run/x.sock".into())),
            ("unix:///run/x.sock", Address::Unix("/run/x.sock".into())),
        ] {
            assert_eq!(address(text, cwd), Ok(expected), "{text}");
        }
        for text in [
            "::1:80",
            "example.org:80",
            "127.0.0.1:99999",
            "unix:",
            "8000",
            "https://127.0.0.1:1",
        ] {
            assert!(address(text, cwd).is_err(), "{text}");
        }
    }

    #[test]
    fn prefixes_lose_their_last_slash() {
        assert_eq!(prefix("/"), Ok(String::new()));
        assert_eq!(prefix("/a/b/"), Ok("/a/b".into()));
        for text in ["", "a", "/a//b", "/a/../b", "/a?b", "//a"] {
            assert!(prefix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn targets_get_a_callable() {
        assert_eq!(target("shop.wsgi"), Ok("shop.wsgi:application".into()));
        assert_eq!(target("a:create_app('x')"), Ok("a:create_app('x')".into()));
        assert_eq!(target("a:b.c"), Ok("a:b.c".into()));
        for text in ["", ":app", "a:", "a:f(", "a b:c", "1a:c", "a:b c"] {
            assert!(target(text).is_err(), "{text}");
        }
        let message = target("src/app.py:app").expect_err("a file");
        assert_eq!(
            message,
            "'src/app.py' is a file; name the module: app:app with --chdir src"
        );
    }
}
