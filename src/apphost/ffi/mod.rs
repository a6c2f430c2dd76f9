//! CPython's C API, made safe for the rest of the crate: the only place that calls it.
//!
//! Owns no Python object itself: everything belongs to one interpreter, and a process may hold many, each with its own GIL.
//! So there is no process-wide Python state at all; what is process-wide is code (function pointers, method tables).
//!
//! How safety is kept:
//! * [`Python`] is a token: whoever holds one is a thread attached to an interpreter, its GIL held.
//! * [`Object`] and everything made from it is neither `Send` nor `Sync`: it stays in the thread, hence the interpreter, that made it. Having
//!   a reference to one is therefore proof of an attached thread as well, and its methods need no token.
//! * [`Python::detached`] gives the GIL up around a closure that is `Send`, so no token and no object can be used inside.
//! * On a free-threaded build the GIL is on: CPython sees to it, because the module does not say that it does without, and hosts are started so.
//! * A NULL becomes [`Raised`] at every call.
//!
//! Written against the limited API of 3.10; what newer versions add is looked up at run time, all of it in `version`.

mod awaiting;
mod blocks;
mod class;
mod dict;
mod error;
mod interpreter;
mod lasting;
mod module;
mod object;
mod text;
mod version;

pub use blocks::fill_pools;
pub use class::{
    Arguments, Class, Instance, Item, Iterate, Method, MethodEntry, Slot, Type, methods,
};
pub use dict::Dict;
pub use error::{Exception, Kind, Raised, Result};
pub use interpreter::{Handle, create_interpreter};
pub use lasting::{TypeId, can_be_immortal, is_plain_class};
pub use module::{Function, base_exception, extension_file, function};
pub use object::{Object, Python};
pub use version::{INTERPRETERS_SINCE, Version, is_free_threaded, running};
