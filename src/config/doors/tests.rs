//! Foreign words, and what becomes of them.

mod gunicorn;
mod uvicorn;
mod uwsgi;

use crate::cli::{Invocation, Outside, parse};
use crate::*;
use std::io;
use std::path::{Path, PathBuf};

/// A world to parse in.
#[derive(Default)]
struct World {
    variables: Vec<(&'static str, &'static str)>,
    files: Vec<(&'static str, &'static str)>,
    /// What Python says of a configuration file.
    answer: &'static str,
}

impl World {
    fn run(&self, line: &str) -> Result<Invocation, String> {
        let around = Surroundings {
            cwd: "/srv".into(),
            processors: 2,
            user_id: 0,
            xdg_runtime_dir: None,
            port: self.variable("PORT"),
            passed_fds: 0,
        };
        let read = |path: &Path| {
            let file = self.files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| (*text).to_owned())
                .ok_or(io::Error::from_raw_os_error(2))
        };
        let outside = Outside {
            variable: &|name| self.variable(name),
            read: &read,
            ask: &|_| Ok(self.answer.to_owned()),
        };
        let arguments = value::words(line).expect("words");
        parse(&arguments, &outside, &around).map_err(|mistake| mistake.0)
    }

    fn variable(&self, name: &str) -> Option<String> {
        let found = self.variables.iter().find(|(each, _)| *each == name);
        found.map(|(_, value)| (*value).to_owned())
    }

    fn config(&self, line: &str) -> Config {
        match self.run(line) {
            Ok(Invocation::Serve(config)) => *config,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refused(&self, line: &str) -> String {
        self.run(line).expect_err("refused")
    }
}

fn world() -> World {
    World::default()
}

fn options(config: &Config) -> &AppOptions {
    &config.apps[0].options
}
