//! `--reload` and `--touch-reload`: which files belong to which app, and whether one of them has changed.
//!
//! Watches the directories that an app is imported from, with everything below, those of modules that its host names, and those of
//! `reload-include`. Owns the inotify descriptor. Invariant: a bounded number of directories. Must not know what follows from a change.

use config::{App, Config};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use sys::inotify::Inotify;

const DIRECTORIES_MAX: usize = 8192;
/// Directories below an app's that hold nobody's source.
const SKIPPED: &[&str] = &["__pycache__", "node_modules", "site-packages"];

pub struct Watch {
    inotify: Inotify,
    /// By watch number.
    directories: BTreeMap<i32, Directory>,
    /// Apps of which every Python source counts.
    sources: BTreeSet<usize>,
    /// By app: files named by its host, and globs over absolute paths.
    files: BTreeMap<usize, BTreeSet<PathBuf>>,
    globs: BTreeMap<usize, Vec<String>>,
    /// What could not be watched, to be said once.
    pub complaint: Option<String>,
}

struct Directory {
    path: PathBuf,
    apps: BTreeSet<usize>,
    /// Directories that appear in it are watched too.
    deep: bool,
}

impl Watch {
    /// `None` if no app wants it.
    pub fn start(config: &Config) -> io::Result<Option<Watch>> {
        if config.apps.iter().all(|app| !is_watched(app)) {
            return Ok(None);
        }
        let mut watch = Watch {
            inotify: Inotify::new()?,
            directories: BTreeMap::new(),
            sources: BTreeSet::new(),
            files: BTreeMap::new(),
            globs: BTreeMap::new(),
            complaint: None,
        };
        let wanted = config.apps.iter().enumerate();
        for (index, app) in wanted {
            watch.add_files(index, app.options.touch_reload.clone());
            if app.options.reload {
                watch.add_app(index, app, config);
            }
        }
        Ok(Some(watch))
    }

    fn add_app(&mut self, index: usize, app: &App, config: &Config) {
        self.sources.insert(index);
        let chdir = config.chdir_of(app);
        self.add_tree(chdir, index);
        for dir in config.pythonpath_of(app) {
            self.add_tree(&dir, index);
        }
        for pattern in &app.options.reload_include {
            let by_name = pattern.contains(['*', '?']) && !pattern.contains('/');
            let pattern = match by_name {
                true => chdir.join("**").join(pattern),
                false => chdir.join(pattern),
            };
            let text = pattern.to_string_lossy().into_owned();
            if pattern.is_dir() {
                self.add_tree(&pattern, index);
                self.globs
                    .entry(index)
                    .or_default()
                    .push(format!("{text}/**"));
                continue;
            }
            // The part in front of the first star is where to look.
            let plain = pattern.components().take_while(|part| {
                !part
                    .as_os_str()
                    .as_bytes()
                    .iter()
                    .any(|byte| b"*?".contains(byte))
            });
            let base: PathBuf = plain.collect();
            match base == pattern {
                true => self.add_directory(base.parent().unwrap_or(&base), index, false),
                false => self.add_tree(&base, index),
            }
            self.globs.entry(index).or_default().push(text);
        }
    }

    /// Files that the app's host has imported.
    pub fn add_files(&mut self, app: usize, paths: Vec<PathBuf>) {
        for path in paths {
            if let Some(directory) = path.parent() {
                self.add_directory(directory, app, false);
            }
            self.files.entry(app).or_default().insert(path);
        }
    }

    fn add_tree(&mut self, root: &Path, app: usize) {
        let mut pending = vec![root.to_owned()];
        while let Some(path) = pending.pop() {
            if path != root && is_skipped(&path) {
                continue;
            }
            self.add_directory(&path, app, true);
            if self.directories.len() >= DIRECTORIES_MAX {
                self.complaint = Some(format!(
                    "more than {DIRECTORIES_MAX} directories below {}; changes in the others go unnoticed",
                    root.display()
                ));
                return;
            }
            // One that cannot be read cannot be imported from.
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            pending.extend(below.map(|entry| entry.path()));
        }
    }

    fn add_directory(&mut self, path: &Path, app: usize, deep: bool) {
        match self.inotify.watch_directory(path) {
            Ok(number) => {
                let known = self.directories.entry(number).or_insert(Directory {
                    path: path.to_owned(),
                    apps: BTreeSet::new(),
                    deep: false,
                });
                known.apps.insert(app);
                known.deep |= deep;
            }
            Err(error) => {
                self.complaint = Some(format!("{} cannot be watched ({error})", path.display()));
            }
        }
    }

