//! Request headers that cannot be told from others once they are CGI variables: which of them an application gets.
//!
//! Pure. Invariant: `Proxy` never does ("httpoxy"), and without the operator's word no name with an underscore does.

use config::{HeaderMap, OddHeaders};
use proto::Head;
use proto::http1::app_head::is_ambiguous_for_cgi;

/// Whether a request has any: for all others nothing of this is asked.
pub fn has_any(head: &Head<'_, '_>) -> bool {
    let mut names = head.headers.iter().map(|header| header.name.as_bytes());
    names.any(is_ambiguous_for_cgi)
}

/// Whether a request is to be refused for them. `trusted`: the peer's forwarded headers are believed.
#[cold]
pub fn are_refused(head: &Head<'_, '_>, odd: &OddHeaders, trusted: bool) -> bool {
    let mut names = head.headers.iter().map(|header| header.name.as_bytes());
    odd.map == HeaderMap::Refuse
        && names.any(|name| name.contains(&b'_') && !passes(name, odd, trusted))
}

/// Whether the application gets a header of this name.
pub fn passes(name: &[u8], odd: &OddHeaders, trusted: bool) -> bool {
    if !is_ambiguous_for_cgi(name) {
        return true;
    }
    let is_listed = |each: &String| each == "*" || name.eq_ignore_ascii_case(each.as_bytes());
    name.contains(&b'_')
        && (odd.map == HeaderMap::Dangerous || trusted && odd.forwarder.iter().any(is_listed))
}

/// How much of `path` a server in front says is the SCRIPT_NAME; `None`: nothing, or what is no beginning of it.
#[cold]
pub fn script_name(
    head: &Head<'_, '_>,
    odd: &OddHeaders,
    trusted: bool,
    path: &[u8],
) -> Option<usize> {
    const NAME: &str = "script_name";
    let mut headers = head.headers.iter();
    let header = headers.find(|header| header.name.eq_ignore_ascii_case(NAME))?;
    let value = header.value.strip_suffix(b"/").unwrap_or(header.value);
    let rest = path.strip_prefix(value)?;
    let is_whole = value.starts_with(b"/") && (rest.is_empty() || rest.starts_with(b"/"));
    // Letting it through is one thing, believing it another.
    let is_listed = odd.forwarder.iter().any(|each| each == NAME || each == "*");
    (is_whole && trusted && is_listed).then_some(value.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{HeaderStorage, Limits, Parse};

    fn with<R>(headers: &str, look: impl FnOnce(&Head<'_, '_>) -> R) -> R {
        let bytes = format!("GET /shop/a HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let mut storage = HeaderStorage::new();
        let parsed =
            proto::http1::request::parse(bytes.as_bytes(), &mut storage, &Limits::default());
        let Parse::Complete { head, .. } = parsed else {
            panic!("a good head: {bytes}")
        };
        look(&head)
    }

    fn odd(map: HeaderMap, forwarder: &str) -> OddHeaders {
        OddHeaders {
            map,
            forwarder: vec![forwarder.to_owned()],
        }
    }

    #[test]
    fn names_with_an_underscore_need_somebodys_word() {
        assert!(!with("X-A: 1\r\n", has_any) && with("X_A: 1\r\n", has_any));
        let drop = odd(HeaderMap::Drop, "remote_user");
        assert!(passes(b"X-A", &drop, false) && !passes(b"X_A", &drop, true));
        assert!(passes(b"REMOTE_USER", &drop, true) && !passes(b"REMOTE_USER", &drop, false));
        assert!(passes(b"X_A", &odd(HeaderMap::Drop, "*"), true));
        let dangerous = odd(HeaderMap::Dangerous, "");
        assert!(passes(b"X_A", &dangerous, false) && !passes(b"Proxy", &dangerous, true));
        let refuse = odd(HeaderMap::Refuse, "remote_user");
        let refused =
            |headers: &str, trusted| with(headers, |head| are_refused(head, &refuse, trusted));
        assert!(refused("X_A: 1\r\n", true) && refused("Remote_User: 1\r\n", false));
        assert!(!refused("Remote_User: 1\r\n", true) && !refused("Proxy: 1\r\n", false));
    }

    #[test]
    fn a_script_name_is_a_beginning_of_the_path_by_a_trusted_servers_word() {
        let default = OddHeaders::default();
        let length = |value: &str, trusted| {
            let header = format!("SCRIPT_NAME: {value}\r\n");
            with(&header, |head| {
                script_name(head, &default, trusted, b"/shop/a")
            })
        };
        assert_eq!(length("/shop", true), Some(5));
        assert_eq!(length("/shop/", true), Some(5));
        assert_eq!(length("/shop/a", true), Some(7));
        assert_eq!(length("/", true), None);
        for (value, trusted) in [
            ("/shop", false),
            ("/sho", true),
            ("/other", true),
            ("shop", true),
        ] {
            assert_eq!(length(value, trusted), None, "{value}");
        }
    }
}
