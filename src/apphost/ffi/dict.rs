//! Exact dictionaries of ours.

use super::error::Result;
use super::object::{Object, Python};
use pyo3::ffi;
use std::ffi::CStr;

/// An exact `dict`, or one that came from outside and may be of a subclass.
#[repr(transparent)]
pub struct Dict(Object);

impl Object {
    /// Itself, if it is a `dict` (or of a subclass).
    #[inline]
    pub fn as_dict(&self) -> Option<&Dict> {
        // SAFETY: a live object; `Dict` is transparent over `Object`.
        unsafe {
            (ffi::PyDict_Check(self.as_ptr()) != 0)
                .then(|| &*std::ptr::from_ref(self).cast::<Dict>())
        }
    }
}

impl Dict {
    pub fn new(_py: Python<'_>) -> Result<Dict> {
        // SAFETY: attached thread; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PyDict_New()) }.map(Dict)
    }

    /// A shallow copy; of a dictionary that never lost a key, a plain copy of its table.
    #[inline]
    pub fn copy(&self) -> Result<Dict> {
        // SAFETY: an exact dict; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PyDict_Copy(self.0.as_ptr())) }.map(Dict)
    }

    #[inline]
    pub fn set(&self, key: &Object, value: &Object) -> Result<()> {
        // SAFETY: an exact dict and two live objects; takes references of its own.
        Object::check(unsafe { ffi::PyDict_SetItem(self.0.as_ptr(), key.as_ptr(), value.as_ptr()) })
    }

    pub fn set_named(&self, key: &CStr, value: &Object) -> Result<()> {
        // SAFETY: as `set`, with a NUL-terminated key.
        Object::check(unsafe {
            ffi::PyDict_SetItemString(self.0.as_ptr(), key.as_ptr(), value.as_ptr())
        })
    }

    #[inline]
    pub fn get(&self, key: &Object) -> Result<Option<Object>> {
        // SAFETY: a borrowed reference, or NULL with or without an exception.
        unsafe {
            let value = ffi::PyDict_GetItemWithError(self.0.as_ptr(), key.as_ptr());
            if !value.is_null() {
                return Ok(Some(Object::from_borrowed(value)));
            }
            if ffi::PyErr_Occurred().is_null() {
                Ok(None)
            } else {
                Err(super::Raised::assume())
            }
        }
    }

    pub fn get_named(&self, py: Python<'_>, key: &CStr) -> Result<Option<Object>> {
        self.get(&py.interned(key)?)
    }

    #[inline]
    pub fn object(&self) -> &Object {
        &self.0
    }

    #[inline]
    pub fn into_object(self) -> Object {
        self.0
    }
}
