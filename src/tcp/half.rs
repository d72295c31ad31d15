//! One direction of a connection: where its stream is.
//!
//! In: what the connection finds out. Out: offsets and distances. Promises: sequence numbers wrap, offsets do not.

use super::waiting::Arrival;

/// How far the beginning, order and end of one direction are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Nothing seen.
    #[default]
    Unseen,
    /// No SYN seen: `next` is the lowest sequence number so far, payload is held.
    Provisional,
    /// Bytes before `next` are delivered.
    Open,
    /// FIN is delivered; `next` is after it.
    Finished,
    /// A reset is delivered.
    Reset,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Half {
    /// Stream offset of the next byte to deliver.
    pub(super) offset: u64,
    /// Its sequence number.
    pub(super) next: u32,
    /// The highest acknowledgment of this direction's bytes, when `is_acknowledged`.
    pub(super) acknowledged: u32,
    /// After the last segment out of window.
    pub(super) stray: u32,
    pub(super) phase: Phase,
    /// Whether the receiver's acknowledgments are seen.
    pub(super) is_acknowledged: bool,
    /// Consistent segments out of window in a row.
    pub(super) strays: u8,
}

impl Half {
    /// The stream offset that a sequence number stands for, not below 0. A delivered FIN's own number counts nothing.
    pub(super) fn offset_of(&self, sequence: u32) -> u64 {
        let distance = sequence.wrapping_sub(self.next) as i32;
        let distance = if self.phase == Phase::Finished { distance.saturating_add(1).min(0) } else { distance };
        self.offset.saturating_add_signed(i64::from(distance))
    }

    /// How far the receiver is known to be ahead of what is delivered.
    pub(super) const fn receiver_ahead(&self) -> u32 {
        let ahead = self.acknowledged.wrapping_sub(self.next) as i32;
        if self.is_acknowledged && ahead > 0 { ahead as u32 } else { 0 }
    }

    /// Notes that the receiver has all before `number`, of a half whose beginning is known; `false` if that is nothing new, or
    /// cannot be.
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

    /// Returns whether a segment has bytes in the place of a FIN that its receiver has not acknowledged: the FIN was forged.
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
