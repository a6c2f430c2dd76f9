//! The attached-thread token and references to Python objects.

use super::error::{Kind, Raised, Result};
use super::version;
use pyo3::ffi;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// Proof that this thread is attached to an interpreter (holds its GIL). Neither `Send` nor storable beyond `'p`.
#[derive(Clone, Copy)]
pub struct Python<'p>(PhantomData<(&'p (), *mut ())>);

impl<'p> Python<'p> {
    /// # Safety
    /// This thread is attached to an interpreter and stays so for `'p`, but for [`Python::detached`].
    pub(super) unsafe fn assume() -> Python<'p> {
        Python(PhantomData)
    }

    /// Gives the GIL up while `work` runs. `Send` keeps tokens and objects out of it.
    pub fn detached<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        struct Reattach(*mut ffi::PyThreadState);
        impl Drop for Reattach {
            fn drop(&mut self) {
                // SAFETY: the state that SaveThread handed to this very thread below, restored exactly once.
                unsafe { ffi::PyEval_RestoreThread(self.0) };
            }
        }
        // SAFETY: the token proves that this thread is attached. The guard attaches it again before anybody can use
        // a token or an object here, on a panic too.
        let _reattach = Reattach(unsafe { ffi::PyEval_SaveThread() });
        work()
    }

    /// Runs Python-level signal handlers that are due (main thread of the main interpreter only; elsewhere nothing).
    pub fn check_signals(self) -> Result<()> {
        // SAFETY: attached thread.
        Object::check(unsafe { ffi::PyErr_CheckSignals() })
    }

    pub fn none(self) -> Object {
        // SAFETY: None is immortal or at least as old as the interpreter.
        unsafe { Object::from_borrowed(ffi::Py_None()) }
    }

    pub fn boolean(self, value: bool) -> Object {
        // SAFETY: as None.
        unsafe {
            Object::from_borrowed(if value {
                ffi::Py_True()
            } else {
                ffi::Py_False()
            })
        }
    }

    pub fn integer(self, value: i64) -> Result<Object> {
        // SAFETY: attached thread; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PyLong_FromLongLong(value)) }
    }

    /// A copy of these bytes.
    #[inline]
    pub fn bytes(self, value: &[u8]) -> Result<Object> {
        // SAFETY: pointer and length describe `value`, which is copied; a slice's length fits isize.
        unsafe {
            Object::from_owned(ffi::PyBytes_FromStringAndSize(
                value.as_ptr().cast(),
                value.len() as isize,
            ))
        }
    }

    pub fn tuple(self, items: &[&Object]) -> Result<Object> {
        // SAFETY: attached thread; SetItem steals the reference we make for it; the index is within the new tuple.
        unsafe {
            let tuple = Object::from_owned(ffi::PyTuple_New(items.len() as isize))?;
            for (index, item) in items.iter().enumerate() {
                Object::check(ffi::PyTuple_SetItem(
                    tuple.as_ptr(),
                    index as isize,
                    (*item).clone().into_ptr(),
                ))?;
            }
            Ok(tuple)
        }
    }

    pub fn list(self) -> Result<Object> {
        // SAFETY: attached thread; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PyList_New(0)) }
    }

    pub fn import(self, name: &CStr) -> Result<Object> {
        // SAFETY: a NUL-terminated name.
        unsafe { Object::from_owned(ffi::PyImport_ImportModule(name.as_ptr())) }
    }

    /// The value of one expression over the built-ins.
    pub fn run_expression(self, source: &CStr) -> Result<Object> {
        let globals = super::Dict::new(self)?;
        // SAFETY: as `run`.
        unsafe {
            let builtins = ffi::PyEval_GetBuiltins();
            Object::check(ffi::PyDict_SetItemString(
                globals.object().as_ptr(),
                c"__builtins__".as_ptr(),
                builtins,
            ))?;
            let code = Object::from_owned(ffi::Py_CompileString(
                source.as_ptr(),
                c"<ringgate>".as_ptr(),
                ffi::Py_eval_input,
            ))?;
            let globals = globals.object().as_ptr();
            Object::from_owned(ffi::PyEval_EvalCode(code.as_ptr(), globals, globals))
        }
    }

    /// Compiles and runs a module's source in the namespace `globals`, which is given the built-ins.
    pub fn run(self, source: &CStr, file_name: &CStr, globals: &super::Dict) -> Result<()> {
        // SAFETY: NUL-terminated texts; `globals` is a dict that serves as both namespaces. The code object is owned by us.
        unsafe {
            let builtins = ffi::PyEval_GetBuiltins();
            Object::check(ffi::PyDict_SetItemString(
                globals.object().as_ptr(),
                c"__builtins__".as_ptr(),
                builtins,
            ))?;
            let code = Object::from_owned(ffi::Py_CompileString(
                source.as_ptr(),
                file_name.as_ptr(),
                ffi::Py_file_input,
            ))?;
            let globals = globals.object().as_ptr();
            Object::from_owned(ffi::PyEval_EvalCode(code.as_ptr(), globals, globals)).map(drop)
        }
    }
}

