//! New code and new settings while it serves: HUP, the `reload` command, files that changed.
//!
//! Invariants: the configuration changes as a whole or not at all; what takes a restart is said and keeps its old value.

use super::app::App;
use super::{Action, Context, Outside, Policy, Stop};
use config::{Address, Config, LogLevel, StaticMount};
use control::message::ToEdge;

/// Quiet time after a change of a file before the code is loaded anew: editors and version control write several.
const SETTLE_MS: u64 = 150;
/// But no longer than this after the first.
const SETTLE_MAX_MS: u64 = 2_000;

/// Files have changed, and the code is about to be loaded anew.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    first_ms: u64,
    pub due_ms: u64,
}

impl Policy {
    pub(super) fn reload(&mut self) {
        if self.stop == Stop::No && !std::mem::replace(&mut self.reading, true) {
            self.out.push(Action::ReadConfig);
        }
    }

    pub(super) fn config_read(
        &mut self,
        now_ms: u64,
        read: Result<Box<Config>, String>,
        outside: &dyn Outside,
    ) {
        self.reading = false;
        if self.stop != Stop::No {
            return;
        }
        match read {
            Ok(config) => self.reconfigure(*config),
            Err(why) => {
                let text =
                    format!("the configuration cannot be used, and the old one stays: {why}");
                self.log(LogLevel::Error, &text);
                self.answer(false, &text);
                return;
            }
        }
        if !self.apps.is_empty() {
            self.log(LogLevel::Info, "loading the applications anew");
        }
        let (_, apps, mut ctx) = self.parts(now_ms, outside);
        apps.iter_mut().for_each(|app| app.load(&mut ctx));
    }

    /// Takes over what can be changed while it serves.
    fn reconfigure(&mut self, new: Config) {
        let old = &self.setup.config;
        let mut next = with_fixed(new.clone(), old);
        let mut rest = left_over(&new, &next);
        if new.limits.pending + new.limits.websockets > self.setup.slots {
            next.limits.pending = old.limits.pending;
            next.limits.websockets = old.limits.websockets;
            rest.push(format!(
                "pending and websockets (together they may be {} now)",
                self.setup.slots
            ));
        }
        let same_apps = new.apps.len() == old.apps.len();
        let apps: Option<Vec<_>> = old
            .apps
            .iter()
            .map(|app| {
                let found = new.apps.iter().find(|each| each.mount == app.mount)?;
                let mut options = found.options.clone();
                if options.python != app.options.python {
                    rest.push(format!("python of {}", app.name));
                    options.python.clone_from(&app.options.python);
                }
                Some(config::App {
                    target: found.target.clone(),
                    options,
                    ..app.clone()
                })
            })
            .collect();
        match apps {
            Some(apps) if same_apps => next.apps = apps,
            _ => {
                next.apps.clone_from(&old.apps);
                rest.push("applications and mounts".into());
                let hides_app =
                    |files: &StaticMount| old.apps.iter().any(|app| app.mount == files.url);
                if next.statics.iter().any(hides_app) {
                    next.statics.clone_from(&old.statics);
                    next.sendfile_roots.clone_from(&old.sendfile_roots);
                    rest.push("statics".into());
                }
            }
        }
        let differs = next != *old;
        self.in_vain = None;
        if !rest.is_empty() {
            let text = format!("what was changed of {} takes a restart", rest.join(", "));
            self.log(LogLevel::Warning, &text);
            self.in_vain = Some(text);
        }
        if differs {
            self.turn_to(next);
        }
    }

    fn turn_to(&mut self, next: Config) {
        for (app, config) in self.apps.iter_mut().zip(&next.apps) {
            app.configure(config);
        }
        self.listen_as(&next.binds);
        self.setup.config = next.clone();
        self.log(LogLevel::Info, "the settings are the new ones");
        self.tell_edge(ToEdge::Site {
            config: Box::new(next.clone()),
        });
        self.out.push(Action::Configure(Box::new(next)));
    }

