use super::*;
use std::os::fd::AsFd;

struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path =
            std::env::temp_dir().join(format!("ringgate-file-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("scratch directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("scratch directory is ours");
    }
}

fn errno(result: io::Result<OwnedFd>) -> i32 {
    result.expect_err("must fail").raw_os_error().unwrap_or(0)
}

#[test]
fn nothing_leaves_the_root() {
    let scratch = Scratch::new("beneath");
    let root = scratch.0.join("root");
    std::fs::create_dir_all(root.join("sub")).expect("mkdir");
    std::fs::write(root.join("a.txt"), b"hello").expect("write");
    std::fs::write(scratch.0.join("secret"), b"no").expect("write");
    std::os::unix::fs::symlink("../secret", root.join("out")).expect("symlink");
    std::os::unix::fs::symlink("a.txt", root.join("in")).expect("symlink");
    std::os::unix::fs::symlink("/etc/passwd", root.join("abs")).expect("symlink");
    let dir = open_root(&root).expect("root");
    let open = |path: &CStr, symlinks| {
        open_beneath(
            dir.as_fd(),
            path,
            &OpenHow::beneath(symlinks, Walk::MayBlock),
        )
    };
    let file = open(c"a.txt", Symlinks::WithinRoot).expect("plain file");
    assert_eq!(stat(file.as_fd()).expect("stat").size, 5);
    assert!(open(c"sub/../a.txt", Symlinks::WithinRoot).is_ok());
    assert!(open(c"in", Symlinks::WithinRoot).is_ok());
    assert_eq!(errno(open(c"in", Symlinks::Refuse)), libc::ELOOP);
    for path in [
        c"../secret",
        c"out",
        c"abs",
        c"/etc/passwd",
        c"sub/../../secret",
    ] {
        assert_eq!(
            errno(open(path, Symlinks::WithinRoot)),
            libc::EXDEV,
            "{path:?}"
        );
    }
}

#[test]
fn a_fifo_does_not_hang() {
    let scratch = Scratch::new("fifo");
    let path = std::ffi::CString::new(scratch.0.join("pipe").as_os_str().as_bytes()).expect("path");
    // SAFETY: a NUL-terminated path.
    check(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }).expect("mkfifo");
    let dir = open_root(&scratch.0).expect("root");
    let how = OpenHow::beneath(Symlinks::WithinRoot, Walk::MayBlock);
    let file = open_beneath(dir.as_fd(), c"pipe", &how).expect("opens at once");
    assert_eq!(stat(file.as_fd()).expect("stat").kind, Kind::Fifo);
}

#[test]
fn cached_pages_are_read_and_sent_without_sleeping() {
    let scratch = Scratch::new("cached");
    let bytes: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
    std::fs::write(scratch.0.join("f"), &bytes).expect("write");
    let file = File::open(scratch.0.join("f")).expect("open");
    let mut buffer = vec![0; 1000];
    assert_eq!(
        read_at(file.as_fd(), &mut buffer, 5000).expect("read"),
        1000
    );
    assert_eq!(buffer, bytes[5000..6000]);
    if read_at_nowait(file.as_fd(), &mut buffer, 0).is_ok() {
        assert!(is_cached(file.as_fd(), 0, 100_000));
    }
}

#[test]
fn a_pipe_that_nobody_writes_to_is_opened_at_once() {
    let scratch = Scratch::new("fifo");
    let path = scratch.0.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo").success());
    let file = PromptOpener::default().open(&path).expect("opened");
    // `None`: the scratch directory is on a file system that is not known to be prompt.
    if let Some(file) = file {
        assert_eq!(stat(file.as_fd()).expect("stat").kind, Kind::Fifo);
    }
}

#[test]
fn temporary_files_have_no_name() {
    let scratch = Scratch::new("temporary");
    let file = temporary(&scratch.0).expect("temporary");
    assert_eq!(write(file.as_fd(), b"abc").expect("write"), 3);
    assert_eq!(stat(file.as_fd()).expect("stat").size, 3);
    assert_eq!(std::fs::read_dir(&scratch.0).expect("list").count(), 0);
}

