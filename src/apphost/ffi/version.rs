//! What differs between the CPython versions, all of it: symbols that the limited API of 3.10 does not have, looked up at run time.
//!
//! Owns only function pointers and numbers, the same for every interpreter of the process.

use pyo3::ffi;
use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;

/// Major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

/// Sub-interpreters are offered from here on: on 3.12 two of them that import datetime abort the process.
pub const INTERPRETERS_SINCE: Version = Version(3, 13);
/// `Py_mod_multiple_interpreters` is a known slot from here on; older versions refuse to load a module that has it.
pub const INTERPRETERS_SLOT_SINCE: Version = Version(3, 12);

/// PY_VECTORCALL_ARGUMENTS_OFFSET (PEP 590).
pub const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

/// PyObject_Vectorcall, or PyObject_VectorcallDict where that is an inline function (3.10): with a NULL last argument they are one.
pub type Vectorcall = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    usize,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// PyObject_GetOptionalAttr, limited API of 3.13.
pub type GetOptionalAttr =
    unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut *mut ffi::PyObject) -> c_int;

/// Py_NewInterpreterFromConfig, 3.12, never in the limited API.
pub type NewInterpreter =
    unsafe extern "C" fn(*mut *mut ffi::PyThreadState, *const InterpreterConfig) -> Status;

/// PyThreadState_DeleteCurrent, never in the limited API; in every version we know.
pub type DeleteCurrent = unsafe extern "C" fn();

/// `PyInterpreterConfig`, unchanged from 3.12 to 3.15.
#[repr(C)]
pub struct InterpreterConfig {
    pub use_main_obmalloc: c_int,
    pub allow_fork: c_int,
    pub allow_exec: c_int,
    pub allow_threads: c_int,
    pub allow_daemon_threads: c_int,
    pub check_multi_interp_extensions: c_int,
    pub gil: c_int,
}

/// `PyInterpreterConfig_OWN_GIL`.
pub const OWN_GIL: c_int = 2;

/// `PyStatus`, unchanged from 3.8 to 3.15.
#[repr(C)]
pub struct Status {
    pub kind: c_int,
    pub function: *const std::ffi::c_char,
    pub message: *const std::ffi::c_char,
    pub exit_code: c_int,
}

/// What was found in the running interpreter.
pub struct Symbols {
    pub vectorcall: Vectorcall,
    pub get_optional_attr: Option<GetOptionalAttr>,
    pub new_interpreter: Option<NewInterpreter>,
    pub delete_current: Option<DeleteCurrent>,
}

/// The running interpreter's version.
pub fn running() -> Version {
    static VERSION: OnceLock<Version> = OnceLock::new();
    *VERSION.get_or_init(|| {
        // SAFETY: a static NUL-terminated string like "3.13.0 (main, ...)"; needs no attached thread.
        let text = unsafe { CStr::from_ptr(ffi::Py_GetVersion()) }.to_string_lossy();
        let mut numbers = text
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse().ok());
        Version(numbers.next().unwrap_or(3), numbers.next().unwrap_or(10))
    })
}

/// Whether it is a free-threaded build, be its GIL on or off.
pub fn is_free_threaded() -> bool {
    // SAFETY: as in `running`.
    let text = unsafe { CStr::from_ptr(ffi::Py_GetVersion()) };
    text.to_string_lossy().contains("free-threading build")
}

/// Looked up once, when the extension is loaded.
#[inline]
pub fn symbols() -> &'static Symbols {
    static SYMBOLS: OnceLock<Symbols> = OnceLock::new();
    SYMBOLS.get_or_init(find)
}

#[cold]
fn find() -> Symbols {
    let vectorcall = sys::dynamic::symbol(c"PyObject_Vectorcall")
        .or_else(|| sys::dynamic::symbol(c"PyObject_VectorcallDict"));
    Symbols {
        vectorcall: match vectorcall {
            // SAFETY: both have this signature (the last argument is a tuple of names or a dict; we pass NULL).
            Some(address) => unsafe { std::mem::transmute::<*mut c_void, Vectorcall>(address) },
            None => call_with_tuple,
        },
        // SAFETY: the name has this signature in every version that exports it.
        get_optional_attr: sys::dynamic::symbol(c"PyObject_GetOptionalAttr")
            .map(|address| unsafe { std::mem::transmute::<*mut c_void, GetOptionalAttr>(address) }),
        // SAFETY: as above.
        new_interpreter: sys::dynamic::symbol(c"Py_NewInterpreterFromConfig")
            .map(|address| unsafe { std::mem::transmute::<*mut c_void, NewInterpreter>(address) }),
        // SAFETY: as above.
        delete_current: sys::dynamic::symbol(c"PyThreadState_DeleteCurrent")
            .map(|address| unsafe { std::mem::transmute::<*mut c_void, DeleteCurrent>(address) }),
    }
}

/// The slow way, for an interpreter that exports neither form of vectorcall. Same contract, no keywords.
unsafe extern "C" fn call_with_tuple(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    _names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let count = count & !ARGUMENTS_OFFSET;
    // SAFETY: the caller of a vectorcall passes `count` live objects; SetItem steals the reference made for it.
    unsafe {
        let tuple = ffi::PyTuple_New(count as isize);
        if tuple.is_null() {
            return tuple;
        }
        for index in 0..count {
            let argument = *arguments.add(index);
            ffi::Py_INCREF(argument);
            if ffi::PyTuple_SetItem(tuple, index as isize, argument) < 0 {
                ffi::Py_DECREF(tuple);
                return std::ptr::null_mut();
            }
        }
        let result = ffi::PyObject_Call(callable, tuple, std::ptr::null_mut());
        ffi::Py_DECREF(tuple);
        result
    }
}
