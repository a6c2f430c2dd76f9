//! The scope: a copy of a template, with what differs from request to request put in (A1, A8, A22, A28).
//!
//! Owned per worker: templates, keys (interned, so that the dictionary compares addresses), and the last values of what seldom changes.

use super::pairs::Pairs;
use super::wire::subprotocols;
use crate::ffi::{Dict, Object, Python, Result};
use shm::request::{Decoded, FLAG_HTTPS, FLAG_TE_TRAILERS, FLAG_WEBSOCKET, Request};
use std::ffi::CStr;

/// The version of the HTTP and WebSocket specification that we follow (asgiref, specs/www.rst).
const SPEC_VERSION: &CStr = c"2.5";

struct Keys {
    asgi: Object,
    http_version: Object,
    method: Object,
    scheme: Object,
    path: Object,
    raw_path: Object,
    query_string: Object,
    root_path: Object,
    headers: Object,
    client: Object,
    server: Object,
    state: Object,
    subprotocols: Object,
    extensions: Object,
    queue_start: Object,
}

/// A pair like `client`, as long as it stays the same.
struct Address {
    name: Vec<u8>,
    port: u16,
    pair: Object,
    /// What stands for a port where there is none: a client's is a number in any case (0, as uvicorn has it), a server's may be None.
    portless: Object,
}

pub struct Scopes {
    http: Dict,
    websocket: Dict,
    keys: Keys,
    asgi: Dict,
    http_extensions: Dict,
    /// For clients that take trailers.
    trailer_extensions: Dict,
    websocket_extensions: Dict,
    methods: Vec<(&'static [u8], Object)>,
    /// In front of the mount.
    root_path: Vec<u8>,
    /// The whole of it, as last seen.
    whole_root: (Vec<u8>, Object),
    pairs: Pairs,
    client: Address,
    server: Address,
    empty: Object,
    version_10: Object,
    https: Object,
    wss: Object,
    /// What the lifespan left for requests.
    state: Object,
}

impl Scopes {
    pub fn new(py: Python<'_>, root_path: &str, state: &Object) -> Result<Scopes> {
        let keys = Keys {
            asgi: py.interned(c"asgi")?,
            http_version: py.interned(c"http_version")?,
            method: py.interned(c"method")?,
            scheme: py.interned(c"scheme")?,
            path: py.interned(c"path")?,
            raw_path: py.interned(c"raw_path")?,
            query_string: py.interned(c"query_string")?,
            root_path: py.interned(c"root_path")?,
            headers: py.interned(c"headers")?,
            client: py.interned(c"client")?,
            server: py.interned(c"server")?,
            state: py.interned(c"state")?,
            subprotocols: py.interned(c"subprotocols")?,
            extensions: py.interned(c"extensions")?,
            queue_start: py.interned(c"ringgate.queue_start")?,
        };
        let asgi = Dict::new(py)?;
        asgi.set(&py.interned(c"version")?, &py.interned(c"3.0")?)?;
        asgi.set(&py.interned(c"spec_version")?, &py.interned(SPEC_VERSION)?)?;
        let extensions = |names: &[&CStr]| -> Result<Dict> {
            let extensions = Dict::new(py)?;
            for name in names {
                extensions.set(&py.interned(name)?, &Dict::new(py)?.into_object())?;
            }
            Ok(extensions)
        };
        const HTTP: [&CStr; 4] = [
            c"http.response.pathsend",
            c"http.response.zerocopysend",
            c"http.response.early_hint",
            c"http.response.trailers",
        ];
        let mut methods = Vec::new();
        for method in METHODS {
            methods.push((method.to_bytes(), py.interned(method)?));
        }
        let address = |portless: Object| Address {
            name: Vec::new(),
            port: 0,
            pair: py.none(),
            portless,
        };
        Ok(Scopes {
            http: template(py, &keys, c"http", c"http", true)?,
            websocket: template(py, &keys, c"websocket", c"ws", false)?,
            asgi,
            http_extensions: extensions(&HTTP[..3])?,
            trailer_extensions: extensions(&HTTP)?,
            websocket_extensions: extensions(&[c"websocket.http.response"])?,
            methods,
            root_path: root_path.trim_end_matches('/').into(),
            whole_root: (Vec::new(), py.utf8(b"")?),
            pairs: Pairs::new(py)?,
            client: address(py.integer(0)?),
            server: address(py.none()),
            empty: py.bytes(b"")?,
            version_10: py.interned(c"1.0")?,
            https: py.interned(c"https")?,
            wss: py.interned(c"wss")?,
            state: state.clone(),
            keys,
        })
    }

