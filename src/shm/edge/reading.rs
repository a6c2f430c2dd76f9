//! What a worker said about its request: frames, and the bytes they point at.

use super::{Chunk, EdgeRing, Frame, Held, Mark, Phase, SlotId};
use crate::corrupt::Corrupt;
use crate::event;
use crate::state::{self, State};
use crate::stream::{self, Item};
use crate::sync::Ordering;

impl EdgeRing {
    /// The next thing the worker said, `None` if nothing new. Reading moves on; the bytes of a `Body` stay until `consume`.
    /// On `Corrupt`: answer the client, `cancel` the slot, report the app.
    pub fn next_frame(&mut self, slot: SlotId) -> Result<Option<Frame<'_>>, Corrupt> {
        let local = self.local(slot);
        let entry = &mut self.entries[local];
        debug_assert_eq!(entry.phase, Phase::Submitted);
        let block = self.segment.slot(slot.0);
        let state = state::load(&block.state).ok_or(Corrupt("slot: no such state"))?;
        let ticket = match state {
            State::Queued { .. } => return Ok(entry.dead.then_some(Frame::Abort)),
            State::Claimed { ticket, .. } => ticket,
            State::Done { ticket, .. } => {
                entry.done = true;
                ticket
            }
            State::Free => return Err(Corrupt("slot: freed by somebody else")),
        };
        // After the state, so that a slot that is done shows all that was written.
        let produced = block.produced.load(Ordering::Acquire);
        let area = self.segment.response_area(slot.0);
        let frame = match entry
            .reader
            .next(&area, produced, ticket, &mut self.scratch)?
        {
            Some(Item::Head { kind }) => match kind {
                stream::INFORMATIONAL => Frame::Informational(&self.scratch),
                stream::TRAILERS => Frame::Trailers(&self.scratch),
                stream::ACCEPT => Frame::Accept(&self.scratch),
                _ => Frame::Head(&self.scratch),
            },
            Some(Item::Message {
                binary,
                last,
                offset,
                len,
                end,
            }) => Frame::Message {
                binary,
                last,
                chunk: Chunk {
                    offset,
                    len,
                    mark: end,
                },
            },
            Some(Item::Close) => {
                let (code, reason) = event::read_disconnect(&self.scratch);
                Frame::Close { code, reason }
            }
            Some(Item::Body { offset, len, end }) => Frame::Body(Chunk {
                offset,
                len,
                mark: end,
            }),
            Some(Item::File {
                token,
                offset,
                length,
            }) => Frame::File {
                token,
                offset,
                length,
            },
            Some(Item::WantBody) => Frame::WantBody,
            None => match state {
                State::Done { aborted: false, .. } => Frame::End,
                State::Done { aborted: true, .. } => Frame::Abort,
                _ if entry.dead => Frame::Abort,
                _ => return Ok(None),
            },
        };
        Ok(Some(frame))
    }

    /// The bytes of a chunk, to be copied or sent at once.
    pub fn bytes(&self, slot: SlotId, chunk: Chunk) -> &[u8] {
        self.segment
            .response_area(slot.0)
            .bytes(chunk.offset, chunk.len)
    }

    /// The bytes of a chunk for a send that stays in flight. `consume` it only when that has ended.
    pub fn hold(&self, slot: SlotId, chunk: Chunk) -> Held {
        Held::new(
            &self.holds,
            &self.segment,
            self.local(slot) as u32,
            slot.0,
            chunk.offset,
            chunk.len,
        )
    }

    /// Everything before `mark` has left: the worker may write there again. Wakes it if it waits for room. Marks go forward only.
    pub fn consume(&mut self, slot: SlotId, mark: Mark) {
        let local = self.local(slot);
        let entry = &mut self.entries[local];
        if !entry.reader.advance(mark.0) || entry.done {
            return;
        }
        entry.touched = true;
        let block = self.segment.slot(slot.0);
        let size = self.segment.layout().response_bytes;
        if entry
            .reader
            .publish(size, &block.consumed, &block.produced, &block.waiting)
            && let Some(worker) = self.worker_of(slot)
        {
            self.segment.tell(worker.index, slot.0);
        }
    }

    /// `consume` up to the last frame that was read.
    pub fn consume_all(&mut self, slot: SlotId) {
        let position = self.entry(slot).reader.position();
        self.consume(slot, Mark(position));
    }
}
