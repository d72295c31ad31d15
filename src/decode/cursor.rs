//! The part of a packet that is not read yet.
//!
//! In: captured bytes, and the length that they had on the wire. Out: headers, one after the other. Promises: a header
//! that the snap length cut off (truncated) and a header that the packet never had (malformed) are told apart.

use super::counters::{PacketPart, SkipReason};

/// A position in a packet, and the bytes from there on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    /// The captured bytes; `captured.len() <= wire_length`.
    captured: &'a [u8],
    /// Bytes on the wire.
    wire_length: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first of the captured bytes. A `wire_length` below their number is raised to it.
    pub(super) fn new(captured: &'a [u8], wire_length: usize) -> Self {
        Self { captured, wire_length: wire_length.max(captured.len()) }
    }

    /// Reads a header of fixed length and steps over it.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self, part: PacketPart) -> Result<[u8; N], SkipReason> {
        match self.captured.split_first_chunk::<N>() {
            Some((header, rest)) => {
                self.captured = rest;
                self.wire_length -= N;
                Ok(*header)
            }
            None => Err(self.missing(N, part)),
        }
    }

    /// Reads a 16-bit number in network order and steps over it.
    pub(super) fn take_u16(&mut self, part: PacketPart) -> Result<u16, SkipReason> {
        self.take(part).map(u16::from_be_bytes)
    }

    /// Reads a 32-bit number in network order and steps over it.
    pub(super) fn take_u32(&mut self, part: PacketPart) -> Result<u32, SkipReason> {
        self.take(part).map(u32::from_be_bytes)
    }

    /// Reads the header at the cursor with one of etherparse's header slices, without stepping over it.
    ///
    /// At least `needed` bytes must have been captured. etherparse wants the whole header, which is at most `LONGEST`
    /// bytes long. Bytes that the snap length cut off read as zero: the fixed fields count even where the options were
    /// not captured.
    pub(super) fn header<const LONGEST: usize, T, E>(
        &self,
        needed: usize,
        part: PacketPart,
        read: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<T, SkipReason> {
        self.require(needed, part)?;
        read(self.captured).or_else(|_| read(&self.padded::<LONGEST>())).map_err(|_| SkipReason::Malformed(part))
    }

    /// The next `N` bytes. Those that were not captured are zero.
    pub(super) fn padded<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.iter_mut().zip(self.captured).for_each(|(byte, &captured)| *byte = captured);
        bytes
    }

    /// Returns an error unless the next `count` bytes were captured.
    pub(super) fn require(&self, count: usize, part: PacketPart) -> Result<(), SkipReason> {
        if self.captured.len() >= count { Ok(()) } else { Err(self.missing(count, part)) }
    }

    /// Steps over bytes that must have been captured.
    pub(super) fn pass(&mut self, count: usize, part: PacketPart) -> Result<(), SkipReason> {
        self.require(count, part)?;
        self.skip(count, part)
    }

    /// Steps over bytes that need not have been captured.
    pub(super) fn skip(&mut self, count: usize, part: PacketPart) -> Result<(), SkipReason> {
        self.wire_length = self.wire_length.checked_sub(count).ok_or(SkipReason::Malformed(part))?;
        self.captured = self.captured.get(count..).unwrap_or_default();
        Ok(())
    }

    /// The `N` bytes at offset `at` from the cursor, without stepping over anything.
    pub(super) fn peek<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.captured.get(at..)?.first_chunk::<N>().copied()
    }

    /// Sets the length on the wire to the one that a header inside says. It may be more than there was. Bytes beyond it
    /// are padding or trailers.
    pub(super) fn set_wire_length(&mut self, wire_length: usize) {
        self.captured = self.captured.get(..wire_length).unwrap_or(self.captured);
        self.wire_length = wire_length;
    }

    /// Ends the packet where a header says that its content ends. A length beyond the packet changes nothing.
    pub(super) fn shorten_to(&mut self, wire_length: usize) {
        if wire_length < self.wire_length {
            self.set_wire_length(wire_length);
        }
    }

    /// The captured bytes.
    pub(super) fn captured(&self) -> &'a [u8] {
        self.captured
    }

    /// Bytes on the wire.
    pub(super) fn wire_length(&self) -> usize {
        self.wire_length
    }

    /// Returns whether every byte was captured.
    pub(super) fn is_whole(&self) -> bool {
        self.captured.len() == self.wire_length
    }

    /// Why `count` bytes cannot be read.
    fn missing(&self, count: usize, part: PacketPart) -> SkipReason {
        if self.wire_length >= count { SkipReason::Truncated(part) } else { SkipReason::Malformed(part) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_cut_header_from_a_missing_one() {
        let mut cursor = Cursor::new(&[1, 2, 3], 6);
        assert_eq!(cursor.take::<4>(PacketPart::Ip), Err(SkipReason::Truncated(PacketPart::Ip)));
        assert_eq!(cursor.take::<7>(PacketPart::Ip), Err(SkipReason::Malformed(PacketPart::Ip)));
        assert_eq!(cursor.take::<2>(PacketPart::Ip), Ok([1, 2]));
        assert_eq!((cursor.captured(), cursor.wire_length()), (&[3][..], 4));
        assert_eq!(cursor.skip(5, PacketPart::Tcp), Err(SkipReason::Malformed(PacketPart::Tcp)));
    }

    #[test]
    fn skips_what_was_not_captured() {
        let mut cursor = Cursor::new(&[1, 2], 10);
        assert_eq!(cursor.skip(6, PacketPart::Ip), Ok(()));
        assert_eq!((cursor.captured(), cursor.wire_length(), cursor.is_whole()), (&[][..], 4, false));
    }

    #[test]
    fn lengths_cut_padding_and_may_exceed_the_frame() {
        let mut cursor = Cursor::new(&[1, 2, 3, 4], 4);
        cursor.set_wire_length(3);
        assert_eq!((cursor.captured(), cursor.wire_length()), (&[1, 2, 3][..], 3));
        cursor.shorten_to(9);
        assert_eq!(cursor.wire_length(), 3);
        cursor.set_wire_length(9);
        assert_eq!((cursor.captured(), cursor.wire_length()), (&[1, 2, 3][..], 9));
        assert_eq!(cursor.peek::<2>(1), Some([2, 3]));
        assert_eq!(cursor.peek::<2>(2), None);
    }
}
