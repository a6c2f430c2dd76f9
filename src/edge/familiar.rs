//! What came before, byte for byte: a small table from whole messages to what was made of them.
//!
//! Owns copies of the messages. Pure. Invariants: what is found under a message was remembered under the same bytes; at most `PLACES`
//! messages of at most `BYTES_MAX` are kept; one that comes once costs no copy. Must not know what the messages mean.

/// Messages kept at a time; a power of two.
const PLACES: usize = 512;
/// A longer message is nobody's second one: it has cookies in it, or worse.
const BYTES_MAX: usize = 1024;

pub struct Familiar<T> {
    places: Box<[Place<T>]>,
}

struct Place<T> {
    /// Of the last message that was new here.
    seen: u64,
    known: Option<(Box<[u8]>, T)>,
}

/// Where a message belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// `None`: not worth remembering. Anybody can find two messages with one mark, who then share a place.
    #[inline]
    pub fn of(message: &[u8]) -> Option<Mark> {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        if message.len() > BYTES_MAX {
            return None;
        }
        // Four sums side by side, because each waits for its multiplication.
        let mut sums = [message.len() as u64, 1, 2, 3];
        let (blocks, rest) = message.as_chunks::<32>();
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            for (sum, word) in sums.iter_mut().zip(words) {
                *sum = (*sum ^ u64::from_le_bytes(*word))
                    .wrapping_mul(ODD)
                    .rotate_left(29);
            }
        }
        let (words, rest) = rest.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = (*sum ^ u64::from_le_bytes(*word))
                .wrapping_mul(ODD)
                .rotate_left(29);
        }
        let tail = rest
            .iter()
            .fold(0, |tail, byte| tail << 8 | u64::from(*byte));
        let mut mark = tail;
        for sum in sums {
            mark = (mark ^ sum).wrapping_mul(ODD).rotate_left(29);
        }
        // The lowest bits choose the place, and 0 is nobody's mark.
        Some(Mark((mark ^ mark >> 32) | 1 << 63))
    }

    #[inline]
    fn place(self) -> usize {
        self.0 as usize % PLACES
    }
}

impl<T> Default for Familiar<T> {
    fn default() -> Familiar<T> {
        let place = || Place {
            seen: 0,
            known: None,
        };
        Familiar {
            places: std::iter::repeat_with(place).take(PLACES).collect(),
        }
    }
}

impl<T> Familiar<T> {
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.places
            .iter()
            .filter(|place| place.known.is_some())
            .count()
    }

    #[inline]
    pub fn find(&self, mark: Mark, message: &[u8]) -> Option<&T> {
        match &self.places[mark.place()].known {
            Some((known, value)) if **known == *message => Some(value),
            _ => None,
        }
    }

    /// A message was new; true: for the second time in a row at its place, so that it is worth remembering.
    #[inline]
    pub fn comes_again(&mut self, mark: Mark) -> bool {
        std::mem::replace(&mut self.places[mark.place()].seen, mark.0) == mark.0
    }

    pub fn remember(&mut self, mark: Mark, message: &[u8], value: T) {
        self.places[mark.place()].known = Some((message.into(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_was_remembered_under_the_same_bytes() {
        let mut familiar = Familiar::default();
        let message = |n: usize| format!("{:1$}", n, 1 + n % 300).into_bytes();
        for n in 0..3 * PLACES {
            let mark = Mark::of(&message(n)).expect("short");
            familiar.remember(mark, &message(n), n);
            assert_eq!(familiar.find(mark, &message(n)), Some(&n));
            assert_eq!(familiar.find(mark, b"another"), None);
        }
        let found = |n: &usize| familiar.find(Mark::of(&message(*n)).expect("short"), &message(*n));
        let kept: Vec<usize> = (0..3 * PLACES).filter(|n| found(n).is_some()).collect();
        assert!(kept.iter().all(|n| found(n) == Some(n)));
        assert!(
            kept.len() > PLACES * 3 / 4,
            "only {} places used",
            kept.len()
        );
    }

    #[test]
    fn one_byte_makes_another_mark_wherever_it_stands() {
        let message = [b'x'; 100];
        for at in 0..message.len() {
            let mut other = message;
            other[at] = b'y';
            assert_ne!(Mark::of(&message), Mark::of(&other), "byte {at}");
            assert_ne!(Mark::of(&message[..at]), Mark::of(&message));
        }
        assert_eq!(Mark::of(&[0; BYTES_MAX + 1]), None);
    }

    #[test]
    fn only_the_second_time_in_a_row_is_worth_a_copy() {
        let mut familiar = Familiar::<()>::default();
        let mark = Mark::of(b"message").expect("short");
        let rival = Mark(mark.0 ^ 1 << 40);
        assert!(!familiar.comes_again(mark) && familiar.comes_again(mark));
        assert!(!familiar.comes_again(rival) && !familiar.comes_again(mark));
    }
}
