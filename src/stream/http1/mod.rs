//! HTTP/1: exchanges from the two streams of a connection.
//!
//! In: the bytes of both sides, gaps and ends. Out: [`Exchange`](crate::exchange::Exchange)s. Promises: the status is read
//! even if the rest of a message cannot be read. After a gap or a bad message, later messages of the connection are still
//! read. A response is never paired with a request that it does not answer. Linear time, capped memory.
//!
//! # Where to look
//!
//! | for | file |
//! |---|---|
//! | a start line: is it HTTP, what does it say | `start_line` |
//! | header fields; blocks that were read before | `fields`, `field_values`, `repeated_fields` |
//! | a head that is whole; one that comes in pieces | `head`, `partial_head` |
//! | what httparse reads of heads | `plain_head` |
//! | how long a body is, chunked framing; passing over a body | `framing`, `body` |
//! | which request a response answers | `pairing`, with `request` and `response` |
//! | a response captured before its request, a tunnel's bytes before its answer | `early_response` |
//! | who may ask and answer; status lines that are content | `roles` |
//! | messages of a SOCKS handshake before HTTP | `socks` |
//! | bytes that are a body or the next message | `doubt` |
//! | requests captured with different contents | `contested` |
//! | gaps, refused bytes, finding the next message | `resync` |
//! | errors without a status; what is in flight at the end | `ending` |
//! | letting the oldest exchanges go when too many are in flight | `relief` |
//! | what an exchange keeps of its messages; of the credentials in them | `text`, `credentials` |
//!
//! # Who speaks
//!
//! HTTP is recognised by content, on any port. The side whose message begins with a request line is the client; the side
//! whose message begins with a status line is the server. A request line is a token, a blank, a target, and `HTTP/` with a
//! version at the line's end. A status line is `HTTP/` with a version, and three digits. SIP, RTSP, ICAP, SMTP, FTP, IRC and
//! similar protocols have no such lines. Bytes before HTTP (a SOCKS handshake, the answer to CONNECT) are skipped, up to 64
//! KiB. After 64 KiB, the connection counts as another protocol for good, unless it has gaps.
//!
//! Where the handshake was seen, the side that sent the SYN is the client, unless an upgrade turns the roles. A stream in
//! which neither side begins with HTTP is of another protocol, and the status lines in it are content (`roles`).
//!
//! # What is tolerated
//!
//! The tests have a row for each tolerance.
//!
//! | in | tolerated |
//! |---|---|
//! | status line | any case of `HTTP`, any version (`HTTP/1.2`, `HTTP/2.0`, `HTTP/1`, `HTTP/1.01`), any word of up to 16 letters, digits, dots and signs for one (`HTTP/1.A`), `ICY`; blank lines, blanks and tabs before it; any white space of RFC 9112, section 4 (tabs, VT, FF, bare CR), or NULs between its words, NULs inside them; no reason, any byte in the reason |
//! | request line | any token of up to 64 characters as method; any target up to the header block's limit, with blanks, NULs, non-ASCII; absolute, authority and asterisk form; tabs or several blanks between words, blanks at the end; any case of `HTTP`, any version; blank lines before it; no version (HTTP/0.9, only `GET` with a path, and only counted unless a status line answers) |
//! | header block | any number of lines of any length up to [`StreamSettings::max_head_bytes`](super::StreamSettings::max_head_bytes); bare LF; folded lines (obs-fold), also directly after the start line; blanks or NULs before the colon; lines without colon or name; NULs and any byte in names and values |
//! | lengths | repeated equal `Content-Length`, in one field or several; leading zeros; `Transfer-Encoding` before `Content-Length`; `identity` |
//! | line ends | bare LF; CR CR LF, if the empty line ends so as well |
//! | chunks | extensions, trailers, bare LF, blanks around the size, leading zeros, no line end after the data, no empty line after the last chunk |
//! | surplus | bytes between a body and the next message: a status line is found among them while a request waits, a request line where the segment with the body's end continues |
//!
//! The status of a header block that is over the limit or cut by a gap is still read. Reading continues at the next start
//! line that begins a chunk. The same applies after lengths that conflict or cannot be read, and after broken chunks.
//!
//! [`StreamCounters`](super::StreamCounters) count everything that is refused: lines that are no start line
//! (`refused_request_lines`; `refused_status_lines`, which include a status that does not have three digits),
//! `conflicting_lengths`, `bad_chunks`, `heads_over_limit`, `heads_cut`, `bytes_passed_over`.
//!
//! # Where inspection and browser disagree
//!
//! Messages that are crafted to be read in two ways cannot hide a status, because the status is counted before the parts
//! that can be read in two ways:
//!
//! | class | reported |
//! |---|---|
//! | status lines that browsers accept and RFC 9112 does not | the status, by the list above |
//! | statuses that do not have three digits (`2xx`, `4040`, `0200`) | an exchange without a status, as any status would be invented |
//! | odd line ends, fields, folding, NULs | the status, with [`Remarks::MALFORMED_HEADERS`](crate::exchange::Remarks::MALFORMED_HEADERS) |
//! | `Transfer-Encoding` beside `Content-Length`, conflicting or unreadable lengths | the status, with [`Remarks::CONFLICTING_LENGTH`](crate::exchange::Remarks::CONFLICTING_LENGTH); the coding has precedence over the length; after a body without a certain end, reading continues at the next start line that begins a chunk |
//! | codings that look like `chunked`, broken chunks | the status; another coding lasts until the close, broken chunks end the body ([`Remarks::BAD_CHUNK`](crate::exchange::Remarks::BAD_CHUNK)) |
//! | content codings, MIME and range tricks | the status; content is never decoded, and a start line in a body of known length is content |
//! | a forged reset or FIN | a stream that continues is still read (after a FIN, until it is acknowledged); [`Outcome::NoResponseReset`](crate::exchange::Outcome::NoResponseReset) is decided with the end of the flow |
//! | a body that a server may take for the next request, or skip: refused before it came, `Expect`, CONNECT, lengths that differ | the statuses; method and target only as far as responses prove them (`doubt`) |
//! | a HEAD that the sensor cannot know to be one | a status line where the body's first byte belongs ends the response |
//! | an answer sent before its request | the status without a request; the request stays unanswered |
//!
//! # How a body ends
//!
//! The end of a body follows RFC 9112, section 6.3. Responses with 1xx, 204 or 304, responses to HEAD, and 2xx responses to
//! CONNECT have no body. A final `chunked` coding has precedence over any length. With another final coding, or with neither
//! coding nor length, a response's body lasts until the server closes, or until a status line answers a request that was
//! sent later. After 101 and in a CONNECT tunnel, the bytes are probed like those of a new connection.
//!
//! # Errors without a status
//!
//! - [`Outcome::NoResponseReset`](crate::exchange::Outcome::NoResponseReset),
//!   [`Outcome::NoResponseClosed`](crate::exchange::Outcome::NoResponseClosed): the server reset or closed the connection
//!   after it had received a complete request. There was no gap, the client had not closed first, and no earlier response
//!   announced the end.
//! - [`Outcome::NoResponseTimeout`](crate::exchange::Outcome::NoResponseTimeout): silence of
//!   [`StreamSettings::no_response_timeout`](super::StreamSettings::no_response_timeout) after a complete request, known
//!   when the flow ends (idle, evicted, the end of the capture).
//! - [`Outcome::MalformedRequest`](crate::exchange::Outcome::MalformedRequest): the client sent a line that names HTTP but
//!   is no request line (no target, an impossible version). On a connection that had exchanges before, any other line that
//!   is no request line counts too. The server closed without an answer, and there was no gap.
//! - [`Outcome::TlsAlert`](crate::exchange::Outcome::TlsAlert): a fatal alert before encryption, or a whole ClientHello on
//!   which the server closed or reset without a byte.

