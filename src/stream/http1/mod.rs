//! HTTP/1: exchanges from the two streams of a connection.
//!
//! In: the bytes of both sides, gaps and ends. Out: [`Exchange`](crate::exchange::Exchange)s. Promises: the status line
//! comes first; a gap or a bad message never silences a connection; a response is never paired with a request that it does
//! not answer; linear time, capped memory.
//!
//! # Where to look
//!
//! | for | file |
//! |---|---|
//! | a start line: is it HTTP, what does it say | `start_line` |
//! | header fields | `fields` |
//! | a head that is whole; one that comes in pieces | `head`, `partial_head` |
//! | what httparse reads of heads | `plain_head` |
//! | how long a body is, chunked framing; passing over a body | `framing`, `body` |
//! | which request a response answers | `pairing`, with `request` and `response` |
//! | a response captured before its request | `early_response` |
//! | gaps, refused bytes, finding the next message | `resync` |
//! | errors without a status; what is in flight at the end | `ending` |
//! | what an exchange keeps of its messages | `text` |
//!
//! # Who speaks
//!
//! HTTP is recognised by content, on any port: the side whose message begins with a request line is the client, the
//! side with a status line the server. A request line is a token, a blank, a target, and `HTTP/` with a version at the
//! line's end; a status line is `HTTP/` and three digits in their place. SIP, RTSP, ICAP, SMTP, FTP, IRC and the like
//! have none of these. What stands before HTTP (a SOCKS handshake, the answer to CONNECT) is passed over up to 64 KiB;
//! then the connection is another protocol's for good, unless it has gaps.
//!
//! # What is tolerated
//!
//! Each has its row in the tests.
//!
//! | in | tolerated |
//! |---|---|
//! | status line | any case of `HTTP`, any version (`HTTP/1.2`, `HTTP/2.0`, `HTTP/1`, `HTTP/1.01`), any word of up to 16 letters, digits, dots and signs for one (`HTTP/1.A`), `ICY`; blank lines, blanks and tabs before it; any white space of RFC 9112, section 4 (tabs, VT, FF, bare CR), or NULs between its words, NULs inside them; no reason, any byte in the reason |
//! | request line | any token of up to 64 characters as method; any target up to the header block's limit, with blanks, NULs, non-ASCII; absolute, authority and asterisk form; tabs or several blanks between words, blanks at the end; any case of `HTTP`, any version; blank lines before it; no version (HTTP/0.9, only `GET` with a path, and only counted unless a status line answers) |
//! | header block | any number of lines of any length up to [`StreamSettings::max_head_bytes`](super::StreamSettings::max_head_bytes); bare LF; folded lines (obs-fold), also directly after the start line; blanks or NULs before the colon; lines without colon or name; NULs and any byte in names and values |
//! | lengths | repeated equal `Content-Length`, in one field or several; leading zeros; `Transfer-Encoding` before `Content-Length`; `identity` |
//! | chunks | extensions, trailers, bare LF, blanks around the size, leading zeros, no line end after the data |
//!
//! A header block over the limit or cut by a gap still gives its status; what comes after is found at the next start
//! line that begins a chunk. Lengths that conflict or cannot be read, and broken chunks, end the body there too.
//!
//! What is refused is counted in [`StreamCounters`](super::StreamCounters): start lines that are neither
//! (`refused_request_lines`, `refused_status_lines`, among these a status that has not three digits), `conflicting_lengths`,
//! `bad_chunks`, `heads_over_limit`, `heads_cut`, `bytes_passed_over`.
//!
//! # Where inspection and browser disagree
//!
//! What is crafted to be read in two ways costs no status, because the status is counted before anything that could be:
//!
//! | class | reported |
//! |---|---|
//! | status lines that browsers accept and RFC 9112 does not | the status, by the list above |
//! | statuses that have not three digits (`2xx`, `4040`, `0200`) | an exchange without a status: another would be invented |
//! | odd line ends, fields, folding, NULs | the status, with [`Remarks::MALFORMED_HEADERS`](crate::exchange::Remarks::MALFORMED_HEADERS) |
//! | `Transfer-Encoding` beside `Content-Length`, conflicting or unreadable lengths | the status, with [`Remarks::CONFLICTING_LENGTH`](crate::exchange::Remarks::CONFLICTING_LENGTH); the coding goes before the length, what follows a body without a certain end is found at the next start line that begins a chunk |
//! | codings that look like `chunked`, broken chunks | the status; another coding lasts until the close, broken chunks end the body ([`Remarks::BAD_CHUNK`](crate::exchange::Remarks::BAD_CHUNK)) |
//! | content codings, MIME and range tricks | the status; content is never decoded, and a start line in a body of known length is content |
//! | a forged reset or FIN | what goes on goes on (after a FIN, until it is acknowledged); [`Outcome::NoResponseReset`](crate::exchange::Outcome::NoResponseReset) is decided with the end of the flow |
//! | an answer sent before its request | the status without a request; the request stays unanswered |
//!
//! # How a body ends
//!
//! By RFC 9112, section 6.3. 1xx, 204, 304, answers to HEAD and 2xx to CONNECT have none; a final `chunked` coding goes
//! before any length; another final coding, or neither, lasts until the server closes, or until a status line answers a
//! request that was sent since. 101 ends HTTP on the connection; a CONNECT begin_tunnel is looked into as a new connection.
//!
//! # Errors without a status
//!
//! - [`Outcome::NoResponseReset`](crate::exchange::Outcome::NoResponseReset),
//! [`Outcome::NoResponseClosed`](crate::exchange::Outcome::NoResponseClosed): the server reset, or closed having received
//! all of a complete request; there was no gap, the client had not closed first, and no answer before announced the end.
//! - [`Outcome::NoResponseTimeout`](crate::exchange::Outcome::NoResponseTimeout): silence of
//! [`StreamSettings::no_response_timeout`](super::StreamSettings::no_response_timeout) after a complete request, known when
//! the flow ends (idle, evicted, the end of the capture).
//! - [`Outcome::MalformedRequest`](crate::exchange::Outcome::MalformedRequest): a message that names HTTP and is no request
//! line (no target, an impossible version), or anything that is none on a connection that had exchanges before; answered
//! with nothing until the server closed; there was no gap.
//! - [`Outcome::TlsAlert`](crate::exchange::Outcome::TlsAlert): a fatal alert before encryption, or a whole ClientHello on
//! which the server closed or reset without a byte.

