//! From a path to an entry: the steps of a location tried in order, files opened, judged and read, siblings found.
//!
//! One walk, two ways to do it: inline, where everything the kernel's caches do not hold ends the walk with `WouldBlock`, and
//! waiting, through the ring. An inline walk never awaits, so a single poll completes it. Invariants: paths are resolved by
//! `openat2` from the location's directory under its symlink policy; nothing but regular files is read; no call sleeps
//! on the ring thread. Must not know requests.

use super::cache::Found;
use super::entry::{Absent, Content, Entry, MEMORY_FILE_BYTES_MAX, Source};
use super::location::{Fixed, Location, Step};
use super::refusal::{is_denied, is_link, is_out_of_descriptors, refusal};
use super::tag::is_settled;
use super::{Files, errand};
use config::Autoindex;
use proto::accept_encoding::Coding;
use std::ffi::CString;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use sys::errno;
use uring::fs::{Directory, File, Kind, OpenHow, Stat, Symlinks, Walk as Reach};

/// What a path has come to.
pub type Outcome = Result<Rc<Entry>, Absent>;

/// How often a file may change under a reader before we give up.
const ATTEMPTS_MAX: usize = 3;

/// A look for one path.
pub struct Walk<'a> {
    pub files: &'a Files,
    /// Index of the location.
    pub mount: usize,
    pub directory: &'a Rc<Directory>,
    /// May wait for the disk.
    pub waits: bool,
}

/// What stands at one path.
enum Seen {
    File(Rc<Entry>),
    Directory,
    /// 404, or 403 for what is there but not to be had.
    Nothing(u16),
}

