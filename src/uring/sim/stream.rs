//! One direction of a simulated connection: bytes that travel for a while, then wait to be read.
//!
//! Invariant: what is put in comes out in order; the end comes after the bytes, a reset overtakes them.

use std::collections::VecDeque;

/// What travels.
enum Packet {
    Bytes(Vec<u8>),
    End,
}

pub struct Stream {
    travelling: VecDeque<(u64, Packet)>,
    pub arrived: VecDeque<u8>,
    /// How often something has arrived.
    pub news: u64,
    /// Bytes travelling and arrived.
    load: usize,
    pub ended: bool,
    /// When a reset strikes, if one is under way.
    reset_at: Option<u64>,
    pub reset: bool,
    /// Nobody will read any more: bytes are thrown away.
    pub deaf: bool,
    /// The writing side has said its last word.
    pub closed: bool,
}

impl Stream {
    pub fn new() -> Stream {
        Stream {
            travelling: VecDeque::new(),
            arrived: VecDeque::new(),
            news: 0,
            load: 0,
            ended: false,
            reset_at: None,
            reset: false,
            deaf: false,
            closed: false,
        }
    }

    pub fn room(&self, window: usize) -> usize {
        window.saturating_sub(self.load)
    }

    /// Are bytes under way or unread?
    pub fn is_loaded(&self) -> bool {
        self.load > 0
    }

    pub fn put(&mut self, bytes: &[u8], at: u64) {
        if self.deaf || bytes.is_empty() {
            return;
        }
        self.load += bytes.len();
        self.send(Packet::Bytes(bytes.to_vec()), at);
    }

    pub fn end(&mut self, at: u64) {
        if !std::mem::replace(&mut self.closed, true) {
            self.send(Packet::End, at);
        }
    }

    pub fn reset(&mut self, at: u64) {
        self.closed = true;
        self.reset_at.get_or_insert(at);
    }

    fn send(&mut self, packet: Packet, at: u64) {
        let last = self.travelling.back().map_or(0, |packet| packet.0);
        self.travelling.push_back((at.max(last), packet));
    }

    /// When the next thing arrives.
    pub fn next_at(&self) -> Option<u64> {
        let packet = self.travelling.front().map(|packet| packet.0);
        match (packet, self.reset_at) {
            (Some(packet), Some(reset)) => Some(packet.min(reset)),
            (packet, reset) => packet.or(reset),
        }
    }

    /// Lets arrive what is due; true if anything did. `lossy`: a reset destroys what was not read.
    pub fn arrive(&mut self, now: u64, lossy: bool) -> bool {
        let mut any = false;
        while self
            .travelling
            .front()
            .is_some_and(|packet| packet.0 <= now)
        {
            any = true;
            match self.travelling.pop_front().expect("just seen").1 {
                Packet::Bytes(bytes) => self.arrived.extend(bytes),
                Packet::End => self.ended = true,
            }
        }
        if self.reset_at.is_some_and(|at| at <= now) {
            self.reset_at = None;
            self.reset = true;
            self.travelling.clear();
            if lossy {
                self.arrived.clear();
            }
            self.load = self.arrived.len();
            any = true;
        }
        self.news += u64::from(any);
        any
    }

    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let bytes: Vec<u8> = self.arrived.drain(..count).collect();
        self.load -= bytes.len();
        bytes
    }

    /// The reader is gone.
    pub fn deafen(&mut self) {
        self.deaf = true;
        self.travelling
            .retain(|packet| matches!(packet.1, Packet::End));
        self.arrived.clear();
        self.load = 0;
    }
}
