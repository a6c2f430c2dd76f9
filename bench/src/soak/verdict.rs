//! What the samples of a soak say: what was not given back, and what grew while it should not. Pure.

use super::sample::{ROLES, Sample};

/// A load shorter than this does not tell growth from filling: caches and pools take a minute of it.
const JUDGED_S: f64 = 120.0;
/// Private memory may grow by so much while the same load goes on, be it how allocators are: the fitted line's rise over the second half
/// of the load has to exceed both to count, the first for the short runs, the second for the long ones.
const RISE_BYTES_MAX: f64 = 1_048_576.0;
const BYTES_PER_REQUEST_MAX: f64 = 16.0;

/// What belongs to seats of workers; the kinds of descriptors that each seat brings, for good, when it is first used.
const OF_SEATS: [&str; 2] = ["socket", "anon_inode:[eventfd]"];

/// What is still held at rest, beyond what was at the beginning. Of the descriptors `OF_SEATS` `spare` more are none too many: generations side by
/// side use further seats. Files are closed 60 to 90 s after they were last asked for.
pub fn unreturned(before: &Sample, now: &Sample, spare: usize) -> Vec<String> {
    let mut held = Vec::new();
    let mut count = |what: String, now: u64, before: u64| {
        if now > before {
            held.push(format!("{what}: {now}, {before} at the beginning"));
        }
    };
    count("connections".to_owned(), now.connections, 0);
    count("zombies".to_owned(), now.zombies as u64, 0);
    for app in &now.apps {
        let name = &app.name;
        count(format!("{name}: requests in flight"), app.in_flight, 0);
        count(format!("{name}: requests queued"), app.queue_length, 0);
        count(format!("{name}: WebSockets"), app.websockets, 0);
        count(format!("{name}: running in workers"), app.running, 0);
    }
    for (role, (now, before)) in ROLES.iter().zip(now.holdings.iter().zip(&before.holdings)) {
        count(
            format!("{role}: processes"),
            now.processes as u64,
            before.processes as u64,
        );
        for (kind, &number) in &now.descriptors {
            let earlier = before.descriptors.get(kind).copied().unwrap_or(0);
            if OF_SEATS.contains(&kind.as_str()) && number <= earlier + spare {
                continue;
            }
            count(
                format!("{role}: descriptors, {kind}"),
                number as u64,
                earlier as u64,
            );
        }
    }
    held
}

/// How the private memory of a role went while the load was on: the line through the second half of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    pub bytes_per_minute: f64,
    pub bytes_per_request: f64,
    /// Over the time that was looked at.
    pub rise_bytes: f64,
    pub seconds: f64,
}

impl Slope {
    pub fn of(samples: &[Sample], role: usize) -> Option<Slope> {
        let half = &samples[samples.len() / 2..];
        let (first, last) = (half.first()?, half.last()?);
        let points = half
            .iter()
            .map(|sample| (sample.at_s, sample.holdings[role].private_bytes as f64));
        let bytes_per_second = incline(points)?;
        let seconds = last.at_s - first.at_s;
        let requests = last.requests.saturating_sub(first.requests).max(1) as f64;
        Some(Slope {
            bytes_per_minute: bytes_per_second * 60.0,
            bytes_per_request: bytes_per_second * seconds / requests,
            rise_bytes: bytes_per_second * seconds,
            seconds,
        })
    }

    pub fn is_growth(&self) -> bool {
        // The second half was looked at.
        2.0 * self.seconds >= JUDGED_S
            && self.rise_bytes > RISE_BYTES_MAX
            && self.bytes_per_request > BYTES_PER_REQUEST_MAX
    }
}

/// Least squares; none for points that stand above each other.
fn incline(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<f64> {
    let count = points.clone().count() as f64;
    let (sum_x, sum_y) = points
        .clone()
        .fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (over, under) = points.fold((0.0, 0.0), |(over, under), (x, y)| {
        let dx = x - mean_x;
        (over + dx * (y - mean_y), under + dx * dx)
    });
    (under > 0.0).then(|| over / under)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{App, Holding};
    use super::*;

    /// One sample a second, a thousand requests in each; the edge's memory as given.
    fn samples(edge_bytes: impl Iterator<Item = u64>) -> Vec<Sample> {
        edge_bytes
            .enumerate()
            .map(|(second, private_bytes)| {
                let mut sample = Sample {
                    at_s: second as f64,
                    requests: second as u64 * 1000,
                    ..Sample::default()
                };
                sample.holdings[1].private_bytes = private_bytes;
                sample
            })
            .collect()
    }

    #[test]
    fn what_rises_steadily_grows_and_what_levels_off_does_not() {
        let leaking = samples((0..200).map(|second| second * 20_000));
        let slope = Slope::of(&leaking, 1).expect("there are samples");
        assert_eq!(slope.bytes_per_request.round(), 20.0);
        assert!(slope.is_growth());
        let filling = samples((0..200).map(|second| second.min(90) * 1_000_000));
        assert!(!Slope::of(&filling, 1).expect("as above").is_growth());
        assert!(!Slope::of(&leaking, 0).expect("as above").is_growth());
        assert_eq!(Slope::of(&leaking[..1], 1), None);
        let short = Slope::of(&leaking[..100], 1).expect("as above");
        assert!(!short.is_growth(), "it may be filling");
    }

    #[test]
    fn what_is_not_given_back_is_named() {
        let mut before = Sample::default();
        before.holdings[1] = Holding {
            descriptors: [("socket".to_owned(), 9)].into(),
            ..Holding::default()
        };
        let mut now = before.clone();
        assert_eq!(unreturned(&before, &now, 0), Vec::<String>::new());
        now.holdings[1].descriptors.insert("socket".to_owned(), 10);
        now.apps.push(App {
            name: "shop".to_owned(),
            websockets: 2,
            ..App::default()
        });
        assert_eq!(
            unreturned(&before, &now, 0),
            [
                "shop: WebSockets: 2, 0 at the beginning",
                "edge: descriptors, socket: 10, 9 at the beginning"
            ]
        );
        now.apps.clear();
        assert_eq!(unreturned(&before, &now, 1), Vec::<String>::new());
    }
}