impl Walk<'_> {
    /// Runs a walk that does not wait.
    pub fn now<T>(walk: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        match pin!(walk).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn location(&self) -> &Location {
        &self.files.locations[self.mount]
    }

    /// Resolves `rest`, the path below the location, and remembers what it has come to. `stale` is what was there before.
    pub async fn resolve(&self, rest: &[u8], stale: Option<&Rc<Entry>>) -> io::Result<Outcome> {
        let location = self.location();
        if rest.is_empty() {
            return Ok(self.learn(rest, Err(Absent::Directory)));
        }
        if location.steps.is_empty() {
            let outcome = self.plain(rest, stale).await?;
            return Ok(self.learn(rest, outcome));
        }
        for (index, step) in location.steps.iter().enumerate() {
            let outcome = match step {
                Step::File(suffix) => self.step_file(rest, suffix, stale).await?,
                Step::Directory => self.step_directory(rest, stale).await?,
                Step::Status(status) => Some(Err(Absent::Status(*status))),
                Step::Fixed(fixed) => match self.fixed(fixed).await? {
                    Some(entry) => {
                        // The path costs a few bytes, not a copy: a scan of paths pushes out no file.
                        self.keep(rest, &Err(Absent::Instead(index)));
                        return Ok(Ok(entry));
                    }
                    None => None,
                },
            };
            if let Some(outcome) = outcome {
                return Ok(self.learn(rest, outcome));
            }
        }
        Ok(self.learn(rest, Err(Absent::Status(404))))
    }

    /// The file at a path of the configuration; kept apart from what requests for that path come to.
    pub async fn fixed(&self, fixed: &Fixed) -> io::Result<Option<Rc<Entry>>> {
        let stale = match self
            .files
            .found
            .borrow_mut()
            .find(self.mount, fixed.key(), uring::now())
        {
            Found::Fresh(entry) if !entry.is_cut() => return Ok(Some(Rc::clone(entry))),
            Found::Fresh(entry) | Found::Stale(entry) => Some(Rc::clone(entry)),
            Found::Nothing => None,
        };
        let path = fixed.path();
        let seen = if path.ends_with(b"/") {
            self.index(path, stale.as_ref()).await?
        } else {
            self.file(path, stale.as_ref()).await?
        };
        let Seen::File(entry) = seen else {
            self.files
                .found
                .borrow_mut()
                .remove(self.mount, fixed.key());
            return Ok(None);
        };
        Ok(self.learn(fixed.key(), Ok(entry)).ok())
    }

    /// Without `try_files`: the file, or the directory's index.
    async fn plain(&self, rest: &[u8], stale: Option<&Rc<Entry>>) -> io::Result<Outcome> {
        if !rest.ends_with(b"/") {
            return Ok(match self.file(rest, stale).await? {
                Seen::File(entry) => Ok(entry),
                Seen::Directory => Err(Absent::Directory),
                Seen::Nothing(status) => Err(Absent::Status(status)),
            });
        }
        if let Seen::File(entry) = self.index(rest, stale).await? {
            return Ok(Ok(entry));
        }
        Ok(Err(match self.is_directory(rest).await? {
            true if self.lists() => Absent::Listing,
            true => Absent::Status(403),
            false => Absent::Status(404),
        }))
    }

    /// `None`: the next step has its turn.
    async fn step_file(
        &self,
        rest: &[u8],
        suffix: &[u8],
        stale: Option<&Rc<Entry>>,
    ) -> io::Result<Option<Outcome>> {
        if rest.ends_with(b"/") {
            return Ok(None);
        }
        Ok(match self.file(&[rest, suffix].concat(), stale).await? {
            Seen::File(entry) => Some(Ok(entry)),
            // It is there, so that another page in its place would only hide what is wrong.
            Seen::Nothing(status) if status != 404 => Some(Err(Absent::Status(status))),
            Seen::Directory | Seen::Nothing(_) => None,
        })
    }

    /// A directory counts if it has something to show: an index, or its listing.
    async fn step_directory(
        &self,
        rest: &[u8],
        stale: Option<&Rc<Entry>>,
    ) -> io::Result<Option<Outcome>> {
        let has_slash = rest.ends_with(b"/");
        let path = if has_slash {
            rest.to_vec()
        } else {
            [rest, b"/"].concat()
        };
        let redirect = || Some(Err(Absent::Directory));
        if let Seen::File(entry) = self.index(&path, stale).await? {
            return Ok(if has_slash {
                Some(Ok(entry))
            } else {
                redirect()
            });
        }
        if !self.lists() || !self.is_directory(&path).await? {
            return Ok(None);
        }
        Ok(if has_slash {
            Some(Err(Absent::Listing))
        } else {
            redirect()
        })
    }

    fn lists(&self) -> bool {
        self.location().options.autoindex != Autoindex::Off
    }

    /// The first index of a directory that is a file. `path` ends with a slash.
    async fn index(&self, path: &[u8], stale: Option<&Rc<Entry>>) -> io::Result<Seen> {
        for name in &self.location().options.index {
            let seen = self.file(&[path, name.as_bytes()].concat(), stale).await?;
            // An index that is a directory is none.
            if matches!(seen, Seen::File(_)) {
                return Ok(seen);
            }
        }
        Ok(Seen::Nothing(404))
    }

    /// By its name alone: what may be entered but not read is a directory too, and may have an index.
    async fn is_directory(&self, path: &[u8]) -> io::Result<bool> {
        match self.open_as(path, directory_name).await {
            Ok((_, stat)) => Ok(stat.kind == Kind::Directory),
            Err(error) => refusal(error).map(|_| false),
        }
    }

    /// The file at a path below the location, with its siblings.
    async fn file(&self, path: &[u8], stale: Option<&Rc<Entry>>) -> io::Result<Seen> {
        for _ in 0..ATTEMPTS_MAX {
            let (file, stat) = match self.open(path).await {
                Ok(opened) => opened,
                Err(error) if is_denied(&error) && self.is_directory(path).await? => {
                    return Ok(Seen::Directory);
                }
                Err(error) => return refusal(error).map(Seen::Nothing),
            };
            match stat.kind {
                Kind::Regular => {}
                Kind::Directory => return Ok(Seen::Directory),
                Kind::Fifo | Kind::Socket | Kind::Device | Kind::Symlink | Kind::Unknown => {
                    return Ok(Seen::Nothing(403));
                }
            }
            let neighbourhood = self.neighbourhood(path);
            let siblings = self.siblings(path, stale, neighbourhood.as_ref()).await?;
            if let Some(stale) = stale
                && stale.stands(
                    path,
                    &stat,
                    siblings.iter().map(|(coding, _, stat)| (*coding, stat)),
                    uring::wall(),
                )
            {
                stale.know_neighbourhood(neighbourhood);
                return Ok(Seen::File(Rc::clone(stale)));
            }
            if let Some(entry) = self.read(path, file, stat, siblings).await? {
                entry.know_neighbourhood(neighbourhood);
                return Ok(Seen::File(Rc::new(entry)));
            }
            // It changed meanwhile: open it anew.
        }
        Err(io::Error::from_raw_os_error(errno::EAGAIN))
    }

    /// The directory of a file that may have siblings, unless it has just been changed. The walk to the file has made it known to
    /// the kernel, so this never waits.
    fn neighbourhood(&self, path: &[u8]) -> Option<Stat> {
        if !self.location().may_have_siblings(path) {
            return None;
        }
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let name = CString::new(relative(&path[..end])).ok()?;
        let how = directory_name(self.location().symlinks(), Reach::CachedOnly);
        let opened = self.directory.try_open_file(&name, &how);
        let stat = opened.ok()?.stat().ok()?;
        is_settled(&stat, uring::wall()).then_some(stat)
    }

    /// The precompressed files beside one. A name that is not there costs the kernel's workers a look (its cache of names answers for
    /// present ones alone), so those that `stale` lacked are asked for again only if the directory has changed.
    async fn siblings(
        &self,
        path: &[u8],
        stale: Option<&Rc<Entry>>,
        neighbourhood: Option<&Stat>,
    ) -> io::Result<Vec<(Coding, File, Stat)>> {
        let mut found = Vec::new();
        if !self.location().may_have_siblings(path) {
            return Ok(found);
        }
        let open = async |coding: Coding| {
            let path = [path, coding.extension().as_bytes()].concat();
            (coding, self.open(&path).await)
        };
        // Most are not there, and a disk says so as slowly as it finds: it is asked for all of them at once.
        let is_absent = |coding: &Coding| {
            let known = stale.zip(neighbourhood);
            known.is_some_and(|(stale, directory)| stale.lacks(*coding, path, directory))
        };
        let codings = self.location().codings.iter().copied();
        let wanted = codings.filter(|coding| !is_absent(coding));
        for (coding, opened) in together(wanted.map(open)).await {
            match opened {
                Ok((file, stat)) if stat.kind == Kind::Regular => found.push((coding, file, stat)),
                Ok(_) => {}
                Err(error) if !self.waits && error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(error);
                }
                // The plain file answers; whatever is wrong with its sibling.
                Err(_) => {}
            }
        }
        Ok(found)
    }

    /// `None`: something changed while it was read.
    async fn read(
        &self,
        path: &[u8],
        file: File,
        stat: Stat,
        siblings: Vec<(Coding, File, Stat)>,
    ) -> io::Result<Option<Entry>> {
        let varies = !siblings.is_empty();
        let source = |coding, stat, content| Source {
            location: self.location(),
            path,
            stat,
            content,
            coding,
            varies,
            server: &self.files.server,
            wall_ns: uring::wall(),
        };
        let mut coded = Vec::with_capacity(siblings.len());
        for (coding, file, stat) in siblings {
            let Some(content) = self.content(file, &stat).await? else {
                return Ok(None);
            };
            coded.push(Entry::new(source(coding, stat, content), Vec::new()));
        }
        let content = self.content(file, &stat).await?;
        Ok(content.map(|content| Entry::new(source(Coding::Identity, stat, content), coded)))
    }

    async fn content(&self, file: File, stat: &Stat) -> io::Result<Option<Content>> {
        if stat.size > MEMORY_FILE_BYTES_MAX {
            return Ok(Some(Content::File(file)));
        }
        if self.waits {
            return Ok(read_whole(&file, stat).await?.map(Content::Memory));
        }
        match read_whole_now(&file, stat) {
            Some(bytes) => Ok(Some(Content::Memory(bytes))),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    async fn open(&self, path: &[u8]) -> io::Result<(File, Stat)> {
        self.open_as(path, OpenHow::beneath).await
    }

    async fn open_as(
        &self,
        path: &[u8],
        how: fn(Symlinks, Reach) -> OpenHow,
    ) -> io::Result<(File, Stat)> {
        let relative = relative(path);
        // A NUL has been refused with the path already; here it would be no such file.
        let name = CString::new(relative).map_err(|_| io::ErrorKind::NotFound)?;
        let symlinks = self.location().symlinks();
        let opened = if self.waits {
            self.directory
                .open_file(name, how(symlinks, Reach::MayBlock))
                .await
        } else {
            self.directory
                .try_open_file(&name, &how(symlinks, Reach::CachedOnly))
        };
        let file = match opened {
            Ok(file) => file,
            Err(error) if is_link(&error) && self.location().asks_owners() => {
                self.open_owned(relative).await?
            }
            Err(error) if !self.waits && is_out_of_descriptors(&error) => {
                // The close goes through the ring, so the descriptor is free a moment later.
                self.files.found.borrow_mut().release_descriptor();
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(error) => return Err(error),
        };
        let stat = file.stat()?;
        Ok((file, stat))
    }

    /// Past links, each looked at with its owner.
    async fn open_owned(&self, path: &[u8]) -> io::Result<File> {
        if !self.waits {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (root, path) = (self.directory.reader()?, path.to_vec());
        let opened = errand::run(move || root.open_owned(&path));
        opened.await.map(File::from_fd)
    }

    fn learn(&self, key: &[u8], outcome: Outcome) -> Outcome {
        self.keep(key, &outcome);
        outcome
    }

    /// Puts an outcome into the cache it belongs to, unless the location has moved to another directory meanwhile.
    fn keep(&self, key: &[u8], outcome: &Outcome) {
        if Rc::ptr_eq(self.directory, &self.location().mount.directory()) {
            self.files.learn(self.mount, key, outcome);
        }
    }
}

/// To name a directory below the location, without reading it.
fn directory_name(symlinks: Symlinks, reach: Reach) -> OpenHow {
    OpenHow {
        flags: OpenHow::root(reach).flags,
        ..OpenHow::beneath(symlinks, reach)
    }
}

/// Waits for a few futures at once; their results in their order.
async fn together<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        let mut is_done = true;
        for (future, result) in waiting.iter_mut().filter(|(_, result)| result.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => *result = Some(output),
                Poll::Pending => is_done = false,
            }
        }
        if is_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    waiting
        .into_iter()
        .filter_map(|(_, result)| result)
        .collect()
}

/// Relative to the location's directory; "." for the directory itself.
pub fn relative(path: &[u8]) -> &[u8] {
    let start = path
        .iter()
        .position(|&byte| byte != b'/')
        .unwrap_or(path.len());
    match &path[start..] {
        b"" => b".",
        relative => relative,
    }
}

/// The whole file from the page cache; `None` if the disk would be asked, or if it is not as long as it was.
fn read_whole_now(file: &File, stat: &Stat) -> Option<Vec<u8>> {
    let length = usize::try_from(stat.size).ok()?;
    // One byte more, to notice growth.
    let mut bytes = vec![0; length + 1];
    let mut read = 0;
    while read < bytes.len() {
        match file.try_read_at(&mut bytes[read..], read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(_) => return None,
        }
    }
    bytes.truncate(read);
    (read == length && file.stat().ok()? == *stat).then_some(bytes)
}

/// As `read_whole_now`, through the ring; `None` if the file changed.
async fn read_whole(file: &File, stat: &Stat) -> io::Result<Option<Vec<u8>>> {
    let length = usize::try_from(stat.size).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(length + 1);
    while bytes.len() <= length {
        let (offset, room) = (bytes.len() as u64, length + 1 - bytes.len());
        let (count, returned) = file.read_at(bytes, room, offset).await;
        bytes = returned;
        if count? == 0 {
            break;
        }
    }
    Ok((bytes.len() == length && file.stat()? == *stat).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_relative() {
        for (path, expected) in [
            ("", "."),
            ("/", "."),
            ("//", "."),
            ("/a", "a"),
            ("//etc/passwd", "etc/passwd"),
            ("/a/", "a/"),
            ("/a//b", "a//b"),
        ] {
            assert_eq!(relative(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }
}
