//! Whether the other side still lives: when to ping, and when its silence is long enough. Pure; time is an argument.
//!
//! Any byte that comes counts as a sign of life: while a client sends a long frame, its pong cannot come in between.

#[derive(Debug)]
pub struct Pulse {
    /// `u64::MAX`: no pings.
    interval_ns: u64,
    /// `u64::MAX`: silence is no fault.
    timeout_ns: u64,
    /// When the last ping left, or the watch began.
    sent_ns: u64,
    /// Nothing has been heard since that ping.
    waiting: bool,
    pings: u32,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    Nothing,
    /// Send one with this payload.
    Ping([u8; 4]),
    /// The other side is gone.
    Dead,
}

impl Pulse {
    pub fn new(interval_ns: u64, timeout_ns: u64, now_ns: u64) -> Pulse {
        Pulse {
            interval_ns,
            timeout_ns,
            sent_ns: now_ns,
            waiting: false,
            pings: 0,
        }
    }

    /// When to ask `beat` next.
    pub fn due_ns(&self) -> u64 {
        let ns = if self.waiting && self.timeout_ns != u64::MAX {
            self.timeout_ns
        } else {
            self.interval_ns
        };
        self.sent_ns.saturating_add(ns)
    }

    /// Something came, or nothing could have been heard.
    pub fn handle_sign(&mut self) {
        self.waiting = false;
    }

    pub fn beat(&mut self, now_ns: u64) -> Beat {
        if now_ns < self.due_ns() {
            return Beat::Nothing;
        }
        if self.waiting && self.timeout_ns != u64::MAX {
            return Beat::Dead;
        }
        self.waiting = true;
        self.sent_ns = now_ns;
        self.pings = self.pings.wrapping_add(1);
        Beat::Ping(self.pings.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_after_a_ping_is_the_end() {
        let mut pulse = Pulse::new(20, 5, 100);
        assert_eq!((pulse.due_ns(), pulse.beat(119)), (120, Beat::Nothing));
        assert_eq!(pulse.beat(121), Beat::Ping([0, 0, 0, 1]));
        assert_eq!((pulse.due_ns(), pulse.beat(125)), (126, Beat::Nothing));
        pulse.handle_sign();
        assert_eq!((pulse.due_ns(), pulse.beat(140)), (141, Beat::Nothing));
        assert_eq!(pulse.beat(141), Beat::Ping([0, 0, 0, 2]));
        assert_eq!(pulse.beat(146), Beat::Dead);
    }

    #[test]
    fn either_can_be_switched_off() {
        let mut patient = Pulse::new(20, u64::MAX, 0);
        assert!(matches!(patient.beat(20), Beat::Ping(_)));
        assert!(matches!(patient.beat(40), Beat::Ping(_)));
        let mut silent = Pulse::new(u64::MAX, 5, 0);
        assert_eq!(
            (silent.due_ns(), silent.beat(1 << 60)),
            (u64::MAX, Beat::Nothing)
        );
    }
}
