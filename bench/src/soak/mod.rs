//! What leaks, wedges or degrades when ringgate runs for long: a mixed load with every kind of bad client, then rest, then reloads.
//!
//! Under the load memory must level off. At rest everything must be given back: requests, WebSockets, connections, descriptors. Of reloads the
//! cost of each is told. Signals only the ringgate that it started itself.

mod connection;
mod random;
mod sample;
mod verdict;
mod visits;

use crate::process::Group;
use crate::stacks::Tools;
use random::Random;
use sample::{ROLES, Sample};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use verdict::Slope;
use visits::{FILES, Guest, VISITS};

/// Samples of a load, about.
const SAMPLES: f64 = 60.0;
/// How long it may take until everything is given back: files that nobody asks for are closed after 60 to 90 s.
const REST_LIMIT: Duration = Duration::from_secs(120);
/// Of the reloads, the first fill what is then used again.
const RELOADS_FIRST: usize = 5;
/// Of seats that generations side by side have used: two apps, at most four seats more of each, two descriptors of a kind for each.
const SPARE_DESCRIPTORS: usize = 16;
const KINDS: [&str; 2] = ["interpreters", "processes"];
const LARGE_BYTES: usize = 4 << 20;
const KIB: f64 = 1024.0;

pub struct Plan {
    /// Of load, for each kind of workers.
    pub seconds: u64,
    pub clients: usize,
    pub reloads: usize,
    pub seed: u64,
    pub only: Option<String>,
    /// Names; none given: all of them.
    pub visits: Vec<String>,
}

impl Plan {
    fn visits(&self) -> Result<Vec<&'static visits::Kind>, String> {
        let names = || VISITS.iter().map(|(name, _, _)| *name);
        if let Some(unknown) = self
            .visits
            .iter()
            .find(|name| names().all(|known| known != **name))
        {
            return Err(format!(
                "there is no visit {unknown:?}, but: {}",
                names().collect::<Vec<_>>().join(" ")
            ));
        }
        let wanted =
            |name: &str| self.visits.is_empty() || self.visits.iter().any(|visit| visit == name);
        Ok(VISITS.iter().filter(|(name, _, _)| wanted(name)).collect())
    }
}

pub fn run(tools: &Tools, plan: &Plan, scratch: &Path) -> Result<String, String> {
    let mut text = String::new();
    let mut faults = Vec::new();
    let kinds = KINDS
        .iter()
        .filter(|kind| plan.only.as_deref().is_none_or(|only| only == **kind));
    for kind in kinds {
        let mut soak = Soak::start(tools, kind, scratch)?;
        let outcome = soak.live(plan);
        soak.group.stop();
        let (part, found) = outcome?;
        text.push_str(&part);
        faults.extend(found.into_iter().map(|fault| format!("{kind}: {fault}")));
    }
    if faults.is_empty() {
        text.push_str("sound: nothing grew, everything was given back\n");
        return Ok(text);
    }
    Err(format!("not sound\n{text}{}\n", faults.join("\n")))
}

struct Soak<'a> {
    tools: &'a Tools,
    kind: &'static str,
    group: Group,
    port: u16,
    control: PathBuf,
    files: PathBuf,
    begun: Instant,
}

