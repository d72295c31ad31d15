//! What supports a connection's streams: how much of the handshake was seen, and which bytes nobody confirmed.
//!
//! In: the rare events of a connection: SYNs, gaps, and segments that were accepted without proof. Out: what a parser asks
//! for once an exchange, to grade it. Promises: ordinary segments do not touch it.

use super::{
    Direction, FlowSegment,
    connection::{Bystander, Connection},
    half::Phase,
};

use crate::decode::TcpFlags;

/// The evidence of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Which segments of the handshake were seen, and by direction whether `guessed` is valid.
    steps: u8,
    /// Whether bytes were accepted that a single sender could have forged.
    is_doubtful: bool,
    /// By direction, the sequence number after the last gap that the receiver had not acknowledged.
    guessed: [u32; 2],
}

impl Evidence {
    const SYN: u8 = 1;
    const SYN_ACK: u8 = 2;
    const ACK: u8 = 4;
    const GUESSED: [u8; 2] = [8, 16];

    /// Nothing was seen yet.
    pub(crate) const NONE: Self = Self { steps: 0, is_doubtful: false, guessed: [0; 2] };

    /// Notes a SYN without acknowledgment.
    pub(super) fn note_syn(&mut self) {
        self.steps |= Self::SYN;
    }

    /// Notes a SYN-ACK that acknowledges exactly the opener's SYN.
    pub(super) fn note_syn_ack(&mut self) {
        self.steps |= Self::SYN_ACK;
    }

    /// Notes a SYN and the SYN-ACK that answers it.
    pub(crate) fn note_handshake(&mut self) {
        self.note_syn();
        self.note_syn_ack();
    }

    /// Notes that the opener acknowledged the server's SYN-ACK.
    pub(super) fn note_acknowledgment(&mut self) {
        self.steps |= Self::ACK;
    }

    /// Notes a gap in a direction that was declared before the receiver acknowledged its bytes. `end` is the sequence number
    /// after the gap.
    pub(super) fn note_guess(&mut self, direction: Direction, end: u32) {
        self.steps |= Self::GUESSED[direction as usize];
        self.guessed[direction as usize] = end;
    }

    /// Notes that bytes were accepted that nothing confirms. The connection stays unconfirmed.
    pub(crate) fn note_doubt(&mut self) {
        self.is_doubtful = true;
    }

    /// Returns whether bytes were accepted that nothing confirms.
    pub const fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// Returns whether the SYN and the SYN-ACK that answers it were seen.
    pub const fn is_opened_both_ways(&self) -> bool {
        self.steps & (Self::SYN | Self::SYN_ACK) == Self::SYN | Self::SYN_ACK
    }

    /// Returns whether the whole handshake was seen, the opener's acknowledgment of the SYN-ACK included.
    pub const fn is_handshake_complete(&self) -> bool {
        self.is_opened_both_ways() && self.steps & Self::ACK != 0
    }

    /// Returns whether the receiver of a direction, whose highest acknowledgment is `acknowledged`, has confirmed the
    /// position of the bytes that follow the last gap.
    pub const fn is_position_confirmed(&self, direction: Direction, acknowledged: u32) -> bool {
        let is_guessed = self.steps & Self::GUESSED[direction as usize] != 0;
        !is_guessed || acknowledged.wrapping_sub(self.guessed[direction as usize]) as i32 >= 0
    }
}

impl Connection {
    /// Notes the opener's acknowledgment of the SYN-ACK: a number that the server has sent, and nothing beyond.
    pub(super) fn note_answer<S, C>(&self, around: &mut Bystander<'_, S, C>, direction: Direction, number: u32) {
        let server = &self.halves[direction.opposite() as usize];
        if around.facts.opened_by == Some(direction)
            && matches!(server.phase, Phase::Open | Phase::Finished)
            && number.wrapping_sub(server.base()) <= server.next.wrapping_sub(server.base())
        {
            around.facts.evidence.note_acknowledgment();
        }
    }

    /// Returns whether the receiver of a direction was seen to acknowledge it.
    pub(crate) fn is_acknowledged(&self, direction: Direction) -> bool {
        self.halves[direction as usize].is_acknowledged
    }

    /// Returns how many bytes beyond the delivered bytes a segment of a direction ends, or `None` if all of it is old or its
    /// place is not known.
    pub(crate) fn reach(&self, direction: Direction, segment: &FlowSegment<'_>) -> Option<u32> {
        let half = &self.halves[direction as usize];
        let end = segment.sequence.wrapping_add(segment.wire_length).wrapping_sub(half.next);
        (matches!(half.phase, Phase::Open | Phase::Finished | Phase::Reset) && end as i32 > 0).then_some(end)
    }

    /// Returns whether a segment of a direction acknowledges bytes beyond the delivered bytes of the other direction, whose
    /// place is known.
    pub(crate) fn acknowledges_unseen(&self, direction: Direction, segment: &FlowSegment<'_>) -> bool {
        let other = &self.halves[direction.opposite() as usize];
        segment.flags.has(TcpFlags::ACK)
            && matches!(other.phase, Phase::Open | Phase::Finished)
            && segment.acknowledgment.wrapping_sub(other.next) as i32 > 0
    }

    /// Returns whether all of a segment was delivered before: its bytes, and its SYN or FIN.
    pub(crate) fn is_repeated(&self, direction: Direction, segment: &FlowSegment<'_>) -> bool {
        let half = &self.halves[direction as usize];
        let flags = u32::from(segment.flags.has(TcpFlags::SYN)) + u32::from(segment.flags.has(TcpFlags::FIN));
        let end = segment.sequence.wrapping_add(segment.wire_length + flags).wrapping_sub(half.next) as i32;
        matches!(half.phase, Phase::Open | Phase::Finished | Phase::Reset) && end <= 0
    }

    /// Returns whether a segment of a direction was seen, and not only acknowledgments of it.
    pub(crate) fn has_begun(&self, direction: Direction) -> bool {
        let half = &self.halves[direction as usize];
        !matches!(half.phase, Phase::Unseen | Phase::Provisional)
    }
}
