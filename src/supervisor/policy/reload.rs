//! New code and new settings while it serves: HUP, the `reload` command, files that changed.
//!
//! Invariants: the configuration changes as a whole or not at all; what takes a restart is said and keeps its old value.

use super::app::App;
use super::{Action, Context, Outside, Policy, Stop};
use config::{Config, LogLevel};
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
        self.log(LogLevel::Info, "loading the applications anew");
        let (_, apps, mut ctx) = self.parts(now_ms, outside);
        apps.iter_mut().for_each(|app| app.load(&mut ctx));
    }

    /// Takes over what can be changed while it serves.
    fn reconfigure(&mut self, new: Config) {
        let old = &self.setup.config;
        let mut next = Config {
            chdir: new.chdir.clone(),
            env: new.env.clone(),
            pythonpath: new.pythonpath.clone(),
            ..old.clone()
        };
        let same_apps = new.apps.len() == old.apps.len()
            && next.apps.iter_mut().all(|app| {
                let found = new.apps.iter().find(|each| each.mount == app.mount);
                if let Some(found) = found {
                    app.target.clone_from(&found.target);
                    app.options.clone_from(&found.options);
                }
                found.is_some()
            });
        if !same_apps {
            next.apps.clone_from(&old.apps);
            self.log(
                LogLevel::Warning,
                "other applications or mounts take a restart; those that serve stay",
            );
        }
        // What is left of the difference. A port that was 0 has its number by now.
        let rest = Config {
            binds: next.binds.clone(),
            limits: next.limits,
            apps: next.apps.clone(),
            ..new
        };
        if rest != next {
            let text = "what was changed beside the applications' settings takes a restart";
            self.log(LogLevel::Warning, text);
        }
        if next == self.setup.config {
            return;
        }
        for (app, config) in self.apps.iter_mut().zip(&next.apps) {
            app.configure(config);
        }
        self.setup.config = next.clone();
        self.out.push(Action::Configure(Box::new(next)));
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
            true => self.answer(true, "every application runs its new generation"),
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
