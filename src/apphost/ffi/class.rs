//! Python classes whose instances carry a Rust value: heap types, made anew in every interpreter.
//!
//! The value is only ever seen by shared reference, with the GIL of its interpreter held: the GIL is its lock. So its fields are `Cell`s
//! and `RefCell`s, and a method that gives the GIL up in its middle finds a borrow held by another thread as a failed `try_borrow`.
//! Instances do not take part in cyclic collection; values should hold no objects that could lead back to them.

use super::error::{Kind, Raised, Result};
use super::object::{Object, Python};
use pyo3::ffi;
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// A Rust value that can live in a Python object.
pub trait Class: Sized + 'static {
    /// `_ringgate.Name`.
    const NAME: &'static CStr;
    const DOC: &'static CStr;
    /// Its methods, ended by [`END`]; see [`methods`].
    const METHODS: &'static [MethodEntry];

    /// Iteration and indexing, where it has them.
    fn slots() -> Vec<Slot<Self>> {
        Vec::new()
    }
}

/// One method of a class: a type without values, so that each gets C functions of its own.
pub trait Method {
    type Class: Class;
    const NAME: &'static CStr;
    const DOC: &'static CStr;

    fn call(py: Python<'_>, this: &Self::Class, arguments: Arguments<'_>) -> Result<Object>;
}

/// Makes a class an iterator over itself.
pub trait Iterate: Class {
    fn next(py: Python<'_>, this: &Self) -> Result<Option<Object>>;
}

/// Gives a class `object[index]`.
pub trait Item: Class {
    fn item(py: Python<'_>, this: &Self, index: isize) -> Result<Object>;
}

/// What a method was called with, borrowed from the caller.
pub struct Arguments<'a> {
    /// Positional ones, then the values of the keywords.
    values: &'a [Object],
    positional: usize,
    /// A tuple of `str`, or NULL.
    names: *mut ffi::PyObject,
}

impl<'a> Arguments<'a> {
    /// # Safety
    /// As CPython calls a METH_FASTCALL | METH_KEYWORDS function: `values` points at `positional` live objects and one more for each of `names`.
    pub(super) unsafe fn from_fastcall(
        values: *const *mut ffi::PyObject,
        positional: isize,
        names: *mut ffi::PyObject,
    ) -> Arguments<'a> {
        let keywords = if names.is_null() {
            0
        } else {
            // SAFETY: a tuple, says the calling convention.
            unsafe { ffi::PyTuple_Size(names) }.max(0) as usize
        };
        let positional = positional.max(0) as usize;
        let count = positional + keywords;
        let values: &[Object] = if count == 0 {
            &[]
        } else {
            // SAFETY: `count` live objects that outlive the call; `Object` is transparent over a non-null pointer, and a shared slice of them drops none.
            unsafe { std::slice::from_raw_parts(values.cast(), count) }
        };
        Arguments {
            values,
            positional,
            names,
        }
    }

    #[inline]
    pub fn positional(&self) -> &'a [Object] {
        &self.values[..self.positional]
    }

    /// Checks the number of positional arguments and refuses keywords.
    pub fn between(
        &self,
        py: Python<'_>,
        name: &str,
        least: usize,
        most: usize,
    ) -> Result<&'a [Object]> {
        if !self.names.is_null() {
            return Err(Raised::new(
                py,
                Kind::TypeError,
                &format!("{name}() takes no keyword arguments"),
            ));
        }
        let count = self.positional;
        if count < least || count > most {
            let wanted = if least == most {
                format!("{least}")
            } else {
                format!("{least} to {most}")
            };
            return Err(Raised::new(
                py,
                Kind::TypeError,
                &format!("{name}() takes {wanted} positional arguments ({count} given)"),
            ));
        }
        Ok(self.positional())
    }

    /// The values of the parameters `names`, positional or by keyword; the first `least` are required.
    pub fn named<const N: usize>(
        &self,
        py: Python<'_>,
        function: &str,
        names: [&str; N],
        least: usize,
    ) -> Result<[Option<&'a Object>; N]> {
        let mut found = [None; N];
        if self.positional > N {
            return Err(Raised::new(
                py,
                Kind::TypeError,
                &format!(
                    "{function}() takes at most {N} arguments ({} given)",
                    self.positional
                ),
            ));
        }
        for (place, value) in found.iter_mut().zip(self.positional()) {
            *place = Some(value);
        }
        if !self.names.is_null() {
            for (index, value) in self.values[self.positional..].iter().enumerate() {
                // SAFETY: a tuple with one name for each keyword value (calling convention); a borrowed reference.
                let name = unsafe {
                    Object::from_borrowed(ffi::PyTuple_GetItem(self.names, index as isize))
                }
                .to_text()?;
                match names.iter().position(|known| *known == name) {
                    Some(place) if found[place].is_none() => found[place] = Some(value),
                    _ => {
                        return Err(Raised::new(
                            py,
                            Kind::TypeError,
                            &format!("{function}() got an unexpected keyword argument '{name}'"),
                        ));
                    }
                }
            }
        }
        if let Some(missing) = found.iter().take(least).position(Option::is_none) {
            return Err(Raised::new(
                py,
                Kind::TypeError,
                &format!(
                    "{function}() missing required argument '{}'",
                    names[missing]
                ),
            ));
        }
        Ok(found)
    }
}

