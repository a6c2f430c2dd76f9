//! Exceptions: the error indicator as a value, and an exception taken out of it.
//!
//! Invariant: while a [`Raised`] lives, the thread's error indicator is set; dropping it clears the indicator.

use super::object::{Object, Python};
use pyo3::ffi;
use std::ffi::CString;
use std::marker::PhantomData;
use std::ptr;

/// The thread's error indicator is set.
#[must_use]
pub struct Raised(PhantomData<*mut ()>);

/// Of a call into Python.
pub type Result<T> = std::result::Result<T, Raised>;

/// The built-in exceptions we raise or look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    AttributeError,
    AssertionError,
    BaseException,
    ConnectionAborted,
    IndexError,
    OSError,
    RuntimeError,
    StopIteration,
    SystemExit,
    TypeError,
    ValueError,
}

impl Kind {
    fn pointer(self) -> *mut ffi::PyObject {
        // SAFETY: these statics are set by the interpreter before any extension is loaded and never change. The built-in exception types
        // are static types, immortal and shared by all interpreters.
        unsafe {
            match self {
                Kind::AttributeError => ffi::PyExc_AttributeError,
                Kind::AssertionError => ffi::PyExc_AssertionError,
                Kind::BaseException => ffi::PyExc_BaseException,
                Kind::ConnectionAborted => ffi::PyExc_ConnectionAbortedError,
                Kind::IndexError => ffi::PyExc_IndexError,
                Kind::OSError => ffi::PyExc_OSError,
                Kind::RuntimeError => ffi::PyExc_RuntimeError,
                Kind::StopIteration => ffi::PyExc_StopIteration,
                Kind::SystemExit => ffi::PyExc_SystemExit,
                Kind::TypeError => ffi::PyExc_TypeError,
                Kind::ValueError => ffi::PyExc_ValueError,
            }
        }
    }

    /// For callers that hold an object, which proves as much as a token.
    fn of_any(self) -> Object {
        // SAFETY: a static type, alive for the process.
        unsafe { Object::from_borrowed(self.pointer()) }
    }

    /// The exception type itself.
    pub fn object(self, _py: Python<'_>) -> Object {
        // SAFETY: a static type, alive for the process; the token proves an attached thread.
        unsafe { Object::from_borrowed(self.pointer()) }
    }
}

impl Raised {
    /// # Safety
    /// The error indicator of this thread is set, and nobody else stands for it.
    pub(super) unsafe fn assume() -> Raised {
        Raised(PhantomData)
    }

    /// Raises a built-in exception. Bytes that a C string cannot hold are left out.
    #[cold]
    #[inline(never)]
    pub fn new(_py: Python<'_>, kind: Kind, message: &str) -> Raised {
        let message = CString::new(message.replace('\0', "")).unwrap_or_default();
        // SAFETY: an exception type and a NUL-terminated UTF-8 string; the token proves an attached thread.
        unsafe { ffi::PyErr_SetString(kind.pointer(), message.as_ptr()) };
        Raised(PhantomData)
    }

    /// Ends an iteration or an await with this value.
    #[inline]
    pub fn stop(value: &Object) -> Raised {
        // SAFETY: an exception type and a live object, which proves an attached thread. A dict or None becomes the only argument of the exception.
        unsafe { ffi::PyErr_SetObject(Kind::StopIteration.pointer(), value.as_ptr()) };
        Raised(PhantomData)
    }

    /// Whether the exception is of this kind or below it.
    pub fn is(&self, kind: Kind) -> bool {
        // SAFETY: the indicator is set (invariant), the argument is an exception type.
        unsafe { ffi::PyErr_ExceptionMatches(kind.pointer()) != 0 }
    }

    /// Takes the exception out; the indicator is clear afterwards.
    #[allow(
        deprecated,
        reason = "they are from 3.12 on, which shows where this is built for one version, and their successor is newer than 3.10"
    )]
    pub fn take(self) -> Exception {
        let (mut kind, mut value, mut traceback) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: fetch moves three owned references (value and traceback may be NULL) to us and clears the indicator; normalising replaces them in place
        // by an instance.
        let value = unsafe {
            ffi::PyErr_Fetch(&mut kind, &mut value, &mut traceback);
            ffi::PyErr_NormalizeException(&mut kind, &mut value, &mut traceback);
            if !traceback.is_null() && !value.is_null() {
                ffi::PyException_SetTraceback(value, traceback);
            }
            ffi::Py_XDECREF(traceback);
            if value.is_null() {
                // Only if the indicator was not set: then the type itself stands for the exception.
                Object::from_owned_or_none(kind)
            } else {
                ffi::Py_XDECREF(kind);
                Object::from_owned_or_none(value)
            }
        };
        // The indicator is clear already.
        std::mem::forget(self);
        Exception(value)
    }

    /// Leaves the indicator set for CPython to find.
    pub(super) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        // SAFETY: a `Raised` cannot leave its thread, which was attached when it was made.
        unsafe { ffi::PyErr_Clear() };
    }
}

/// An exception instance that nobody has handled yet.
pub struct Exception(Object);

impl Exception {
    /// Of an object known to be an exception instance.
    pub fn from_object(object: Object) -> Exception {
        Exception(object)
    }

    pub fn object(&self) -> &Object {
        &self.0
    }

    /// Raises it again, with the traceback it has.
    pub fn restore(self) -> Raised {
        // SAFETY: an exception instance; its type is alive as long as it is. SetObject takes references of its own.
        unsafe {
            let value = self.0.as_ptr();
            ffi::PyErr_SetObject(ffi::Py_TYPE(value).cast(), value);
        }
        Raised(PhantomData)
    }

    /// Raises what a `throw(exception)` or `throw(type, value, traceback)` was given.
    pub fn raise_given(arguments: &[&Object]) -> Raised {
        let given = |at: usize| arguments.get(at).filter(|given| !given.is_none());
        let instance = match (given(0), given(1)) {
            // SAFETY: a live object; only asked whether it is an exception instance.
            (_, Some(value)) if unsafe { ffi::PyExceptionInstance_Check(value.as_ptr()) } != 0 => {
                Ok((*value).clone())
            }
            // SAFETY: as above.
            (Some(value), _) if unsafe { ffi::PyExceptionInstance_Check(value.as_ptr()) } != 0 => {
                Ok((*value).clone())
            }
            (Some(class), Some(value)) => class.call_with(&[value]),
            (Some(class), None) => class.call(),
            (None, _) => Kind::RuntimeError.of_any().call(),
        };
        match instance {
            Ok(instance) => Exception(instance).restore(),
            Err(raised) => raised,
        }
    }

    /// `ValueError: text`, for a log line.
    pub fn line(&self) -> String {
        let kind = self.0.type_name();
        match self.0.text() {
            Ok(text) if text.is_empty() => kind,
            Ok(text) => format!("{kind}: {text}"),
            Err(raised) => {
                drop(raised);
                kind
            }
        }
    }
}
