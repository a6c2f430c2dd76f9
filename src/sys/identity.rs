//! Users and groups: looked up by name, taken on by children, given to files.
//!
//! Owns nothing. A process that takes on an identity keeps nothing of the old one.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Room for one entry of the user database; libc asks for more when it is not enough.
const ENTRY_BYTES: usize = 1024;
const ENTRY_BYTES_MAX: usize = 1 << 20;
const GROUPS_MAX: usize = 65_536;

/// Whom a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: u32,
    pub group: u32,
    /// Further groups; without any the process has none but `group`.
    pub groups: Vec<u32>,
}

/// An entry of the user database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: u32,
    pub group: u32,
    pub name: String,
}

/// A user by name or number; `None` if there is none. A number need not be in the database.
pub fn user(text: &str) -> io::Result<Option<User>> {
    let name = CString::new(text)?;
    let number = text.parse::<u32>().ok();
    let mut buffer = vec![0u8; ENTRY_BYTES];
    loop {
        // SAFETY: plain data, filled by the call.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        let (at, length) = (buffer.as_mut_ptr().cast(), buffer.len());
        let result = match number {
            // SAFETY: the pointers are to live memory of the lengths given.
            Some(id) => unsafe { libc::getpwuid_r(id, &mut entry, at, length, &mut found) },
            // SAFETY: likewise, and the name ends in a NUL.
            None => unsafe { libc::getpwnam_r(name.as_ptr(), &mut entry, at, length, &mut found) },
        };
        match result {
            libc::ERANGE if buffer.len() < ENTRY_BYTES_MAX => buffer.resize(buffer.len() * 4, 0),
            0 if found.is_null() => {
                return Ok(number.map(|id| User {
                    id,
                    group: id,
                    name: text.to_owned(),
                }));
            }
            0 => {
                // SAFETY: the call has found an entry, whose name it wrote into `buffer`, ended by a NUL.
                let name = unsafe { CStr::from_ptr(entry.pw_name) };
                return Ok(Some(User {
                    id: entry.pw_uid,
                    group: entry.pw_gid,
                    name: name.to_string_lossy().into_owned(),
                }));
            }
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// A group by name or number.
pub fn group(text: &str) -> io::Result<Option<u32>> {
    if let Ok(number) = text.parse() {
        return Ok(Some(number));
    }
    let name = CString::new(text)?;
    let mut buffer = vec![0u8; ENTRY_BYTES];
    loop {
        // SAFETY: plain data, filled by the call.
        let mut entry: libc::group = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: the pointers are to live memory of the lengths given, and the name ends in a NUL.
        let result = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                &mut entry,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &mut found,
            )
        };
        match result {
            libc::ERANGE if buffer.len() < ENTRY_BYTES_MAX => buffer.resize(buffer.len() * 4, 0),
            0 => return Ok((!found.is_null()).then_some(entry.gr_gid)),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Every group that this user is in, `group` among them.
pub fn groups_of(user: &User, group: u32) -> io::Result<Vec<u32>> {
    let name = CString::new(user.name.as_str())?;
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = groups.len() as libc::c_int;
        // SAFETY: `groups` has room for `count` numbers, and the name ends in a NUL.
        let result =
            unsafe { libc::getgrouplist(name.as_ptr(), group, groups.as_mut_ptr(), &mut count) };
        let count = usize::try_from(count).unwrap_or(0);
        if result >= 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        if groups.len() >= GROUPS_MAX {
            return Err(io::Error::other("too many groups"));
        }
        groups.resize((groups.len() * 2).max(count), 0);
    }
}

/// Makes the calling process that user's; not to be undone. Between fork and exec: only system calls.
pub fn take_on(identity: &Identity) -> io::Result<()> {
    let check = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: `groups` is that many numbers.
    check(unsafe { libc::setgroups(identity.groups.len(), identity.groups.as_ptr()) })?;
    // SAFETY: integers only.
    check(unsafe { libc::setgid(identity.group) })?;
    // SAFETY: integers only.
    check(unsafe { libc::setuid(identity.user) })
}

/// Gives a file to somebody.
pub fn give(path: &Path, identity: &Identity) -> io::Result<()> {
    let path: &OsStr = path.as_os_str();
    let path = CString::new(path.as_bytes())?;
    // SAFETY: `path` ends in a NUL.
    if unsafe { libc::lchown(path.as_ptr(), identity.user, identity.group) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Gives an open file to somebody.
pub fn give_open(file: BorrowedFd<'_>, identity: &Identity) -> io::Result<()> {
    // SAFETY: an open descriptor and integers.
    if unsafe { libc::fchown(file.as_raw_fd(), identity.user, identity.group) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The bits that new files do not get, for this process and its children.
pub fn set_umask(mask: u32) {
    // SAFETY: cannot fail.
    unsafe { libc::umask(mask as libc::mode_t) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let root = user("root").expect("a database").expect("root");
        assert_eq!((root.id, root.name.as_str()), (0, "root"));
        assert_eq!(user("0").expect("a database"), Some(root.clone()));
        assert_eq!(user("nobody-of-this-name").expect("a database"), None);
        let unnamed = user("4000000").expect("a database").expect("a number");
        assert_eq!((unnamed.id, unnamed.group), (4_000_000, 4_000_000));
        assert_eq!(group("root").expect("a database"), Some(0));
        assert_eq!(group("no-group-of-this-name").expect("a database"), None);
        assert!(groups_of(&root, 0).expect("groups").contains(&0));
    }
}
