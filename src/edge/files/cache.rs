//! A bounded map from paths to what is known about them, with second-chance eviction.
//!
//! Owns the entries, their ages and the sum of their weights. Invariants: `entries <= entries_max`, `weight <= weight_max` and
//! `descriptors <= descriptors_max` after every insertion; an entry is handed out as fresh only until its time; a key
//! belongs to one mount. Pure: time comes in as an argument. Must not know what an entry is.

use std::collections::HashMap;

/// How much a cache may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub entries_max: usize,
    /// Bytes of memory, as the values weigh themselves.
    pub weight_max: usize,
    pub descriptors_max: usize,
}

/// What a value costs to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub bytes: usize,
    pub descriptors: usize,
}

pub trait Weigh {
    fn cost(&self) -> Cost;
}

/// The outcome of a look-up.
#[derive(Debug)]
pub enum Found<'a, V> {
    /// Looked at recently enough.
    Fresh(&'a V),
    /// To be compared with the file system before it is used.
    Stale(&'a V),
    Nothing,
}

/// Names an entry for as long as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    place: usize,
    serial: u64,
}

#[derive(Debug)]
pub struct Cache<V> {
    bounds: Bounds,
    /// One map per mount, so that a look-up needs no composed key.
    index: Vec<HashMap<Box<[u8]>, usize>>,
    places: slab::Slab<Place<V>>,
    /// Where the search for a victim goes on.
    hand: usize,
    cost: Cost,
    /// Insertions so far.
    serial: u64,
}

#[derive(Debug)]
struct Place<V> {
    mount: usize,
    key: Box<[u8]>,
    value: V,
    cost: Cost,
    serial: u64,
    fresh_until_ns: u64,
    /// Looked up since the hand last passed.
    used: bool,
}

/// What an entry costs beside its value: key, map slot, place; a rough figure.
const OVERHEAD_BYTES: usize = 160;

impl<V: Weigh> Cache<V> {
    pub fn new(mounts: usize, bounds: Bounds) -> Cache<V> {
        Cache {
            bounds,
            index: (0..mounts).map(|_| HashMap::new()).collect(),
            places: slab::Slab::new(),
            hand: 0,
            cost: Cost::default(),
            serial: 0,
        }
    }

