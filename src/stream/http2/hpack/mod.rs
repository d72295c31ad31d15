//! HPACK: the header blocks of HTTP/2, read by somebody who may have missed some (RFC 7541).
//!
//! In: header blocks of one direction in order, and word of what was missed. Out: their fields. Promises: a name or value that is
//! handed out is the one that was sent; what rests on something that was missed is unknown instead; no bytes cause a panic; memory
//! is bounded, and work is linear in the bytes of a block, apart from what the receiver does with the fields.
//!
//! Whoever only listens has no use for `SETTINGS_HEADER_TABLE_SIZE`: it says what an encoder may do, and the encoder says in its next
//! block what it does.

mod huffman;
mod table;

pub(in crate::stream) use table::Field;

use table::Table;

/// Why a header block cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::stream) enum HpackError {
    /// It ends within a field.
    #[error("the header block ends within a field")]
    Cut,
    /// A number is larger than any that makes sense.
    #[error("a number in the header block is too large")]
    Number,
    /// A string is not of the Huffman code.
    #[error("a string of the header block is not of the Huffman code")]
    Huffman,
    /// An index that no entry can have.
    #[error("the header block refers to an entry that does not exist")]
    Index,
}

/// The highest number that is read. Larger ones are in no header block.
const MOST: usize = 1 << 24;

/// Reads the header blocks of one direction of a connection.
#[derive(Debug)]
pub(in crate::stream) struct Decoder {
    table: Table,
    /// Room for decoded strings.
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Default for Decoder {
    /// Joins a direction midway: what its table holds is unknown.
    fn default() -> Self {
        let mut decoder = Self::from_start();
        decoder.forget();
        decoder
    }
}

impl Decoder {
    /// Follows a direction from its beginning: its table is empty.
    pub(in crate::stream) fn from_start() -> Self {
        Self { table: Table::empty(), name: Vec::new(), value: Vec::new() }
    }

    /// Something was missed that may have changed the table.
    pub(in crate::stream) fn forget(&mut self) {
        self.table.forget();
    }

    /// Bytes on the heap.
    pub(in crate::stream) fn bytes(&self) -> usize {
        self.table.bytes() + self.name.capacity() + self.value.capacity()
    }

    /// Reads a whole header block, and calls `each` for every field in order.
    ///
    /// # Errors
    ///
    /// A block that is not of HPACK. The fields before the fault were handed out; the table is unknown afterwards.
    pub(in crate::stream) fn decode(&mut self, block: &[u8], each: impl FnMut(Field<'_>)) -> Result<(), HpackError> {
        let read = self.read(block, each);
        if read.is_err() {
            self.forget();
        }
        read
    }

    fn read(&mut self, block: &[u8], mut each: impl FnMut(Field<'_>)) -> Result<(), HpackError> {
        let mut rest = block;
        while let Some(&first) = rest.first() {
            match first {
                // An indexed field (section 6.1).
                0x80.. => {
                    let index = number(&mut rest, 7)?;
                    each(self.table.get(index).ok_or(HpackError::Index)?);
                }
                // A literal that enters the table (section 6.2.1).
                0x40..=0x7f => self.literal(&mut rest, 6, true, &mut each)?,
                // The maximum size of the table changes (section 6.3).
                0x20..=0x3f => {
                    let maximum = number(&mut rest, 5)?;
                    self.table.resize(maximum);
                }
                // A literal that does not enter it (sections 6.2.2 and 6.2.3).
                _ => self.literal(&mut rest, 4, false, &mut each)?,
            }
        }
        Ok(())
    }

    fn literal(
        &mut self,
        rest: &mut &[u8],
        prefix: u32,
        enters: bool,
        each: &mut impl FnMut(Field<'_>),
    ) -> Result<(), HpackError> {
        let Self { table, name, value } = self;
        let index = number(rest, prefix)?;
        let named = if index == 0 {
            Some(string(rest, name)?)
        } else {
            let known = table.get(index).ok_or(HpackError::Index)?.name;
            // The table changes below, so the name is copied out of it.
            known.map(|known| {
                name.clear();
                name.extend_from_slice(known);
                name.as_slice()
            })
        };
        let value = string(rest, value)?;
        each(Field { name: named, value: Some(value) });
        if enters {
            table.insert(named, value);
        }
        Ok(())
    }
}

/// Reads a number whose first bits are the last `prefix` bits of the first byte (section 5.1).
fn number(rest: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let (first, mut after) = rest.split_first().ok_or(HpackError::Cut)?;
    let most = (1usize << prefix) - 1;
    let mut number = usize::from(*first) & most;
    if number == most {
        let mut shift = 0;
        loop {
            let (byte, behind) = after.split_first().ok_or(HpackError::Cut)?;
            after = behind;
            number += usize::from(byte & 0x7f) << shift;
            if number > MOST || shift > 21 {
                return Err(HpackError::Number);
            }
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
    }
    *rest = after;
    Ok(number)
}

/// Reads a string (section 5.2). `room` holds its text if it was encoded.
fn string<'a, 'b: 'a>(rest: &mut &'b [u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], HpackError> {
    let is_encoded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = number(rest, 7)?;
    let (bytes, after) = rest.split_at_checked(length).ok_or(HpackError::Cut)?;
    *rest = after;
    if !is_encoded {
        return Ok(bytes);
    }
    room.clear();
    huffman::decode(bytes, room).ok_or(HpackError::Huffman)?;
    Ok(room)
}

#[cfg(test)]
mod tests;
