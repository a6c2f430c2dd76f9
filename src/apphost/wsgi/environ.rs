//! The environ: a copy of a template, with what differs from request to request put in (W2-W9).
//!
//! Owned per interpreter: the template, the keys (interned, so that the dictionary compares addresses) and the last values of what seldom changes,
//! which stand in the template and are put there anew only when they change. Header names find their key in a table that learns.

use super::response::decimal;
use crate::ffi::{Dict, Object, Python, Result};
use crate::names::{KEPT_BYTES_MAX, Names};
use shm::request::{Decoded, FLAG_HTTPS, Request};
use std::ffi::CStr;

/// What never changes while this worker lives.
pub struct Constants<'a> {
    pub errors: &'a Object,
    pub file_wrapper: &'a Object,
    pub early_hints: &'a Object,
    pub server_software: &'a str,
    /// What a server in front has cut off the path.
    pub root_path: &'a str,
    pub multithread: bool,
    pub worker: u16,
}

/// Keys that are set in an environ of its own.
struct Keys {
    method: Object,
    path_info: Object,
    query: Object,
    raw_uri: Object,
    request_uri: Object,
    protocol: Object,
    remote_port: Object,
    scheme: Object,
    https: Object,
    input: Object,
    queue_start: Object,
    content_length: Object,
}

/// A `str` made of bytes that are mostly the same as last time.
struct Cached {
    /// Stands before what is asked for.
    prefix: Vec<u8>,
    bytes: Vec<u8>,
    object: Object,
}

impl Cached {
    fn new(py: Python<'_>) -> Result<Cached> {
        Cached::behind(py, "")
    }

    fn behind(py: Python<'_>, prefix: &str) -> Result<Cached> {
        Ok(Cached {
            prefix: prefix.into(),
            bytes: Vec::new(),
            object: py.latin1(prefix.as_bytes())?,
        })
    }

    #[inline]
    fn get(&mut self, py: Python<'_>, bytes: &[u8]) -> Result<&Object> {
        if self.bytes != bytes {
            let object = self.make(py, bytes)?;
            self.keep(bytes, object);
        }
        Ok(&self.object)
    }

    fn make(&self, py: Python<'_>, bytes: &[u8]) -> Result<Object> {
        match self.prefix.is_empty() {
            true => py.latin1(bytes),
            false => py.latin1(&[&self.prefix, bytes].concat()),
        }
    }

    fn keep(&mut self, bytes: &[u8], object: Object) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.object = object;
    }
}

/// A value of the template that is mostly the same as last time.
///
/// Invariant: the template has `value.object` under `key`.
struct Standing {
    key: Object,
    value: Cached,
}

impl Standing {
    fn new(template: &Dict, key: Object, value: Cached) -> Result<Standing> {
        template.set(&key, &value.object)?;
        Ok(Standing { key, value })
    }

    #[inline]
    fn put(&mut self, py: Python<'_>, template: &Dict, bytes: &[u8]) -> Result<()> {
        if self.value.bytes != bytes {
            let object = self.value.make(py, bytes)?;
            template.set(&self.key, &object)?;
            self.value.keep(bytes, object);
        }
        Ok(())
    }
}