mod body;
mod contested;
mod conversation;
mod credentials;
mod doubt;
mod early_response;
mod ending;
mod field_values;
mod fields;
mod framing;
mod head;
mod in_flight;
mod of_fields;
mod pairing;
mod partial_head;
mod plain_head;
mod relief;
mod repeated_fields;
mod request;
mod response;
mod resync;
mod roles;
mod socks;
mod start_line;
mod text;

pub(super) use contested::note_contested;
pub(crate) use conversation::Conversation;
pub(crate) use in_flight::InFlightPool;
pub(super) use of_fields::{
    RequestOfFields, ResponseOfFields, fill_request as fill_request_of_fields,
    fill_response as fill_response_of_fields, store_body_start, store_form,
};
pub(super) use repeated_fields::RepeatedFields;

use self::{conversation::ReadState, head::blanks};
use super::context::{Origin, ParserContext};
use crate::{exchange::ExchangeSink, tcp::Direction};

impl Conversation {
    /// Reads the side's next bytes, depending on its state. Returns how many bytes were read. The function is called again
    /// with the rest.
    #[inline]
    pub(super) fn step<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, rest: &[u8], at: usize) -> usize {
        match self.sides[around.direction() as usize].state {
            ReadState::Body(_) | ReadState::Chunked(_) | ReadState::UntilClose => self.body(around, rest, at),
            ReadState::Between if self.may_be_in_tunnel(around) => {
                self.hold(around, rest, &Origin::within(around.chunk, at))
            }
            ReadState::Between => match blanks(rest) {
                0 => self.message(around, rest, &[], &Origin::within(around.chunk, at)),
                blank => blank,
            },
            ReadState::PartialHead => self.more_of_head(around, rest, at),
            ReadState::OversizedHead(end) => self.skip_head(around, rest, end),
            ReadState::EarlyResponse => self.hold_or_release(around, rest, at),
            ReadState::BodyOrMessage => self.body_or_message(around, rest, at),
            ReadState::Surplus => self.surplus(around, rest, at),
            ReadState::Resync => self.resync(around, rest, at),
        }
    }

    /// Called after each chunk of either side. Releases a held response whose request is now captured, and state that is not
    /// needed any more.
    #[inline]
    pub(super) fn after_chunk<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        self.release_if_complete(around);
        around.shared.http1.release_if_idle(&mut self.in_flight);
    }

    /// Returns how many of a side's next bytes will not be read.
    #[inline]
    pub(super) fn unneeded(&self, direction: Direction) -> u64 {
        let side = &self.sides[direction as usize];
        match side.state {
            // The first bytes of a body are read: they may be another message, or help to identify the server.
            ReadState::Body(left) if side.body != 0 => left,
            ReadState::Chunked(chunked) if side.body != 0 => chunked.data_left(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
