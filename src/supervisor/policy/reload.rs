//! New code and new settings while it serves: HUP, the `reload` command, files that changed.
//!
//! Invariants: the configuration changes as a whole or not at all; what takes a restart is said and keeps its old value.

use super::app::App;
use super::{Action, Context, Outside, Policy, Stop};
use config::{Address, AppOptions, Config, LogLevel, StaticMount};
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
        let mut next = Config {
            chdir: new.chdir.clone(),
            env: new.env.clone(),
            pythonpath: new.pythonpath.clone(),
            ..old.clone()
        };
        let mut kept = Vec::new();
        let same_apps = new.apps.len() == old.apps.len()
            && next.apps.iter_mut().all(|app| {
                let found = new.apps.iter().find(|each| each.mount == app.mount);
                if let Some(found) = found {
                    app.target.clone_from(&found.target);
                    let options = taken_over(&app.options, &found.options);
                    if options != found.options {
                        kept.push(app.name.clone());
                    }
                    app.options = options;
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
        if same_apps && !kept.is_empty() {
            let text = format!(
                "what was changed of the {FIXED} of {} takes a restart",
                kept.join(", ")
            );
            self.log(LogLevel::Warning, &text);
        }
        let hides_app = |files: &StaticMount| next.apps.iter().any(|app| app.mount == files.url);
        if same_apps || !new.statics.iter().any(hides_app) {
            next.statics.clone_from(&new.statics);
            next.sendfile_roots.clone_from(&new.sendfile_roots);
        }
        next.timeouts = new.timeouts;
        let rest = left_over(&new, &next);
        if !rest.is_empty() {
            let text = format!("what was changed of {} takes a restart", rest.join(", "));
            self.log(LogLevel::Warning, &text);
        }
        let old = &self.setup.config;
        if next == *old {
            return;
        }
        let same_site = (&next.statics, &next.sendfile_roots, next.timeouts)
            == (&old.statics, &old.sendfile_roots, old.timeouts);
        for (app, config) in self.apps.iter_mut().zip(&next.apps) {
            app.configure(config);
        }
        self.setup.config = next.clone();
        if !same_site {
            self.log(LogLevel::Info, "locations and timeouts are the new ones");
            self.tell_edge(ToEdge::Site {
                statics: next.statics.clone(),
                sendfile_roots: next.sendfile_roots.clone(),
                timeouts: next.timeouts,
            });
        }
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
            true if self.apps.is_empty() => {
                self.answer(true, "the configuration has been read again")
            }
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

/// Settings of an app that a running server keeps: the edge's, and the interpreter that was found.
const FIXED: &str = "python, timeout, routes, concurrency, server-timing or WebSocket settings";

/// What can be taken over of an app's new settings.
fn taken_over(old: &AppOptions, new: &AppOptions) -> AppOptions {
    AppOptions {
        python: old.python.clone(),
        timeout_ms: old.timeout_ms,
        routes: old.routes.clone(),
        concurrency: old.concurrency,
        server_timing: old.server_timing,
        websocket: old.websocket,
        ..new.clone()
    }
}

/// What a new configuration says otherwise than the next one, by the names of the fields.
fn left_over(new: &Config, next: &Config) -> Vec<String> {
    let fields = |config: &Config| match serde_json::to_value(config) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::default(),
    };
    let mut rest = new.clone();
    // A port that was 0 has its number by now, and a number of connections that nobody chose is what there is room for.
    for (bind, known) in rest.binds.iter_mut().zip(&next.binds) {
        if let (Address::Tcp(bind), Address::Tcp(known)) = (bind, known)
            && bind.port() == 0
        {
            bind.set_port(known.port());
        }
    }
    if !rest.limits.connections_chosen {
        rest.limits.connections = next.limits.connections;
    }
    if !rest.inherited.is_empty() {
        rest.binds.clone_from(&next.binds);
    }
    // Said already, or only of interest to those who read it.
    rest.apps.clone_from(&next.apps);
    rest.notes.clone_from(&next.notes);
    let (rest, next) = (fields(&rest), fields(next));
    rest.into_iter()
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
