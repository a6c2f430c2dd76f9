//! What a ring thread gathers before it hands it to the control thread: until there is much of it, or its time has come.
//!
//! Owns what is gathered. Invariant: nothing is held longer than `HOLD_NS` and no batch grows past its mark by more than what is added at once, as long as
//! `take_full` is asked after every addition and `take_due` by `due_ns`. Must not know what is gathered.

/// A batch is handed over at the latest after this time.
pub const HOLD_NS: u64 = 200_000_000;

#[derive(Debug)]
pub struct Batch<T> {
    items: Vec<T>,
    /// Enough to be handed over.
    mark: usize,
    /// When it must leave, ring time; meaningful while there is something.
    due_ns: u64,
}

impl<T> Batch<T> {
    pub fn new(mark: usize) -> Batch<T> {
        Batch {
            items: Vec::new(),
            mark,
            due_ns: 0,
        }
    }

    /// To be added to, at `now_ns`. `room` makes memory for a batch that begins.
    #[inline]
    pub fn open(&mut self, now_ns: u64, room: impl FnOnce() -> Vec<T>) -> &mut Vec<T> {
        if self.items.is_empty() {
            self.due_ns = now_ns + HOLD_NS;
            if self.items.capacity() == 0 {
                self.items = room();
            }
        }
        &mut self.items
    }

    /// When `take_due` wants to be called; `None` while there is nothing.
    pub fn due_ns(&self) -> Option<u64> {
        (!self.items.is_empty()).then_some(self.due_ns)
    }

    /// Everything, if it is enough.
    #[inline]
    pub fn take_full(&mut self) -> Option<Vec<T>> {
        (self.items.len() >= self.mark)
            .then(|| self.take())
            .flatten()
    }

    /// Everything, if its time has come.
    #[inline]
    pub fn take_due(&mut self, now_ns: u64) -> Option<Vec<T>> {
        self.due_ns()
            .filter(|due_ns| now_ns >= *due_ns)
            .and_then(|_| self.take())
    }

    /// Everything, if there is anything.
    pub fn take(&mut self) -> Option<Vec<T>> {
        (!self.items.is_empty()).then(|| std::mem::take(&mut self.items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_leaves_in_time_or_when_it_is_enough() {
        let mut batch = Batch::new(3);
        assert_eq!(batch.due_ns(), None);
        assert_eq!(batch.take_due(u64::MAX), None);
        batch.open(1_000, Vec::new).push('a');
        batch.open(2_000, Vec::new).push('b');
        assert_eq!(batch.due_ns(), Some(1_000 + HOLD_NS));
        assert_eq!(batch.take_full(), None);
        assert_eq!(batch.take_due(1_000 + HOLD_NS - 1), None);
        assert_eq!(batch.take_due(1_000 + HOLD_NS), Some(vec!['a', 'b']));
        batch.open(3_000, Vec::new).extend(['c', 'd', 'e']);
        assert_eq!(batch.take_full(), Some(vec!['c', 'd', 'e']));
        assert_eq!((batch.due_ns(), batch.take()), (None, None));
    }

    #[test]
    fn room_is_made_once_a_batch() {
        let mut batch = Batch::<u8>::new(usize::MAX);
        assert_eq!(batch.open(0, || Vec::with_capacity(64)).capacity(), 64);
        batch.open(0, || unreachable!("there is room")).push(1);
        assert_eq!(batch.take(), Some(vec![1]));
        assert_eq!(batch.open(0, || Vec::with_capacity(32)).capacity(), 32);
    }
}
