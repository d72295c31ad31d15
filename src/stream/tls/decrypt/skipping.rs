//! Records that need not be given whole.
//!
//! In: headers of records, and the beginnings of bodies. Out: how much data they hold; the data of a beginning. Promises: the number of
//! the next record is known after a record that was skipped.
//!
//! # Which records may be skipped
//!
//! A record of TLS 1.3 does not show what it holds: a KeyUpdate or a session ticket has the same outer type as data. These
//! messages are short, so [`Session::plain_length`] allows a skip only for records of at least [`MIN_SKIPPED_BYTES`], after
//! the sender's first data was opened, and while none of its records had padding. Should a KeyUpdate be skipped nevertheless,
//! the next record that is given does not open with the keys in use; the session then finds those after the update.

use std::ops::RangeInclusive;

use super::{
    outcome::{Beginning, PlainLength, Sender},
    records::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, body_length},
    session::{Session, Stage},
};

/// Shortest record of TLS 1.3 that may be skipped. A KeyUpdate has 22 bytes, a session ticket a few hundred.
pub(crate) const MIN_SKIPPED_BYTES: usize = 2048;

/// How many records may come after one that was opened, until the beginning of one is not read without its end any more.
const MOST_UNPROVEN: u32 = 64;

/// What handshake messages begin with (RFC 8446, section 4). Neither HTTP/1 nor a frame of HTTP/2 of usual length begins so.
const HANDSHAKE_TYPES: RangeInclusive<u8> = 1..=31;

impl Session {
    /// Returns how long the data of a record is, if the record may be skipped: the sender's keys are known, it sends
    /// application data, and the record is too long to be a message that changes keys.
    pub(crate) fn plain_length(&self, sender: Sender, header: [u8; 5]) -> Option<PlainLength> {
        let half = self.half(sender);
        let length = body_length(header);
        if !half.has_data || header[0] != APPLICATION_DATA {
            return None;
        }
        let bytes = length.checked_sub(half.keys.as_ref()?.overhead()?)?;
        match half.stage {
            Stage::Cipher => Some(PlainLength::Exact(bytes)),
            Stage::Application if !half.is_padded && length >= MIN_SKIPPED_BYTES => Some(PlainLength::Unpadded(bytes)),
            _ => None,
        }
    }

    /// Decrypts the beginning of a sender's next record, up to so many bytes of `data`. The caller has made sure that the record may be
    /// skipped. The beginning is not authenticated, because the record's end is needed for that. So its keys and its number must be
    /// certain: one of the last [`MOST_UNPROVEN`] records was opened and held data, and what came after it was too long to change keys. If
    /// it is not what its sender sent, a segment was forged.
    ///
    /// Nor does a beginning of TLS 1.3 show its type, which comes last. So it is not taken if a handshake message may begin there, or if
    /// padding may have begun before its end.
    pub(crate) fn open_beginning(
        &self,
        sender: Sender,
        body: &[u8],
        data: u64,
        plaintext: &mut Vec<u8>,
    ) -> Option<Beginning> {
        let half = self.half(sender);
        let keys = half.keys.as_ref().filter(|_| half.is_steady && half.passed < MOST_UNPROVEN)?;
        let beginning = keys.open_beginning(body, data, plaintext)?;
        let text = plaintext.get(..beginning.length as usize)?;
        let is_data = !HANDSHAKE_TYPES.contains(text.first()?) && *text.last()? != 0;
        (half.stage == Stage::Cipher || is_data).then_some(beginning)
    }

    /// Counts a record whose body is not given: because [`plain_length`](Self::plain_length) allowed it, because
    /// [`wants_body`](Self::wants_body) refused it, or because a part of it is missing.
    pub(crate) fn skip(&mut self, sender: Sender, header: [u8; 5]) {
        let is_change = header[0] == CHANGE_CIPHER_SPEC;
        // A shorter one may have changed the keys.
        self.half_mut(sender).is_steady &= body_length(header) >= MIN_SKIPPED_BYTES;
        match self.half(sender).stage {
            Stage::Clear if is_change => self.change_cipher_spec(sender),
            Stage::Clear if header[0] == HANDSHAKE => self.gap(sender, 0),
            Stage::Clear => {}
            Stage::Cipher => self.pass_cipher(sender, None),
            _ if header[0] == APPLICATION_DATA => self.half_mut(sender).pass(None),
            _ => {}
        }
    }
}
