//! Records of which the beginning may be enough.
//!
//! In: the header of a record, and the bytes of its body that came in the same packet. Out: data for the inner stream, before the record
//! is whole. Promises: no byte is handed on twice. If the inner stream needs more than the beginning, the record is put together, and its
//! rest is handed on only if the record is authentic. If bytes of a record are missing, the data before them is handed on all the same.
//!
//! Pages and downloads come in long records, and HTTP mostly needs their first bytes alone: a head, and how long the body is. The bytes
//! behind these are neither copied nor decrypted, and without them the beginning cannot be authenticated. So this is done only after
//! records that were, and not where a packet has a whole record (see [`Session::open_beginning`](super::decrypt::Session::open_beginning)).

use super::{
    Body, Tls,
    decrypt::{Beginning, HEADER_BYTES, MIN_SKIPPED_BYTES, Sender, body_length},
    inner::{Before, Place},
};
use crate::{
    exchange::ExchangeSink,
    stream::context::{Origin, ParserContext},
};

/// Fewer bytes than this hold no head of a message.
const LEAST_BYTES: usize = 128;

/// If fewer bytes of data follow, the record is put together: nothing is gained otherwise.
const LEAST_REST: u64 = 1024;

impl Tls {
    /// Returns how many bytes of data the current side's next record has, if they need not be decrypted.
    pub(super) fn skippable<K>(
        &self,
        around: &ParserContext<'_, K>,
        sender: Sender,
        header: [u8; HEADER_BYTES],
    ) -> Option<u64> {
        let direction = around.direction();
        let waits = self.held.is_some() || self.ahead.as_ref().is_some_and(|ahead| ahead.direction == direction);
        let is_whole = self.inner.as_ref().is_some_and(|inner| inner.is_whole(direction));
        let length = (is_whole && !waits).then(|| self.session.plain_length(sender, header)).flatten()?;
        Some(length.bytes() as u64)
    }

    /// Hands on the beginning of the record whose header was just read, which has so many bytes of `data`. `next` is what follows the
    /// header, at the offset `start`, in the packet `here`. Returns what becomes of the rest.
    pub(super) fn begin_record<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        (header, data): ([u8; HEADER_BYTES], u64),
        (next, start, here): (&[u8], u64, Origin),
    ) -> Body {
        let direction = around.direction();
        let sender = self.sender(direction);
        let is_usable = next.len() >= LEAST_BYTES
            && next.len() as u64 + LEAST_REST <= data
            && body_length(header) >= MIN_SKIPPED_BYTES
            && self.sides[direction as usize].records.is_at_body()
            && !self.is_ahead(around);
        let read = if is_usable { around.shared.tls.open_beginning(&self.session, sender, next, data) } else { None };
        let (Some(Beginning { front, length }), Some(inner)) = (read, &mut self.inner) else { return Body::Plain };
        let plaintext = std::mem::take(&mut around.shared.tls.plaintext);
        let overhead = (body_length(header) as u64).saturating_sub(data);
        let first = start - HEADER_BYTES as u64;
        let place =
            Place { start: first, sequence: around.flow.sequence(direction, first), end: start + front + length };
        let before = Before { lost: 0, overhead: HEADER_BYTES as u64 + overhead };
        inner.beginning(around, (place, before), here, plaintext.get(..length as usize).unwrap_or_default());
        around.shared.tls.plaintext = plaintext;
        let rest = data - length;
        if around.inner_unneeded(direction) >= rest {
            Body::Skipped { data: rest, handed_on: length, has_hole: false }
        } else {
            Body::Begun { data: rest, handed_on: length }
        }
    }
}
