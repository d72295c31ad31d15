//! HPACK: the header blocks of HTTP/2 for a listener that may have missed some of them (RFC 7541).
//!
//! In: the header blocks of one direction in order, and a call of [`Decoder::forget`] for each gap. Out: their fields. Promises: a
//! name or value that is handed out is the one that the encoder sent; what depends on missed bytes is `None`. No bytes cause a panic.
//! Memory is bounded. Work is linear in the length of a block, apart from the work of the receiver: a field of three bytes can
//! stand for 64 KiB, so the receiver limits the number and the bytes of the fields it keeps.
//!
//! `SETTINGS_HEADER_TABLE_SIZE` is not needed: it says how large a table the encoder may use. The encoder itself says in its next
//! block which size it uses.

mod huffman;
mod primitive;
mod table;

pub(in crate::stream) use table::Field;

use table::{Name, Table};

/// Why a header block cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::stream) enum HpackError {
    /// The block ends within a field.
    #[error("the header block ends within a field")]
    Cut,
    /// A number has more than 32 bits, or more than five bytes after its first one.
    #[error("a number in the header block is too large")]
    Number,
    /// A string is not of the Huffman code.
    #[error("a string of the header block is not of the Huffman code")]
    Huffman,
    /// An index of an entry that the encoder cannot have.
    #[error("the header block refers to an entry that does not exist")]
    Index,
}

/// The largest buffer, in bytes, that is kept between blocks. Longer strings are rare.
const KEPT_BYTES: usize = 4 << 10;

/// Decodes the header blocks of one direction of a connection. The default joins the direction midway.
#[derive(Debug, Default)]
pub(in crate::stream) struct Decoder {
    table: Table,
    /// Room for a name that was Huffman-encoded.
    name: Vec<u8>,
    /// Room for a value that was Huffman-encoded.
    value: Vec<u8>,
}

impl Decoder {
    /// Follows a direction from its first byte: the table is known to be empty.
    pub(in crate::stream) fn from_start() -> Self {
        Self { table: Table::from_start(), ..Self::default() }
    }

    /// Forgets the table, because bytes were missed that may have changed it. Entries that are inserted later are known.
    pub(in crate::stream) fn forget(&mut self) {
        self.table = Table::default();
    }

    /// Decodes a whole header block and calls `each` for every field in order.
    ///
    /// # Errors
    ///
    /// The block is not valid. `each` was called for the fields before the fault. The table is forgotten.
    pub(in crate::stream) fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(Field<'_>),
    ) -> Result<(), HpackError> {
        let result = self.decode_fields(block, &mut each);
        if result.is_err() {
            self.forget();
        }
        for room in [&mut self.name, &mut self.value] {
            if room.capacity() > KEPT_BYTES {
                *room = Vec::new();
            }
        }
        result
    }

    /// Returns how many bytes the decoder has on the heap, for budgets.
    pub(in crate::stream) fn bytes(&self) -> usize {
        self.table.bytes() + self.name.capacity() + self.value.capacity()
    }

    fn decode_fields(&mut self, mut rest: &[u8], each: &mut impl FnMut(Field<'_>)) -> Result<(), HpackError> {
        while let Some(&first) = rest.first() {
            match first {
                // An indexed field (section 6.1).
                0x80.. => {
                    let index = primitive::number(&mut rest, 7)?;
                    each(self.table.field(index).ok_or(HpackError::Index)?);
                }
                // A literal that is inserted into the table (section 6.2.1).
                0x40..=0x7f => self.inserted_literal(&mut rest, each)?,
                // A new maximum of the table (section 6.3).
                0x20..=0x3f => {
                    let maximum = primitive::number(&mut rest, 5)?;
                    self.table.resize(maximum);
                }
                // A literal without indexing, or one that must never be indexed (sections 6.2.2 and 6.2.3).
                _ => self.plain_literal(&mut rest, each)?,
            }
        }
        Ok(())
    }

    fn plain_literal(&mut self, rest: &mut &[u8], each: &mut impl FnMut(Field<'_>)) -> Result<(), HpackError> {
        let index = primitive::number(rest, 4)?;
        let name = match index {
            0 => Some(primitive::string(rest, &mut self.name)?),
            _ => self.table.field(index).ok_or(HpackError::Index)?.name,
        };
        let value = primitive::string(rest, &mut self.value)?;
        each(Field { name, value: Some(value) });
        Ok(())
    }

    fn inserted_literal(&mut self, rest: &mut &[u8], each: &mut impl FnMut(Field<'_>)) -> Result<(), HpackError> {
        let index = primitive::number(rest, 6)?;
        let name = match index {
            0 => Name::new(primitive::string(rest, &mut self.name)?),
            _ => self.table.name(index).ok_or(HpackError::Index)?,
        };
        let value = primitive::string(rest, &mut self.value)?;
        each(Field { name: name.bytes(), value: Some(value) });
        self.table.insert(name, value);
        Ok(())
    }
}

/// Entry point for fuzzing: each block may have any bytes, and some are lost. Memory stays bounded, and a decoder that has missed
/// blocks never hands out another text than one that has not.
#[cfg(any(test, fuzzing))]
pub(in crate::stream) fn fuzz_blocks(data: &[u8]) {
    let (mut whole, mut lossy) = (Decoder::from_start(), Decoder::from_start());
    let mut rest = data;
    while let [length, after @ ..] = rest {
        let (block, after) = after.split_at(after.len().min(usize::from(length & 63)));
        rest = after;
        let mut sent = Vec::new();
        let owned = |field: Field<'_>| [field.name, field.value].map(|part| part.map(<[u8]>::to_vec));
        if whole.decode(block, |field| sent.push(owned(field))).is_err() {
            // No encoder has sent this, so nothing is promised of what follows.
            (whole, lossy) = (Decoder::from_start(), Decoder::from_start());
            continue;
        }
        if *length >= 192 {
            lossy.forget();
            continue;
        }
        let mut place = 0;
        let result = lossy.decode(block, |field| {
            let parts = owned(field).into_iter().zip(&sent[place]);
            parts.filter(|(found, _)| found.is_some()).for_each(|(found, sent)| assert_eq!(found, *sent));
            place += 1;
        });
        assert!(result.is_ok() && place == sent.len());
        assert!(whole.bytes() < 300_000 && lossy.bytes() < 300_000);
    }
}

#[cfg(test)]
mod tests;
