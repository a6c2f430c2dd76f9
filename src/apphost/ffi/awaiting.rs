//! What event loops need beyond plain calls: keyword arguments, numbers of seconds, identities.

use super::dict::Dict;
use super::error::{Raised, Result};
use super::object::{Object, Python};
use pyo3::ffi;

impl Python<'_> {
    pub fn float(self, value: f64) -> Result<Object> {
        // SAFETY: attached thread; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PyFloat_FromDouble(value)) }
    }

    /// UTF-8 as `str`; what is not UTF-8 becomes U+FFFD.
    #[inline]
    pub fn utf8(self, bytes: &[u8]) -> Result<Object> {
        // SAFETY: pointer and length describe `bytes`, which are copied; the handler's name is NUL-terminated.
        unsafe {
            Object::from_owned(ffi::PyUnicode_DecodeUTF8(
                bytes.as_ptr().cast(),
                bytes.len() as isize,
                c"replace".as_ptr(),
            ))
        }
    }
}

impl Object {
    /// Calls with a tuple of positional arguments and named ones, for callables without a fast call of their own (most classes): nothing is built besides.
    #[inline]
    pub fn call_named(&self, arguments: &Object, named: &Dict) -> Result<Object> {
        assert!(arguments.tuple_len().is_some(), "callers pass a tuple");
        // SAFETY: three live objects, a tuple and an exact dict; a new reference or NULL.
        unsafe {
            Object::from_owned(ffi::PyObject_Call(
                self.as_ptr(),
                arguments.as_ptr(),
                named.object().as_ptr(),
            ))
        }
    }

    /// Whether both are one object.
    #[inline]
    pub fn is_same(&self, other: &Object) -> bool {
        self.as_ptr() == other.as_ptr()
    }

    /// Whether its type is exactly `class`.
    #[inline]
    pub fn is_exactly(&self, class: &Object) -> bool {
        self.type_ptr().cast() == class.as_ptr()
    }

    /// A number as seconds or the like.
    pub fn to_f64(&self) -> Result<f64> {
        // SAFETY: a live object; -1 may be a value, so the indicator decides.
        unsafe {
            let value = ffi::PyFloat_AsDouble(self.as_ptr());
            if value == -1.0 && !ffi::PyErr_Occurred().is_null() {
                return Err(Raised::assume());
            }
            Ok(value)
        }
    }

    /// The UTF-8 of a `str`, kept by it; `None` if it is none or holds lone surrogates.
    #[inline]
    pub fn as_utf8(&self) -> Option<&[u8]> {
        if !self.is_text() {
            return None;
        }
        let mut len = 0;
        // SAFETY: a str; on success the pointer is to `len` bytes that live as long as it.
        unsafe {
            let start = ffi::PyUnicode_AsUTF8AndSize(self.as_ptr(), &mut len);
            if start.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            Some(std::slice::from_raw_parts(start.cast(), len as usize))
        }
    }

    /// A copy as `bytes` of anything that lets its memory be read (bytearray, memoryview).
    pub fn to_bytes(&self) -> Result<Object> {
        // SAFETY: a live object; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PyBytes_FromObject(self.as_ptr())) }
    }

    /// Whether it is an `int`.
    #[inline]
    pub fn is_integer(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyLong_Check(self.as_ptr()) != 0 }
    }

    /// A `str` as the bytes of a file name.
    pub fn to_file_name(&self) -> Result<Vec<u8>> {
        // SAFETY: checks its argument; a new bytes object or NULL.
        let bytes = unsafe { Object::from_owned(ffi::PyUnicode_EncodeFSDefault(self.as_ptr()))? };
        Ok(bytes.as_bytes().unwrap_or_default().to_vec())
    }

    /// A list of what it yields.
    pub fn to_list(&self) -> Result<Object> {
        // SAFETY: a live object; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PySequence_List(self.as_ptr())) }
    }
}
