//! The words in which an `EdgeRing` speaks: slots, what workers said about them, and when.

use crate::state::WorkerId;

/// Number of a slot, unique in its segment. Only an `EdgeRing` hands them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub(crate) u32);

impl SlotId {
    /// The number, for tables, logs and messages.
    pub fn index(self) -> usize {
        self.0 as usize
    }
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

/// Monotonic stamps of a request; 0 where the step has not happened. Forced into order and not beyond now, since a worker writes three of them.
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

/// The inbound ring has no room for the event now; the slot is reported as dirty when there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// One thing a worker said about its request.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A private copy of an encoded head (`response::decode`); valid until the next call.
    Head(&'a [u8]),
    /// The same for an interim response (status 1xx but 101), any number before `Head`.
    Informational(&'a [u8]),
    /// The same with status 0: header fields to follow the body. Any number, after the last body byte.
    Trailers(&'a [u8]),
    /// The same with status 101: the WebSocket handshake is accepted; its headers are the application's and the subprotocol's.
    Accept(&'a [u8]),
    Body(Chunk),
    /// A piece of a WebSocket message; `last` ends it. Text pieces may split characters.
    Message {
        binary: bool,
        last: bool,
        chunk: Chunk,
    },
    /// Close the WebSocket. The reason is whatever bytes the worker wrote.
    Close {
        code: u16,
        reason: &'a [u8],
    },
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
    /// The worker gave the response up, or died. Comes last, as `End`.
    Abort,
}
