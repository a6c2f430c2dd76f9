//! Where the native extension is that app hosts load.

use config::{Config, Mistake};
use std::path::{Path, PathBuf};

const NAME: &str = "lib_ringgate.so";

/// `--extension`, else beside the executable (a build directory), else `../lib/ringgate` (an installation).
pub fn find(config: &Config) -> Result<PathBuf, Mistake> {
    if let Some(path) = &config.extension {
        return match path.is_file() {
            true => Ok(path.clone()),
            false => Err(Mistake(format!("--extension: no file {}", path.display()))),
        };
    }
    let executable = std::env::current_exe()
        .map_err(|error| Mistake(format!("the path of this executable cannot be found out ({error}); name the extension with --extension")))?;
    let dir = executable.parent().unwrap_or(Path::new("/"));
    let places = [dir.join(NAME), dir.join("../lib/ringgate").join(NAME)];
    places.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        Mistake(format!(
            "the Python extension {NAME} is missing; looked at {} and {}; build it with: cargo build --release",
            places[0].display(),
            places[1].display()
        ))
    })
}
