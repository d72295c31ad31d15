//! Where the bytes of an inner stream are in the connection.
//!
//! In: the places of its parts, as they are handed on. Out: for an offset of the inner stream, the TCP sequence number of the byte
//! that carried it. Promises: every sensor gives a byte the same number, whatever it has lost before; the latest parts of each
//! side are remembered.

use std::collections::VecDeque;

use crate::tcp::Direction;

/// The most parts of a side that are remembered. A message that began before them has the number that its offset would have.
const MOST_PARTS: usize = 32;

/// The places of the latest parts of both sides.
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// For each part, the offset of its first byte in the inner stream, and the byte's sequence number.
    sides: [VecDeque<(u64, u32)>; 2],
}

impl Positions {
    /// A part that begins at this offset of the inner stream has this sequence number.
    pub(super) fn note(&mut self, direction: Direction, offset: u64, sequence: u32) {
        let parts = &mut self.sides[direction as usize];
        if parts.len() >= MOST_PARTS {
            parts.pop_front();
        }
        parts.push_back((offset, sequence));
    }

    /// Returns the sequence number of the byte at an offset. `None` if no part is known.
    pub(super) fn of(&self, direction: Direction, offset: u64) -> Option<u32> {
        let parts = &self.sides[direction as usize];
        let part = parts.iter().rev().find(|(start, _)| *start <= offset).or(parts.front())?;
        Some(part.1.wrapping_add(offset.wrapping_sub(part.0) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_has_the_number_of_its_part() {
        let (mut positions, side) = (Positions::default(), Direction::Ascending);
        assert_eq!(positions.of(side, 0), None);
        positions.note(side, 0, u32::MAX);
        positions.note(side, 10, 31);
        for (offset, sequence) in [(0, u32::MAX), (1, 0), (9, 8), (10, 31), (12, 33)] {
            assert_eq!(positions.of(side, offset), Some(sequence));
        }
        assert_eq!(positions.of(side.opposite(), 0), None);
        (0..100).for_each(|number| positions.note(side, 100 + number * 10, 1_000 + number as u32 * 100));
        assert_eq!(positions.of(side, 1_095), Some(1_000 + 9_900 + 5));
    }
}