    /// The scope of one request. `queued_ns` is when the edge queued it, on the monotonic clock.
    pub fn build(
        &mut self,
        py: Python<'_>,
        decoded: &Decoded<'_>,
        queued_ns: u64,
    ) -> Result<Object> {
        let request = &decoded.request;
        let websocket = request.flags & FLAG_WEBSOCKET != 0;
        let scope = if websocket {
            self.websocket.copy()?
        } else {
            self.http.copy()?
        };
        scope.set(&self.keys.asgi, self.asgi.copy()?.object())?;
        if request.minor_version == 0 {
            scope.set(&self.keys.http_version, &self.version_10)?;
        }
        if request.flags & FLAG_HTTPS != 0 {
            let scheme = if websocket { &self.wss } else { &self.https };
            scope.set(&self.keys.scheme, scheme)?;
        }
        self.set_target(py, &scope, request)?;
        let headers = py.list()?;
        for (name, value) in decoded.headers {
            headers.append(&self.pairs.pair(py, name, value)?)?;
        }
        let keys = &self.keys;
        scope.set(&keys.headers, &headers)?;
        scope.set(
            &keys.client,
            self.client
                .get(py, request.remote_addr, request.remote_port)?,
        )?;
        scope.set(
            &keys.server,
            self.server
                .get(py, request.server_name, request.server_port)?,
        )?;
        if let Some(state) = self.state.as_dict() {
            scope.set(&keys.state, state.copy()?.object())?;
        }
        scope.set(&keys.queue_start, &py.integer(queued_ns as i64)?)?;
        let extensions = if websocket {
            let list = py.list()?;
            for offered in subprotocols(decoded) {
                list.append(&py.latin1(offered)?)?;
            }
            scope.set(&keys.subprotocols, &list)?;
            &self.websocket_extensions
        } else {
            self.set_method(py, &scope, request)?;
            if request.flags & FLAG_TE_TRAILERS != 0 {
                &self.trailer_extensions
            } else {
                &self.http_extensions
            }
        };
        scope.set(&self.keys.extensions, extensions.copy()?.object())?;
        Ok(scope.into_object())
    }

    fn set_method(&self, py: Python<'_>, scope: &Dict, request: &Request<'_>) -> Result<()> {
        let known = self
            .methods
            .iter()
            .find(|(known, _)| *known == request.method);
        match known {
            Some((_, method)) => scope.set(&self.keys.method, method),
            None => scope.set(
                &self.keys.method,
                &py.latin1(&request.method.to_ascii_uppercase())?,
            ),
        }
    }

    /// `path` is decoded and holds `root_path`; `raw_path` is what the client sent.
    fn set_target(&mut self, py: Python<'_>, scope: &Dict, request: &Request<'_>) -> Result<()> {
        let keys = &self.keys;
        let mount = &request.path[..request.script_name_len];
        let (known, root) = &mut self.whole_root;
        if known.len() != self.root_path.len() + mount.len() || !known.ends_with(mount) {
            *known = [&self.root_path, mount].concat();
            *root = py.utf8(known)?;
        }
        scope.set(&keys.root_path, root)?;
        if self.root_path.is_empty() {
            scope.set(&keys.path, &py.utf8(request.path)?)?;
        } else {
            let path = [&self.root_path, request.path].concat();
            scope.set(&keys.path, &py.utf8(&path)?)?;
        }
        scope.set(&keys.raw_path, &py.bytes(raw_path(request.target))?)?;
        if request.query.is_empty() {
            scope.set(&keys.query_string, &self.empty)
        } else {
            scope.set(&keys.query_string, &py.bytes(request.query)?)
        }
    }
}

/// Everything that every request has; each None is replaced.
fn template(py: Python<'_>, keys: &Keys, kind: &CStr, scheme: &CStr, method: bool) -> Result<Dict> {
    let template = Dict::new(py)?;
    template.set(&py.interned(c"type")?, &py.interned(kind)?)?;
    template.set(&keys.asgi, &py.none())?;
    template.set(&keys.http_version, &py.interned(c"1.1")?)?;
    if method {
        template.set(&keys.method, &py.none())?;
    }
    template.set(&keys.scheme, &py.interned(scheme)?)?;
    let later = [
        &keys.path,
        &keys.raw_path,
        &keys.query_string,
        &keys.root_path,
        &keys.headers,
        &keys.client,
        &keys.server,
        &keys.extensions,
    ];
    for key in later {
        template.set(key, &py.none())?;
    }
    Ok(template)
}

impl Address {
    /// `(name, port)`; without a name None.
    #[inline]
    fn get(&mut self, py: Python<'_>, name: &[u8], port: u16) -> Result<&Object> {
        if self.name != name || self.port != port {
            self.pair = match (name.is_empty(), port) {
                (true, _) => py.none(),
                (false, 0) => py.tuple(&[&py.utf8(name)?, &self.portless])?,
                (false, port) => py.tuple(&[&py.utf8(name)?, &py.integer(i64::from(port))?])?,
            };
            self.name = name.to_vec();
            self.port = port;
        }
        Ok(&self.pair)
    }
}

/// The target up to its query; of an absolute one what follows the authority.
fn raw_path(target: &[u8]) -> &[u8] {
    let path = match target.first() {
        Some(b'/') => target,
        _ => match memchr::memmem::find(target, b"://") {
            Some(at) => {
                let rest = &target[at + 3..];
                memchr::memchr2(b'/', b'?', rest).map_or(&b""[..], |slash| &rest[slash..])
            }
            None => target,
        },
    };
    &path[..memchr::memchr(b'?', path).unwrap_or(path.len())]
}

const METHODS: [&CStr; 8] = [
    c"GET", c"POST", c"HEAD", c"PUT", c"PATCH", c"DELETE", c"OPTIONS", c"TRACE",
];