pub struct Environ {
    template: Dict,
    keys: Keys,
    methods: Vec<(&'static [u8], Object)>,
    /// Which of them stands in the template.
    method: usize,
    script_name: Standing,
    server_name: Standing,
    server_port: Standing,
    remote_addr: Standing,
    remote_port: Cached,
    http_10: Object,
    https: Object,
    on: Object,
    empty: Object,
    headers: Keyed,
}

impl Environ {
    pub fn new(py: Python<'_>, constants: &Constants<'_>) -> Result<Environ> {
        let keys = Keys {
            method: py.interned(c"REQUEST_METHOD")?,
            path_info: py.interned(c"PATH_INFO")?,
            query: py.interned(c"QUERY_STRING")?,
            raw_uri: py.interned(c"RAW_URI")?,
            request_uri: py.interned(c"REQUEST_URI")?,
            protocol: py.interned(c"SERVER_PROTOCOL")?,
            remote_port: py.interned(c"REMOTE_PORT")?,
            scheme: py.interned(c"wsgi.url_scheme")?,
            https: py.interned(c"HTTPS")?,
            input: py.interned(c"wsgi.input")?,
            queue_start: py.interned(c"ringgate.queue_start")?,
            content_length: py.interned(c"CONTENT_LENGTH")?,
        };
        let (http, http_11) = (py.interned(c"http")?, py.interned(c"HTTP/1.1")?);
        let template = Dict::new(py)?;
        let mut methods = Vec::new();
        for method in METHODS {
            methods.push((method.to_bytes(), py.interned(method)?));
        }
        // In the order in which people like to read a dump of it; every None is replaced for each request.
        let standing = |key, value| Standing::new(&template, key, value);
        template.set(&keys.method, &methods[0].1)?;
        let script_name = Cached::behind(py, constants.root_path)?;
        let script_name = standing(py.interned(c"SCRIPT_NAME")?, script_name)?;
        for key in [
            &keys.path_info,
            &keys.query,
            &keys.raw_uri,
            &keys.request_uri,
        ] {
            template.set(key, &py.none())?;
        }
        template.set(&keys.protocol, &http_11)?;
        let server_name = standing(py.interned(c"SERVER_NAME")?, Cached::new(py)?)?;
        let server_port = standing(py.interned(c"SERVER_PORT")?, Cached::new(py)?)?;
        let remote_addr = standing(py.interned(c"REMOTE_ADDR")?, Cached::new(py)?)?;
        template.set(
            &py.interned(c"SERVER_SOFTWARE")?,
            &py.text(constants.server_software)?,
        )?;
        template.set(
            &py.interned(c"GATEWAY_INTERFACE")?,
            &py.interned(c"CGI/1.1")?,
        )?;
        template.set(
            &py.interned(c"wsgi.version")?,
            &py.tuple(&[&py.integer(1)?, &py.integer(0)?])?,
        )?;
        template.set(&keys.scheme, &http)?;
        template.set(&keys.input, &py.none())?;
        template.set(&py.interned(c"wsgi.errors")?, constants.errors)?;
        template.set(
            &py.interned(c"wsgi.multithread")?,
            &py.boolean(constants.multithread),
        )?;
        // Another worker may call the application at the same time, and shares no Python state with this one: the same to the
        // application whether it is another process or another interpreter in this one.
        template.set(&py.interned(c"wsgi.multiprocess")?, &py.boolean(true))?;
        template.set(&py.interned(c"wsgi.run_once")?, &py.boolean(false))?;
        template.set(&py.interned(c"wsgi.input_terminated")?, &py.boolean(true))?;
        template.set(&py.interned(c"wsgi.file_wrapper")?, constants.file_wrapper)?;
        template.set(&py.interned(c"wsgi.early_hints")?, constants.early_hints)?;
        template.set(
            &py.interned(c"ringgate.worker")?,
            &py.integer(i64::from(constants.worker))?,
        )?;
        template.set(&keys.queue_start, &py.none())?;
        Ok(Environ {
            template,
            methods,
            method: 0,
            script_name,
            server_name,
            server_port,
            remote_addr,
            remote_port: Cached::new(py)?,
            http_10: py.interned(c"HTTP/1.0")?,
            https: py.interned(c"https")?,
            on: py.interned(c"on")?,
            empty: py.latin1(b"")?,
            headers: Keyed::new(py)?,
            keys,
        })
    }

    /// The environ of one request. `queued_ns` is when the edge queued it, on the monotonic clock.
    pub fn build(
        &mut self,
        py: Python<'_>,
        decoded: &Decoded<'_>,
        input: &Object,
        queued_ns: u64,
    ) -> Result<Dict> {
        let request = &decoded.request;
        let (script_name, path_info) = request.path.split_at(request.script_name_len);
        self.script_name.put(py, &self.template, script_name)?;
        self.put_addresses(py, request)?;
        let method = self.put_method(request.method)?;
        let environ = self.template.copy()?;
        let keys = &self.keys;
        if !method {
            environ.set(&keys.method, &py.latin1(request.method)?)?;
        }
        let path = py.latin1(path_info)?;
        environ.set(&keys.path_info, &path)?;
        let target = if request.target == path_info {
            path
        } else {
            py.latin1(request.target)?
        };
        environ.set(&keys.raw_uri, &target)?;
        environ.set(&keys.request_uri, &target)?;
        if request.query.is_empty() {
            environ.set(&keys.query, &self.empty)?;
        } else {
            environ.set(&keys.query, &py.latin1(request.query)?)?;
        }
        if request.remote_port != 0 {
            let mut digits = [0; 20];
            let port = decimal(u64::from(request.remote_port), &mut digits);
            environ.set(&keys.remote_port, self.remote_port.get(py, port)?)?;
        }
        if request.minor_version == 0 {
            environ.set(&keys.protocol, &self.http_10)?;
        }
        if request.flags & FLAG_HTTPS != 0 {
            environ.set(&keys.scheme, &self.https)?;
            environ.set(&keys.https, &self.on)?;
        }
        if let Some(length) = request.content_length {
            environ.set(
                &keys.content_length,
                &py.latin1(decimal(length, &mut [0; 20]))?,
            )?;
        }
        environ.set(&keys.input, input)?;
        environ.set(&keys.queue_start, &py.integer(queued_ns as i64)?)?;
        self.headers.begin();
        for (name, value) in decoded.headers {
            self.headers.put(py, &environ, name, value)?;
        }
        Ok(environ)
    }

    /// False: it is an unusual one, which does not go into the template.
    #[inline]
    fn put_method(&mut self, method: &[u8]) -> Result<bool> {
        if self.methods[self.method].0 == method {
            return Ok(true);
        }
        let Some(at) = self.methods.iter().position(|(known, _)| *known == method) else {
            return Ok(false);
        };
        self.template.set(&self.keys.method, &self.methods[at].1)?;
        self.method = at;
        Ok(true)
    }

