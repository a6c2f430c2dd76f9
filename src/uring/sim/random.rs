//! A small seeded generator (SplitMix64): good enough for choices, the same on every machine.

/// Seeded randomness.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed ^ 0x5bd1_e995_9d1b_54a5)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `bound`, which is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// Between 1 and `most`, small values as likely as large ones.
    pub fn length(&mut self, most: usize) -> usize {
        if most <= 1 {
            return most;
        }
        match self.below(3) {
            0 => 1 + self.below(most.min(8) as u64) as usize,
            1 => 1 + self.below(most as u64) as usize,
            _ => most,
        }
    }
}