/// An owned reference to a Python object.
#[repr(transparent)]
pub struct Object(NonNull<ffi::PyObject>);

impl Object {
    /// Takes a new reference over; NULL means that an exception is set.
    ///
    /// # Safety
    /// `pointer` is a new reference that is ours now, or NULL with the error indicator set. Attached thread.
    #[inline]
    pub(super) unsafe fn from_owned(pointer: *mut ffi::PyObject) -> Result<Object> {
        match NonNull::new(pointer) {
            Some(pointer) => Ok(Object(pointer)),
            // SAFETY: the caller's promise.
            None => Err(unsafe { Raised::assume() }),
        }
    }

    /// # Safety
    /// `pointer` is a new reference that is ours now, or NULL without an exception. Attached thread.
    pub(super) unsafe fn from_owned_or_none(pointer: *mut ffi::PyObject) -> Object {
        match NonNull::new(pointer) {
            Some(pointer) => Object(pointer),
            // SAFETY: None lives as long as the interpreter.
            None => unsafe { Object::from_borrowed(ffi::Py_None()) },
        }
    }

    /// # Safety
    /// `pointer` is a live object; attached thread.
    #[inline]
    pub(super) unsafe fn from_borrowed(pointer: *mut ffi::PyObject) -> Object {
        // SAFETY: live, hence not NULL.
        unsafe {
            ffi::Py_INCREF(pointer);
            Object(NonNull::new_unchecked(pointer))
        }
    }

    /// A C return code: negative means that an exception is set.
    #[inline]
    pub(super) fn check(code: i32) -> Result<()> {
        if code < 0 {
            // SAFETY: that is what the C API's negative codes mean; callers hand on the code of the call just made.
            return Err(unsafe { Raised::assume() });
        }
        Ok(())
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }

    #[inline]
    pub(super) fn into_ptr(self) -> *mut ffi::PyObject {
        let pointer = self.0.as_ptr();
        std::mem::forget(self);
        pointer
    }

    #[inline]
    pub(super) fn type_ptr(&self) -> *mut ffi::PyTypeObject {
        // SAFETY: a live object has a type.
        unsafe { ffi::Py_TYPE(self.as_ptr()) }
    }

    pub fn is_none(&self) -> bool {
        // SAFETY: only compares addresses.
        self.as_ptr() == unsafe { ffi::Py_None() }
    }

    /// Whether this reference is the only one. A newer layout of the header can only make it say no.
    #[inline]
    pub fn is_unshared(&self) -> bool {
        // SAFETY: live object.
        unsafe { ffi::Py_REFCNT(self.as_ptr()) == 1 }
    }

    pub fn attribute(&self, name: &Object) -> Result<Object> {
        // SAFETY: two live objects; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PyObject_GetAttr(self.as_ptr(), name.as_ptr())) }
    }

