//! What a desk does between the steps of applications: heads that wait for their bodies leave, descriptors come and go.

use super::super::request::Request;
use super::Desk;
use crate::ffi::{Python, Result};
use shm::handover::{LABEL_BYTES, Label};

/// Packets taken from the socket in one go.
const PACKETS_MAX: usize = 64;

impl Desk {
    pub fn note_head(&self, py: Python<'_>, request: &Request) -> Result<()> {
        let Some(request) = self
            .tasks
            .borrow()
            .get(&std::ptr::from_ref(request))
            .cloned()
        else {
            // In its first step: `accept` looks afterwards.
            return Ok(());
        };
        self.heads.borrow_mut().push(request);
        self.flush_soon(py)
    }

    fn flush_soon(&self, _py: Python<'_>) -> Result<()> {
        let runner = self.runner();
        if let Some(call_soon) = runner.as_ref().and_then(|runner| runner.call_soon.as_ref())
            && let Some(flush) = &*self.flush.borrow()
            && !self.flush_due.replace(true)
        {
            call_soon.call_with(&[flush])?;
        }
        Ok(())
    }

    /// Before the loop sleeps: what the application has begun to say leaves.
    pub fn flush_heads(&self) {
        self.flush_due.set(false);
        if self.heads.borrow().is_empty() {
            return;
        }
        for request in self.heads.take() {
            request.flush_head();
        }
    }

    // Descriptors.

    pub fn retry_soon(&self, slot: u32) {
        self.retries.borrow_mut().push(slot);
    }

    pub fn has_retries(&self) -> bool {
        !self.retries.borrow().is_empty()
    }

    pub fn take_retries(&self) -> Vec<u32> {
        self.retries.take()
    }

    /// Takes in the spooled bodies that have come.
    pub fn take_files(&self, py: Python<'_>) {
        for _ in 0..PACKETS_MAX {
            let mut watch = [sys::socket::Watch::read(self.socket())];
            if sys::socket::poll(&mut watch, Some(0)).is_err() || !watch[0].readable {
                return;
            }
            let mut packet = [0; LABEL_BYTES + 1];
            let mut files = Vec::new();
            let Ok(count @ 1..) =
                sys::socket::recv_with_fds(self.socket(), &mut packet, &mut files)
            else {
                return;
            };
            // One for a request that has ended meanwhile is closed here.
            if let (Some(label), Some(file)) = (Label::decode(&packet[..count]), files.pop())
                && let Some(request) = self.in_slot(label.slot)
            {
                request.take_spool(py, file, label.ticket);
            }
        }
    }
}
