//! Where everything lies in a segment: pure arithmetic from five numbers, checked once.
//!
//! Both sides compute it from the same [`Layout`]; offsets never travel. All of it is fixed when the segment is created.

use crate::corrupt::Corrupt;

/// Processes of a machine that look at one segment agree on this; it changes with any change of the formats below.
pub const VERSION: u32 = 3;

pub const WORKERS_MAX: u32 = 256;
pub const RINGS_MAX: u32 = 64;
/// Slots of one ring thread: its dirty bitmap is then at most 512 words, a scan of as many plain loads.
pub const SLOTS_PER_RING_MAX: u32 = 1 << 15;
pub const SLOTS_MAX: u32 = 1 << 16;
pub const AREA_BYTES_MIN: u32 = 4096;
pub const AREA_BYTES_MAX: u32 = 16 << 20;

const PAGE: u64 = 4096;
/// The queue holds more entries than slots exist, because the entry of a cancelled request stays behind when its slot is used again.
const QUEUE_ENTRIES_PER_SLOT: u32 = 4;
/// Entries of the urgent queue; what finds it full takes the usual one.
pub const URGENT_ENTRIES: u32 = 512;

pub const HEADER_BYTES: u64 = PAGE;
/// Heads and tails of the queues, idle mask, live mask: a cache line pair each.
pub const CONTROL_BYTES: u64 = PAGE;
pub const BELL_BYTES: u64 = 128;
pub const RECORD_BYTES: u64 = 256;
pub const SLOT_BYTES: u64 = 256;

/// The sizes of one app's exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Requests queued or running at once, over all rings. Rounded up so that every ring has the same number.
    pub slots: u32,
    /// Ring threads of the edge (1..=64).
    pub rings: u32,
    /// Worker seats (1..=256): room for two generations at once.
    pub workers: u32,
    /// Request area of a slot: head and inline body. A power of two, 4 KiB..=16 MiB.
    pub request_bytes: u32,
    /// Response ring of a slot. A power of two, 4 KiB..=16 MiB.
    pub response_bytes: u32,
    /// Inbound ring of a slot: streamed bodies and events. A power of two, 4 KiB..=16 MiB.
    pub inbound_bytes: u32,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout {
            slots: 1024,
            rings: 1,
            workers: 64,
            request_bytes: 64 << 10,
            response_bytes: 64 << 10,
            inbound_bytes: 64 << 10,
        }
    }
}

/// Byte offsets of every region, from the start of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    pub control: u64,
    pub bells: u64,
    pub records: u64,
    pub cells: u64,
    pub urgent: u64,
    pub dirty: u64,
    pub inboxes: u64,
    pub slots: u64,
    pub requests: u64,
    pub responses: u64,
    pub inbounds: u64,
    pub total: u64,
}

impl Layout {
    /// The same sizes in the form that the segment stores: slots a multiple of rings. Fails where a bound is broken.
    pub fn checked(self) -> Result<Layout, Corrupt> {
        let area = |bytes: u32| {
            bytes.is_power_of_two() && (AREA_BYTES_MIN..=AREA_BYTES_MAX).contains(&bytes)
        };
        if !(1..=RINGS_MAX).contains(&self.rings) {
            return Err(Corrupt("layout: rings out of range"));
        }
        if !(1..=WORKERS_MAX).contains(&self.workers) {
            return Err(Corrupt("layout: workers out of range"));
        }
        if !area(self.request_bytes) || !area(self.response_bytes) || !area(self.inbound_bytes) {
            return Err(Corrupt(
                "layout: area sizes must be powers of two within bounds",
            ));
        }
        if self.slots == 0 || self.slots > SLOTS_MAX {
            return Err(Corrupt("layout: slots out of range"));
        }
        let slots = self.slots.next_multiple_of(self.rings);
        if slots > SLOTS_MAX || slots / self.rings > SLOTS_PER_RING_MAX {
            return Err(Corrupt("layout: too many slots per ring"));
        }
        Ok(Layout { slots, ..self })
    }

