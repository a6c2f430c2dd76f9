//! Immortal objects (PEP 683), and what tells whether an object may become one.
//!
//! CPython has no function for it that extensions may call: from 3.12 on an object is immortal by the value of its reference count, which is
//! written here for the versions that are known, after a trial.

use super::error::Result;
use super::object::{Object, Python};
use super::version::{self, Version};
use pyo3::ffi;

/// `_Py_IMMORTAL_REFCNT` of 3.12 and 3.13 on 64-bit machines: all ones in the lower half, which alone is looked at.
const IMMORTAL: isize = u32::MAX as isize;

/// The address of a type that lives as long as the interpreter, for comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeId(usize);

impl Object {
    pub fn address(&self) -> usize {
        self.as_ptr() as usize
    }

    pub fn type_id(&self) -> TypeId {
        TypeId(self.type_ptr() as usize)
    }

    /// Of a type: its own.
    pub fn as_type(&self) -> TypeId {
        TypeId(self.address())
    }

    pub fn is_class(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyType_Check(self.as_ptr()) != 0 }
    }

    pub fn is_module(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyModule_Check(self.as_ptr()) != 0 }
    }

    /// It is never freed from here on, and its reference count not written any more. Only where `can_be_immortal` said so.
    pub fn make_immortal(&self) {
        // SAFETY: a live object, whose first word is its reference count in the versions that `can_be_immortal` names; the GIL is held. The reference
        // that this `Object` gives back later moves the value by one, which CPython allows for (PEP 683, accidental de-immortalizing).
        unsafe { self.as_ptr().cast::<isize>().write(IMMORTAL + 1) };
    }
}

/// Whether this Python is one of those whose immortal objects are known: 3.12 or 3.13 with a GIL, and a trial says the same.
pub fn can_be_immortal(py: Python<'_>) -> Result<bool> {
    let known = [Version(3, 12), Version(3, 13)].contains(&version::running());
    if !known
        || cfg!(not(all(
            target_pointer_width = "64",
            target_endian = "little"
        )))
    {
        return Ok(false);
    }
    // Free-threaded and debug builds have another header.
    if !py
        .import(c"sys")?
        .member(c"abiflags")?
        .to_text()?
        .is_empty()
    {
        return Ok(false);
    }
    let trial = py.bytes(b"never freed: whether this Python knows immortal objects")?;
    // SAFETY: a live object of our own that is left behind below; reads and writes its first word, with functions of the interpreter in between.
    let unmoved = unsafe {
        let count = trial.as_ptr().cast::<isize>();
        if count.read() != 1 {
            return Ok(false);
        }
        count.write(IMMORTAL);
        ffi::Py_IncRef(trial.as_ptr());
        let unmoved = count.read() == IMMORTAL;
        ffi::Py_DecRef(trial.as_ptr());
        unmoved && count.read() == IMMORTAL
    };
    std::mem::forget(trial);
    Ok(unmoved)
}

/// Whether instances of this type are plain ones: made by a `class` statement without `__del__` as `sample` was, on bases of that kind or of `known`
/// types. All of these types are alive.
pub fn is_plain_class(kind: TypeId, sample: TypeId, known: &[TypeId]) -> bool {
    let (kind, sample) = (
        kind.0 as *mut ffi::PyTypeObject,
        sample.0 as *mut ffi::PyTypeObject,
    );
    // SAFETY: live types, by the caller's word, and what they hold as bases; their slots are only compared.
    unsafe {
        if ffi::PyType_HasFeature(kind, ffi::Py_TPFLAGS_HEAPTYPE) == 0
            || !ffi::PyType_GetSlot(kind, ffi::Py_tp_finalize).is_null()
            || !ffi::PyType_GetSlot(kind, ffi::Py_tp_del).is_null()
        {
            return false;
        }
        let dealloc = ffi::PyType_GetSlot(sample, ffi::Py_tp_dealloc);
        let mut base = kind;
        loop {
            if known.contains(&TypeId(base as usize)) {
                return true;
            }
            // All classes of Python's making are freed by one and the same function.
            if ffi::PyType_HasFeature(base, ffi::Py_TPFLAGS_HEAPTYPE) == 0
                || ffi::PyType_GetSlot(base, ffi::Py_tp_dealloc) != dealloc
            {
                return false;
            }
            base = ffi::PyType_GetSlot(base, ffi::Py_tp_base).cast();
            if base.is_null() {
                return false;
            }
        }
    }
}