impl<'a> Soak<'a> {
    fn start(tools: &'a Tools, kind: &'static str, scratch: &Path) -> Result<Soak<'a>, String> {
        let port = crate::cases::free_port()?;
        let control = scratch.join("control.sock");
        let files = scratch.join("soak-files");
        let configuration = scratch.join("soak.toml");
        make_files(&files)
            .and_then(|()| {
                fs::write(
                    &configuration,
                    configure(tools, kind, port, &control, &files, scratch),
                )
            })
            .map_err(|error| format!("{}: {error}", scratch.display()))?;
        let argv = [
            tools.ringgate.as_path(),
            Path::new("--config"),
            &configuration,
        ]
        .map(|word| word.display().to_string());
        let env = [(
            "SOAK_FILE".to_owned(),
            files.join("large").display().to_string(),
        )];
        let log = scratch.join("soak.log");
        let mut group =
            Group::start(&argv, &[0, 1], scratch, &env, &log).map_err(|error| error.to_string())?;
        if let Err(message) = group.wait_for_port(port) {
            group.stop();
            return Err(message);
        }
        Ok(Soak {
            tools,
            kind,
            group,
            port,
            control,
            files,
            begun: Instant::now(),
        })
    }

    /// The report, and what is wrong.
    fn live(&mut self, plan: &Plan) -> Result<(String, Vec<String>), String> {
        // The edge listens before the apps are up.
        self.ask()?;
        let before = self.sample()?;
        let load = self.load(plan)?;
        let (rested, mut faults) = self.rest(&before, 0)?;
        let reloaded = self.reload(plan.reloads)?;
        let (_, held) = self.rest(&before, SPARE_DESCRIPTORS)?;
        faults.extend(
            held.into_iter()
                .map(|what| format!("after reloads: {what}")),
        );
        let mut text = self.table(&before, &load, &rested, &mut faults);
        text.push_str(&reloaded);
        let asked = Instant::now();
        self.ask()?;
        writeln!(
            text,
            "  a fresh request of each app is answered in {:.1} ms",
            asked.elapsed().as_secs_f64() * 1000.0
        )
        .expect("a String takes everything");
        Ok((text, faults))
    }

    fn ask(&self) -> Result<(), String> {
        let mut guest = self.guest(0, 1);
        visits::ask_both(&mut guest)
            .map_err(|error| format!("{}: no answer at rest: {error}", self.kind))
    }

    fn guest(&self, number: usize, seed: u64) -> Guest {
        Guest {
            port: self.port,
            random: Random::new(seed.wrapping_mul(1000) + number as u64),
            directory: self.files.clone(),
            number,
        }
    }

    fn load(&self, plan: &Plan) -> Result<Load, String> {
        eprintln!("soak: {}, {} s of load", self.kind, plan.seconds);
        let kinds = plan.visits()?;
        let over = AtomicBool::new(false);
        let visits = AtomicU64::new(0);
        let end = Instant::now() + Duration::from_secs(plan.seconds);
        let pause = Duration::from_secs_f64(plan.seconds as f64 / SAMPLES);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..plan.clients)
                .map(|number| {
                    let mut guest = self.guest(number, plan.seed);
                    let (over, visits, kinds) = (&over, &visits, &kinds);
                    scope.spawn(move || {
                        let mut surprises = BTreeMap::<String, u64>::new();
                        while !over.load(Ordering::Relaxed) {
                            let (name, outcome) = guest.visit(kinds);
                            visits.fetch_add(1, Ordering::Relaxed);
                            if let Err(error) = outcome {
                                *surprises.entry(format!("{name}: {error}")).or_default() += 1;
                            }
                        }
                        surprises
                    })
                })
                .collect();
            let mut samples = Vec::new();
            let mut failed = None;
            while Instant::now() < end && failed.is_none() {
                thread::sleep(pause.min(end.saturating_duration_since(Instant::now())));
                match self.sample() {
                    Ok(sample) => samples.push(sample),
                    Err(message) => failed = Some(message),
                }
            }
            over.store(true, Ordering::Relaxed);
            let mut surprises = BTreeMap::new();
            for client in clients {
                let found = client.join().map_err(|_| "a client panicked".to_owned())?;
                for (what, count) in found {
                    *surprises.entry(what).or_default() += count;
                }
            }
            match failed {
                Some(message) => Err(message),
                None => Ok(Load {
                    samples,
                    surprises,
                    visits: visits.load(Ordering::Relaxed),
                }),
            }
        })
    }

    /// Waits until everything is given back; what is not.
    fn rest(&self, before: &Sample, spare: usize) -> Result<(Sample, Vec<String>), String> {
        let started = Instant::now();
        loop {
            let sample = self.sample()?;
            let held = verdict::unreturned(before, &sample, spare);
            if held.is_empty() || started.elapsed() > REST_LIMIT {
                return Ok((sample, held));
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Generation after generation, each with a few requests.
    fn reload(&self, times: usize) -> Result<String, String> {
        let mut first = self.sample()?;
        for number in 0..times {
            let output = self
                .command("reload")
                .output()
                .map_err(|error| error.to_string())?;
            if !output.status.success() {
                return Err(format!(
                    "reload: {}",
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
            self.ask()?;
            if number + 1 == RELOADS_FIRST.min(times) {
                first = self.sample()?;
            }
        }
        let last = self.sample()?;
        let counted = times.saturating_sub(RELOADS_FIRST);
        if counted == 0 {
            return Ok(String::new());
        }
        let each = |role: usize| {
            let [before, after] =
                [&first, &last].map(|sample| sample.holdings[role].private_bytes as f64);
            (after - before) / KIB / counted as f64
        };
        Ok(format!(
            "  {times} reloads; of the last {counted} each added {:.1} KiB to the supervisor, {:.1} KiB to the edge\n",
            each(0),
            each(1)
        ))
    }

    fn command(&self, word: &str) -> Command {
        let mut command = Command::new(&self.tools.ringgate);
        command.arg(word).arg("--control-socket").arg(&self.control);
        command
    }

    fn sample(&self) -> Result<Sample, String> {
        let output = self
            .command("status")
            .arg("--json")
            .output()
            .map_err(|error| error.to_string())?;
        let status =
            serde_json::from_slice(&output.stdout).map_err(|error| format!("status: {error}"))?;
        Ok(Sample::take(
            self.group.id(),
            &status,
            self.begun.elapsed().as_secs_f64(),
        ))
    }

    fn table(
        &self,
        before: &Sample,
        load: &Load,
        rested: &Sample,
        faults: &mut Vec<String>,
    ) -> String {
        let end = load.samples.last().unwrap_or(before);
        let mut text = format!(
            "{}: {} requests in {} visits, {:.0} s\n{:<14}{:>11}{:>11}{:>11}{:>14}{:>15}{:>13}{:>9}\n",
            self.kind,
            end.requests,
            load.visits,
            end.at_s - before.at_s,
            "  private KiB",
            "start",
            "loaded",
            "at rest",
            "KiB a minute",
            "byte a request",
            "descriptors",
            "threads"
        );
        for (role, name) in ROLES.iter().enumerate() {
            let [start, loaded, rest] = [before, end, rested].map(|sample| &sample.holdings[role]);
            if start.processes == 0 && loaded.processes == 0 {
                continue;
            }
            let slope = Slope::of(&load.samples, role);
            if slope.is_some_and(|slope| slope.is_growth()) {
                faults.push(format!("the memory of the {name} grows"));
            }
            let (minute, request) = slope.map_or((0.0, 0.0), |slope| {
                (slope.bytes_per_minute / KIB, slope.bytes_per_request)
            });
            let kib = |bytes: u64| bytes as f64 / KIB;
            let descriptors = rest.descriptors.values().sum::<usize>();
            writeln!(
                text,
                "  {name:<12}{:>11.0}{:>11.0}{:>11.0}{minute:>14.1}{request:>15.2}{descriptors:>13}{:>9}",
                kib(start.private_bytes), kib(loaded.private_bytes), kib(rest.private_bytes), rest.threads
            )
            .expect("a String takes everything");
        }
        for (what, count) in &load.surprises {
            faults.push(format!("a client was surprised {count} times: {what}"));
        }
        text
    }
}

struct Load {
    samples: Vec<Sample>,
    /// What clients did not expect, and how often.
    surprises: BTreeMap<String, u64>,
    visits: u64,
}

/// Sizes on both sides of what is kept in memory, and one large file.
fn make_files(directory: &Path) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    for number in 0..FILES as usize {
        fs::write(directory.join(number.to_string()), vec![b'f'; number * 10])?;
    }
    fs::write(directory.join("large"), vec![b'l'; LARGE_BYTES])
}

fn configure(
    tools: &Tools,
    kind: &str,
    port: u16,
    control: &Path,
    files: &Path,
    scratch: &Path,
) -> String {
    let (python, apps) = (tools.python.display(), tools.apps.display());
    let (control, files, scratch) = (control.display(), files.display(), scratch.display());
    let mut text = format!(
        "[server]
bind = [\"127.0.0.1:{port}\"]
python = \"{python}\"
control_socket = \"{control}\"
access_log = \"{scratch}/soak-access.log\"
rings = 2
workers = 2
kind = \"{kind}\"

[[server.location]]
path = \"/files\"
dir = \"{files}\"
"
    );
    for (name, target) in [("wsgi", "app"), ("asgi", "events")] {
        write!(
            text,
            "
[app.{name}]
target = \"soak_apps:{target}\"
mount = \"/{name}\"
chdir = \"{apps}\"
[[app.{name}.route]]
path = \"/{name}/bounded\"
concurrency = 1
[[app.{name}.route]]
path = \"/{name}/hang\"
timeout = \"300ms\"
"
        )
        .expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visit_has_a_share_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = VISITS.iter().map(|(name, _, _)| name).collect();
        assert_eq!(names.len(), VISITS.len());
        assert!(VISITS.iter().all(|(_, share, _)| *share > 0));
    }
}