    pub fn find(&mut self, mount: usize, key: &[u8], now_ns: u64) -> Found<'_, V> {
        let index = self.index.get(mount).and_then(|index| index.get(key));
        let Some(place) = index.and_then(|&index| self.places.get_mut(index)) else {
            return Found::Nothing;
        };
        place.used = true;
        if now_ns < place.fresh_until_ns {
            Found::Fresh(&place.value)
        } else {
            Found::Stale(&place.value)
        }
    }

    /// A fresh entry, and its name for [`Cache::is_fresh`].
    pub fn ticket(&self, mount: usize, key: &[u8], now_ns: u64) -> Option<(Ticket, &V)> {
        let &index = self.index.get(mount)?.get(key)?;
        let place = self.places.get(index)?;
        let ticket = Ticket {
            place: index,
            serial: place.serial,
        };
        (now_ns < place.fresh_until_ns).then_some((ticket, &place.value))
    }

    /// Whether the named entry would be found, fresh: as good as a look-up, which it is.
    #[inline]
    pub fn is_fresh(&mut self, ticket: Ticket, now_ns: u64) -> bool {
        match self.places.get_mut(ticket.place) {
            Some(place) if place.serial == ticket.serial => {
                place.used = true;
                now_ns < place.fresh_until_ns
            }
            _ => false,
        }
    }

    /// The entry was compared with the file system and stands.
    pub fn confirm(&mut self, mount: usize, key: &[u8], fresh_until_ns: u64) {
        let index = self.index.get(mount).and_then(|index| index.get(key));
        if let Some(place) = index.and_then(|&index| self.places.get_mut(index)) {
            place.fresh_until_ns = fresh_until_ns;
        }
    }

    /// Keeps a value, in place of an earlier one and of whatever has not been asked for lately. A value that alone
    /// exceeds the bounds is not kept.
    pub fn insert(&mut self, mount: usize, key: &[u8], value: V, fresh_until_ns: u64) {
        self.remove(mount, key);
        let mut cost = value.cost();
        cost.bytes += key.len() + OVERHEAD_BYTES;
        let alone = Cost::default();
        if !self.fits(&alone, &cost, 0) || mount >= self.index.len() {
            return;
        }
        while !self.fits(&self.cost, &cost, self.places.len()) {
            self.evict();
        }
        self.cost.bytes += cost.bytes;
        self.cost.descriptors += cost.descriptors;
        self.serial += 1;
        let place = Place {
            mount,
            key: key.into(),
            value,
            cost,
            serial: self.serial,
            fresh_until_ns,
            used: false,
        };
        let index = self.places.insert(place);
        self.index[mount].insert(key.into(), index);
    }

    pub fn remove(&mut self, mount: usize, key: &[u8]) {
        if let Some(index) = self
            .index
            .get_mut(mount)
            .and_then(|index| index.remove(key))
        {
            self.forget(index);
        }
    }

    /// Forgets everything below a mount.
    pub fn clear(&mut self, mount: usize) {
        let keys = self
            .index
            .get_mut(mount)
            .map(std::mem::take)
            .unwrap_or_default();
        for index in keys.into_values() {
            self.forget(index);
        }
    }

    /// Gives up one entry that holds a descriptor; false if there is none.
    pub fn release_descriptor(&mut self) -> bool {
        let victim = self
            .places
            .iter()
            .find(|(_, place)| place.cost.descriptors > 0 && !place.used);
        let victim = victim.or_else(|| {
            self.places
                .iter()
                .find(|(_, place)| place.cost.descriptors > 0)
        });
        match victim.map(|(index, _)| index) {
            Some(index) => {
                self.unlink(index);
                true
            }
            None => false,
        }
    }

    /// Gives up the entries that hold a descriptor and have been stale since before `before_ns`. Tells whether descriptors are still held.
    pub fn close_idle(&mut self, before_ns: u64) -> bool {
        let is_idle =
            |place: &Place<V>| place.cost.descriptors > 0 && place.fresh_until_ns < before_ns;
        let places = self.places.iter().filter(|(_, place)| is_idle(place));
        let idle: Vec<usize> = places.map(|(index, _)| index).collect();
        for index in idle {
            self.unlink(index);
        }
        self.holds_descriptors()
    }

    pub fn holds_descriptors(&self) -> bool {
        self.cost.descriptors > 0
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// What the entries cost together.
    #[cfg(test)]
    pub fn cost(&self) -> Cost {
        self.cost
    }

    fn fits(&self, held: &Cost, more: &Cost, entries: usize) -> bool {
        entries < self.bounds.entries_max
            && held.bytes + more.bytes <= self.bounds.weight_max
            && held.descriptors + more.descriptors <= self.bounds.descriptors_max
    }

    /// The hand passes over entries in use once, and takes the first that is not. At most two rounds.
    fn evict(&mut self) {
        let rounds = 2 * self.places.capacity() + 1;
        for _ in 0..rounds {
            self.hand = if self.hand + 1 < self.places.capacity() {
                self.hand + 1
            } else {
                0
            };
            match self.places.get_mut(self.hand) {
                Some(place) if place.used => place.used = false,
                Some(_) => return self.unlink(self.hand),
                None => {}
            }
        }
    }

    fn unlink(&mut self, index: usize) {
        let place = &self.places[index];
        self.index[place.mount].remove(&place.key);
        self.forget(index);
    }

    fn forget(&mut self, index: usize) {
        let place = self.places.remove(index);
        self.cost.bytes -= place.cost.bytes;
        self.cost.descriptors -= place.cost.descriptors;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Value(usize, usize);

    impl Weigh for Value {
        fn cost(&self) -> Cost {
            Cost {
                bytes: self.0,
                descriptors: self.1,
            }
        }
    }

    fn cache(entries_max: usize, weight_max: usize, descriptors_max: usize) -> Cache<Value> {
        Cache::new(
            2,
            Bounds {
                entries_max,
                weight_max,
                descriptors_max,
            },
        )
    }

    fn has(cache: &mut Cache<Value>, key: &[u8]) -> bool {
        !matches!(cache.find(0, key, 0), Found::Nothing)
    }

    #[test]
    fn freshness_has_an_end_and_can_be_renewed() {
        let mut cache = cache(10, 10_000, 10);
        cache.insert(0, b"/a", Value(5, 0), 100);
        assert!(matches!(
            cache.find(0, b"/a", 99),
            Found::Fresh(Value(5, 0))
        ));
        assert!(matches!(cache.find(0, b"/a", 100), Found::Stale(_)));
        cache.confirm(0, b"/a", 200);
        assert!(matches!(cache.find(0, b"/a", 199), Found::Fresh(_)));
        assert!(matches!(cache.find(1, b"/a", 0), Found::Nothing));
        assert!(matches!(cache.find(7, b"/a", 0), Found::Nothing));
        cache.insert(7, b"/a", Value(5, 0), 100);
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn a_ticket_is_good_for_its_entry_alone() {
        let mut cache = cache(10, 10_000, 10);
        assert!(cache.ticket(0, b"/a", 0).is_none());
        cache.insert(0, b"/a", Value(5, 0), 100);
        let (ticket, value) = cache.ticket(0, b"/a", 99).expect("fresh");
        assert_eq!(value, &Value(5, 0));
        assert!(cache.ticket(0, b"/a", 100).is_none());
        assert!(cache.is_fresh(ticket, 99) && !cache.is_fresh(ticket, 100));
        cache.confirm(0, b"/a", 200);
        assert!(cache.is_fresh(ticket, 199));
        cache.insert(0, b"/a", Value(5, 0), 300);
        assert!(!cache.is_fresh(ticket, 199), "another one in its place");
        let (ticket, _) = cache.ticket(0, b"/a", 199).expect("fresh");
        cache.clear(0);
        assert!(!cache.is_fresh(ticket, 199));
    }

    #[test]
    fn bounds_hold_whatever_comes() {
        let mut cache = cache(50, 20_000, 5);
        let mut seed = 1u64;
        for round in 0..5_000usize {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = format!("/{}", seed >> 57);
            match round % 7 {
                0 => cache.remove(0, key.as_bytes()),
                1 => {
                    has(&mut cache, key.as_bytes());
                }
                _ => cache.insert(
                    0,
                    key.as_bytes(),
                    Value((seed >> 50) as usize & 2047, round % 2),
                    0,
                ),
            }
            let sum: usize = cache.places.iter().map(|(_, place)| place.cost.bytes).sum();
            assert_eq!(sum, cache.cost().bytes);
            assert_eq!(cache.len(), cache.index[0].len());
            assert!(cache.len() <= 50 && sum <= 20_000 && cache.cost().descriptors <= 5);
        }
    }

    #[test]
    fn what_is_asked_for_stays() {
        let mut cache = cache(4, 100_000, 10);
        for n in 0..4 {
            cache.insert(0, format!("/{n}").as_bytes(), Value(1, 0), 0);
        }
        for n in 10..30 {
            assert!(has(&mut cache, b"/2"));
            cache.insert(0, format!("/{n}").as_bytes(), Value(1, 0), 0);
        }
        assert!(has(&mut cache, b"/2"));
        assert!(!has(&mut cache, b"/0"));
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_costs_nobody_else() {
        let mut cache = cache(4, 1_000, 10);
        cache.insert(0, b"/small", Value(10, 0), 0);
        cache.insert(0, b"/large", Value(1_000, 0), 0);
        assert!(has(&mut cache, b"/small") && !has(&mut cache, b"/large"));
    }

    #[test]
    fn a_mount_is_forgotten_whole_and_alone() {
        let mut cache = cache(10, 100_000, 10);
        for mount in [0, 1] {
            for n in 0..3 {
                cache.insert(mount, format!("/{n}").as_bytes(), Value(1, 1), 0);
            }
        }
        cache.clear(0);
        cache.clear(7);
        assert!(!has(&mut cache, b"/1"));
        assert!(matches!(cache.find(1, b"/1", 0), Found::Stale(_)));
        assert_eq!((cache.len(), cache.cost().descriptors), (3, 3));
    }

    #[test]
    fn descriptors_can_be_had_back() {
        let mut cache = cache(4, 100_000, 10);
        cache.insert(0, b"/memory", Value(10, 0), 0);
        cache.insert(0, b"/file", Value(10, 1), 0);
        assert!(cache.release_descriptor());
        assert!(!cache.release_descriptor());
        assert!(has(&mut cache, b"/memory") && !has(&mut cache, b"/file"));
    }

    #[test]
    fn what_nobody_asks_for_is_closed() {
        let mut cache = cache(4, 100_000, 10);
        cache.insert(0, b"/memory", Value(10, 0), 100);
        cache.insert(0, b"/idle", Value(10, 1), 100);
        cache.insert(0, b"/used", Value(10, 1), 100);
        assert!(cache.close_idle(100));
        assert_eq!(cache.len(), 3);
        cache.confirm(0, b"/used", 200);
        assert!(cache.close_idle(101));
        assert!(has(&mut cache, b"/memory") && has(&mut cache, b"/used"));
        assert!(!has(&mut cache, b"/idle"));
        assert!(!cache.close_idle(201));
        assert!(has(&mut cache, b"/memory") && !has(&mut cache, b"/used"));
    }
}
