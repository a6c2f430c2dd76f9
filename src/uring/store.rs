//! A slab that grows by pages: values found by number, the last number freed is the next one given.
//!
//! Owns the values. A vector that grows by doubling would hold up to twice the room, copy everything while a thousand
//! connections wait, and leave its old blocks to the allocator; idle connections are a hundred thousand entries here
//! (kernel-notes/idle-connections.md). Invariants: a page never moves; `free` heads the list of all vacant places. Must not
//! know what is stored.

/// Entries of one page, as a power of two.
const PAGE_BITS: u32 = 7;
const PAGE: usize = 1 << PAGE_BITS;
const NIL: u32 = u32::MAX;

enum Place<T> {
    Occupied(T),
    /// The next vacant place.
    Vacant(u32),
}

/// The pages.
pub struct Store<T> {
    /// All but the last are full: `PAGE` places each.
    pages: Vec<Vec<Place<T>>>,
    free: u32,
    len: usize,
}

impl<T> Default for Store<T> {
    fn default() -> Store<T> {
        Store {
            pages: Vec::new(),
            free: NIL,
            len: 0,
        }
    }
}

impl<T> Store<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if self.free != NIL {
            let index = self.free;
            let place = &mut self.pages[page(index)][offset(index)];
            let Place::Vacant(next) = std::mem::replace(place, Place::Occupied(value)) else {
                unreachable!("the free list names vacant places");
            };
            self.free = next;
            return index;
        }
        if self.pages.last().is_none_or(|last| last.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        let number = self.pages.len() - 1;
        let last = &mut self.pages[number];
        last.push(Place::Occupied(value));
        let index = number * PAGE + last.len() - 1;
        u32::try_from(index)
            .ok()
            .filter(|&index| index != NIL)
            .expect("fewer than four thousand million operations")
    }

    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.pages.get_mut(page(index))?.get_mut(offset(index))? {
            Place::Occupied(value) => Some(value),
            Place::Vacant(_) => None,
        }
    }

    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        match self.pages.get(page(index))?.get(offset(index))? {
            Place::Occupied(value) => Some(value),
            Place::Vacant(_) => None,
        }
    }

    pub fn remove(&mut self, index: u32) -> Option<T> {
        let place = self
            .pages
            .get_mut(page(index))?
            .get_mut(offset(index))
            .filter(|place| matches!(place, Place::Occupied(_)))?;
        let Place::Occupied(value) = std::mem::replace(place, Place::Vacant(self.free)) else {
            unreachable!("just looked at");
        };
        self.free = index;
        self.len -= 1;
        Some(value)
    }

    /// Every value and its number.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        let places = self.pages.iter_mut().flatten().zip(0..);
        places.filter_map(|(place, index)| match place {
            Place::Occupied(value) => Some((index, value)),
            Place::Vacant(_) => None,
        })
    }

    /// Takes every value out.
    pub fn take_all(&mut self) -> Vec<T> {
        let pages = std::mem::take(self).pages;
        let places = pages.into_iter().flatten();
        places
            .filter_map(|place| match place {
                Place::Occupied(value) => Some(value),
                Place::Vacant(_) => None,
            })
            .collect()
    }
}

fn page(index: u32) -> usize {
    (index >> PAGE_BITS) as usize
}

fn offset(index: u32) -> usize {
    index as usize & (PAGE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn values_are_found_by_their_number_until_removed() {
        let mut store = Store::default();
        let mut model: HashMap<u32, u64> = HashMap::new();
        let mut seed = 1u64;
        for round in 0..20_000u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let index = (seed >> 40) as u32 % 600;
            if seed >> 62 == 0 {
                assert_eq!(store.remove(index), model.remove(&index));
            } else if model.len() < 500 {
                let index = store.insert(round);
                assert_eq!(model.insert(index, round), None, "a place is given once");
            }
            assert_eq!(store.get(index), model.get(&index));
            assert_eq!(store.get_mut(index), model.get_mut(&index));
            assert_eq!(store.len(), model.len());
        }
        let seen: HashMap<u32, u64> = store.iter_mut().map(|(i, value)| (i, *value)).collect();
        assert_eq!(seen, model);
        assert_eq!(store.take_all().len(), model.len());
        assert_eq!((store.len(), store.get(0)), (0, None));
    }

    #[test]
    fn the_last_place_freed_is_the_next_one_given() {
        let mut store = Store::default();
        let first: Vec<u32> = (0..300).map(|n| store.insert(n)).collect();
        assert_eq!(first, (0..300).collect::<Vec<u32>>());
        for index in [7, 200, 130] {
            store.remove(index);
        }
        assert_eq!(
            [store.insert(0), store.insert(0), store.insert(0)],
            [130, 200, 7]
        );
        assert_eq!(store.insert(0), 300);
    }
}