    pub fn slots_per_ring(&self) -> u32 {
        self.slots / self.rings
    }

    /// Entries of the request queue, a power of two.
    pub fn queue_entries(&self) -> u32 {
        (self.slots * QUEUE_ENTRIES_PER_SLOT).next_power_of_two()
    }

    /// Words of one ring's dirty bitmap, a whole number of cache lines.
    pub fn dirty_words(&self) -> u32 {
        self.slots_per_ring().div_ceil(64).next_multiple_of(8)
    }

    /// Words of one worker's inbox bitmap, a whole number of cache lines.
    pub fn inbox_words(&self) -> u32 {
        self.slots.div_ceil(64).next_multiple_of(8)
    }

    /// Where the regions lie. Call it on a checked layout only; no sum below can overflow then.
    pub fn offsets(&self) -> Offsets {
        let page = |bytes: u64| bytes.next_multiple_of(PAGE);
        let control = HEADER_BYTES;
        let bells = control + CONTROL_BYTES;
        let records = bells + page(u64::from(self.rings) * BELL_BYTES);
        let cells = records + page(u64::from(self.workers) * RECORD_BYTES);
        let urgent = cells + page(u64::from(self.queue_entries()) * 8);
        let dirty = urgent + page(u64::from(URGENT_ENTRIES) * 8);
        let inboxes = dirty + page(u64::from(self.rings) * u64::from(self.dirty_words()) * 8);
        let slots = inboxes + page(u64::from(self.workers) * u64::from(self.inbox_words()) * 8);
        let requests = slots + page(u64::from(self.slots) * SLOT_BYTES);
        let responses = requests + u64::from(self.slots) * u64::from(self.request_bytes);
        let inbounds = responses + u64::from(self.slots) * u64::from(self.response_bytes);
        let total = inbounds + u64::from(self.slots) * u64::from(self.inbound_bytes);
        Offsets {
            control,
            bells,
            records,
            cells,
            urgent,
            dirty,
            inboxes,
            slots,
            requests,
            responses,
            inbounds,
            total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_shared_out_evenly() {
        let layout = Layout {
            slots: 1000,
            rings: 3,
            ..Layout::default()
        }
        .checked()
        .unwrap();
        assert_eq!(layout.slots, 1002);
        assert_eq!(layout.slots_per_ring(), 334);
        assert_eq!(layout.queue_entries(), 4096);
        assert_eq!(layout.dirty_words(), 8);
    }

    #[test]
    fn broken_bounds_are_refused() {
        let good = Layout::default();
        for bad in [
            Layout { slots: 0, ..good },
            Layout {
                slots: 1 << 17,
                ..good
            },
            Layout {
                slots: 40_000,
                ..good
            },
            Layout { rings: 0, ..good },
            Layout { rings: 65, ..good },
            Layout {
                workers: 257,
                ..good
            },
            Layout {
                request_bytes: 5000,
                ..good
            },
            Layout {
                response_bytes: 0,
                ..good
            },
            Layout {
                response_bytes: 1 << 25,
                ..good
            },
            Layout {
                inbound_bytes: 1000,
                ..good
            },
        ] {
            assert!(bad.checked().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn regions_do_not_overlap_and_areas_are_page_aligned() {
        let layout = Layout {
            slots: 65536,
            rings: 64,
            workers: 256,
            ..Layout::default()
        }
        .checked()
        .unwrap();
        let o = layout.offsets();
        let order = [
            0,
            o.control,
            o.bells,
            o.records,
            o.cells,
            o.dirty,
            o.inboxes,
            o.slots,
            o.requests,
            o.responses,
            o.inbounds,
            o.total,
        ];
        assert!(order.is_sorted());
        assert!(order.iter().all(|offset| offset % 4096 == 0));
    }
}
