//! The edge's end of the exchange: one per app and ring thread. Owns the slots of its ring; everything it reads is checked.

use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::corrupt::Corrupt;
use crate::segment::Segment;

/// Number of a slot, unique in its segment. Only an `EdgeRing` hands them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub(crate) u32);

impl SlotId {
    /// The number, for tables, logs and messages.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A worker seat and which of its occupants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId {
    pub index: u16,
    pub incarnation: u16,
}

/// What the shared state word says of a slot that this ring has in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    Queued,
    Claimed(WorkerId),
    /// The worker is through; whatever it wrote is still to be read.
    Done(WorkerId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// The request was still queued (or already done): the slot is free, Python never sees it (again).
    Freed,
    /// A worker runs it: it is told; the slot frees itself when the worker ends.
    Running,
}

/// Monotonic stamps of a request; 0 where the step has not happened. Forced into order and below now, since a worker writes three of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    pub queued_ns: u64,
    pub claimed_ns: u64,
    pub first_ns: u64,
    pub last_ns: u64,
}

/// A position in a slot's response ring: everything before it may be freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub(crate) u32);

/// Body bytes in a slot's response ring, contiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) mark: u32,
}

impl Chunk {
    pub fn len(&self) -> usize {
        self.len as usize
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Give this to `EdgeRing::consume` when the bytes have left.
    pub fn mark(&self) -> Mark {
        Mark(self.mark)
    }
}

/// One thing a worker said about its request.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A private copy of an encoded head (`response::decode`); valid until the next call.
    Head(&'a [u8]),
    Body(Chunk),
    /// `length` bytes from `offset` of the file that arrives on the worker's socket under `token`.
    File {
        token: u64,
        offset: u64,
        length: u64,
    },
    /// The worker wants the descriptor of the request's spooled body on its socket.
    WantBody,
    /// The response is complete. Comes last, again and again until `release`.
    End,
    /// The worker gave the response up. Comes last, as `End`.
    Abort,
}

/// What the ring thread may do when it has nothing to do. The strictest answer of all its exchanges counts: Stay, then Nap, then Sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Park {
    Stay,
    /// Block, but look again after so many ns: workers ring only when they run out of work.
    Nap(u64),
    /// Block; the doorbell rings.
    Sleep,
}

/// Body bytes that stay where they are, in the segment, until this is dropped: for sends in flight. The slot is not used again before that.
/// An app that breaks the rules may change the bytes meanwhile; never parse them, only copy or send them.
#[derive(Debug)]
pub struct Held {
    _local: PhantomData<Rc<()>>,
}

impl Deref for Held {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        unimplemented!()
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// One ring thread's end of one app's exchange. Stays in its thread.
#[derive(Debug)]
pub struct EdgeRing {
    _local: PhantomData<Rc<()>>,
}

impl EdgeRing {
    /// Takes over ring `ring` of the segment (cleaning up what an earlier edge left, see `recover`). Panics if the layout has no such ring.
    pub fn new(_segment: Arc<Segment>, _ring: usize) -> EdgeRing {
        unimplemented!()
    }

    /// Frees what an earlier edge process left: queued requests are cancelled, finished ones freed, running ones told to stop and kept aside
    /// until their worker ends. `new` does it; call it again only if this object was abandoned half-way. Returns how many are kept aside.
    pub fn recover(&mut self) -> usize {
        unimplemented!()
    }

    /// After a restart, once every living worker was announced (`worker_up`): frees slots kept aside for workers that are not among them.
    pub fn settle(&mut self) {
        unimplemented!()
    }

    /// How many slots this ring has; `local` numbers below are smaller.
    pub fn capacity(&self) -> usize {
        unimplemented!()
    }

    /// `slot`'s place among this ring's slots, for dense tables.
    pub fn local(&self, _slot: SlotId) -> usize {
        unimplemented!()
    }

    /// A free slot; `None` when all are in use: answer 503.
    pub fn reserve(&mut self) -> Option<SlotId> {
        unimplemented!()
    }

    /// Where to `request::encode`. Only between `reserve` and `submit`.
    pub fn request_area(&mut self, _slot: SlotId) -> &mut [u8] {
        unimplemented!()
    }