/// An entry of a method table.
#[repr(transparent)]
pub struct MethodEntry(ffi::PyMethodDef);

/// The entry that ends a table.
const END: MethodEntry = MethodEntry(ffi::PyMethodDef::zeroed());

/// Writes method tables: `methods::entry::<Read>()` for each, `methods::END` last.
pub mod methods {
    use super::{Method, MethodEntry, ffi, method_trampoline};

    pub const END: MethodEntry = super::END;

    pub const fn entry<M: Method>() -> MethodEntry {
        MethodEntry(ffi::PyMethodDef {
            ml_name: M::NAME.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunctionFastWithKeywords: method_trampoline::<M>,
            },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: M::DOC.as_ptr(),
        })
    }
}

/// A type slot whose function belongs to class `C`.
pub struct Slot<C>(ffi::PyType_Slot, PhantomData<C>);

impl<C: Class> Slot<C> {
    fn new(slot: c_int, function: *mut c_void) -> Slot<C> {
        Slot(
            ffi::PyType_Slot {
                slot,
                pfunc: function,
            },
            PhantomData,
        )
    }

    /// `iter(x)` is `x`, `next(x)` is [`Iterate::next`].
    pub fn iterator() -> [Slot<C>; 2]
    where
        C: Iterate,
    {
        [
            Slot::new(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
            Slot::new(ffi::Py_tp_iternext, next_trampoline::<C> as *mut c_void),
        ]
    }

    /// `await x` steps `x` itself, by [`Iterate::next`]: `None` ends it with the value None, `Raised::stop` with another.
    pub fn awaitable() -> [Slot<C>; 3]
    where
        C: Iterate,
    {
        let [iter, next] = Slot::iterator();
        let this = ffi::PyObject_SelfIter as *mut c_void;
        [iter, next, Slot::new(ffi::Py_am_await, this)]
    }

    pub fn item() -> Slot<C>
    where
        C: Item,
    {
        Slot::new(ffi::Py_sq_item, item_trampoline::<C> as *mut c_void)
    }
}

/// An instance in memory. CPython allocates it, `Type::instance` fills it, `dealloc` empties it.
#[repr(C)]
struct Layout<C> {
    head: ffi::PyObject,
    /// Initialised from before anybody else sees the object until `dealloc`.
    value: ManuallyDrop<C>,
}

/// A class in one interpreter.
pub struct Type<C> {
    object: Object,
    class: PhantomData<C>,
}

impl<C: Class> Type<C> {
    pub fn new(_py: Python<'_>) -> Result<Type<C>> {
        let mut slots: Vec<ffi::PyType_Slot> = C::slots().into_iter().map(|slot| slot.0).collect();
        slots.extend([
            ffi::PyType_Slot {
                slot: ffi::Py_tp_dealloc,
                pfunc: dealloc::<C> as *mut c_void,
            },
            ffi::PyType_Slot {
                slot: ffi::Py_tp_methods,
                pfunc: C::METHODS.as_ptr().cast_mut().cast(),
            },
            ffi::PyType_Slot {
                slot: ffi::Py_tp_doc,
                pfunc: C::DOC.as_ptr().cast_mut().cast(),
            },
            ffi::PyType_Slot {
                slot: 0,
                pfunc: ptr::null_mut(),
            },
        ]);
        let mut spec = ffi::PyType_Spec {
            name: C::NAME.as_ptr(),
            basicsize: size_of::<Layout<C>>() as c_int,
            itemsize: 0,
            flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) as c_uint,
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: the spec is complete and its slots ended by a zero; name and method table are 'static, the rest is copied.
        let object = unsafe { Object::from_owned(ffi::PyType_FromSpec(&mut spec))? };
        Ok(Type {
            object,
            class: PhantomData,
        })
    }

    /// A new instance around `value`.
    pub fn instance(&self, value: C) -> Result<Instance<C>> {
        let class = self.object.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: a type made by `new`; GenericAlloc returns memory of basicsize bytes with the head initialised, or NULL.
        let object = unsafe { Object::from_owned(ffi::PyType_GenericAlloc(class, 0))? };
        // SAFETY: the memory is ours alone so far and has room for a Layout<C>. PyObject memory is aligned to 16 bytes, checked below for C.
        unsafe {
            const { assert!(align_of::<C>() <= 8) };
            let layout = object.as_ptr().cast::<Layout<C>>();
            (&raw mut (*layout).value).write(ManuallyDrop::new(value));
        }
        Ok(Instance {
            object,
            class: PhantomData,
        })
    }