    /// The attribute, or `None` where there is none (AttributeError).
    pub fn optional_attribute(&self, name: &Object) -> Result<Option<Object>> {
        if let Some(lookup) = version::symbols().get_optional_attr {
            let mut value = ptr::null_mut();
            // SAFETY: PyObject_GetOptionalAttr of 3.13+: 1 and a new reference, 0 and NULL, or -1 and an exception.
            let code = unsafe { lookup(self.as_ptr(), name.as_ptr(), &mut value) };
            Object::check(code)?;
            return Ok(NonNull::new(value).map(Object));
        }
        match self.attribute(name) {
            Ok(value) => Ok(Some(value)),
            Err(raised) if raised.is(Kind::AttributeError) => Ok(None),
            Err(raised) => Err(raised),
        }
    }

    pub fn member(&self, name: &CStr) -> Result<Object> {
        // SAFETY: a live object and a NUL-terminated name; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PyObject_GetAttrString(self.as_ptr(), name.as_ptr())) }
    }

    pub fn set_member(&self, name: &CStr, value: &Object) -> Result<()> {
        // SAFETY: two live objects and a NUL-terminated name.
        Object::check(unsafe {
            ffi::PyObject_SetAttrString(self.as_ptr(), name.as_ptr(), value.as_ptr())
        })
    }

    #[inline]
    pub fn call(&self) -> Result<Object> {
        // SAFETY: a live object; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PyObject_CallNoArgs(self.as_ptr())) }
    }

    /// Calls with at most [`ARGUMENTS_MAX`] positional arguments, without building a tuple.
    #[inline]
    pub fn call_with(&self, arguments: &[&Object]) -> Result<Object> {
        let mut stack: [*mut ffi::PyObject; ARGUMENTS_MAX + 1] =
            [ptr::null_mut(); ARGUMENTS_MAX + 1];
        for (place, argument) in stack[1..].iter_mut().zip(arguments) {
            *place = argument.as_ptr();
        }
        assert!(
            arguments.len() <= ARGUMENTS_MAX,
            "callers pass a handful of arguments"
        );
        // The callee may use the slot before the first argument for `self`: no copy for bound methods.
        let flags = arguments.len() | version::ARGUMENTS_OFFSET;
        // SAFETY: `stack[1..]` holds that many live objects and `stack[0]` is writable, as the flag promises. A new reference or NULL.
        unsafe {
            Object::from_owned((version::symbols().vectorcall)(
                self.as_ptr(),
                stack.as_mut_ptr().add(1).cast_const(),
                flags,
                ptr::null_mut(),
            ))
        }
    }

    pub fn call_member(&self, name: &CStr, arguments: &[&Object]) -> Result<Object> {
        self.member(name)?.call_with(arguments)
    }

    pub fn iterator(&self) -> Result<Object> {
        // SAFETY: a live object; a new reference or NULL.
        unsafe { Object::from_owned(ffi::PyObject_GetIter(self.as_ptr())) }
    }

    /// The next item of an iterator. On an object that is none, a TypeError.
    #[inline]
    pub fn next(&self, py: Python<'_>) -> Result<Option<Object>> {
        // SAFETY: a live object.
        if unsafe { ffi::PyIter_Check(self.as_ptr()) } == 0 {
            return Err(Raised::new(
                py,
                Kind::TypeError,
                &format!(
                    "iter() returned non-iterator of type '{}'",
                    self.type_name()
                ),
            ));
        }
        // SAFETY: a live iterator; a new reference, or NULL with or without an exception.
        let item = unsafe { ffi::PyIter_Next(self.as_ptr()) };
        if let Some(item) = NonNull::new(item) {
            return Ok(Some(Object(item)));
        }
        // SAFETY: attached thread.
        if unsafe { ffi::PyErr_Occurred() }.is_null() {
            Ok(None)
        } else {
            // SAFETY: just seen to be set.
            Err(unsafe { Raised::assume() })
        }
    }

