//! Temporary directories that go away with their owner.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory of our own below the system's temporary one; removed on drop.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    pub fn new() -> TempDir {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("ringgate-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory can be made");
        TempDir { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, its directories first; returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().expect("a name below the directory"))
            .expect("directories can be made");
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// Makes a file an hour old: what was changed a moment ago has a weak tag.
    pub fn age(&self, name: &str) {
        let file = std::fs::File::options()
            .write(true)
            .open(self.path.join(name))
            .expect("the file is there");
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        file.set_modified(then).expect("its time can be set");
    }

    pub fn has(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// Waits for a mark that an application leaves; returns what it says.
    #[track_caller]
    pub fn wait(&self, name: &str) -> String {
        super::eventually(name, || self.has(name).then(|| self.read(name)))
    }

    /// So that a mark can be waited for again.
    pub fn forget(&self, name: &str) {
        std::fs::remove_file(self.path.join(name)).ok();
    }

    pub fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("{} stays: {error}", self.path.display());
        }
    }
}
