//! Interpreters with their own GIL, and visits to them from other threads.
//!
//! Invariant: an interpreter that was created is never ended. Ending one that has imported datetime or sqlite3 aborts the process on 3.13, one with a
//! live daemon thread crashes on any version; the process ends instead.

use super::object::{Object, Python};
use super::version::{self, InterpreterConfig};
use pyo3::ffi;
use std::ffi::CStr;
use std::ptr;

/// Creates an own-GIL interpreter in this thread and runs `work` in it. The thread must not be attached to any interpreter.
///
/// What is allowed inside: threads and daemon threads; not fork, not exec. Extension modules that do not support it are refused.
pub fn create_interpreter<R>(work: impl FnOnce(Python<'_>) -> R) -> Result<R, String> {
    let Some(create) = version::symbols().new_interpreter else {
        return Err(
            "this Python cannot create interpreters with their own GIL (3.12 or newer can)"
                .to_owned(),
        );
    };
    let config = InterpreterConfig {
        use_main_obmalloc: 0,
        allow_fork: 0,
        // os.exec would take every other worker of the process along; starting programs is not concerned.
        allow_exec: 0,
        allow_threads: 1,
        // Background workers of common libraries are daemon threads.
        allow_daemon_threads: 1,
        check_multi_interp_extensions: 1,
        gil: version::OWN_GIL,
    };
    let mut state: *mut ffi::PyThreadState = ptr::null_mut();
    // SAFETY: `config` has the layout of these versions and outlives the call; `state` is writable. No thread state is current in this
    // thread, which the function allows for: it copies the main interpreter's configuration.
    let status = unsafe { create(&mut state, &config) };
    if status.kind != 0 || state.is_null() {
        let reason = if status.message.is_null() {
            "no reason given".to_owned()
        } else {
            // SAFETY: a static NUL-terminated message.
            unsafe { CStr::from_ptr(status.message) }
                .to_string_lossy()
                .into_owned()
        };
        return Err(format!("cannot create an interpreter: {reason}"));
    }
    // SAFETY: on success the new thread state is current in this thread and its GIL held; nothing below ends it.
    let result = work(unsafe { Python::assume() });
    // SAFETY: attached; the state is kept for ever, see the invariant above.
    unsafe { ffi::PyEval_SaveThread() };
    Ok(result)
}

/// A thread in its interpreter, as seen from outside.
#[derive(Clone, Copy)]
pub struct Handle {
    interpreter: *mut ffi::PyInterpreterState,
    state: *mut ffi::PyThreadState,
    /// What `threading.get_ident` says there.
    pub thread: u64,
    /// Its number in the kernel.
    pub kernel_thread: i32,
}

// SAFETY: `interpreter` is used only as the argument of PyThreadState_New, which any thread may call; interpreters are never ended, so it stays
// valid. `state` is used only by `frame`, under its conditions.
unsafe impl Send for Handle {}

impl Handle {
    /// Of the calling thread.
    pub fn current(_py: Python<'_>) -> Handle {
        Handle {
            // SAFETY: attached thread.
            interpreter: unsafe { ffi::PyInterpreterState_Get() },
            // SAFETY: the same.
            state: unsafe { ffi::PyThreadState_Get() },
            thread: sys::process::thread_handle(),
            kernel_thread: sys::process::thread_id(),
        }
    }

    /// Attaches the calling (unattached) thread to that interpreter and runs `work` there. Waits for its GIL: for ever if C code there never gives it up,
    /// so only threads that may be lost call this.
    pub fn visit<R>(self, work: impl FnOnce(Python<'_>) -> R) -> Option<R> {
        let delete_current = version::symbols().delete_current?;
        // SAFETY: the interpreter is alive (see Send). The new state belongs to this thread, is attached, cleared and deleted exactly once.
        unsafe {
            let state = ffi::PyThreadState_New(self.interpreter);
            if state.is_null() {
                return None;
            }
            ffi::PyEval_RestoreThread(state);
            let result = work(Python::assume());
            ffi::PyThreadState_Clear(state);
            delete_current();
            Some(result)
        }
    }

    /// The innermost Python frame of that thread; `None` where it runs none. To be called by a visitor of the same interpreter while the thread
    /// is known to be at a request.
    ///
    /// Not by way of `sys._current_frames`: that makes frames of every interpreter's threads in the memory of the calling one (up to 3.13 and later),
    /// and the process aborts when their own interpreters free them.
    pub fn frame(self, _py: Python<'_>) -> Option<Object> {
        // SAFETY: attached to the interpreter of a thread that is alive, by the condition above.
        let frame = unsafe { ffi::PyThreadState_GetFrame(self.state) };
        // SAFETY: not NULL, so a new reference that is ours now.
        (!frame.is_null()).then(|| unsafe { Object::from_owned_or_none(frame.cast()) })
    }

    /// Raises `class` in that thread as soon as it runs Python code. To be called by a visitor of the same interpreter.
    pub fn raise_asynchronously(self, _py: Python<'_>, class: &Object) -> bool {
        // SAFETY: attached to the interpreter the thread belongs to; SetAsyncExc takes a reference of its own and finds no thread if the number is wrong.
        unsafe {
            ffi::PyThreadState_SetAsyncExc(self.thread as std::ffi::c_long, class.as_ptr()) == 1
        }
    }

    /// Takes back an exception that was raised in the calling thread and has not arrived. The handle is the caller's own.
    pub fn calm(self, _py: Python<'_>) {
        // SAFETY: attached; NULL clears a pending exception.
        unsafe { ffi::PyThreadState_SetAsyncExc(self.thread as std::ffi::c_long, ptr::null_mut()) };
    }
}
