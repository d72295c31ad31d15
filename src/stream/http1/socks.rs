//! SOCKS: the length of the messages that open a connection through a proxy (RFC 1928, RFC 1929, SOCKS 4 and 4a).
//!
//! In: bytes at the beginning of a side that are not HTTP. Out: how many of them are one message of a SOCKS handshake. Promises:
//! only whole messages count. A client may send its HTTP request together with the handshake, before the proxy has answered;
//! then the request begins directly after these messages, and the response directly after the proxy's last message.

use super::{conversation::Conversation, pairing::ResponseProgress, roles::FirstBytes};
use crate::{
    exchange::ExchangeSink,
    stream::context::{Origin, ParserContext},
    tcp::Direction,
};

/// A handshake is not longer than this many bytes of one side.
const MAX_HANDSHAKE_BYTES: u64 = 1024;

impl Conversation {
    /// Returns the length of the handshake message at the beginning of refused bytes.
    #[cold]
    pub(super) fn socks_message<K: ExchangeSink>(
        &self,
        around: &ParserContext<'_, K>,
        direction: Direction,
        bytes: &[u8],
        origin: &Origin,
    ) -> Option<usize> {
        let opener = around.flow.opened_by.filter(|_| !self.roles.is_upgraded())?;
        if origin.offset > MAX_HANDSHAKE_BYTES || self.roles.first_bytes(direction) == FirstBytes::MaybeHttp {
            return None;
        }
        let is_first = origin.offset == 0;
        if direction == opener {
            let is_begun = is_first || self.roles.first_bytes(opener) == FirstBytes::Socks;
            is_begun.then(|| client_message(bytes, is_first)).flatten()
        } else {
            (self.roles.first_bytes(opener) == FirstBytes::Socks).then(|| server_message(bytes, is_first)).flatten()
        }
    }

    /// Notes a message of the handshake that ends at an offset. A request that came before it is answered after it.
    #[cold]
    pub(super) fn note_socks_message(&mut self, direction: Direction, end: u64) {
        self.roles.note_socks(direction);
        if self.is_server(direction)
            && let Some(in_flight) = &mut self.in_flight
        {
            for entry in in_flight.queue.iter_mut().filter(|entry| entry.response == ResponseProgress::Waiting) {
                entry.candidate = entry.candidate.map(|_| end);
            }
        }
    }
}

/// Returns the length of a client's message: a greeting or a request of SOCKS 4 at the beginning of the stream, a user's name
/// and password, or a request.
fn client_message(bytes: &[u8], is_first: bool) -> Option<usize> {
    let whole = |length: usize| (bytes.len() >= length).then_some(length);
    match *bytes {
        [5, methods, ..] if is_first && methods != 0 => whole(2 + usize::from(methods)),
        [4, 1, _, _, first, second, third, ..] if is_first => {
            let text_end = |from: usize| Some(from + bytes.get(from..)?.iter().position(|byte| *byte == 0)? + 1);
            let user_end = text_end(8)?;
            let names_host = (first, second, third) == (0, 0, 0) && bytes.get(7).is_some_and(|last| *last != 0);
            if names_host { text_end(user_end) } else { Some(user_end) }
        }
        [1, name, ..] if !is_first => {
            let password = usize::from(*bytes.get(2 + usize::from(name))?);
            whole(3 + usize::from(name) + password)
        }
        [5, 1, 0, ..] if !is_first => whole(addressed(bytes)?),
        _ => None,
    }
}

/// Returns the length of a proxy's message: the choice of a method or the reply of SOCKS 4 at the beginning of the stream, the
/// reply to a password, or the reply to a request.
fn server_message(bytes: &[u8], is_first: bool) -> Option<usize> {
    let whole = |length: usize| (bytes.len() >= length).then_some(length);
    match *bytes {
        [5, 0..=2, ..] if is_first => Some(2),
        [0, 0x5a, ..] if is_first => whole(8),
        [1, 0, ..] if !is_first => Some(2),
        [5, 0, 0, ..] if !is_first => whole(addressed(bytes)?),
        _ => None,
    }
}

/// Returns the length of a message of SOCKS 5 with an address and a port.
fn addressed(bytes: &[u8]) -> Option<usize> {
    match *bytes.get(3)? {
        1 => Some(10),
        3 => Some(7 + usize::from(*bytes.get(4)?)),
        4 => Some(22),
        _ => None,
    }
}
