//! Evidence that a connection is elsewhere than reassembly believes: other first sequence numbers, and strays.
//!
//! In: SYNs with other numbers ([`Rival`]), and segments too far from the stream's position ([`Stray`]). Out: which of them
//! an acknowledgment confirms, and which of them follow each other. Promises: the numbers and bytes of one connection are
//! capped, the newest stay, and all bytes held are charged to the pool.

use std::collections::VecDeque;

use super::{
    Direction,
    waiting::{Arrival, Piece},
};
use crate::time::Timestamp;

/// Most rivals of one connection.
const MAX_RIVALS: usize = 8;
/// Most strays of one direction.
const MAX_STRAYS: usize = 8;
/// Most bytes in the strays of one direction.
const MAX_STRAY_BYTES: usize = 64 << 10;

/// The first sequence numbers of a handshake other than the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rival {
    /// The sender of the SYN.
    pub(super) opener: Direction,
    /// The sequence number of the opener's first byte.
    pub(super) first: u32,
    /// The sequence number of the other side's first byte, if this rival was named by a SYN-ACK.
    pub(super) answer: Option<u32>,
}

/// A segment too far from the stream's position.
#[derive(Debug)]
pub(crate) struct Stray {
    piece: Piece,
    /// Whether the segment carries FIN.
    pub(super) fin: bool,
    /// How many strays, this one included, follow each other up to this one. 0 if the stream went on where it was since.
    chain: u8,
}

impl Stray {
    /// Returns the segment as it arrived, without the bytes that the caps cut off.
    pub(super) fn arrival(&self) -> Arrival<'_> {
        let Piece { sequence, length, carrier, .. } = self.piece;
        Arrival { sequence, payload: self.piece.bytes().unwrap_or_default(), length, carrier }
    }
}

/// The rivals and strays of one connection.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    rivals: VecDeque<Rival>,
    strays: [VecDeque<Stray>; 2],
    /// The time of the oldest stray that is held, by direction.
    since: [Timestamp; 2],
    charge: usize,
    /// Segments in window since the last rival or stray.
    quiet: u16,
}

impl Claims {
    /// Returns whether nothing is in doubt.
    pub(crate) fn is_empty(&self) -> bool {
        self.rivals.is_empty() && self.strays.iter().all(VecDeque::is_empty)
    }

    /// Returns the bytes charged for the strays.
    pub(crate) const fn charge(&self) -> usize {
        self.charge
    }

    /// Returns the number of strays held.
    pub(crate) fn pieces(&self) -> usize {
        self.strays.iter().map(VecDeque::len).sum()
    }

    /// Counts a segment in window. Returns how many came since the last rival or stray.
    pub(super) fn count_quiet(&mut self) -> u16 {
        self.quiet = self.quiet.saturating_add(1);
        self.quiet
    }

    /// Forgets all rivals.
    pub(super) fn forget_rivals(&mut self) {
        self.rivals.clear();
    }

    /// Returns whether there are rivals.
    pub(super) fn has_rivals(&self) -> bool {
        !self.rivals.is_empty()
    }

    /// Remembers a rival. Over the cap, the oldest is forgotten.
    pub(super) fn add_rival(&mut self, rival: Rival) {
        self.quiet = 0;
        self.rivals.retain(|known| *known != rival);
        if self.rivals.len() >= MAX_RIVALS {
            self.rivals.pop_front();
        }
        self.rivals.push_back(rival);
    }

    /// Returns the newest rival with a property.
    pub(super) fn rival(&self, has: impl Fn(&Rival) -> bool) -> Option<Rival> {
        self.rivals.iter().rev().find(|rival| has(rival)).copied()
    }

