//! Events for a worker: streamed body bytes, WebSocket messages, the end of the connection.
//!
//! May be pushed from `reserve` on, so that what has arrived already waits for whoever claims the request. Nothing is visible before
//! `commit_events`. After `cancel` nothing can be pushed any more: a cancelled slot says "the client is gone" by itself.

use super::{EdgeRing, Full, Phase, SlotId};
use crate::event::EventKind;
use crate::state;

impl EdgeRing {
    /// Adds a whole event. `Full`: not now; everything before it is committed, and `dirty` reports the slot when there is room.
    pub fn push_event(
        &mut self,
        slot: SlotId,
        kind: EventKind,
        payload: &[u8],
    ) -> Result<(), Full> {
        loop {
            let (entry, block, ring) = self.inbound(slot);
            match entry
                .writer
                .whole(&ring, &block.in_consumed, kind as u8, payload)
            {
                Ok(()) => {
                    entry.touched = true;
                    return Ok(());
                }
                Err(false) => {
                    debug_assert!(false, "an event is longer than its ring");
                    return Err(Full);
                }
                Err(true) => {}
            }
            if !self.make_room(slot) {
                return Err(Full);
            }
        }
    }

    /// Adds as much of `bytes` as there is room for and says how much, cut into events of kind `part`; the one that ends `bytes` is of kind
    /// `end` if there is one. Less than all: everything is committed, and `dirty` reports the slot when there is room. (An empty
    /// end is a `push_event`.)
    pub fn push_bytes(
        &mut self,
        slot: SlotId,
        part: EventKind,
        end: Option<EventKind>,
        bytes: &[u8],
    ) -> usize {
        let kinds = (part as u8, end.unwrap_or(part) as u8);
        let mut done = 0;
        loop {
            let (entry, block, ring) = self.inbound(slot);
            done += entry
                .writer
                .pieces(&ring, &block.in_consumed, kinds, &bytes[done..]);
            entry.touched |= done > 0;
            if done == bytes.len() || !self.make_room(slot) {
                return done;
            }
        }
    }

    /// Shows everything pushed so far to the worker and wakes it, if one has the request already.
    pub fn commit_events(&mut self, slot: SlotId) {
        let (entry, block, _) = self.inbound(slot);
        if !entry.writer.publish_before_look(&block.in_produced) || entry.phase != Phase::Submitted
        {
            return;
        }
        let Some(worker) = state::claimant(&block.state) else {
            return;
        };
        self.sleeper.stir();
        self.segment.tell(worker.index, slot.0);
    }

    /// Payload bytes that `push_bytes` would take now, roughly; 0 if hardly any.
    pub fn inbound_room(&mut self, slot: SlotId) -> usize {
        let (entry, block, ring) = self.inbound(slot);
        let size = crate::stream::Bytes::size(&ring);
        entry.writer.free(size, &block.in_consumed) as usize
    }

    /// The ring is full: says so to the worker, then looks once more. True: there is room after all.
    fn make_room(&mut self, slot: SlotId) -> bool {
        self.commit_events(slot);
        let (entry, block, ring) = self.inbound(slot);
        let size = crate::stream::Bytes::size(&ring);
        let room = entry
            .writer
            .lie_down(size, &block.in_consumed, &block.in_waiting);
        if room {
            block.in_waiting.store(0, crate::sync::Ordering::Relaxed);
        }
        room
    }

    fn inbound(
        &mut self,
        slot: SlotId,
    ) -> (&mut super::Entry, &super::SlotBlock, crate::area::Area<'_>) {
        let local = self.local(slot);
        let entry = &mut self.entries[local];
        debug_assert!(matches!(entry.phase, Phase::Reserved | Phase::Submitted));
        (
            entry,
            self.segment.slot(slot.0),
            self.segment.inbound_area(slot.0),
        )
    }
}
