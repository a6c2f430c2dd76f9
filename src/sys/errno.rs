//! Error numbers by their kernel names, for code that must switch on them (ring completions are `-errno`).

pub use libc::{
    EACCES, EAGAIN, EBADF, EBUSY, ECANCELED, ECONNABORTED, ECONNRESET, EEXIST, EFAULT, EINTR,
    EINVAL, EIO, ELOOP, EMFILE, EMSGSIZE, ENAMETOOLONG, ENFILE, ENOBUFS, ENOENT, ENOMEM, ENOSYS,
    ENOTCONN, ENOTDIR, ENXIO, EPERM, EPIPE, EPROTO, ETIME, ETIMEDOUT, EXDEV,
};
