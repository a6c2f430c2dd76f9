//! Where to listen, and whose word about clients counts.

use super::{Surroundings, choice, flag, split_paths, wrong};
use crate::model::{Address, Forwarded, HeaderMap, Network, OddHeaders, Proxy, Trusted};
use crate::options::option;
use crate::raw::Raw;
use crate::{Mistake, value};
use std::net::IpAddr;
use std::ops::Range;

/// What systemd and others pass begins here (`SD_LISTEN_FDS_START`).
const PASSED_FIRST: i32 = 3;
/// Descriptors that are ours or the terminal's are no listeners; the bound is that of `--ready-fd`.
const INHERITED: Range<i32> = 3..64;

/// Addresses, and descriptors that were inherited.
pub fn binds(raw: &Raw, around: &Surroundings) -> Result<(Vec<Address>, Vec<i32>), Mistake> {
    if around.passed_fds > 0 {
        let end = PASSED_FIRST + i32::from(around.passed_fds);
        return Ok((Vec::new(), (PASSED_FIRST..end).collect()));
    }
    let (mut binds, mut inherited) = (Vec::new(), Vec::new());
    for (text, label) in texts(raw, around) {
        let why = |why: String| Mistake(format!("{label}: {why}"));
        let again = if let Some(number) = text.strip_prefix("fd://") {
            let fd = number.parse().ok().filter(|fd| INHERITED.contains(fd));
            let fd = fd.ok_or_else(|| {
                let (first, last) = (INHERITED.start, INHERITED.end - 1);
                why(format!(
                    "'{text}' is no descriptor: fd://{first} to fd://{last}"
                ))
            })?;
            let again = inherited.contains(&fd);
            inherited.push(fd);
            again
        } else {
            let address = value::address(&text, raw.base("bind", &around.cwd)).map_err(why)?;
            let any_port = matches!(&address, Address::Tcp(tcp) if tcp.port() == 0);
            let again = !any_port && binds.contains(&address);
            binds.push(address);
            again
        };
        if again {
            let shown = match binds.last() {
                Some(address) if !text.starts_with("fd://") => address.to_string(),
                _ => text,
            };
            return Err(Mistake(format!("{label}: {shown} is given twice")));
        }
    }
    Ok((binds, inherited))
}

/// What is to be listened on, each with how the user called it.
fn texts(raw: &Raw, around: &Surroundings) -> Vec<(String, String)> {
    let given = raw.many("bind");
    if !given.is_empty() {
        let each = given.iter().flat_map(|text| text.split(','));
        return each
            .map(|text| (text.trim().to_owned(), raw.label("bind")))
            .collect();
    }
    if let Some(port) = &around.port {
        return vec![(format!("0.0.0.0:{port}"), "$PORT".to_owned())];
    }
    let default = option("bind").default.unwrap_or_default();
    vec![(default.to_owned(), "--bind".to_owned())]
}

pub fn forwarded(raw: &Raw) -> Result<Forwarded, Mistake> {
    let default = Forwarded::default();
    let secure_headers = match raw.many("secure-scheme-headers") {
        [] => default.secure_headers,
        texts => texts
            .iter()
            .map(|text| secure_header(raw, text))
            .collect::<Result<_, _>>()?,
    };
    Ok(Forwarded {
        trusted: trusted(raw)?,
        secure_headers,
    })
}

pub fn odd_headers(raw: &Raw) -> Result<OddHeaders, Mistake> {
    let name = "forwarder-headers";
    let forwarder = match raw.is_given(name) {
        true => split_paths(raw.many(name))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect(),
        false => OddHeaders::default().forwarder,
    };
    Ok(OddHeaders {
        map: match choice(raw, "header-map")? {
            "refuse" => HeaderMap::Refuse,
            "dangerous" => HeaderMap::Dangerous,
            _ => HeaderMap::Drop,
        },
        forwarder,
    })
}

/// `None`: off.
pub fn proxy(raw: &Raw) -> Result<Option<Proxy>, Mistake> {
    let (version_1, version_2) = match choice(raw, "proxy-protocol")? {
        "v1" => (true, false),
        "v2" => (false, true),
        "auto" => (true, true),
        _ => return Ok(None),
    };
    Ok(Some(Proxy {
        version_1,
        version_2,
        trusted: networks(raw, "proxy-allow-from")?,
    }))
}

fn trusted(raw: &Raw) -> Result<Trusted, Mistake> {
    match flag(raw, "proxy-headers")? {
        true => networks(raw, "forwarded-allow-ips"),
        false => Ok(Trusted::Nobody),
    }
}

fn networks(raw: &Raw, name: &str) -> Result<Trusted, Mistake> {
    let default = [option(name).default.unwrap_or_default().to_owned()];
    let given = match raw.is_given(name) {
        true => raw.many(name),
        false => &default,
    };
    let mut networks = Vec::new();
    for text in split_paths(given).map(str::trim) {
        if text == "*" {
            return Ok(Trusted::Everybody);
        }
        networks.push(network(text).ok_or_else(|| {
            let why = format!("'{text}' is no address (10.0.0.7), network (10.0.0.0/8) or *");
            wrong(raw, name, &why)
        })?);
    }
    Ok(match networks.is_empty() {
        true => Trusted::Nobody,
        false => Trusted::Networks(networks),
    })
}

fn network(text: &str) -> Option<Network> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(Network { address, bits })
}

fn secure_header(raw: &Raw, text: &str) -> Result<(String, String), Mistake> {
    let name = "secure-scheme-headers";
    let (header, value) = super::pair(raw, name, text)?;
    let is_token = header
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_token {
        return Err(wrong(raw, name, &format!("'{header}' is no header name")));
    }
    Ok((header.to_ascii_lowercase(), value.to_owned()))
}