#[test]
fn links_anywhere_lead_out_and_paths_do_not_need_to() {
    let scratch = Scratch::new("anywhere");
    let root = scratch.0.join("root");
    std::fs::create_dir_all(&root).expect("mkdir");
    std::fs::write(scratch.0.join("secret"), b"out").expect("write");
    std::os::unix::fs::symlink("../secret", root.join("out")).expect("symlink");
    let dir = open_root(&root).expect("root");
    let how = OpenHow::beneath(Symlinks::Anywhere, Walk::MayBlock);
    let file = open_beneath(dir.as_fd(), c"out", &how).expect("followed");
    assert_eq!(stat(file.as_fd()).expect("stat").size, 3);
}

#[test]
fn entries_are_all_of_them() {
    let scratch = Scratch::new("entries");
    for index in 0..300 {
        std::fs::write(scratch.0.join(format!("file-{index}")), b"x").expect("write");
    }
    std::fs::create_dir(scratch.0.join("sub")).expect("mkdir");
    std::os::unix::fs::symlink("sub", scratch.0.join("link")).expect("symlink");
    let fd = OwnedFd::from(File::open(&scratch.0).expect("open"));
    let mut entries = Entries::of(fd).expect("a directory");
    let mut seen = std::collections::BTreeMap::new();
    while let Some(entry) = entries.next() {
        let (name, kind) = entry.expect("read");
        let stat = entries.stat(&name).expect("stat");
        assert!(kind == Kind::Unknown || kind == stat.kind);
        seen.insert(name.into_string().expect("UTF-8"), stat.kind);
    }
    assert_eq!(seen.len(), 302);
    assert_eq!(
        (seen["sub"], seen["link"]),
        (Kind::Directory, Kind::Symlink)
    );
    let file = OwnedFd::from(File::open(scratch.0.join("file-0")).expect("open"));
    assert!(Entries::of(file).is_err());
}

#[test]
fn a_link_must_belong_to_the_owner_of_its_target() {
    let scratch = Scratch::new("owner");
    let at = |name: &str| scratch.0.join(name);
    std::fs::create_dir_all(at("root/sub")).expect("mkdir");
    std::fs::write(at("root/sub/a"), b"a").expect("write");
    std::fs::write(at("outside"), b"mine").expect("write");
    for (name, target) in [
        ("in", "sub/a"),
        ("dir", "sub"),
        ("out", "../outside"),
        ("twice", "dir/../in"),
        ("loop", "loop"),
        ("gone", "nothing"),
    ] {
        std::os::unix::fs::symlink(target, at("root").join(name)).expect("symlink");
    }
    std::os::unix::fs::symlink(at("outside"), at("root/absolute")).expect("symlink");
    let root = open_root(&at("root")).expect("root");
    let size = |path: &str| {
        let file = open_owned(root.as_fd(), path.as_bytes())?;
        let mut byte = [0];
        if stat(file.as_fd())?.kind == Kind::Regular {
            read_at(file.as_fd(), &mut byte, 0)?;
        }
        Ok::<u8, io::Error>(byte[0])
    };
    for path in ["sub/a", "in", "dir/a", "./dir//a", "twice"] {
        assert_eq!(size(path).expect(path), b'a', "{path}");
    }
    for path in ["out", "absolute"] {
        assert_eq!(size(path).expect(path), b'm', "{path}");
    }
    for path in ["", ".", "dir", "dir/", "sub/"] {
        assert_eq!(size(path).expect(path), 0, "{path}");
    }
    for (path, error) in [
        ("loop", libc::ELOOP),
        ("gone", libc::ENOENT),
        ("sub/a/", libc::ENOTDIR),
        ("in/x", libc::ENOTDIR),
    ] {
        let got = size(path).expect_err(path);
        assert_eq!(got.raw_os_error(), Some(error), "{path}");
    }
    // Only root can give a link away.
    if std::os::unix::fs::lchown(at("root/in"), Some(12345), None).is_ok() {
        for path in ["in", "twice"] {
            let error = size(path).expect_err("the link is another's");
            assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        }
        assert_eq!(size("dir/a").expect("ours"), b'a');
    }
}
