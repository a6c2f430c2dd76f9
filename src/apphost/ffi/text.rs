//! `str`: making it from bytes and reading it as Latin-1.

use super::error::Result;
use super::object::{Object, Python};
use pyo3::ffi;
use std::ffi::CStr;

impl<'p> Python<'p> {
    /// One character per byte, U+0000 to U+00FF: PEP 3333's "native string". One scan and one copy.
    #[inline]
    pub fn latin1(self, bytes: &[u8]) -> Result<Object> {
        // SAFETY: pointer and length describe `bytes`, which are copied; every byte is valid Latin-1, so `errors` is not needed.
        unsafe {
            Object::from_owned(ffi::PyUnicode_DecodeLatin1(
                bytes.as_ptr().cast(),
                bytes.len() as isize,
                std::ptr::null(),
            ))
        }
    }

    pub fn text(self, text: &str) -> Result<Object> {
        // SAFETY: pointer and length describe valid UTF-8, which is copied.
        unsafe {
            Object::from_owned(ffi::PyUnicode_FromStringAndSize(
                text.as_ptr().cast(),
                text.len() as isize,
            ))
        }
    }

    /// A file name as Python would show it (surrogateescape for bytes that are not UTF-8).
    pub fn path(self, bytes: &[u8]) -> Result<Object> {
        // SAFETY: pointer and length describe `bytes`, which are copied.
        unsafe {
            Object::from_owned(ffi::PyUnicode_DecodeFSDefaultAndSize(
                bytes.as_ptr().cast(),
                bytes.len() as isize,
            ))
        }
    }

    /// The interpreter's own copy of a constant string: dictionary look-ups with it compare addresses.
    pub fn interned(self, text: &CStr) -> Result<Object> {
        // SAFETY: a NUL-terminated UTF-8 literal.
        unsafe { Object::from_owned(ffi::PyUnicode_InternFromString(text.as_ptr())) }
    }
}

/// The bytes of a `str` whose characters are all below U+0100.
pub enum Latin1<'a> {
    /// The string's own memory.
    Ascii(&'a [u8]),
    /// An encoded copy, a `bytes` object.
    Encoded(Object),
}

impl Latin1<'_> {
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Latin1::Ascii(bytes) => bytes,
            Latin1::Encoded(object) => object.as_bytes().unwrap_or_default(),
        }
    }
}

impl Object {
    /// Whether it is a `str`.
    #[inline]
    pub fn is_text(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyUnicode_Check(self.as_ptr()) != 0 }
    }

    /// Reads a `str` as Latin-1; UnicodeEncodeError (a ValueError) above U+00FF, TypeError if it is no `str`.
    #[inline]
    pub fn latin1(&self) -> Result<Latin1<'_>> {
        let mut len = 0;
        // SAFETY: a live object; on success the pointer is to `len` bytes that live as long as the string (ASCII strings are their own UTF-8), NULL
        // means an exception (no str, lone surrogates).
        let start = unsafe { ffi::PyUnicode_AsUTF8AndSize(self.as_ptr(), &mut len) };
        if !start.is_null() {
            // SAFETY: a str, seen above.
            let characters = unsafe { ffi::PyUnicode_GetLength(self.as_ptr()) };
            if characters == len {
                // SAFETY: as said at the call.
                return Ok(Latin1::Ascii(unsafe {
                    std::slice::from_raw_parts(start.cast(), len as usize)
                }));
            }
        } else {
            // SAFETY: the failed call has set the indicator; the call below reports the same fault in its own words.
            unsafe { ffi::PyErr_Clear() };
        }
        // SAFETY: checks its argument; a new bytes object or NULL.
        unsafe { Object::from_owned(ffi::PyUnicode_AsLatin1String(self.as_ptr())) }
            .map(Latin1::Encoded)
    }

    /// A `str` as Rust text; what UTF-8 cannot hold (lone surrogates) is escaped. TypeError if it is no `str`.
    pub fn to_text(&self) -> Result<String> {
        // SAFETY: checks its argument; a new bytes object or NULL. Both names are NUL-terminated literals.
        let encoded = unsafe {
            Object::from_owned(ffi::PyUnicode_AsEncodedString(
                self.as_ptr(),
                c"utf-8".as_ptr(),
                c"backslashreplace".as_ptr(),
            ))?
        };
        Ok(String::from_utf8_lossy(encoded.as_bytes().unwrap_or_default()).into_owned())
    }
}
