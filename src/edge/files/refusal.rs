//! What an error of the file system means to a client. Pure.

use std::io;
use sys::errno;

pub fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(errno::ELOOP)
}

pub fn is_denied(error: &io::Error) -> bool {
    error.raw_os_error() == Some(errno::EACCES)
}

pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(errno::EMFILE | errno::ENFILE))
}

/// 404 or 403 if the error is the path's; else it is ours, and stays one.
pub fn refusal(error: io::Error) -> io::Result<u16> {
    match status_of(&error) {
        status @ (403 | 404) => Ok(status),
        _ => Err(error),
    }
}

/// What an error of opening, looking or reading means to the client.
pub fn status_of(error: &io::Error) -> u16 {
    match error.raw_os_error() {
        // Nothing there; or a way that leaves the location (EXDEV), or links in a circle or refused: as if it were not there.
        Some(
            errno::ENOENT | errno::ENOTDIR | errno::EXDEV | errno::ELOOP | errno::ENAMETOOLONG,
        ) => 404,
        // Not for us; ENXIO is what a socket answers, EISDIR and the like what odd file systems do.
        Some(errno::EACCES | errno::EPERM | errno::ENXIO) => 403,
        // A shortage, or (EAGAIN) a tree that is being rearranged under the walk.
        Some(errno::EMFILE | errno::ENFILE | errno::ENOMEM | errno::EAGAIN) => 503,
        None if error.kind() == io::ErrorKind::NotFound => 404,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_status() {
        for (number, status) in [
            (errno::ENOENT, 404),
            (errno::EXDEV, 404),
            (errno::ELOOP, 404),
            (errno::EACCES, 403),
            (errno::ENXIO, 403),
            (errno::EMFILE, 503),
            (errno::EIO, 500),
        ] {
            assert_eq!(
                status_of(&io::Error::from_raw_os_error(number)),
                status,
                "{number}"
            );
        }
    }
}