    /// The value in `object` if it is an instance of exactly this type.
    #[inline]
    pub fn cast<'a>(&self, object: &'a Object) -> Option<&'a C> {
        (object.type_ptr().cast() == self.object.as_ptr()).then(|| {
            // SAFETY: an instance of this type, hence filled by `instance`.
            unsafe { value_of::<C>(object.as_ptr()) }
        })
    }
}

/// An instance of a class of ours.
pub struct Instance<C> {
    object: Object,
    class: PhantomData<C>,
}

impl<C: Class> Instance<C> {
    pub fn object(&self) -> &Object {
        &self.object
    }

    pub fn into_object(self) -> Object {
        self.object
    }

    #[inline]
    pub fn value(&self) -> &C {
        // SAFETY: made by `Type::instance` only.
        unsafe { value_of::<C>(self.object.as_ptr()) }
    }

    /// A callable of its own for one method: cheaper to call than an attribute look-up and a bound method.
    pub fn bind<M: Method<Class = C>>(&self) -> Result<Object> {
        // The table outlives the callable: it is 'static.
        let entry: &'static MethodEntry = const { &methods::entry::<M>() };
        let definition = (&raw const entry.0).cast_mut();
        // SAFETY: a 'static definition (never written to) whose function expects an instance of this class as self. A new reference or NULL.
        unsafe {
            Object::from_owned(ffi::PyCFunction_NewEx(
                definition,
                self.object.as_ptr(),
                ptr::null_mut(),
            ))
        }
    }
}

/// # Safety
/// `object` is a live instance of a `Type<C>`.
#[inline]
unsafe fn value_of<'a, C>(object: *mut ffi::PyObject) -> &'a C {
    // SAFETY: the caller's promise; the value is initialised for as long as the object lives.
    unsafe { &(*object.cast::<Layout<C>>()).value }
}

unsafe extern "C" fn dealloc<C: Class>(object: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, for an instance of the type, with the GIL held and no references left. The type of a heap object
    // is a reference the object owns, given up last.
    unsafe {
        let class = ffi::Py_TYPE(object);
        let value = &raw mut (*object.cast::<Layout<C>>()).value;
        // A panic in a destructor must not cross into C; the value is leaked then.
        if catch_unwind(AssertUnwindSafe(|| ManuallyDrop::drop(&mut *value))).is_err() {
            eprintln!("ringgate: a destructor panicked");
        }
        let free = ffi::PyType_GetSlot(class, ffi::Py_tp_free);
        if !free.is_null() {
            let free: ffi::freefunc = std::mem::transmute::<*mut c_void, ffi::freefunc>(free);
            free(object.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}

unsafe extern "C" fn method_trampoline<M: Method>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: isize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called by CPython: attached thread; `this` was checked to be an instance of the class (method descriptor) or bound by us;
    // the arguments are as the calling convention says.
    let (py, this, arguments) = unsafe {
        (
            Python::assume(),
            value_of::<M::Class>(this),
            Arguments::from_fastcall(arguments, count, names),
        )
    };
    hand_over(py, || M::call(py, this, arguments).map(Some))
}

unsafe extern "C" fn next_trampoline<C: Iterate>(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: a slot of the type, called by CPython with an instance.
    let (py, this) = unsafe { (Python::assume(), value_of::<C>(this)) };
    hand_over(py, || C::next(py, this))
}

unsafe extern "C" fn item_trampoline<C: Item>(
    this: *mut ffi::PyObject,
    index: isize,
) -> *mut ffi::PyObject {
    // SAFETY: a slot of the type, called by CPython with an instance.
    let (py, this) = unsafe { (Python::assume(), value_of::<C>(this)) };
    hand_over(py, || C::item(py, this, index).map(Some))
}

/// Turns a Rust result into what C expects: a new reference, or NULL with the indicator set (or, for `None`, not set: the end of an iteration).
#[inline]
pub(super) fn hand_over(
    py: Python<'_>,
    work: impl FnOnce() -> Result<Option<Object>>,
) -> *mut ffi::PyObject {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(Some(object))) => object.into_ptr(),
        Ok(Ok(None)) => ptr::null_mut(),
        Ok(Err(raised)) => {
            raised.leave();
            ptr::null_mut()
        }
        Err(_) => {
            Raised::new(py, Kind::RuntimeError, "ringgate: internal error").leave();
            ptr::null_mut()
        }
    }
}