    /// The sockets of new addresses are open already; those of others are closed with [`Action::Configure`].
    fn listen_as(&mut self, binds: &[Address]) {
        let before = std::mem::take(&mut self.setup.listeners);
        let (kept, gone) = before
            .into_iter()
            .partition(|address| binds.contains(address));
        self.setup.listeners = kept;
        for address in binds {
            if self.setup.listeners.contains(address) {
                continue;
            }
            self.log(LogLevel::Info, &format!("listening on {address}"));
            self.setup.listeners.push(address.clone());
            let address = address.clone();
            self.tell_edge(ToEdge::Listener { address });
        }
        for address in gone {
            self.log(LogLevel::Info, &format!("{address} is closed"));
            self.tell_edge(ToEdge::Unlisten { address });
        }
    }

    /// Tells those who asked for a reload how it went, once it is over.
    pub(super) fn answer_reloads(&mut self) {
        if self.reloads.is_empty() || self.reading || self.apps.iter().any(App::is_busy_loading) {
            return;
        }
        let failed: Vec<&str> = self
            .apps
            .iter()
            .filter(|app| app.reload_failed)
            .map(|app| app.name.as_str())
            .collect();
        match failed.is_empty() {
            true => {
                let what = match self.apps.is_empty() {
                    true => "the configuration has been read again",
                    false => "every application runs its new generation",
                };
                let but = self.in_vain.as_deref().map(|why| format!("; {why}"));
                self.answer(true, &format!("{what}{}", but.unwrap_or_default()));
            }
            false => {
                let failed = failed.join(", ");
                let text = format!("the new code of {failed} does not start; see the error log");
                self.answer(false, &text);
            }
        }
    }

    fn answer(&mut self, ok: bool, message: &str) {
        for id in std::mem::take(&mut self.reloads) {
            self.tell_edge(ToEdge::CommandDone {
                id,
                ok,
                message: message.to_owned(),
            });
        }
    }
}

/// What the processes were started with, or as, stays whatever the configuration says.
fn with_fixed(new: Config, old: &Config) -> Config {
    let old = old.clone();
    Config {
        inherited: old.inherited,
        rings: old.rings,
        python: old.python,
        control_socket: old.control_socket,
        control_socket_chosen: old.control_socket_chosen,
        pid_file: old.pid_file,
        identity: old.identity,
        daemon: old.daemon,
        extension: old.extension,
        ready_fd: old.ready_fd,
        notes: old.notes,
        file: old.file,
        ..new
    }
}

/// What the new configuration says otherwise than the next one, by the names of the fields.
fn left_over(new: &Config, next: &Config) -> Vec<String> {
    let fields = |config: &Config| match serde_json::to_value(config) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::default(),
    };
    let (new, next) = (fields(new), fields(next));
    new.into_iter()
        .filter(|(name, value)| next.get(name) != Some(value))
        .map(|(name, _)| name.replace('_', "-"))
        .collect()
}

impl App {
    /// The settings from the next generation on.
    fn configure(&mut self, config: &config::App) {
        self.options.clone_from(&config.options);
        self.crew.wanted = self.options.workers;
        self.clamp_crew();
    }

    pub fn files_changed(&mut self, now_ms: u64) {
        let first_ms = self.change.map_or(now_ms, |change| change.first_ms);
        self.change = Some(Change {
            first_ms,
            due_ms: (now_ms + SETTLE_MS).min(first_ms + SETTLE_MAX_MS),
        });
    }

    pub(super) fn look_after_change(&mut self, ctx: &mut Context<'_>) {
        if self
            .change
            .is_some_and(|change| change.due_ms <= ctx.now_ms)
        {
            self.change = None;
            ctx.log(
                LogLevel::Info,
                format!("{}: files have changed; loading it anew", self.name),
            );
            self.load(ctx);
        }
    }
}