    /// The content of a `bytes` object (or of a subclass), else `None`.
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        // SAFETY: a live object; checked to be bytes before it is read as such. Bytes never change and live as long as `self`.
        unsafe {
            if ffi::PyBytes_Check(self.as_ptr()) == 0 {
                return None;
            }
            let start: *const c_char = ffi::PyBytes_AsString(self.as_ptr());
            let len = ffi::PyBytes_Size(self.as_ptr());
            Some(std::slice::from_raw_parts(start.cast(), len as usize))
        }
    }

    /// The items of an exact tuple, else `None`.
    #[inline]
    pub fn tuple_len(&self) -> Option<usize> {
        // SAFETY: a live object; checked before it is measured.
        unsafe {
            (ffi::PyTuple_CheckExact(self.as_ptr()) != 0)
                .then(|| ffi::PyTuple_Size(self.as_ptr()) as usize)
        }
    }

    /// How many items an exact list has, else `None`.
    #[inline]
    pub fn list_len(&self) -> Option<usize> {
        // SAFETY: a live object; checked before it is measured.
        unsafe {
            (ffi::PyList_CheckExact(self.as_ptr()) != 0)
                .then(|| ffi::PyList_Size(self.as_ptr()) as usize)
        }
    }

    /// An item of an exact list or tuple; an IndexError beyond its end, a SystemError on anything else.
    #[inline]
    pub fn item(&self, index: usize) -> Result<Object> {
        // SAFETY: both functions check type and bounds themselves and return a borrowed reference or NULL with an exception.
        unsafe {
            let item = if ffi::PyList_CheckExact(self.as_ptr()) != 0 {
                ffi::PyList_GetItem(self.as_ptr(), index as isize)
            } else {
                ffi::PyTuple_GetItem(self.as_ptr(), index as isize)
            };
            if item.is_null() {
                return Err(Raised::assume());
            }
            Ok(Object::from_borrowed(item))
        }
    }

    pub fn append(&self, item: &Object) -> Result<()> {
        // SAFETY: Append checks that the first is a list.
        Object::check(unsafe { ffi::PyList_Append(self.as_ptr(), item.as_ptr()) })
    }

    /// An index-like number; OverflowError beyond isize, TypeError on anything else.
    pub fn to_isize(&self) -> Result<isize> {
        // SAFETY: live objects; -1 may be a value, so the indicator decides.
        unsafe {
            let value = ffi::PyNumber_AsSsize_t(self.as_ptr(), ffi::PyExc_OverflowError);
            if value == -1 && !ffi::PyErr_Occurred().is_null() {
                return Err(Raised::assume());
            }
            Ok(value)
        }
    }

    pub fn is_true(&self) -> Result<bool> {
        // SAFETY: a live object.
        let code = unsafe { ffi::PyObject_IsTrue(self.as_ptr()) };
        Object::check(code)?;
        Ok(code > 0)
    }

    pub fn is_instance_of(&self, class: &Object) -> Result<bool> {
        // SAFETY: two live objects.
        let code = unsafe { ffi::PyObject_IsInstance(self.as_ptr(), class.as_ptr()) };
        Object::check(code)?;
        Ok(code > 0)
    }

    /// `str(self)`, surrogates replaced.
    pub fn text(&self) -> Result<String> {
        // SAFETY: a live object; a new reference or NULL.
        let text = unsafe { Object::from_owned(ffi::PyObject_Str(self.as_ptr()))? };
        text.to_text()
    }

    /// `repr(self)`, surrogates replaced.
    pub fn repr(&self) -> Result<String> {
        // SAFETY: a live object; a new reference or NULL.
        let text = unsafe { Object::from_owned(ffi::PyObject_Repr(self.as_ptr()))? };
        text.to_text()
    }

    /// The plain name of its type.
    pub fn type_name(&self) -> String {
        let name = || -> Result<String> {
            // SAFETY: a type is an object and lives as long as its instance.
            let class = unsafe { Object::from_borrowed(self.type_ptr().cast()) };
            class.member(c"__name__")?.to_text()
        };
        name().unwrap_or_else(|raised| {
            drop(raised);
            "object".to_owned()
        })
    }
}

/// Most arguments of [`Object::call_with`].
const ARGUMENTS_MAX: usize = 5;

impl Clone for Object {
    #[inline]
    fn clone(&self) -> Object {
        // SAFETY: `self` is live, and having it proves an attached thread.
        unsafe { Object::from_borrowed(self.as_ptr()) }
    }
}

impl Drop for Object {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the reference is ours; an Object cannot leave its attached thread.
        unsafe { ffi::Py_DECREF(self.as_ptr()) };
    }
}
