//! What stands beside a descriptor on a worker's socket: whose it is. One packet, one descriptor, these bytes.
//!
//! Worker to edge: a file to be sent, under the token that its `Frame::File` names. Edge to worker: the spooled request body,
//! token 0. A label that fits no request in work belongs to one that was cancelled; its descriptor is closed unused.

/// Bytes of a packet.
pub const LABEL_BYTES: usize = 16;

/// Slot and ticket name one use of one slot; see `Claim::ticket` and `EdgeRing::ticket`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    pub slot: u32,
    pub ticket: u32,
    pub token: u64,
}

impl Label {
    pub fn encode(self) -> [u8; LABEL_BYTES] {
        let mut bytes = [0; LABEL_BYTES];
        bytes[0..4].copy_from_slice(&self.slot.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.ticket.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.token.to_le_bytes());
        bytes
    }

    /// `None` unless the packet is exactly a label.
    pub fn decode(packet: &[u8]) -> Option<Label> {
        let [a, b, c, d, e, f, g, h, token @ ..] = packet else {
            return None;
        };
        Some(Label {
            slot: u32::from_le_bytes([*a, *b, *c, *d]),
            ticket: u32::from_le_bytes([*e, *f, *g, *h]),
            token: u64::from_le_bytes(token.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive_the_trip() {
        let label = Label {
            slot: 7,
            ticket: u32::MAX,
            token: 1 << 63 | 5,
        };
        assert_eq!(Label::decode(&label.encode()), Some(label));
        assert_eq!(Label::decode(&label.encode()[..15]), None);
        assert_eq!(Label::decode(&[0; 17]), None);
    }
}
