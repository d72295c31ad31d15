//! Limits and counters of the protocols above TCP.
//!
//! In: configuration. Out: [`StreamSettings`] with all limits, and [`StreamCounters`], which count what was read, refused or
//! cut. Users read the counters' names and help texts, so both stay as they are when code is renamed.

use std::time::Duration;

use super::tls::Cause;

/// Limits and choices of all parsers. A byte limit applies to one message, unless its comment says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// Longest header block that is read. Of a longer header block, only the start line is used and the rest is skipped.
    pub max_head_bytes: usize,
    /// Longest target that is stored. A longer target is cut to this length.
    pub max_target_bytes: usize,
    /// Longest field of any other kind that is stored. A longer field is cut to this length.
    pub max_field_bytes: usize,
    /// Most requests of one connection that wait for their response.
    pub max_pipelined: usize,
    /// Most bytes of the exchanges in flight of all connections together. Above this, the oldest go.
    pub max_in_flight_bytes: usize,
    /// Most bytes held of one connection's responses that were captured before their request.
    pub max_early_bytes: usize,
    /// Most bytes held of all connections together: incomplete header blocks, undecided first bytes and early responses.
    pub max_held_bytes: usize,
    /// How long responses are held for a request that the server has acknowledged, but that is not captured yet.
    pub early_patience: Duration,
    /// How long responses are held for such a request if the server sends nothing more.
    pub early_silence: Duration,
    /// Silence of this length after a complete request counts as no response.
    pub no_response_timeout: Duration,
    /// Most bytes of a TLS connection's records that are held until its secrets come.
    pub max_tls_held_bytes: usize,
    /// How long records of TLS are held for their secrets, in packet time.
    pub tls_patience: Duration,
    /// Most bytes stored of an error response's body.
    pub max_body_start_bytes: usize,
    /// Whether to store every field of every exchange. If not, fields that only the output of exchanges and events needs are
    /// skipped, and heads are not checked against RFC 9112.
    pub keep_detail: bool,
    /// Whether to follow the records of TLS connections whose content cannot be read, and to report their turns.
    pub follow_turns: bool,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            max_head_bytes: 256 << 10,
            max_target_bytes: 128 << 10,
            max_field_bytes: 4 << 10,
            max_pipelined: 1024,
            max_in_flight_bytes: 256 << 20,
            max_early_bytes: 64 << 10,
            max_held_bytes: 64 << 20,
            early_patience: Duration::from_secs(1),
            early_silence: Duration::from_secs(10),
            no_response_timeout: Duration::from_secs(60),
            max_tls_held_bytes: 256 << 10,
            tls_patience: Duration::from_secs(10),
            max_body_start_bytes: 512,
            keep_detail: true,
            follow_turns: false,
        }
    }
}

