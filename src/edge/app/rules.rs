//! What applies to a request of one app by its path: its time, the bounds it counts against, its precedence. Pure; built anew with each configuration.

use crate::ring::nanoseconds;
use config::AppOptions;

/// One part of an app's paths, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Time to begin the answer, from when a worker takes it; waiting for one may take as long. `u64::MAX`: for ever.
    pub request_ns: u64,
    /// Never refused for want of room, and before all others.
    pub health: bool,
    /// The bounds it counts against, in the order in which it meets them: places in the app's `Gates`.
    pub gates: [Option<usize>; 2],
}

/// The rules of an app.
#[derive(Debug)]
pub struct Rules {
    usual: Rule,
    /// Longest prefix first, without a slash at the end.
    routes: Box<[(Box<[u8]>, Rule)]>,
}

impl Rules {
    pub fn new(options: &AppOptions) -> Rules {
        let whole = (options.concurrency > 0).then_some(0);
        let usual = Rule {
            request_ns: nanoseconds(options.timeout_ms),
            health: false,
            gates: [whole, None],
        };
        let mut routes: Vec<(Box<[u8]>, Rule)> = options
            .routes
            .iter()
            .enumerate()
            .map(|(index, route)| {
                let own = (route.concurrency > 0).then_some(index + 1);
                let rule = Rule {
                    request_ns: route.timeout_ms.map_or(usual.request_ns, nanoseconds),
                    health: route.health,
                    // A health check is to tell whether the app answers, not whether it is busy.
                    gates: [own, whole.filter(|_| !route.health)],
                };
                (route.path.trim_end_matches('/').as_bytes().into(), rule)
            })
            .collect();
        routes.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Rules {
            usual,
            routes: routes.into(),
        }
    }

    /// The rule of the longest prefix of `path` (whole, percent-decoded, normalised) that ends at a segment.
    #[inline]
    pub fn find(&self, path: &[u8]) -> Rule {
        self.routes
            .iter()
            .find(|(prefix, _)| {
                path.strip_prefix(&**prefix)
                    .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            })
            .map_or(self.usual, |(_, rule)| *rule)
    }

    /// Whether some slots are to be kept for health checks.
    pub fn has_health(&self) -> bool {
        self.routes.iter().any(|(_, rule)| rule.health)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Route;

    fn route(path: &str) -> Route {
        Route {
            path: path.into(),
            timeout_ms: None,
            concurrency: 0,
            health: false,
        }
    }

    #[test]
    fn the_longest_prefix_that_ends_at_a_segment_decides() {
        let options = AppOptions {
            timeout_ms: 1,
            routes: vec![
                Route {
                    timeout_ms: Some(2),
                    ..route("/api")
                },
                Route {
                    timeout_ms: Some(0),
                    ..route("/api/reports/")
                },
            ],
            ..AppOptions::default()
        };
        let rules = Rules::new(&options);
        let ms = |path: &str| rules.find(path.as_bytes()).request_ns;
        assert_eq!(
            (ms("/"), ms("/apis"), ms("*")),
            (1_000_000, 1_000_000, 1_000_000)
        );
        assert_eq!((ms("/api"), ms("/api/x")), (2_000_000, 2_000_000));
        assert_eq!(
            (ms("/api/reports"), ms("/api/reports/3")),
            (u64::MAX, u64::MAX)
        );
    }

    #[test]
    fn a_request_counts_against_its_route_and_its_app_and_a_health_check_against_its_route_alone() {
        let options = AppOptions {
            concurrency: 9,
            routes: vec![
                Route {
                    concurrency: 2,
                    ..route("/slow")
                },
                Route {
                    health: true,
                    ..route("/health")
                },
                Route {
                    health: true,
                    concurrency: 1,
                    ..route("/deep")
                },
            ],
            ..AppOptions::default()
        };
        let rules = Rules::new(&options);
        let gates = |path: &str| rules.find(path.as_bytes()).gates;
        assert_eq!(gates("/"), [Some(0), None]);
        assert_eq!(gates("/slow"), [Some(1), Some(0)]);
        assert_eq!(gates("/health"), [None, None]);
        assert_eq!(gates("/deep"), [Some(3), None]);
        assert!(rules.has_health() && rules.find(b"/health").health);
        assert!(!Rules::new(&AppOptions::default()).has_health());
    }
}
