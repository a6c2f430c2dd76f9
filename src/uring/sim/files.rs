//! A tree of files in memory, with the refusals of openat2.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Random;
use crate::reader::{Below, Listing};
use sys::errno;
use sys::file::{Kind, OpenHow, Stat, Symlinks, Walk};

/// A file that several may have open.
pub struct Node {
    pub contents: RefCell<Vec<u8>>,
    inode: u64,
    modified_s: i64,
}

impl Node {
    pub fn stat(&self) -> Stat {
        Stat {
            device: 1,
            inode: self.inode,
            kind: Kind::Regular,
            size: self.contents.borrow().len() as u64,
            modified_s: self.modified_s,
            modified_ns: 0,
            changed_s: self.modified_s,
            changed_ns: self.inode as u32,
            owner: 0,
        }
    }
}

/// FNV-1a.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[derive(Clone)]
enum Entry<F> {
    File(F),
    Link(String),
}

/// What a path leads to.
pub enum Found<F> {
    File(F),
    /// With its own path.
    Directory(String),
}

/// What happens to links, as the bits of [`OpenHow`] say.
pub fn links_of(how: &OpenHow) -> Symlinks {
    let resolve = |symlinks| OpenHow::beneath(symlinks, Walk::MayBlock).resolve;
    let has = |bits| how.resolve & bits == bits;
    if has(resolve(Symlinks::Refuse)) {
        Symlinks::Refuse
    } else if has(resolve(Symlinks::WithinRoot)) {
        Symlinks::WithinRoot
    } else {
        Symlinks::Anywhere
    }
}

/// Absolute, normal paths to what lies there; directories exist by being on the way.
#[derive(Clone)]
pub struct Tree<F> {
    entries: BTreeMap<String, Entry<F>>,
}

impl<F> Default for Tree<F> {
    fn default() -> Tree<F> {
        Tree {
            entries: BTreeMap::new(),
        }
    }
}

/// As many links as Linux follows.
const LINKS_MAX: usize = 40;

impl<F: Clone> Tree<F> {
    /// Is there a directory?
    fn is_directory(&self, path: &str) -> bool {
        let prefix = format!("{}/", normal(path).trim_end_matches('/'));
        self.entries
            .range(prefix.clone()..)
            .next()
            .is_some_and(|entry| entry.0.starts_with(&prefix))
    }

    /// Where `path` leads from `root`, or why nowhere (an errno).
    pub fn resolve(&self, root: &str, path: &str, links: Symlinks) -> Result<Found<F>, i32> {
        let is_free = links == Symlinks::Anywhere;
        let mut at = parts(root);
        let floor = if is_free { 0 } else { at.len() };
        if path.starts_with('/') {
            if !is_free {
                return Err(errno::EXDEV);
            }
            at.clear();
        }
        let mut rest = parts(path);
        let mut followed = 0;
        while !rest.is_empty() {
            let part = rest.remove(0);
            if part == ".." {
                if at.len() > floor {
                    at.pop();
                } else if !is_free {
                    return Err(errno::EXDEV);
                }
                continue;
            }
            at.push(part);
            let here = format!("/{}", at.join("/"));
            match self.entries.get(&here) {
                Some(Entry::Link(target)) => {
                    followed += 1;
                    if links == Symlinks::Refuse || followed > LINKS_MAX {
                        return Err(errno::ELOOP);
                    }
                    at.pop();
                    if target.starts_with('/') {
                        if !is_free {
                            return Err(errno::EXDEV);
                        }
                        at.clear();
                    }
                    rest.splice(0..0, parts(target));
                }
                Some(Entry::File(_)) if !rest.is_empty() || path.ends_with('/') => {
                    return Err(errno::ENOTDIR);
                }
                Some(Entry::File(file)) => return Ok(Found::File(file.clone())),
                None if self.is_directory(&here) => {}
                None => return Err(errno::ENOENT),
            }
        }
        Ok(Found::Directory(format!("/{}", at.join("/"))))
    }

    /// A directory is known by its path, and changes with the names in it.
    pub fn stat_of_directory(&self, path: &str) -> Stat {
        let children = self.children(path);
        let names = children.keys().flat_map(|name| name.bytes().chain([0]));
        Stat {
            device: 1,
            // Far from the files' numbers.
            inode: hash(path.bytes()) | 1 << 63,
            kind: Kind::Directory,
            size: 0,
            modified_s: 0,
            modified_ns: 0,
            changed_s: 0,
            changed_ns: hash(names) as u32,
            owner: 0,
        }
    }

