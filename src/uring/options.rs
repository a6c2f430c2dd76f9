//! What a runtime is built with, and why the defaults are what they are.
//!
//! Plain numbers; whoever uses one knows its bounds.

/// What a runtime is built with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Submission queue entries; a power of two. The completion queue is four times as long.
    pub entries: u32,
    /// Tasks polled in one turn before completions are looked at again.
    pub turn_budget: u32,
    /// A turn that runs tasks for longer is reported as a stall.
    pub stall_ns: u64,
    /// A task that panics ends alone (counted, its message printed by the panic hook) instead of ending the loop: one
    /// connection's bug must not cost the others. Off by default, because tests want to see panics.
    pub isolate_panics: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            entries: 1024,
            turn_budget: 256,
            stall_ns: 20_000_000,
            isolate_panics: false,
        }
    }
}
