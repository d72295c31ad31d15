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

/// One direction. It is packed, as each of a million flows has two.
#[derive(Debug)]
#[repr(Rust, packed(4))]
pub(crate) struct Half {
    /// Stream offset of the next byte to deliver.
    pub(super) offset: u64,
    /// The sequence number of that byte.
    pub(super) next: u32,
    /// The highest acknowledgment of this direction's bytes; valid only if `is_acknowledged`.
    pub(super) acknowledged: u32,
    /// The sequence number after a doubted SYN.
    pub(super) stray: u32,
    /// The receiver's last acknowledgment, if it was out of window; valid only if `astray` says so.
    far_acknowledged: u32,
    pub(super) phase: Phase,
    /// Whether an acknowledgment of the receiver was seen.
    pub(super) is_acknowledged: bool,
    /// Number of strays that follow each other; 0 if the stream went on where it was after them.
    pub(super) strays: u8,
    astray: Astray,
}

/// Acknowledgments of the receiver since its last new one that were not as expected.
#[derive(Debug, Clone, Copy)]
struct Astray(u8);

impl Astray {
    const NONE: Self = Self(0);
    /// Whether the last of them was out of window. The other bits count the acknowledgments in a row that were lower than the
    /// highest while bytes before the highest were missing.
    const ELSEWHERE: u8 = 0x80;

    const fn is_elsewhere(self) -> bool {
        self.0 & Self::ELSEWHERE != 0
    }

    const fn retreats(self) -> u8 {
        self.0 & !Self::ELSEWHERE
    }
}

/// Number of lower acknowledgments in a row that disprove a higher one. It is above what reordering makes of one
/// acknowledgment.
const RETREATS_TO_DISPROVE: u8 = 3;

impl Half {
    /// A direction of which nothing is known.
    pub(super) const UNSEEN: Self = Self {
        offset: 0,
        next: 0,
        acknowledged: 0,
        stray: 0,
        far_acknowledged: 0,
        phase: Phase::Unseen,
        is_acknowledged: false,
        strays: 0,
        astray: Astray::NONE,
    };

    /// Creates a direction whose first byte is known.
    pub(super) const fn anchored(first: u32) -> Self {
        Self { phase: Phase::Open, next: first, ..Self::UNSEEN }
    }

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
            self.point_elsewhere(number);
            return false;
        }
        self.strays = 0;
        if self.is_acknowledged && number.wrapping_sub(self.acknowledged) as i32 <= 0 {
            self.retreat(number);
            return false;
        }
        (self.acknowledged, self.is_acknowledged) = (number, true);
        self.astray = Astray::NONE;
        true
    }

    /// Notes an acknowledgment out of window.
    #[cold]
    pub(super) fn point_elsewhere(&mut self, number: u32) {
        self.far_acknowledged = number;
        self.astray.0 |= Astray::ELSEWHERE;
    }

    /// Returns the receiver's last acknowledgment, if it was out of window.
    #[inline]
    pub(super) fn elsewhere(&self) -> Option<u32> {
        self.astray.is_elsewhere().then_some(self.far_acknowledged)
    }

    /// The stream goes on elsewhere: forgets all that pointed there.
    pub(super) fn go_elsewhere(&mut self) {
        (self.astray, self.strays) = (Astray::NONE, 0);
    }

    /// Notes an acknowledgment lower than the highest. If the receiver goes on to acknowledge less than once, and the bytes
    /// between are missing, the higher acknowledgment was forged or corrupted.
    #[cold]
    fn retreat(&mut self, number: u32) {
        if self.receiver_ahead() == 0 || (number.wrapping_sub(self.next) as i32) < 0 {
            return;
        }
        self.astray.0 += 1;
        if self.astray.retreats() >= RETREATS_TO_DISPROVE {
            self.acknowledged = number;
            self.astray.0 &= Astray::ELSEWHERE;
        }
    }

    /// Returns whether the receiver has acknowledged the number before the first byte, and nothing else.
    pub(super) const fn has_acknowledged_base(&self) -> bool {
        self.is_acknowledged && self.acknowledged == self.base()
    }

    /// Returns whether a segment has bytes at the place of a FIN that the receiver has not acknowledged. If so, the FIN was
    /// forged.
    pub(super) fn is_fin_contradicted(&self, arrival: &Arrival<'_>) -> bool {
        self.phase == Phase::Finished
            && arrival.length > 0
            && arrival.sequence == self.next.wrapping_sub(1)
            && !(self.is_acknowledged && self.acknowledged == self.next)
    }

    /// Returns whether a segment is wholly before the first byte of the stream. A keep-alive is not.
    pub(super) const fn is_before_first(&self, arrival: &Arrival<'_>) -> bool {
        let is_settled = !matches!(self.phase, Phase::Unseen | Phase::Provisional);
        is_settled && self.offset < 1 << 30 && arrival.length > 1 && arrival.end().wrapping_sub(self.base()) as i32 <= 0
    }

    /// The sequence number of stream offset 0.
    pub(super) const fn base(&self) -> u32 {
        let fin = if matches!(self.phase, Phase::Finished) { 1 } else { 0 };
        self.next.wrapping_sub(fin).wrapping_sub(self.offset as u32)
    }
}
