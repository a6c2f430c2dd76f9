use super::*;
use std::cell::RefCell;

struct Memory(RefCell<Vec<u8>>);

impl Bytes for Memory {
    fn size(&self) -> u32 {
        self.0.borrow().len() as u32
    }
    fn put(&self, offset: u32, bytes: &[u8]) {
        self.0.borrow_mut()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    fn get(&self, offset: u32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.borrow()[offset as usize..][..bytes.len()]);
    }
}

struct Pair {
    memory: Memory,
    produced: AtomicU64,
    consumed: AtomicU32,
    waiting: AtomicU32,
    writer: Writer,
    reader: Reader,
    scratch: Vec<u8>,
}

const TICKET: u32 = 7;

impl Pair {
    fn new(size: usize) -> Pair {
        Pair {
            memory: Memory(RefCell::new(vec![0xEE; size])),
            // Left by an earlier use of the slot.
            produced: AtomicU64::new(u64::from(TICKET - 1) << 32 | 4096),
            consumed: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            writer: Writer::new(TICKET),
            reader: Reader::default(),
            scratch: Vec::new(),
        }
    }

    fn body(&mut self, bytes: &[u8]) -> usize {
        self.writer
            .pieces(&self.memory, &self.consumed, (BODY, BODY), bytes)
    }

    fn next(&mut self) -> Result<Option<Item>, Corrupt> {
        self.reader.next(
            &self.memory,
            self.produced.load(Ordering::Relaxed),
            TICKET,
            &mut self.scratch,
        )
    }
}

#[test]
fn frames_come_out_as_they_went_in() {
    let mut pair = Pair::new(4096);
    assert_eq!(pair.next(), Ok(None));
    pair.writer
        .whole(&pair.memory, &pair.consumed, HEAD, b"the head")
        .unwrap();
    assert_eq!(pair.body(b"hello"), 5);
    pair.writer
        .file(&pair.memory, &pair.consumed, 1, 2, u64::MAX)
        .unwrap();
    pair.writer
        .whole(&pair.memory, &pair.consumed, WANT_BODY, &[])
        .unwrap();
    assert_eq!(pair.next(), Ok(None), "nothing is visible before publish");
    assert!(pair.writer.publish(&pair.produced));
    assert!(!pair.writer.publish(&pair.produced));
    assert_eq!(pair.next(), Ok(Some(Item::Head { kind: HEAD })));
    assert_eq!(pair.scratch, b"the head");
    assert_eq!(
        pair.next(),
        Ok(Some(Item::Body {
            offset: 24,
            len: 5,
            end: 32
        }))
    );
    assert_eq!(&pair.memory.0.borrow()[24..29], b"hello");
    assert_eq!(
        pair.next(),
        Ok(Some(Item::File {
            token: 1,
            offset: 2,
            length: u64::MAX
        }))
    );
    assert_eq!(pair.next(), Ok(Some(Item::WantBody)));
    assert_eq!(pair.next(), Ok(None));
}

#[test]
fn a_long_body_flows_through_a_small_ring() {
    let mut pair = Pair::new(4096);
    let body: Vec<u8> = (0..100_000u32)
        .map(|number| (number * 31 % 251) as u8)
        .collect();
    let (mut sent, mut got, mut step) = (0, Vec::new(), 1);
    while got.len() < body.len() {
        step = step * 7 % 3001 + 1;
        let end = (sent + step).min(body.len());
        sent += pair.body(&body[sent..end]);
        pair.writer.publish(&pair.produced);
        while let Some(item) = pair.next().unwrap() {
            let Item::Body { offset, len, end } = item else {
                panic!("{item:?}")
            };
            got.extend_from_slice(&pair.memory.0.borrow()[offset as usize..][..len as usize]);
            assert!(pair.reader.advance(end));
        }
        pair.reader
            .publish(4096, &pair.consumed, &pair.produced, &pair.waiting);
    }
    assert_eq!(got, body);
}

#[test]
fn messages_keep_their_ends_however_they_are_cut() {
    let mut pair = Pair::new(4096);
    let message = |len: usize| (0..len).map(|at| (at * 7) as u8).collect::<Vec<u8>>();
    for len in [1, 8, 1024, 1025, 4096, 20_000] {
        let (message, mut sent, mut got) = (message(len), 0, Vec::new());
        let mut last_seen = false;
        while !last_seen {
            sent += pair.writer.pieces(
                &pair.memory,
                &pair.consumed,
                (BINARY_PART, BINARY_END),
                &message[sent..],
            );
            pair.writer.publish(&pair.produced);
            while let Some(item) = pair.next().unwrap() {
                let Item::Message {
                    binary: true,
                    last,
                    offset,
                    len,
                    end,
                } = item
                else {
                    panic!("{item:?}")
                };
                assert!(!last_seen);
                last_seen = last;
                got.extend_from_slice(&pair.memory.0.borrow()[offset as usize..][..len as usize]);
                pair.reader.advance(end);
            }
            pair.reader
                .publish(4096, &pair.consumed, &pair.produced, &pair.waiting);
        }
        assert_eq!((sent, got), (len, message));
    }
    pair.writer
        .whole(&pair.memory, &pair.consumed, CLOSE, b"\x01\x02why")
        .unwrap();
    pair.writer
        .whole(&pair.memory, &pair.consumed, TEXT_END, b"")
        .unwrap();
    pair.writer.publish(&pair.produced);
    assert_eq!(pair.next(), Ok(Some(Item::Close)));
    assert_eq!(pair.scratch, b"\x01\x02why");
    assert!(matches!(
        pair.next(),
        Ok(Some(Item::Message {
            binary: false,
            last: true,
            len: 0,
            ..
        }))
    ));
}

