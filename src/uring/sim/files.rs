//! A tree of files in memory, with the refusals of openat2(RESOLVE_BENEATH).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use sys::errno;
use sys::file::{Kind, Stat};

/// A file that several may have open.
pub struct Node {
    pub contents: RefCell<Vec<u8>>,
    inode: u64,
    modified_s: i64,
    kind: Kind,
}

impl Node {
    pub fn stat(&self) -> Stat {
        Stat {
            device: 1,
            inode: self.inode,
            kind: self.kind,
            size: self.contents.borrow().len() as u64,
            modified_s: self.modified_s,
            modified_ns: 0,
            changed_s: self.modified_s,
            changed_ns: self.inode as u32,
            owner: 0,
        }
    }
}

enum Entry {
    File(Rc<Node>),
    Link(String),
}

/// Absolute, normal paths to what lies there; directories exist by being on the way.
#[derive(Default)]
pub struct Files {
    entries: BTreeMap<String, Entry>,
    inodes: u64,
}

/// As many links as Linux follows.
const LINKS_MAX: usize = 40;

impl Files {
    pub fn put(&mut self, path: &str, contents: Vec<u8>, modified_s: i64) {
        self.inodes += 1;
        let node = Node {
            contents: RefCell::new(contents),
            inode: self.inodes,
            modified_s,
            kind: Kind::Regular,
        };
        self.entries
            .insert(normal(path), Entry::File(Rc::new(node)));
    }

    pub fn link(&mut self, path: &str, target: &str) {
        self.entries
            .insert(normal(path), Entry::Link(target.to_owned()));
    }

    pub fn truncate(&mut self, path: &str, size: usize) {
        if let Some(Entry::File(node)) = self.entries.get(&normal(path)) {
            node.contents.borrow_mut().truncate(size);
        }
    }

    /// Is there a directory?
    pub fn is_directory(&self, path: &str) -> bool {
        let prefix = format!("{}/", normal(path).trim_end_matches('/'));
        self.entries
            .range(prefix.clone()..)
            .next()
            .is_some_and(|entry| entry.0.starts_with(&prefix))
    }

    /// Opens `path` below `root` or says why not (an errno).
    pub fn open(&self, root: &str, path: &str, follow: bool) -> Result<Rc<Node>, i32> {
        let root = normal(root);
        let mut at: Vec<String> = Vec::new();
        let mut rest: Vec<String> = parts(path);
        let mut links = 0;
        if path.starts_with('/') {
            return Err(errno::EXDEV);
        }
        while !rest.is_empty() {
            let part = rest.remove(0);
            if part == ".." {
                if at.pop().is_none() {
                    return Err(errno::EXDEV);
                }
                continue;
            }
            at.push(part);
            let here = format!("{root}/{}", at.join("/"));
            match self.entries.get(&here) {
                Some(Entry::Link(target)) => {
                    links += 1;
                    if !follow || links > LINKS_MAX {
                        return Err(errno::ELOOP);
                    }
                    if target.starts_with('/') {
                        return Err(errno::EXDEV);
                    }
                    at.pop();
                    rest.splice(0..0, parts(target));
                }
                Some(Entry::File(_)) if !rest.is_empty() => return Err(errno::ENOTDIR),
                Some(Entry::File(node)) if path.ends_with('/') => {
                    drop(node.clone());
                    return Err(errno::ENOTDIR);
                }
                Some(Entry::File(node)) => return Ok(node.clone()),
                None if self.is_directory(&here) => {}
                None => return Err(errno::ENOENT),
            }
        }
        Ok(Rc::new(Node {
            contents: RefCell::default(),
            inode: 0,
            modified_s: 0,
            kind: Kind::Directory,
        }))
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
