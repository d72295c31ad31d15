//! One direction of a connection: the position of its stream.
//!
//! In: sequence numbers that the connection learns from segments. Out: offsets and distances. Promises: sequence numbers
//! wrap around, offsets do not.

use super::waiting::Arrival;

/// What is known of the beginning and the end of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// No segment was seen.
    #[default]
    Unseen,
    /// No SYN was seen. `next` is the lowest sequence number so far, and payload is held.
    Provisional,
    /// All bytes before `next` are delivered.
    Open,
    /// The FIN is delivered; `next` is the sequence number after it.
    Finished,
    /// A reset is delivered.
    Reset,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Half {
    /// Stream offset of the next byte to deliver.
    pub(super) offset: u64,
    /// The sequence number of that byte.
    pub(super) next: u32,
    /// The highest acknowledgment of this direction's bytes; valid only if `is_acknowledged`.
    pub(super) acknowledged: u32,
    /// The sequence number after the last segment out of window.
    pub(super) stray: u32,
    pub(super) phase: Phase,
    /// Whether an acknowledgment of the receiver was seen.
    pub(super) is_acknowledged: bool,
    /// Number of consecutive segments out of window that are consistent with each other.
    pub(super) strays: u8,
}

impl Half {
    /// Returns the stream offset of a sequence number, at least 0. The sequence number of a delivered FIN is no byte of the
    /// stream and is not counted.
    pub(super) fn offset_of(&self, sequence: u32) -> u64 {
        let distance = sequence.wrapping_sub(self.next) as i32;
        let distance = if self.phase == Phase::Finished { distance.saturating_add(1).min(0) } else { distance };
        self.offset.saturating_add_signed(i64::from(distance))
    }

    /// Returns how many bytes beyond the delivered bytes the receiver has acknowledged.
    pub(super) const fn receiver_ahead(&self) -> u32 {
        let ahead = self.acknowledged.wrapping_sub(self.next) as i32;
        if self.is_acknowledged && ahead > 0 { ahead as u32 } else { 0 }
    }

    /// Notes that the receiver has all bytes before the sequence number `number`, in a half whose beginning is known.
    /// Returns `false` if that is not new or is impossible.
    #[inline]
    pub(super) fn acknowledge_open(&mut self, number: u32, window: u32) -> bool {
        if self.is_acknowledged && number == self.acknowledged {
            return false;
        }
        let newest = self.next.wrapping_add(self.receiver_ahead());
        let distance = number.wrapping_sub(newest) as i32;
        if distance > window as i32 || distance < -(window as i32) {
            return false;
        }
        self.strays = 0;
        if self.is_acknowledged && number.wrapping_sub(self.acknowledged) as i32 <= 0 {
            return false;
        }
        (self.acknowledged, self.is_acknowledged) = (number, true);
        true
    }

    /// Returns whether a segment has bytes at the place of a FIN that the receiver has not acknowledged. If so, the FIN was
    /// forged.
    pub(super) fn is_fin_contradicted(&self, arrival: &Arrival<'_>) -> bool {
        self.phase == Phase::Finished
            && arrival.length > 0
            && arrival.sequence == self.next.wrapping_sub(1)
            && !(self.is_acknowledged && self.acknowledged == self.next)
    }

    /// The sequence number of stream offset 0.
    pub(super) const fn base(&self) -> u32 {
        let fin = if matches!(self.phase, Phase::Finished) { 1 } else { 0 };
        self.next.wrapping_sub(fin).wrapping_sub(self.offset as u32)
    }
}
