use super::*;
use crate::request;
use crate::state::WorkerId;
use crate::stream::Bytes;

fn small() -> Layout {
    Layout {
        slots: 8,
        rings: 2,
        workers: 4,
        request_bytes: 4096,
        response_bytes: 4096,
        inbound_bytes: 4096,
    }
}

#[test]
fn a_created_segment_is_attached_with_the_same_layout() {
    let (fd, created) = Segment::create(&small()).unwrap();
    let attached = Segment::attach(fd).unwrap();
    assert_eq!(attached.layout(), created.layout());
    created.slot(7).queued_ns.store(42, Ordering::Relaxed);
    assert_eq!(attached.slot(7).queued_ns.load(Ordering::Relaxed), 42);
    created.response_area(7).put(4088, b"last one");
    assert_eq!(attached.response_area(7).bytes(4088, 100), b"last one");
    assert_eq!(
        (
            attached.queue_len(),
            attached.idle_workers(),
            attached.workers().len()
        ),
        (0, 0, 0)
    );
    assert_eq!(attached.worker(4), None);
}

#[test]
fn a_foreign_or_damaged_file_is_refused() {
    let (fd, segment) = Segment::create(&small()).unwrap();
    let header: &HeaderBlock = segment.block(0, 0, 1);
    let again = || Segment::attach(fd.try_clone().unwrap()).map(|_| ());
    for (field, bad) in [
        (&header.version, 99),
        (&header.slots, 7),
        (&header.slots, 16),
        (&header.slots, 0),
        (&header.rings, 0),
        (&header.rings, u32::MAX),
        (&header.workers, 5000),
        (&header.request_bytes, 8192),
        (&header.response_bytes, 3),
        (&header.inbound_bytes, 8192),
    ] {
        let good = field.swap(bad, Ordering::Relaxed);
        assert!(again().is_err(), "{bad}");
        field.store(good, Ordering::Relaxed);
    }
    assert_eq!(again(), Ok(()));
    header.magic.store(1, Ordering::Relaxed);
    assert!(again().is_err());
    let file = memfd::create_sealed(c"short", 100).unwrap();
    assert!(Segment::attach(file).is_err());
    let pipe = sys::eventfd::EventFd::new().unwrap().into_fd();
    assert!(Segment::attach(pipe).is_err());
}

#[test]
fn a_running_request_can_be_named_and_only_while_it_runs() {
    let (_fd, segment) = Segment::create(&small()).unwrap();
    let worker = WorkerId {
        index: 2,
        incarnation: 7,
    };
    let long = "x".repeat(5000);
    for (target, shown) in [("/a?b=c", "/a?b=c".len()), (long.as_str(), 509)] {
        let request = request::Request {
            method: b"GET",
            target: target.as_bytes(),
            path: b"/",
            ..Default::default()
        };
        let mut area = vec![0; 8192];
        request::encode(&mut area, &request, std::iter::empty()).unwrap();
        segment.request_area(3).put(0, &area[..4096]);
        let word = &segment.slot(3).state;
        state::enqueue(word, 9);
        assert_eq!(segment.request_line(3, worker), None);
        assert!(state::claim(word, 9, worker));
        assert_eq!(
            segment.request_line(3, worker),
            Some(format!("GET {}", &target[..shown]))
        );
        assert_eq!(
            segment.request_line(
                3,
                WorkerId {
                    index: 1,
                    incarnation: 7
                }
            ),
            None
        );
        assert_eq!(segment.request_line(8, worker), None);
        segment.request_area(3).put(0, &[0xff; 4096]);
        assert_eq!(segment.request_line(3, worker), None);
        assert!(state::finish(word, 9, worker, false));
        assert_eq!(segment.request_line(3, worker), None);
    }
}