crate::counters! {
    /// What the HTTP stage saw, refused and cut.
    pub struct StreamCounters {
        /// Requests whose request line was read.
        requests,
        /// Final responses whose status line was read.
        responses,
        /// Interim responses (1xx other than 101).
        interim_responses,
        /// Exchanges with a final response.
        answered,
        /// Exchanges whose request was reset, closed or left silent upon.
        no_response,
        /// Requests that no server could parse, answered with nothing.
        malformed_requests,
        /// Fatal TLS alerts and handshakes cut off by the server.
        tls_failures,
        /// Requests of which the capture does not show what became.
        unknown_outcomes,
        /// Responses whose request was not seen or cannot be told.
        requests_unseen,
        /// Responses that nobody asked for: they answer no byte of a client's stream that was seen from its handshake on. Not
        /// counted as responses.
        unasked_responses,
        /// Status lines that are content: in a stream of another protocol, sent by the side that opened the connection, or an
        /// echo.
        status_lines_in_content,
        /// Responses held because they came before their request.
        overtaking_responses,
        /// Held responses let go without their request, by limit or time.
        overtaking_given_up,
        /// Times that heads, first bytes or early responses were not held, since all connections together held too many bytes.
        held_refused,
        /// Connections whose requests and responses could not be told apart for certain after a loss.
        pairings_broken,
        /// Requests given up because too many waited on their connection.
        pipelined_dropped,
        /// Exchanges given up because all connections together had too many in flight, the oldest first.
        in_flight_dropped,
        /// Start lines that are no request line, on a connection known to be HTTP.
        refused_request_lines,
        /// Start lines that are no status line, or whose status has not three digits, on a connection known to be HTTP.
        refused_status_lines,
        /// Header blocks over the size limit or the limit of all held bytes; their status still counted.
        heads_over_limit,
        /// Header blocks cut by a hole or the end of the stream; their status still counted.
        heads_cut,
        /// Messages whose lengths were in conflict or unreadable.
        conflicting_lengths,
        /// Messages whose chunked framing broke.
        bad_chunks,
        /// Times a stream was joined again at a message after a loss or after what could not be read.
        resynchronisations,
        /// Bytes passed over while looking for the next message.
        bytes_passed_over,
        /// HTTP/0.9 requests that no status line answered.
        http09_requests,
        /// Prefaces of HTTP/2 by prior knowledge, whether or not the server speaks HTTP/2.
        http2_prefaces,
        /// Connections of which a side speaks HTTP/2.
        http2_connections,
        /// HTTP/2 connections of which no message could be read.
        http2_unread,
        /// HTTP/2 header blocks that could not be decoded; the fields after them are unknown until they are sent anew.
        http2_bad_blocks,
        /// HTTP/2 responses whose status is unknown after a loss.
        http2_statuses_unknown,
        /// HTTP/2 streams that the client cancelled before their response.
        http2_cancelled,
        /// HTTP/2 streams that the server refused without processing them.
        http2_refused,
        /// Responses that an HTTP/2 server announced unasked.
        http2_pushes,
        /// HTTP/2 streams given up because too many were open on their connection, and pushed streams not followed for that reason.
        http2_streams_dropped,
        /// Tunnels through HTTP/2 streams (CONNECT) whose content was passed over.
        http2_tunnels_unread,
        /// Connections that became something else (CONNECT, 101).
        tunnels,
        /// TLS connections.
        tls_handshakes,
        /// TLS connections of which data was decrypted.
        tls_read,
        /// TLS records with data that were decrypted.
        tls_records_opened,
        /// TLS records of which only the beginning was decrypted, because nobody needs the rest.
        tls_records_begun,
        /// TLS records that were not decrypted, because nobody needs their data.
        tls_records_skipped,
        /// TLS records that could not be decrypted.
        tls_records_failed,
        /// TLS connections of which nothing was decrypted, and whose handshake did not fail.
        tls_unread,
        /// TLS connections that ended without data: all their records were captured, and secrets were expected for them.
        tls_without_data,
        /// TLS connections of which only a part was decrypted.
        tls_partly_read,
        /// TLS connections that were not decrypted: no secrets were there for them.
        tls_no_keys,
        /// The same, and private keys were given: their key exchange is one that no private key opens (forward secrecy).
        tls_forward_secret,
        /// The same: none of their secrets opens a record.
        tls_wrong_keys,
        /// The same: their cipher suite is not supported.
        tls_unsupported_suite,
        /// The same: there are no secrets, and the client encrypts its hello (ECH).
        tls_encrypted_hello,
        /// The same: their beginning was not captured.
        tls_midstream,
        /// The same: no record with data was captured whole, because of a loss or the snap length.
        tls_incomplete,
        /// The same: the only data was early data without its secret, or early data that may have been rejected.
        tls_early_data,
        /// The same: so many records are missing that the place in the stream was lost.
        tls_desynchronised,
        /// The same: the search for keys and for the place in the stream has reached its limit.
        tls_budget_spent,
        /// How often the search for the secrets of a TLS connection that was joined midway was put off or ended, by the
        /// limit of a record, of a side or of all together.
        tls_searches_put_off,
        /// TLS connections whose secrets did not come in time.
        tls_given_up,
        /// TLS connections whose records were not held any longer, by the limit of a connection or of all together.
        tls_held_refused,
        /// Requests with their answers inside TLS of which lengths and times alone are known.
        tls_turns,
        /// Requests or answers inside TLS whose lengths are not known, because bytes of them were not captured.
        tls_turns_dropped,
        /// Connections inside TLS whose lengths are not those of HTTP.
        tls_not_http,
        /// TLS connections whose ServerHello was not captured, so that their suite was inferred from the length of a record.
        tls_suites_inferred,
        /// TLS connections without turns, because nothing shows their suite.
        tls_not_followed,
        /// PROXY protocol headers, version 1.
        proxy_v1_headers,
        /// PROXY protocol headers, version 2.
        proxy_v2_headers,
        /// PROXY protocol headers that could not be read.
        proxy_headers_refused,
    }
}

impl StreamCounters {
    /// Counts a TLS connection that was not decrypted.
    pub(super) fn note_tls_cause(&mut self, cause: Cause) {
        let counter = match cause {
            Cause::NoKeys => &mut self.tls_no_keys,
            Cause::ForwardSecret => &mut self.tls_forward_secret,
            Cause::WrongKeys => &mut self.tls_wrong_keys,
            Cause::UnsupportedSuite(_) => &mut self.tls_unsupported_suite,
            Cause::EncryptedClientHello => &mut self.tls_encrypted_hello,
            Cause::Midstream => &mut self.tls_midstream,
            Cause::Incomplete => &mut self.tls_incomplete,
            Cause::EarlyData => &mut self.tls_early_data,
            Cause::Desynchronised => &mut self.tls_desynchronised,
            Cause::BudgetSpent => &mut self.tls_budget_spent,
        };
        *counter += 1;
    }
}
