//! Which handler answers a path: the longest prefix among static mounts and apps, at a segment boundary.
//!
//! Pure; built once from the configuration. A static mount wins over an app of the same prefix. Paths come in normalised
//! and percent-decoded; this file must not know how.

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Index into `config.statics`.
    Static(usize),
    /// Likewise, but clients get 404: only an app's `X-Accel-Redirect` leads there.
    Internal(usize),
    /// Index into `config.apps`.
    App(usize),
}

/// A handler and the length of the prefix that chose it: `path[prefix..]` is what is left, "" or starting with '/'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub handler: Handler,
    pub prefix: usize,
}

/// Every prefix, longest first; at equal length statics before apps.
#[derive(Debug)]
pub struct Routes {
    entries: Box<[(Box<[u8]>, Handler)]>,
}

impl Routes {
    pub fn new(config: &config::Config) -> Routes {
        let statics = config.statics.iter().enumerate().map(|(i, s)| {
            let handler = if s.options.internal {
                Handler::Internal(i)
            } else {
                Handler::Static(i)
            };
            (s.url.as_bytes().into(), handler)
        });
        let apps = config
            .apps
            .iter()
            .enumerate()
            .map(|(i, a)| (a.mount.as_bytes().into(), Handler::App(i)));
        let mut entries: Vec<(Box<[u8]>, Handler)> = statics.chain(apps).collect();
        // Stable: statics stay in front of apps.
        entries.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Routes {
            entries: entries.into(),
        }
    }

    /// A linear scan: sites have a handful of mounts, and the first bytes tell most of them apart.
    pub fn find(&self, path: &[u8]) -> Option<Route> {
        self.entries
            .iter()
            .find(|(prefix, _)| {
                path.strip_prefix(&**prefix)
                    .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            })
            .map(|(prefix, handler)| Route {
                handler: *handler,
                prefix: prefix.len(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(statics: &[&str], apps: &[&str]) -> Routes {
        let mut config = config::Config::bare();
        config.statics = statics
            .iter()
            .map(|url| config::StaticMount::new(*url, "/srv"))
            .collect();
        config.apps = apps
            .iter()
            .map(|mount| config::App {
                name: (*mount).into(),
                mount: (*mount).into(),
                target: "m:a".into(),
                options: config::AppOptions::default(),
            })
            .collect();
        Routes::new(&config)
    }

    fn found(routes: &Routes, path: &str) -> Option<(Handler, usize)> {
        routes
            .find(path.as_bytes())
            .map(|route| (route.handler, route.prefix))
    }

    #[test]
    fn the_longest_prefix_wins() {
        let routes = routes(&["/static", "/api/docs"], &["", "/api"]);
        assert_eq!(found(&routes, "/"), Some((Handler::App(0), 0)));
        assert_eq!(
            found(&routes, "/static/a.css"),
            Some((Handler::Static(0), 7))
        );
        assert_eq!(found(&routes, "/api/users"), Some((Handler::App(1), 4)));
        assert_eq!(found(&routes, "/api/docs"), Some((Handler::Static(1), 9)));
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let routes = routes(&["/static"], &["/api"]);
        assert_eq!(found(&routes, "/staticky"), None);
        assert_eq!(found(&routes, "/api2"), None);
        assert_eq!(found(&routes, "/api"), Some((Handler::App(0), 4)));
    }

    #[test]
    fn static_wins_a_tie() {
        let routes = routes(&["/x", ""], &["", "/x"]);
        assert_eq!(found(&routes, "/x/y"), Some((Handler::Static(0), 2)));
        assert_eq!(found(&routes, "/y"), Some((Handler::Static(1), 0)));
    }

    #[test]
    fn an_internal_location_hides_what_is_below_it() {
        let mut config = config::Config::bare();
        config.statics = vec![
            config::StaticMount::new("", "/srv"),
            config::StaticMount::new("/in", "/srv"),
        ];
        config.statics[1].options.internal = true;
        let routes = Routes::new(&config);
        assert_eq!(found(&routes, "/in/x"), Some((Handler::Internal(1), 3)));
        assert_eq!(found(&routes, "/inner"), Some((Handler::Static(0), 0)));
    }

    #[test]
    fn nothing_matches_nothing() {
        assert_eq!(found(&routes(&[], &["/a"]), "*"), None);
    }
}
