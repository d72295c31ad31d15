//! What is left of a packet.
//!
//! In: captured bytes and the length they had on the wire. Out: headers, one after the other. Promises: a header that
//! the snap length cut off is told from one that the packet never had.

use super::reason::{Part, Reason};

/// The rest of a packet, from the next header on.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    /// The captured bytes; `data.len() <= wire`.
    data: &'a [u8],
    /// Bytes on the wire.
    wire: usize,
}

impl<'a> View<'a> {
    /// A view of captured bytes; `wire` is raised to their number where it is less.
    pub(super) fn new(data: &'a [u8], wire: usize) -> Self {
        Self { data, wire: wire.max(data.len()) }
    }

    /// Reads a header of fixed length and steps over it.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self, part: Part) -> Result<[u8; N], Reason> {
        match self.data.split_first_chunk::<N>() {
            Some((header, rest)) => {
                self.data = rest;
                self.wire -= N;
                Ok(*header)
            }
            None if self.wire >= N => Err(Reason::Truncated(part)),
            None => Err(Reason::Malformed(part)),
        }
    }

    /// Reads a 16-bit number in network order and steps over it.
    pub(super) fn take_u16(&mut self, part: Part) -> Result<u16, Reason> {
        self.take(part).map(u16::from_be_bytes)
    }

    /// Reads a 32-bit number in network order and steps over it.
    pub(super) fn take_u32(&mut self, part: Part) -> Result<u32, Reason> {
        self.take(part).map(u32::from_be_bytes)
    }

    /// Steps over bytes that need not have been captured.
    pub(super) fn skip(&mut self, count: usize, part: Part) -> Result<(), Reason> {
        self.wire = self.wire.checked_sub(count).ok_or(Reason::Malformed(part))?;
        self.data = self.data.get(count..).unwrap_or_default();
        Ok(())
    }

    /// Sets the length on the wire to what a header inside says; bytes beyond are padding or trailers.
    pub(super) fn set_length(&mut self, wire: usize) {
        self.data = self.data.get(..wire).unwrap_or(self.data);
        self.wire = wire;
    }

    /// Cuts the view where a header says that its content ends; a length beyond the view changes nothing.
    pub(super) fn limit(&mut self, wire: usize) {
        if wire < self.wire {
            self.set_length(wire);
        }
    }

    /// The bytes `N` from offset `at`, without stepping over anything.
    pub(super) fn peek<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.data.get(at..)?.first_chunk::<N>().copied()
    }

    /// The captured bytes.
    pub(super) fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Bytes on the wire.
    pub(super) fn wire(&self) -> usize {
        self.wire
    }

    /// Whether every byte was captured.
    pub(super) fn is_whole(&self) -> bool {
        self.data.len() == self.wire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_cut_header_from_a_missing_one() {
        let mut view = View::new(&[1, 2, 3], 6);
        assert_eq!(view.take::<4>(Part::Ip), Err(Reason::Truncated(Part::Ip)));
        assert_eq!(view.take::<7>(Part::Ip), Err(Reason::Malformed(Part::Ip)));
        assert_eq!(view.take::<2>(Part::Ip), Ok([1, 2]));
        assert_eq!((view.data(), view.wire()), (&[3][..], 4));
        assert_eq!(view.skip(5, Part::Tcp), Err(Reason::Malformed(Part::Tcp)));
    }

    #[test]
    fn skips_what_was_not_captured() {
        let mut view = View::new(&[1, 2], 10);
        assert_eq!(view.skip(6, Part::Ip), Ok(()));
        assert_eq!((view.data(), view.wire(), view.is_whole()), (&[][..], 4, false));
    }

    #[test]
    fn lengths_cut_padding_and_may_exceed_the_frame() {
        let mut view = View::new(&[1, 2, 3, 4], 4);
        view.set_length(3);
        assert_eq!((view.data(), view.wire()), (&[1, 2, 3][..], 3));
        view.limit(9);
        assert_eq!(view.wire(), 3);
        view.set_length(9);
        assert_eq!((view.data(), view.wire()), (&[1, 2, 3][..], 9));
        assert_eq!(view.peek::<2>(1), Some([2, 3]));
        assert_eq!(view.peek::<2>(2), None);
    }
}
