//! What stands around this executable: the environment it was installed into.
//!
//! `pip` puts the command into `bin/` and the package beside that, into `lib/python3.N/site-packages`. From the command's own place follow the
//! extension that belongs to it and the interpreter that it was installed for. Reads directories only.

use std::path::{Path, PathBuf};

/// The package, and how its extension is called: `_ringgate.abi3.so`, or for a free-threaded Python `_ringgate.cpython-314t-x86_64-linux-gnu.so`.
const PACKAGE: &str = "ringgate";
const EXTENSION: (&str, &str) = ("_ringgate.", ".so");
/// Where Pythons keep packages, below the prefix. Debian's has the latter two.
const LIBRARIES: [&str; 3] = ["lib", "lib64", "local/lib"];
const PACKAGES: [&str; 2] = ["site-packages", "dist-packages"];

/// An installation as `pip` makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub extension: PathBuf,
    /// `python3.13` (`python3.14t`), after the directory of its packages.
    pub interpreter: String,
}

impl Installation {
    /// The one whose command stands in `bin`.
    pub fn around(bin: &Path) -> Option<Installation> {
        let prefix = bin.parent()?;
        LIBRARIES
            .iter()
            .flat_map(|library| interpreters(&prefix.join(library)))
            .flat_map(|(name, home)| PACKAGES.map(|packages| (name.clone(), home.join(packages))))
            .find_map(|(interpreter, packages)| {
                Some(Installation {
                    extension: extension(&packages.join(PACKAGE))?,
                    interpreter,
                })
            })
    }
}

/// Whether `bin` belongs to a virtual environment; then its `python`.
pub fn environment(bin: &Path) -> Option<PathBuf> {
    bin.parent()?
        .join("pyvenv.cfg")
        .is_file()
        .then(|| bin.join("python"))
}

fn extension(package: &Path) -> Option<PathBuf> {
    let (start, end) = EXTENSION;
    let files = std::fs::read_dir(package).into_iter().flatten().flatten();
    files.map(|entry| entry.path()).find(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(start) && name.ends_with(end)) && path.is_file()
    })
}

/// The directories `python3.N` and `python3.Nt` of a library directory with their names, newest first, should there be several.
fn interpreters(library: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(u32, String, PathBuf)> = std::fs::read_dir(library)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let minor = name.strip_prefix("python3.")?;
            let minor = minor.strip_suffix('t').unwrap_or(minor).parse().ok()?;
            Some((minor, name, entry.path()))
        })
        .collect();
    found.sort_by_key(|(minor, ..)| std::cmp::Reverse(*minor));
    found
        .into_iter()
        .map(|(_, name, path)| (name, path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A prefix with these files in it, gone with the value.
    struct Prefix(PathBuf);

    impl Prefix {
        fn with(name: &str, files: &[&str]) -> Prefix {
            let root = std::env::temp_dir().join(format!("ringgate-{name}-{}", std::process::id()));
            for file in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
                fs::write(path, "").expect("a file");
            }
            Prefix(root)
        }
    }

    impl Drop for Prefix {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_package_is_found_from_the_command() {
        let prefix = Prefix::with(
            "venv",
            &[
                "pyvenv.cfg",
                "bin/ringgate",
                "lib/python3.9/site-packages/other.py",
                "lib/python3.13/site-packages/ringgate/_ringgate.abi3.so",
            ],
        );
        let bin = prefix.0.join("bin");
        let found = Installation::around(&bin).expect("an installation");
        assert_eq!(found.interpreter, "python3.13");
        assert!(
            found
                .extension
                .ends_with("lib/python3.13/site-packages/ringgate/_ringgate.abi3.so")
        );
        assert_eq!(environment(&bin), Some(bin.join("python")));
    }

    #[test]
    fn of_several_the_newest_counts() {
        let prefix = Prefix::with(
            "system",
            &[
                "local/lib/python3.9/dist-packages/ringgate/_ringgate.abi3.so",
                "local/lib/python3.11/dist-packages/ringgate/_ringgate.abi3.so",
                "lib/python3/dist-packages/x.py",
            ],
        );
        let bin = prefix.0.join("bin");
        let found = Installation::around(&bin).expect("an installation");
        assert_eq!(found.interpreter, "python3.11");
        assert_eq!(environment(&bin), None);
    }

    #[test]
    fn a_free_threaded_python_has_an_extension_of_its_own_name() {
        let file =
            "lib/python3.14t/site-packages/ringgate/_ringgate.cpython-314t-x86_64-linux-gnu.so";
        let other = "lib/python3.14t/site-packages/ringgate/_ringgate.pyi";
        let prefix = Prefix::with("free-threaded", &[file, other]);
        let found = Installation::around(&prefix.0.join("bin")).expect("an installation");
        assert_eq!(found.interpreter, "python3.14t");
        assert_eq!(found.extension, prefix.0.join(file));
    }

    #[test]
    fn a_build_directory_is_no_installation() {
        let prefix = Prefix::with("build", &["release/ringgate", "release/lib_ringgate.so"]);
        assert_eq!(Installation::around(&prefix.0.join("release")), None);
    }
}
