//! Handshake messages of one direction, put together from records (RFC 8446, section 5.1).
//!
//! In: the contents of handshake records in order. Out: whole [`Message`]s. Promises: a message that lies in one record is
//! not copied. At most [`MAX_MESSAGE_BYTES`] are kept; a longer message passes without its body.

use std::borrow::Cow;

use super::cursor::Cursor;

/// Longest message that is kept, with its header. A ClientHello with post-quantum key shares has about 2 KiB, a chain of
/// certificates seldom more than 16 KiB.
const MAX_MESSAGE_BYTES: usize = 32 << 10;

const HEADER_BYTES: usize = 4;

/// Types of messages (RFC 8446, section 4; RFC 5246, section 7.4).
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const NEW_SESSION_TICKET: u8 = 4;
pub(super) const END_OF_EARLY_DATA: u8 = 5;
pub(super) const ENCRYPTED_EXTENSIONS: u8 = 8;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(super) const FINISHED: u8 = 20;
pub(super) const KEY_UPDATE: u8 = 24;

/// The highest type that is in use (compressed_certificate is 25). A higher one shows that bytes are not a message's header.
const MAX_TYPE: u8 = 25;

/// A handshake message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// Its type.
    pub(super) kind: u8,
    /// The message with its header of four bytes. Only the header if the message was too long.
    pub(super) bytes: Cow<'a, [u8]>,
}

impl Message<'_> {
    /// What follows the header.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }
}

/// Puts together the messages of one direction.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// The part of a message that has come. Boxed, as it is seldom needed.
    #[expect(clippy::box_collection, reason = "a direction that keeps nothing is smaller")]
    partial: Option<Box<Vec<u8>>>,
    /// Bytes of a message to pass without keeping them.
    passing: u32,
}

impl Assembler {
    /// Takes the next message off the front of a record's content. Returns `None` when the rest is kept for later.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Message<'a>> {
        let passed = bytes.len().min(self.passing as usize);
        *bytes = bytes.get(passed..).unwrap_or_default();
        self.passing -= passed as u32;
        if bytes.is_empty() {
            return None;
        }
        if let Some(partial) = self.partial.take() {
            return self.complete(partial, bytes);
        }
        let Some((kind, length)) = header(bytes) else {
            return self.keep(bytes);
        };
        if kind > MAX_TYPE {
            *bytes = &[];
            return None;
        }
        if length > MAX_MESSAGE_BYTES {
            let (head, rest) = bytes.split_at(HEADER_BYTES.min(bytes.len()));
            *bytes = rest;
            self.passing = (length - HEADER_BYTES) as u32;
            return Some(Message { kind, bytes: Cow::Borrowed(head) });
        }
        match bytes.split_at_checked(length) {
            Some((message, rest)) => {
                *bytes = rest;
                Some(Message { kind, bytes: Cow::Borrowed(message) })
            }
            None => self.keep(bytes),
        }
    }

    /// Drops what is kept: bytes are missing.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    fn keep<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Message<'a>> {
        self.partial = Some(Box::new(bytes.to_vec()));
        *bytes = &[];
        None
    }

    /// Adds to a message that has begun in an earlier record.
    #[expect(clippy::box_collection, reason = "the box is kept")]
    fn complete<'a>(&mut self, mut partial: Box<Vec<u8>>, bytes: &mut &'a [u8]) -> Option<Message<'a>> {
        let mut take = |partial: &mut Vec<u8>, up_to: usize| {
            let (taken, rest) = bytes.split_at(bytes.len().min(up_to.saturating_sub(partial.len())));
            partial.extend_from_slice(taken);
            *bytes = rest;
        };
        take(&mut partial, HEADER_BYTES);
        let Some((kind, length)) = header(&partial) else {
            self.partial = Some(partial);
            return None;
        };
        if length > MAX_MESSAGE_BYTES || kind > MAX_TYPE {
            self.passing = if kind > MAX_TYPE { 0 } else { (length - HEADER_BYTES) as u32 };
            return Some(Message { kind, bytes: Cow::Owned(*partial) });
        }
        take(&mut partial, length);
        if partial.len() < length {
            self.partial = Some(partial);
            return None;
        }
        Some(Message { kind, bytes: Cow::Owned(*partial) })
    }
}

/// Returns a message's type, and its length with its header.
fn header(bytes: &[u8]) -> Option<(u8, usize)> {
    let mut cursor = Cursor(bytes);
    let kind = cursor.byte()?;
    Some((kind, cursor.number24()? + HEADER_BYTES))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(records: &[&[u8]]) -> Vec<(u8, Vec<u8>)> {
        let mut assembler = Assembler::default();
        let mut found = Vec::new();
        for record in records {
            let mut bytes = *record;
            loop {
                let message = assembler.next(&mut bytes);
                let is_done = message.is_none() && bytes.is_empty();
                found.extend(message.map(|message| (message.kind, message.bytes.into_owned())));
                if is_done {
                    break;
                }
            }
        }
        found
    }

    #[test]
    fn a_long_message_passes_without_its_body() {
        let mut bytes = vec![11, 0, 0x90, 0];
        bytes.extend([7; 0x9000]);
        bytes.extend([14, 0, 0, 0]);
        assert_eq!(read(&[&bytes]), [(11, vec![11, 0, 0x90, 0]), (14, vec![14, 0, 0, 0])]);
        let (first, second) = bytes.split_at(2);
        assert_eq!(read(&[first, second]), [(11, vec![11, 0, 0x90, 0]), (14, vec![14, 0, 0, 0])]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(
            lengths in prop::collection::vec(0usize..300, 1..8),
            cuts in prop::collection::vec(1usize..200, 0..20),
        ) {
            let mut bytes = Vec::new();
            for (index, length) in lengths.iter().enumerate() {
                bytes.extend([index as u8 + 1, 0, (length >> 8) as u8, *length as u8]);
                bytes.extend(std::iter::repeat_n(index as u8, *length));
            }
            let mut records = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (record, after) = rest.split_at(cut.min(rest.len()));
                records.push(record);
                rest = after;
            }
            records.push(rest);
            prop_assert_eq!(read(&records), read(&[&bytes]));
            prop_assert_eq!(read(&[&bytes]).len(), lengths.len());
        }
    }
}