#[test]
fn events_are_taken_whole_and_their_room_with_them() {
    let mut pair = Pair::new(4096);
    pair.produced.store(0, Ordering::Relaxed);
    pair.writer = Writer::new(NO_TICKET);
    let mut out = b"before ".to_vec();
    for round in 0..500 {
        let payload = vec![round as u8; 1000 + round % 7];
        pair.writer
            .whole(&pair.memory, &pair.consumed, 16, &payload)
            .unwrap();
        pair.writer.publish_before_look(&pair.produced);
        let produced = pair.produced.load(Ordering::Relaxed);
        assert_eq!(
            pair.reader.peek(&pair.memory, produced, NO_TICKET),
            Ok(Some(16))
        );
        out.truncate(7);
        assert_eq!(
            pair.reader
                .take(&pair.memory, produced, NO_TICKET, &mut out),
            Ok(Some(16))
        );
        assert_eq!(out[7..], payload);
        assert_eq!(
            pair.reader
                .take(&pair.memory, produced, NO_TICKET, &mut out),
            Ok(None)
        );
        pair.reader
            .publish(4096, &pair.consumed, &pair.produced, &pair.waiting);
    }
}

#[test]
fn a_head_may_wrap_and_may_be_too_long() {
    let mut pair = Pair::new(4096);
    assert_eq!(
        pair.writer
            .whole(&pair.memory, &pair.consumed, HEAD, &[1; 4089]),
        Err(false)
    );
    assert_eq!(pair.body(&[2; 1000]), 1000);
    assert_eq!(
        pair.writer
            .whole(&pair.memory, &pair.consumed, HEAD, &[1; 4080]),
        Err(true)
    );
    pair.writer.publish(&pair.produced);
    pair.next().unwrap();
    let position = pair.reader.position();
    assert!(!pair.reader.advance(position + 8), "not read yet");
    assert!(pair.reader.advance(position));
    assert!(!pair.reader.advance(position - 8), "marks go forward only");
    pair.reader
        .publish(4096, &pair.consumed, &pair.produced, &pair.waiting);
    let head: Vec<u8> = (0..4080u32).map(|number| number as u8).collect();
    pair.writer
        .whole(&pair.memory, &pair.consumed, HEAD, &head)
        .unwrap();
    pair.writer.publish(&pair.produced);
    assert_eq!(pair.next(), Ok(Some(Item::Head { kind: HEAD })));
    assert_eq!(pair.scratch, head);
}

#[test]
fn a_waiting_writer_is_woken_when_it_is_worth_it() {
    let mut pair = Pair::new(4096);
    while pair.body(&[0; 500]) > 0 {}
    pair.writer.publish(&pair.produced);
    assert!(!pair.writer.lie_down(4096, &pair.consumed, &pair.waiting));
    let mut woken_after = 0;
    loop {
        let Some(Item::Body { end, .. }) = pair.next().unwrap() else {
            panic!("never woken")
        };
        pair.reader.advance(end);
        woken_after += 1;
        if pair
            .reader
            .publish(4096, &pair.consumed, &pair.produced, &pair.waiting)
        {
            break;
        }
    }
    assert_eq!(
        woken_after, 2,
        "512 bytes each, a quarter of the ring at least"
    );
    assert!(pair.writer.lie_down(4096, &pair.consumed, &pair.waiting));
}

#[test]
fn garbage_is_corrupt_and_nothing_worse() {
    let mut seed = 3u64;
    let mut random = || {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        seed >> 20
    };
    let mut outcomes = [0; 3];
    for _ in 0..20_000 {
        let mut pair = Pair::new(4096);
        for byte in pair.memory.0.borrow_mut().iter_mut().take(64) {
            *byte = if random() % 3 == 0 {
                random() as u8
            } else {
                (random() % 14) as u8
            };
        }
        pair.produced.store(
            u64::from(TICKET) << 32 | (random() % 750 * 8),
            Ordering::Relaxed,
        );
        for _ in 0..20 {
            match pair.next() {
                Ok(Some(_)) => outcomes[0] += 1,
                Ok(None) => outcomes[1] += 1,
                Err(_) => {
                    outcomes[2] += 1;
                    break;
                }
            }
        }
    }
    assert!(outcomes.iter().all(|&count| count > 0), "{outcomes:?}");
}