    /// The names in a directory; a link is `None`, a directory its path.
    pub fn children(&self, directory: &str) -> BTreeMap<String, Option<Found<F>>> {
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        let mut children = BTreeMap::new();
        for (path, entry) in self.entries.range(prefix.clone()..) {
            let Some(rest) = path.strip_prefix(&prefix) else {
                break;
            };
            let (name, child) = match (rest.split_once('/'), entry) {
                (Some((name, _)), _) => (name, Some(Found::Directory(format!("{prefix}{name}")))),
                (None, Entry::File(file)) => (rest, Some(Found::File(file.clone()))),
                (None, Entry::Link(_)) => (rest, None),
            };
            children.insert(name.to_owned(), child);
        }
        children
    }

    fn map<G>(&self, mut f: impl FnMut(&F) -> G) -> Tree<G> {
        let entries = self.entries.iter().map(|(path, entry)| {
            let entry = match entry {
                Entry::File(file) => Entry::File(f(file)),
                Entry::Link(target) => Entry::Link(target.clone()),
            };
            (path.clone(), entry)
        });
        Tree {
            entries: entries.collect(),
        }
    }
}

/// The files of a world.
#[derive(Default)]
pub struct Files {
    pub tree: Tree<Rc<Node>>,
    inodes: u64,
}

impl Files {
    pub fn put(&mut self, path: &str, contents: Vec<u8>, modified_s: i64) {
        self.inodes += 1;
        let node = Node {
            contents: RefCell::new(contents),
            inode: self.inodes,
            modified_s,
        };
        self.tree
            .entries
            .insert(normal(path), Entry::File(Rc::new(node)));
    }

    pub fn link(&mut self, path: &str, target: &str) {
        self.tree
            .entries
            .insert(normal(path), Entry::Link(target.to_owned()));
    }

    pub fn truncate(&mut self, path: &str, size: usize) {
        if let Some(Entry::File(node)) = self.tree.entries.get(&normal(path)) {
            node.contents.borrow_mut().truncate(size);
        }
    }

    /// The tree as it is now, for another thread.
    pub fn snapshot(&self) -> Tree<Stat> {
        self.tree.map(|node| node.stat())
    }
}

/// A directory of a tree that stands still, and what goes wrong in it.
pub struct Snapshot {
    pub tree: Tree<Stat>,
    pub root: String,
    pub random: RefCell<Random>,
    /// Reading fails with EIO so many times in a thousand.
    pub io_error: u32,
}

impl Below for Snapshot {
    /// The entries below a path in an order of the seed's, and what each is itself.
    fn entries(&self, path: &str, links: Symlinks) -> Result<Vec<Listing>, i32> {
        let Found::Directory(path) = self.tree.resolve(&self.root, path, links)? else {
            return Err(errno::ENOTDIR);
        };
        let mut random = self.random.borrow_mut();
        let mut entries = Vec::new();
        for (name, child) in self.tree.children(&path) {
            let stat = match child {
                Some(found) => self.stat_of(&found),
                None => Stat {
                    kind: Kind::Symlink,
                    ..self.tree.stat_of_directory(&name)
                },
            };
            let at = random.below(entries.len() as u64 + 1) as usize;
            entries.insert(at, Ok((name, stat)));
        }
        if random.chance(self.io_error) {
            let at = random.below(entries.len() as u64 + 1) as usize;
            entries.insert(at, Err(errno::EIO));
        }
        Ok(entries)
    }

    fn stat(&self, path: &str, links: Symlinks) -> Result<Stat, i32> {
        if self.random.borrow_mut().chance(self.io_error) {
            return Err(errno::EIO);
        }
        self.tree
            .resolve(&self.root, path, links)
            .map(|found| self.stat_of(&found))
    }
}

impl Snapshot {
    fn stat_of(&self, found: &Found<Stat>) -> Stat {
        match found {
            Found::File(stat) => *stat,
            Found::Directory(path) => self.tree.stat_of_directory(path),
        }
    }
}

fn parts(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .map(str::to_owned)
        .collect()
}

fn normal(path: &str) -> String {
    format!("/{}", parts(path).join("/"))
}
