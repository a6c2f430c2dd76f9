//! The statsd and the syslog that are told, if any is.

use super::{flag, wrong};
use crate::Mistake;
use crate::model::App;
use crate::options::option;
use crate::raw::Raw;
use crate::remote::{self, Statsd, Syslog};

pub fn statsd(raw: &Raw) -> Result<Option<Statsd>, Mistake> {
    let name = "statsd-host";
    let Some(host) = raw.one(name).filter(|host| !host.is_empty()) else {
        return Ok(None);
    };
    let prefix = plain(raw, "statsd-prefix")?.trim_end_matches('.');
    Ok(Some(Statsd {
        to: remote::statsd(host).map_err(|why| wrong(raw, name, &why))?,
        prefix: match prefix {
            "" => String::new(),
            prefix => format!("{prefix}."),
        },
        tags: plain(raw, "dogstatsd-tags")?.to_owned(),
        backlog: flag(raw, "enable-backlog-metric")?,
    }))
}

/// Called after the first application where no other name is given.
pub fn syslog(raw: &Raw, apps: &[App]) -> Result<Option<Syslog>, Mistake> {
    if !flag(raw, "log-syslog")? {
        return Ok(None);
    }
    let (to, facility) = ("log-syslog-to", "log-syslog-facility");
    let text = |name: &str| raw.one(name).or(option(name).default).unwrap_or_default();
    let first = apps.first().map(|app| app.target.as_str());
    let prefix = match (plain(raw, "log-syslog-prefix")?, &raw.proc_name) {
        ("", Some(name)) => one_word(name),
        ("", None) => one_word(first.unwrap_or("ringgate")),
        (given, _) => given.to_owned(),
    };
    Ok(Some(Syslog {
        to: remote::syslog(text(to)).map_err(|why| wrong(raw, to, &why))?,
        prefix: prefix.trim_end_matches('.').to_owned(),
        facility: remote::facility(text(facility)).map_err(|why| wrong(raw, facility, &why))?,
        access: !flag(raw, "disable-redirect-access-to-syslog")?,
    }))
}

/// As gunicorn makes a name of `shop.wsgi:application`, and of whatever else would end it.
fn one_word(name: &str) -> String {
    let ends = |letter: char| !letter.is_ascii_graphic() || ":()[]".contains(letter);
    name.replace(ends, ".")
}

/// What stands in a datagram as it is, where a space or a line's end would begin something else.
fn plain<'r>(raw: &'r Raw, name: &str) -> Result<&'r str, Mistake> {
    let text = raw.one(name).unwrap_or_default();
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text),
        false => Err(wrong(
            raw,
            name,
            "only printable ASCII without spaces may stand there",
        )),
    }
}
