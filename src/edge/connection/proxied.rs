//! The PROXY protocol before the first request of a connection.

use super::Connection;
use super::input::Input;
use super::output::Output;
use super::request::Step;
use proto::Reject;
use proto::proxy::{Parse, Versions, parse};

const FORBIDDEN: Reject = Reject::new(
    403,
    "a PROXY protocol header from somebody who is not to send one",
);

impl Connection {
    /// Takes in who the client is, if that is said; `None`: the requests may follow.
    #[cold]
    pub(super) fn name_client(&self, input: &mut Input, out: &mut Output) -> Option<Step> {
        let site = self.ring.site();
        let Some(config) = &site.proxy else {
            // It is looked for no more.
            self.peer.name(self.peer());
            return None;
        };
        let versions = Versions {
            one: config.version_1,
            two: config.version_2,
        };
        let own = self.peer();
        let bytes = input.bytes();
        let reject = match parse(bytes, versions) {
            Parse::Partial if bytes.is_empty() => return None,
            Parse::Partial => return Some(Step::Partial),
            Parse::Absent => {
                self.peer.name(own);
                return None;
            }
            Parse::Complete { .. } | Parse::Error(_)
                if !config.trusted.has(own.map(|own| own.ip())) =>
            {
                FORBIDDEN
            }
            Parse::Complete { len, source } => {
                self.peer.name(source.or(own));
                input.consume(len);
                return None;
            }
            Parse::Error(reject) => reject,
        };
        // What came is no request's line, and is not shown as one.
        Some(self.reject(b"", reject, out))
    }
}
