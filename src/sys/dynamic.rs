//! The dynamic linker: symbols that may or may not be in this process.

use std::ffi::{CStr, c_void};
use std::path::PathBuf;

/// The address of a symbol of the executable or of any library loaded globally; `None` if there is none.
pub fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a NUL-terminated name; RTLD_DEFAULT searches what is loaded already and runs no code.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// The file that holds the code at `address`; `None` if nothing loaded does.
pub fn file_of(address: usize) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr only compares the address with the ranges of what is loaded, and fills `info` if it returns non-zero.
    let found = unsafe { libc::dladdr(address as *const c_void, info.as_mut_ptr()) };
    if found == 0 {
        return None;
    }
    // SAFETY: filled by the successful call (and zeroed before).
    let info = unsafe { info.assume_init() };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: a NUL-terminated name that lives as long as the library, which is never unloaded while its own code asks.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_and_only_that() {
        assert!(symbol(c"malloc").is_some());
        assert!(symbol(c"no_such_symbol_anywhere").is_none());
    }

    #[test]
    fn names_the_file_of_our_own_code() {
        let file =
            file_of(finds_what_is_there_and_only_that as *const () as usize).expect("our own code");
        assert!(file.exists());
    }
}
