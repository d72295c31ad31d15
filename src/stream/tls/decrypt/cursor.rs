//! Reads numbers and lists off the front of bytes.
//!
//! In: bytes. Out: parts of them. Promises: a read beyond the end gives `None` and takes nothing.

/// The bytes that are not read yet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// Takes so many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes so many bytes as an array.
    pub(super) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes a number of one byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| *byte)
    }

    /// Takes a number of two bytes.
    pub(super) fn number(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// Takes a number of three bytes.
    pub(super) fn number24(&mut self) -> Option<usize> {
        self.array().map(|[high, middle, low]| u32::from_be_bytes([0, *high, *middle, *low]) as usize)
    }

    /// Takes a list whose length is one byte.
    pub(super) fn list8(&mut self) -> Option<&'a [u8]> {
        let mut after = *self;
        let length = after.byte()?;
        let list = after.bytes(length.into())?;
        *self = after;
        Some(list)
    }

    /// Takes a list whose length is two bytes.
    pub(super) fn list16(&mut self) -> Option<&'a [u8]> {
        let mut after = *self;
        let length = after.number()?;
        let list = after.bytes(length.into())?;
        *self = after;
        Some(list)
    }

    /// Takes a list whose length is three bytes, or what there is of it.
    pub(super) fn list24(&mut self) -> Option<&'a [u8]> {
        let length = self.number24()?;
        self.bytes(length.min(self.0.len()))
    }
}

/// Iterates over a list of numbers of two bytes.
pub(super) fn numbers(list: &[u8]) -> impl Iterator<Item = u16> + Clone + '_ {
    list.chunks_exact(2).filter_map(|pair| pair.first_chunk()).map(|pair| u16::from_be_bytes(*pair))
}

/// Returns whether a value is a placeholder without meaning (RFC 8701): 0x0a0a, 0x1a1a and so on.
pub(super) fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}
