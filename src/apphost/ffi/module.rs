//! The extension module `_ringgate`: multi-phase initialisation, loadable in every interpreter.
//!
//! Owns the module definition. It has no per-module state: what a worker needs it makes itself, in its own interpreter.

use super::class::{Arguments, hand_over};
use super::error::{Raised, Result};
use super::object::{Object, Python};
use super::version;
use pyo3::ffi;
use std::cell::UnsafeCell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

/// A function of the module: a type without values, so that each gets a C function of its own.
pub trait Function {
    const NAME: &'static CStr;
    const DOC: &'static CStr;

    fn call(py: Python<'_>, arguments: Arguments<'_>) -> Result<Object>;
}

/// Gives the module a function.
pub fn function<F: Function>(module: &Object) -> Result<()> {
    struct Definition(ffi::PyMethodDef);
    let definition: &'static Definition = const {
        &Definition(ffi::PyMethodDef {
            ml_name: F::NAME.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunctionFastWithKeywords: function_trampoline::<F>,
            },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: F::DOC.as_ptr(),
        })
    };
    // SAFETY: a 'static definition, never written to. A new reference or NULL.
    let function = unsafe {
        Object::from_owned(ffi::PyCFunction_NewEx(
            (&raw const definition.0).cast_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
        ))?
    };
    module.set_member(F::NAME, &function)
}

unsafe extern "C" fn function_trampoline<F: Function>(
    _module: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: isize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called by CPython: attached thread, arguments as the calling convention says.
    let (py, arguments) = unsafe {
        (
            Python::assume(),
            Arguments::from_fastcall(arguments, count, names),
        )
    };
    hand_over(py, || F::call(py, arguments).map(Some))
}

/// Gives the module an exception class of its own, derived from BaseException.
pub fn base_exception(module: &Object, name: &CStr, qualified: &CStr, doc: &CStr) -> Result<()> {
    // SAFETY: NUL-terminated texts; the base is a static type; no namespace is given. A new reference or NULL.
    let class = unsafe {
        Object::from_owned(ffi::PyErr_NewExceptionWithDoc(
            qualified.as_ptr(),
            doc.as_ptr(),
            ffi::PyExc_BaseException,
            ptr::null_mut(),
        ))?
    };
    module.set_member(name, &class)
}

/// The file this extension was loaded from.
pub fn extension_file() -> Option<std::path::PathBuf> {
    sys::dynamic::file_of(PyInit__ringgate as *const () as usize)
}

/// A static that CPython reads and, for the module definition's header, writes under the import lock of the first import.
#[repr(transparent)]
struct Static<T>(UnsafeCell<T>);

// SAFETY: written only by CPython, which does so once, in PyModuleDef_Init, with its own guards.
unsafe impl<T> Sync for Static<T> {}

/// `Py_mod_multiple_interpreters`.
const SLOT_MULTIPLE_INTERPRETERS: c_int = 3;
/// `Py_MOD_PER_INTERPRETER_GIL_SUPPORTED`.
const PER_INTERPRETER_GIL: *mut c_void = 2 as *mut c_void;

static SLOTS: Static<[ffi::PyModuleDef_Slot; 3]> = Static(UnsafeCell::new([
    ffi::PyModuleDef_Slot {
        slot: ffi::Py_mod_exec,
        value: execute as *mut c_void,
    },
    ffi::PyModuleDef_Slot {
        slot: SLOT_MULTIPLE_INTERPRETERS,
        value: PER_INTERPRETER_GIL,
    },
    ffi::PyModuleDef_Slot {
        slot: 0,
        value: ptr::null_mut(),
    },
]));

/// For versions that do not know the slot above and would refuse it.
static SLOTS_BEFORE_INTERPRETERS: Static<[ffi::PyModuleDef_Slot; 2]> = Static(UnsafeCell::new([
    ffi::PyModuleDef_Slot {
        slot: ffi::Py_mod_exec,
        value: execute as *mut c_void,
    },
    ffi::PyModuleDef_Slot {
        slot: 0,
        value: ptr::null_mut(),
    },
]));

static DEFINITION: Static<ffi::PyModuleDef> =
    Static(UnsafeCell::new(module_definition(SLOTS.0.get().cast())));
static DEFINITION_BEFORE_INTERPRETERS: Static<ffi::PyModuleDef> = Static(UnsafeCell::new(
    module_definition(SLOTS_BEFORE_INTERPRETERS.0.get().cast()),
));

const fn module_definition(slots: *mut ffi::PyModuleDef_Slot) -> ffi::PyModuleDef {
    ffi::PyModuleDef {
        m_base: ffi::PyModuleDef_HEAD_INIT,
        m_name: c"_ringgate".as_ptr(),
        m_doc: c"The worker side of ringgate: runs WSGI applications for the edge.".as_ptr(),
        m_size: 0,
        m_methods: ptr::null_mut(),
        m_slots: slots,
        m_traverse: None,
        m_clear: None,
        m_free: None,
    }
}

/// Objects have a longer head there; which of the two this was compiled for shows in it.
const FREE_THREADED: bool = size_of::<ffi::PyObject>() > 2 * size_of::<usize>();

/// What `import _ringgate` calls first.
///
/// # Safety
/// Called by CPython's import machinery.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit__ringgate() -> *mut ffi::PyObject {
    if version::is_free_threaded() != FREE_THREADED {
        let message = match FREE_THREADED {
            true => c"this ringgate was built for a free-threaded Python, and this one has a GIL",
            false => {
                c"this ringgate was built for Pythons with a GIL, and this is a free-threaded one; install ringgate with this Python"
            }
        };
        // SAFETY: attached thread; a class of the interpreter's, whose layout is not looked at, and a NUL-terminated text.
        unsafe { ffi::PyErr_SetString(ffi::PyExc_ImportError, message.as_ptr()) };
        return ptr::null_mut();
    }
    let definition = if version::running() >= version::INTERPRETERS_SLOT_SINCE {
        &DEFINITION
    } else {
        &DEFINITION_BEFORE_INTERPRETERS
    };
    // SAFETY: a complete static definition; Init fills in its header.
    unsafe { ffi::PyModuleDef_Init(definition.0.get()) }
}

/// Fills a fresh module, in whichever interpreter imports it.
unsafe extern "C" fn execute(module: *mut ffi::PyObject) -> c_int {
    // SAFETY: called by the import machinery: attached thread, a live module.
    let (py, module) = unsafe { (Python::assume(), Object::from_borrowed(module)) };
    match crate::fill_module(py, &module) {
        Ok(()) => 0,
        Err(raised) => {
            Raised::leave(raised);
            -1
        }
    }
}