    /// The apps of which something has changed.
    pub fn changed(&mut self) -> io::Result<BTreeSet<usize>> {
        let mut apps = BTreeSet::new();
        for change in self.inotify.changes()? {
            let Some(directory) = self.directories.get(&change.watch) else {
                // Too much at once: it may have been anything.
                if change.watch < 0 {
                    apps.extend(self.directories.values().flat_map(|each| &each.apps));
                }
                continue;
            };
            let path = directory.path.join(&change.name);
            let concerned: Vec<usize> = directory.apps.iter().copied().collect();
            if change.directory {
                if directory.deep && path.is_dir() && !is_skipped(&path) {
                    for app in &concerned {
                        self.add_tree(&path, *app);
                    }
                    apps.extend(concerned.iter().filter(|_| has_source(&path)));
                }
                continue;
            }
            apps.extend(concerned.iter().filter(|app| self.belongs(**app, &path)));
        }
        Ok(apps)
    }

    fn belongs(&self, app: usize, path: &Path) -> bool {
        let globs = self.globs.get(&app).into_iter().flatten();
        let source = path.extension() == Some(OsStr::new("py"));
        source && self.sources.contains(&app)
            || self
                .files
                .get(&app)
                .is_some_and(|files| files.contains(path))
            || globs
                .into_iter()
                .any(|glob| proto::glob::fits(glob, path.as_os_str().as_bytes()))
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

fn is_watched(app: &App) -> bool {
    app.options.reload || !app.options.touch_reload.is_empty()
}

fn is_skipped(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_bytes().starts_with(b".")
        || SKIPPED.iter().any(|skipped| name == OsStr::new(skipped))
        // A virtual environment.
        || path.join("pyvenv.cfg").exists()
}

/// A package that was moved here, or that was filled before it was watched.
fn has_source(path: &Path) -> bool {
    let mut entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.any(|entry| entry.path().extension() == Some(OsStr::new("py")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let dir =
                std::env::temp_dir().join(format!("ringgate-watch-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).expect("a directory");
            Place(dir)
        }
        fn write(&self, name: &str) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, "").expect("a file");
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn watch(place: &Place, include: &[&str]) -> Watch {
        let mut config = Config::bare();
        config.chdir.clone_from(&place.0);
        for reload in [true, false] {
            config.apps.push(App {
                name: "shop".into(),
                mount: String::new(),
                target: "shop:app".into(),
                options: config::AppOptions {
                    reload,
                    reload_include: include.iter().map(|text| (*text).into()).collect(),
                    ..config::AppOptions::default()
                },
            });
        }
        Watch::start(&config).expect("inotify").expect("wanted")
    }

    fn changed(watch: &mut Watch) -> bool {
        let apps = watch.changed().expect("changes");
        assert!(
            apps.iter().all(|app| *app == 0),
            "the other one does not want it"
        );
        !apps.is_empty()
    }

    #[test]
    fn sources_below_the_apps_directory_are_watched_new_ones_too() {
        let place = Place::new("tree");
        place.write("shop/views.py");
        place.write(".git/hook.py");
        place.write("venv/pyvenv.cfg");
        let mut watch = watch(&place, &[]);
        assert!(!changed(&mut watch));
        place.write("shop/views.py");
        assert!(changed(&mut watch));
        for other in [
            "shop/db.sqlite3",
            ".git/hook.py",
            "venv/x.py",
            "shop/__pycache__/x.py",
        ] {
            place.write(other);
            assert!(!changed(&mut watch), "{other}");
        }
        place.write("shop/cart/models.py");
        assert!(changed(&mut watch));
        place.write("shop/cart/models.py");
        assert!(changed(&mut watch));
        assert_eq!(watch.complaint, None);
    }

    #[test]
    fn a_file_to_touch_counts_alone() {
        let place = Place::new("touch");
        place.write("shop.py");
        let mut config = Config::bare();
        config.chdir.clone_from(&place.0);
        config.apps.push(App {
            name: "shop".into(),
            mount: String::new(),
            target: "shop:app".into(),
            options: config::AppOptions {
                touch_reload: vec![place.0.join("reload-me")],
                ..config::AppOptions::default()
            },
        });
        let mut watch = Watch::start(&config).expect("inotify").expect("wanted");
        place.write("shop.py");
        assert!(!changed(&mut watch));
        place.write("reload-me");
        assert!(changed(&mut watch));
    }

    #[test]
    fn globs_and_files_of_imported_modules_count() {
        let (place, other) = (Place::new("globs"), Place::new("other"));
        place.write("templates/deep/a.html");
        place.write("shop.toml");
        let mut watch = watch(&place, &["templates/**/*.html", "shop.toml", "*.css"]);
        place.write("templates/deep/a.html");
        assert!(changed(&mut watch));
        place.write("templates/deep/a.txt");
        assert!(!changed(&mut watch));
        place.write("shop.toml");
        assert!(changed(&mut watch));
        // By name alone: wherever it lies.
        place.write("a.css");
        assert!(changed(&mut watch));
        place.write("templates/deep/b.css");
        assert!(changed(&mut watch));
        other.write("native.so");
        watch.add_files(0, vec![other.0.join("native.so")]);
        other.write("native.so");
        assert!(changed(&mut watch));
    }
}