    /// Queues the request: the first `request_len` bytes of its area. Wakes nobody yet. `false`: the queue is full (a misbehaving app may bring
    /// that about); the slot is still reserved, answer 503 and `abandon` it.
    #[must_use]
    pub fn submit(&mut self, _slot: SlotId, _request_len: usize, _now_ns: u64) -> bool {
        unimplemented!()
    }

    /// Gives back a slot that was reserved and not submitted.
    pub fn abandon(&mut self, _slot: SlotId) {
        unimplemented!()
    }

    /// The client is gone, or the deadline passed, or the slot was `Corrupt`. Either way the slot is not the caller's any more.
    pub fn cancel(&mut self, _slot: SlotId) -> Cancel {
        unimplemented!()
    }

    /// Wakes as many idle workers as the queue needs. Once per turn, after all submits.
    pub fn wake_workers(&mut self, _now_ns: u64) {
        unimplemented!()
    }

    /// Calls `changed` for every slot in use of this ring about which a worker has published something since the last call. May call it for a slot
    /// where nothing is new. Slots that were cancelled are dealt with here and not reported.
    pub fn dirty(&mut self, _changed: impl FnMut(SlotId)) {
        unimplemented!()
    }

    /// The next thing the worker said, `None` if nothing new. Reading moves on; the bytes of a `Body` stay until `consume`.
    /// On `Corrupt`: answer the client, `cancel` the slot, report the app.
    pub fn next_frame(&mut self, _slot: SlotId) -> Result<Option<Frame<'_>>, Corrupt> {
        unimplemented!()
    }

    /// The bytes of a chunk, to be copied or sent at once.
    pub fn bytes(&self, _slot: SlotId, _chunk: Chunk) -> &[u8] {
        unimplemented!()
    }

    /// The bytes of a chunk for a send that stays in flight.
    pub fn hold(&self, _slot: SlotId, _chunk: Chunk) -> Held {
        unimplemented!()
    }

    /// Everything before `mark` has left: the worker may write there again. Wakes it if it waits for room. Marks go forward only.
    pub fn consume(&mut self, _slot: SlotId, _mark: Mark) {
        unimplemented!()
    }

    /// `consume` up to the last frame that was read.
    pub fn consume_all(&mut self, _slot: SlotId) {
        unimplemented!()
    }

    /// After `End`, `Abort` or `worker_gone`: the slot is free again (once nothing is `Held` of it).
    pub fn release(&mut self, _slot: SlotId) {
        unimplemented!()
    }

    pub fn state(&self, _slot: SlotId) -> Result<SlotState, Corrupt> {
        unimplemented!()
    }

    pub fn times(&self, _slot: SlotId, _now_ns: u64) -> Times {
        unimplemented!()
    }

    /// The number of this use of the slot, as the worker that claimed it sees it (`Claim::ticket`): goes with descriptors on the worker's socket.
    pub fn ticket(&self, _slot: SlotId) -> u32 {
        unimplemented!()
    }

    /// Who runs or ran it.
    pub fn worker_of(&self, _slot: SlotId) -> Option<WorkerId> {
        unimplemented!()
    }

    /// The supervisor announced a worker. Required: `live_workers` and the clean-up after garbage count on it.
    pub fn worker_up(&mut self, _index: u16, _incarnation: u16) {
        unimplemented!()
    }

    /// The worker is dead and can write no more (process waited for, thread joined). Returns this ring's requests that died with it: what
    /// it had published may still be read; answer 502 if nothing was sent, and `release` each. Requests that it had taken from the queue without claiming
    /// them are queued again here; then call `wake_workers`.
    pub fn worker_gone(&mut self, _index: u16, _incarnation: u16) -> Vec<SlotId> {
        unimplemented!()
    }

    /// Before blocking. Unless it says `Stay`, workers ring the doorbell from now on; `after_park` must follow in any case.
    pub fn before_park(&mut self) -> Park {
        unimplemented!()
    }

    /// After blocking (or deciding not to): the ring looks by itself again.
    pub fn after_park(&mut self) {
        unimplemented!()
    }

    /// Entries in the app's queue, all rings together.
    pub fn queue_len(&self) -> usize {
        unimplemented!()
    }

    pub fn idle_workers(&self) -> usize {
        unimplemented!()
    }

    /// Workers announced and not gone.
    pub fn live_workers(&self) -> usize {
        unimplemented!()
    }

    /// Slots of this ring not free: reserved, queued, running, done, or kept aside.
    pub fn in_use(&self) -> usize {
        unimplemented!()
    }
}