    /// Holds a stray. `base` is how many strays the SYN counts for that the stray follows; `is_first` says that the stream
    /// went on where it was since the stray before. Returns how many strays follow each other up to this one. Over the caps,
    /// the oldest strays are dropped.
    pub(super) fn hold(
        &mut self,
        direction: Direction,
        arrival: &Arrival<'_>,
        fin: bool,
        base: u8,
        is_first: bool,
    ) -> u8 {
        self.quiet = 0;
        let side = direction as usize;
        let held = &mut self.strays[side];
        if held.is_empty() {
            self.since[side] = arrival.carrier.stamp.time;
        }
        if is_first {
            held.iter_mut().for_each(|stray| stray.chain = 0);
        }
        let follows =
            |stray: &&Stray| stray.chain > 0 && follows(&stray.piece, arrival.sequence, arrival.carrier.acknowledgment);
        let before = held.iter().filter(follows).map(|stray| stray.chain).max().unwrap_or(0);
        let chain = before.max(base).saturating_add(1);
        let is_repeated = held.iter().any(|stray| stray.piece.sequence == arrival.sequence);
        if is_repeated {
            return before;
        }
        let arrival = Arrival { payload: &arrival.payload[..arrival.payload.len().min(MAX_STRAY_BYTES)], ..*arrival };
        held.push_back(Stray { piece: arrival.part(arrival.sequence, arrival.length, true), fin, chain });
        let mut bytes = held.iter().map(|stray| stray.piece.captured as usize).sum::<usize>();
        while held.len() > MAX_STRAYS || bytes > MAX_STRAY_BYTES {
            let Some(oldest) = held.pop_front() else { break };
            bytes -= oldest.piece.captured as usize;
        }
        self.count_charge();
        chain
    }

    /// Returns the time since which strays of a direction are held, or `None` if there are none.
    pub(super) fn strays_since(&self, direction: Direction) -> Option<Timestamp> {
        (!self.strays[direction as usize].is_empty()).then_some(self.since[direction as usize])
    }

    /// Returns the newest stray of a direction.
    pub(super) fn newest(&self, direction: Direction) -> Option<Arrival<'_>> {
        self.strays[direction as usize].back().map(Stray::arrival)
    }

    /// Returns the first stray of the chain that ends with the newest.
    pub(super) fn first_of_chain(&self, direction: Direction) -> Option<Arrival<'_>> {
        let strays = &self.strays[direction as usize];
        let newest = strays.back()?;
        let mut first = newest;
        for stray in strays.iter().rev().skip(1) {
            if first.chain <= 1 {
                break;
            }
            if stray.chain > 0 && follows(&stray.piece, first.piece.sequence, first.piece.carrier.acknowledgment) {
                first = stray;
            }
        }
        Some(first.arrival())
    }

    /// Returns the stray that begins at `number` or holds the byte before `number`.
    pub(super) fn reaching(&self, direction: Direction, number: u32) -> Option<Arrival<'_>> {
        let reaches = |stray: &&Stray| number.wrapping_sub(stray.piece.sequence) <= stray.piece.length;
        self.strays[direction as usize].iter().rev().find(reaches).map(Stray::arrival)
    }

    /// Returns the first byte of the newest stray that is at most `window` bytes behind `sequence`.
    pub(super) fn newest_behind(&self, direction: Direction, sequence: u32, window: u32) -> Option<u32> {
        let mut sequences = self.strays[direction as usize].iter().rev().map(|stray| stray.piece.sequence);
        sequences.find(|newest| newest.wrapping_sub(sequence) <= window)
    }

    /// Takes the strays that lead up to the stray at the sequence number `last`, each behind the one before. All other strays
    /// of the direction are dropped.
    pub(super) fn take_chain(&mut self, direction: Direction, last: u32) -> VecDeque<Stray> {
        let mut chain: VecDeque<Stray> = VecDeque::new();
        for stray in std::mem::take(&mut self.strays[direction as usize]).into_iter().rev() {
            let is_part = match chain.front() {
                None => stray.piece.sequence == last,
                Some(next) if next.chain <= 1 => break,
                Some(next) => {
                    stray.chain > 0 && follows(&stray.piece, next.piece.sequence, next.piece.carrier.acknowledgment)
                }
            };
            if is_part {
                chain.push_front(stray);
            }
        }
        self.count_charge();
        chain
    }

    fn count_charge(&mut self) {
        self.charge = self.strays.iter().flatten().map(|stray| stray.piece.charge()).sum();
    }
}

/// Returns whether a segment comes after a piece: its sequence number is behind the piece, or its sender has received more
/// since. The latter holds over any distance.
fn follows(piece: &Piece, sequence: u32, acknowledgment: Option<u32>) -> bool {
    let is_later = |(later, earlier): (u32, u32)| later.wrapping_sub(earlier) as i32 > 0;
    sequence.wrapping_sub(piece.end()) as i32 >= 0
        || acknowledgment.zip(piece.carrier.acknowledgment).is_some_and(is_later)
}