mod body;
mod conversation;
mod early_response;
mod ending;
mod fields;
mod framing;
mod head;
mod in_flight;
mod pairing;
mod partial_head;
mod plain_head;
mod request;
mod response;
mod resync;
mod start_line;
mod text;

pub(crate) use conversation::Conversation;
pub(crate) use in_flight::InFlightPool;

use self::{conversation::ReadState, head::blanks};
use super::context::{Origin, ParserContext};
use crate::{exchange::ExchangeSink, tcp::Direction};

impl Conversation {
    /// Takes the side's next bytes by what is to be read next; how many it took. Called again with the rest.
    #[inline]
    pub(super) fn step<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, rest: &[u8], at: usize) -> usize {
        match self.sides[around.direction() as usize].state {
            ReadState::Body(_) | ReadState::Chunked(_) | ReadState::UntilClose => self.body(around, rest, at),
            ReadState::Between => match blanks(rest) {
                0 => self.message(around, rest, &[], &Origin::within(around.chunk, at)),
                blank => blank,
            },
            ReadState::PartialHead => self.more_of_head(around, rest, at),
            ReadState::OversizedHead(end) => self.skip_head(around, rest, end),
            ReadState::EarlyResponse => self.hold_or_release(around, rest, at),
            ReadState::Resync => self.resync(around, rest, at),
        }
    }

    /// After each chunk of either side: lets go of a response whose request is there now, and of what is not needed.
    #[inline]
    pub(super) fn after_chunk<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        self.release_if_complete(around);
        around.shared.http1.release_if_idle(&mut self.in_flight);
    }

    /// How many coming bytes of a side will not be looked at.
    #[inline]
    pub(super) fn unneeded(&self, direction: Direction) -> u64 {
        let side = &self.sides[direction as usize];
        match side.state {
            // The first bytes of a body may turn out to be something else, or tell the server.
            ReadState::Body(left) if side.body != 0 => left,
            ReadState::Chunked(chunked) if side.body != 0 => chunked.data_left(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