    fn put_addresses(&mut self, py: Python<'_>, request: &Request<'_>) -> Result<()> {
        let template = &self.template;
        let name: &[u8] = if request.server_name.is_empty() {
            b"localhost"
        } else {
            request.server_name
        };
        self.server_name.put(py, template, name)?;
        // Never empty (W3): behind a unix socket, the scheme's own.
        let port = match (request.server_port, request.flags & FLAG_HTTPS != 0) {
            (0, true) => 443,
            (0, false) => 80,
            (port, _) => port,
        };
        let mut digits = [0; 20];
        let port = decimal(u64::from(port), &mut digits);
        self.server_port.put(py, template, port)?;
        self.remote_addr.put(py, template, request.remote_addr)
    }
}

const METHODS: [&CStr; 8] = [
    c"GET", c"POST", c"HEAD", c"PUT", c"PATCH", c"DELETE", c"OPTIONS", c"TRACE",
];

/// What to do with a header of a certain name.
struct Entry {
    /// As it first came; other spellings share the entry, so that repeated headers meet whatever their case.
    name: Box<[u8]>,
    /// `None`: not for the environ.
    key: Option<Object>,
    /// The last value, where values are kept.
    kept: Option<Cached>,
    /// Between values of the same name.
    separator: &'static [u8],
    /// The request that had it last.
    seen: u64,
}

/// Header names and their environ keys.
struct Keyed {
    names: Names<Entry>,
    request: u64,
}

impl Keyed {
    fn new(py: Python<'_>) -> Result<Keyed> {
        let names = Names::new(|name| {
            Ok(Entry {
                kept: Some(Cached::new(py)?),
                ..Entry::new(py, name)?
            })
        })?;
        Ok(Keyed { names, request: 0 })
    }

    fn begin(&mut self) {
        self.request += 1;
    }

    #[inline]
    fn put(&mut self, py: Python<'_>, environ: &Dict, name: &[u8], value: &[u8]) -> Result<()> {
        let request = self.request;
        let known = |entry: &Entry| entry.name.eq_ignore_ascii_case(name);
        let Some(entry) = self.names.find(name, known, || Entry::new(py, name))? else {
            let mut entry = Entry::new(py, name)?;
            return match entry
                .key
                .as_ref()
                .map(|key| environ.get(key))
                .transpose()?
                .flatten()
            {
                Some(first) => entry.join(py, environ, &first, value),
                None => entry.set(py, environ, value),
            };
        };
        if entry.seen == request
            && let Some(key) = &entry.key
            && let Some(first) = environ.get(key)?
        {
            return entry.join(py, environ, &first, value);
        }
        entry.seen = request;
        entry.set(py, environ, value)
    }
}

impl Entry {
    fn new(py: Python<'_>, name: &[u8]) -> Result<Entry> {
        let key = match key_of(name) {
            Some(key) => Some(py.latin1(&key)?),
            None => None,
        };
        let separator: &[u8] = if name.eq_ignore_ascii_case(b"cookie") {
            b"; "
        } else {
            b","
        };
        Ok(Entry {
            name: name.into(),
            key,
            kept: None,
            separator,
            seen: 0,
        })
    }

    #[inline]
    fn set(&mut self, py: Python<'_>, environ: &Dict, value: &[u8]) -> Result<()> {
        let Some(key) = &self.key else { return Ok(()) };
        match &mut self.kept {
            Some(kept) if value.len() <= KEPT_BYTES_MAX => environ.set(key, kept.get(py, value)?),
            _ => environ.set(key, &py.latin1(value)?),
        }
    }

    #[cold]
    fn join(&mut self, py: Python<'_>, environ: &Dict, first: &Object, value: &[u8]) -> Result<()> {
        let Some(key) = &self.key else { return Ok(()) };
        let joined = [first.latin1()?.bytes(), self.separator, value].concat();
        environ.set(key, &py.latin1(&joined)?)
    }
}

/// `content-type` is CONTENT_TYPE, `x-forwarded-for` is HTTP_X_FORWARDED_FOR. None for what does not become a variable: Proxy (httpoxy), and
/// what the server has dealt with. Names with an underscore, which pass for those with a hyphen, come here only by the operator's word.
fn key_of(name: &[u8]) -> Option<Vec<u8>> {
    const DROPPED: [&[u8]; 4] = [b"proxy", b"content-length", b"transfer-encoding", b"expect"];
    if DROPPED
        .iter()
        .any(|dropped| dropped.eq_ignore_ascii_case(name))
    {
        return None;
    }
    let upper = name.iter().map(|byte| {
        if *byte == b'-' {
            b'_'
        } else {
            byte.to_ascii_uppercase()
        }
    });
    if name.eq_ignore_ascii_case(b"content-type") {
        return Some(upper.collect());
    }
    Some(b"HTTP_".iter().copied().chain(upper).collect())
}
