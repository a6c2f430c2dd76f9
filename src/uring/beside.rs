//! Work that no ring operation covers, on a thread of its own beside the ring's. In a simulation it is done at once, and its end is
//! told later. Must not know what the work is.

use std::io;

use crate::descriptor::Descriptor;
use crate::event_loop::with;
use crate::fs::File;
pub use crate::reader::{Entries, Links, Reader};

/// Does `work` on a thread of its own, which steps back behind everything else that wants a processor. A panic ends the
/// work, not the wait.
pub async fn run(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let end = with(|core| core.driver.borrow_mut().thread_now(Box::new(work)))?;
    let end = File::from_descriptor(Descriptor::from_handle(end));
    let (ended, _) = end.read_at(Vec::with_capacity(1), 1, 0).await;
    ended.map(drop)
}
