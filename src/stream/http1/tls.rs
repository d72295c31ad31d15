//! TLS handshakes that fail in clear.
//!
//! In: the records of both directions until they are encrypted. Out: an exchange with [`Outcome::TlsAlert`] for a fatal
//! alert, or for a ClientHello on which the server closed or reset the connection without a byte; with the server name
//! and the highest version offered. Promises: nothing encrypted is looked at; one ClientHello is kept, up to its limit.

use super::{
    conversation::{Conversation, Ended, Reading},
    engine::{HttpEngine, Scene},
};
use crate::exchange::{Exchange, ExchangeSink, Outcome, TlsFacts};
use crate::{capture::Stamp, tcp::Direction};

/// Longest ClientHello that is read; post-quantum key shares make them about 2 KiB.
const MAX_HELLO_BYTES: usize = 16 << 10;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const FATAL: u8 = 2;

/// What a stream's first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recognition {
    Tls,
    Part,
    Other,
}

/// Tells whether a TLS record of a handshake, or an alert, begins at the first byte.
#[inline]
pub(super) fn recognise(bytes: &[u8]) -> Recognition {
    let kind = match bytes.first() {
        None => return Recognition::Part,
        Some(&kind @ (HANDSHAKE | ALERT)) => kind,
        Some(_) => return Recognition::Other,
    };
    match (bytes.get(1), bytes.get(2), bytes.get(5)) {
        (Some(3), Some(0..=4), Some(first)) => match (kind, first) {
            // ClientHello, ServerHello; warning, fatal.
            (HANDSHAKE | ALERT, 1 | 2) => Recognition::Tls,
            _ => Recognition::Other,
        },
        (None | Some(3), None | Some(0..=4), None) => Recognition::Part,
        _ => Recognition::Other,
    }
}

/// A handshake as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct TlsHandshake {
    sides: [Records; 2],
    /// Who sent the ClientHello.
    client: Option<Direction>,
    /// The ClientHello so far, from the handshake message's header on.
    hello: Vec<u8>,
    exchange: Option<Box<Exchange>>,
}

/// The record layer of one direction.
#[derive(Debug, Default)]
struct Records {
    header: [u8; 5],
    /// Bytes of the header there are.
    seen: u8,
    /// Bytes of the record's content that are to come.
    left: u16,
    /// First two bytes of an alert's content.
    alert: [u8; 2],
    state: RecordState,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum RecordState {
    #[default]
    Clear,
    /// Everything from here on is encrypted, or unreadable.
    Closed,
}

/// What was in a record.
enum Seen {
    Nothing,
    ClientHelloBytes,
    Fatal(u8),
    Closed,
}

impl<K: ExchangeSink> HttpEngine<K> {
    /// A stream begins with TLS.
    pub(super) fn begin_tls(&mut self, conversation: &mut Conversation, scene: Scene<'_>) {
        conversation.side(scene.direction()).reading = Reading::Tls;
        let work = self.pools.work(conversation);
        if work.tls.is_none() {
            self.counters.tls_handshakes += 1;
            work.tls = Some(Box::default());
        }
    }

    /// Records of a handshake.
    pub(super) fn tls(&mut self, conversation: &mut Conversation, scene: Scene<'_>, bytes: &[u8]) -> usize {
        let direction = scene.direction();
        let Some(handshake) = conversation.work.as_mut().and_then(|work| work.tls.as_mut()) else {
            conversation.side(direction).reading = Reading::Opaque;
            return 0;
        };
        let mut at = 0;
        while at < bytes.len() {
            let (taken, seen) = handshake.take(direction, &bytes[at..]);
            at += taken;
            match seen {
                Seen::Nothing => {}
                Seen::ClientHelloBytes if handshake.hello_is_complete() && handshake.exchange.is_none() => {
                    let mut exchange = self.pools.exchanges.get();
                    exchange.request_start = Some(scene.context.carried);
                    let facts = hello_facts(&handshake.hello);
                    exchange.server_name = exchange.store(facts.server_name);
                    exchange.tls = Some(TlsFacts { offered_version: facts.version, ..TlsFacts::default() });
                    exchange.request_end = Some(scene.context.carried);
                    handshake.exchange = Some(exchange);
                }
                Seen::ClientHelloBytes => {}
                Seen::Fatal(alert) => {
                    self.tls_fails(conversation, scene, alert, direction, scene.now());
                    return bytes.len();
                }
                Seen::Closed => {
                    self.leave_tls(conversation, direction);
                    return bytes.len();
                }
            }
        }
        at
    }

    /// This side's records are encrypted from here on, or lost.
    pub(super) fn leave_tls(&mut self, conversation: &mut Conversation, direction: Direction) {
        conversation.side(direction).reading = Reading::Opaque;
        let other = conversation.side(direction.opposite()).reading;
        if other == Reading::Opaque
            && let Some(work) = &mut conversation.work
            && let Some(mut handshake) = work.tls.take()
            && let Some(exchange) = handshake.exchange.take()
        {
            self.pools.exchanges.put(exchange);
        }
    }

    /// The handshake failed.
    fn tls_fails(&mut self, conversation: &mut Conversation, scene: Scene<'_>, alert: u8, by: Direction, when: Stamp) {
        let taken = conversation.work.as_mut().and_then(|work| work.tls.take());
        self.abandon(conversation, Reading::Opaque);
        let Some(mut handshake) = taken else { return };
        // Without a ClientHello the opening side is the client.
        let Some(client) = handshake.client.or(scene.flow.opened_by) else { return };
        let mut exchange = handshake.exchange.take().unwrap_or_else(|| self.pools.exchanges.get());
        conversation.client = Some(client);
        self.introduce(conversation, scene, &mut exchange);
        conversation.client = None;
        let facts = exchange.tls.get_or_insert_default();
        facts.alert = alert;
        facts.by_server = by != client;
        exchange.outcome = Outcome::TlsAlert;
        exchange.decided = Some(when);
        self.decide_without_status(scene.flow, scene.now(), &mut exchange);
        self.finish(scene.flow, scene.now(), exchange);
    }

    /// A stream ends: a ClientHello that the server closed upon without a byte is a failed handshake.
    pub(super) fn tls_ends(&mut self, conversation: &mut Conversation, scene: Scene<'_>, when: Stamp) {
        let by = scene.direction();
        let Some(work) = &conversation.work else { return };
        let Some(handshake) = &work.tls else { return };
        let sides = &conversation.sides;
        let is_refused = handshake.client == Some(by.opposite())
            && handshake.exchange.is_some()
            && sides[by as usize].offset == 0
            && sides[by.opposite() as usize].ended == Ended::Open
            && scene.flow.opened_by.is_some()
            && scene.flow.gap_bytes == 0;
        if is_refused {
            self.tls_fails(conversation, scene, 0, by, when);
        } else if sides.iter().all(|side| side.ended == Ended::Fin) {
            self.abandon(conversation, Reading::Opaque);
            self.leave_tls(conversation, by);
        }
    }
}

impl TlsHandshake {
    fn hello_is_complete(&self) -> bool {
        match self.hello[..] {
            [_, high, middle, low, ..] => {
                self.hello.len() >= 4 + (usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low))
            }
            _ => false,
        }
    }

    /// Takes the next bytes of a direction, at least one.
    fn take(&mut self, direction: Direction, bytes: &[u8]) -> (usize, Seen) {
        let records = &mut self.sides[direction as usize];
        if records.state == RecordState::Closed {
            return (bytes.len(), Seen::Nothing);
        }
        if usize::from(records.seen) < records.header.len() {
            let at = usize::from(records.seen);
            let taken = bytes.len().min(records.header.len() - at);
            records.header[at..at + taken].copy_from_slice(&bytes[..taken]);
            records.seen += taken as u8;
            return (taken, records.header_seen());
        }
        let taken = bytes.len().min(usize::from(records.left));
        let content = &bytes[..taken];
        let [kind, _, _, high, low] = records.header;
        let before = u16::from_be_bytes([high, low]) - records.left;
        records.left -= taken as u16;
        if records.left == 0 {
            records.seen = 0;
        }
        match kind {
            HANDSHAKE => {
                if self.client.is_none() && self.hello.is_empty() && before == 0 && content[0] == 1 {
                    self.client = Some(direction);
                }
                let room = MAX_HELLO_BYTES - self.hello.len();
                if self.client == Some(direction) && room != 0 && !self.hello_is_complete() {
                    self.hello.extend_from_slice(&content[..taken.min(room)]);
                    return (taken, Seen::ClientHelloBytes);
                }
                (taken, Seen::Nothing)
            }
            ALERT => {
                for (index, byte) in content.iter().enumerate() {
                    records.alert[(usize::from(before) + index) & 1] = *byte;
                }
                let is_whole = records.left == 0;
                match records.alert {
                    [FATAL, alert] if is_whole => (taken, Seen::Fatal(alert)),
                    _ => (taken, Seen::Nothing),
                }
            }
            _ => (taken, Seen::Nothing),
        }
    }
}

impl Records {
    /// A header's byte was taken; looks at it when it is whole.
    fn header_seen(&mut self) -> Seen {
        if usize::from(self.seen) < self.header.len() {
            return Seen::Nothing;
        }
        let [kind, major, _, high, low] = self.header;
        self.left = u16::from_be_bytes([high, low]);
        let is_clear = match kind {
            // An encrypted alert is longer.
            ALERT => self.left == 2,
            HANDSHAKE => self.left != 0,
            CHANGE_CIPHER_SPEC | APPLICATION_DATA => false,
            _ => false,
        };
        if !is_clear || major != 3 {
            self.state = RecordState::Closed;
            return Seen::Closed;
        }
        Seen::Nothing
    }
}

struct HelloFacts<'a> {
    server_name: &'a [u8],
    version: u16,
}

/// Reads a ClientHello (RFC 8446, section 4.1.2) as far as it is well-formed.
fn hello_facts(message: &[u8]) -> HelloFacts<'_> {
    let mut facts = HelloFacts { server_name: &[], version: 0 };
    read_hello(message, &mut facts);
    facts
}

fn read_hello<'a>(message: &'a [u8], facts: &mut HelloFacts<'a>) -> Option<()> {
    let mut reader = Reader(message.get(4..)?);
    facts.version = reader.number()?;
    reader.bytes(32)?;
    let session = reader.byte()?;
    reader.bytes(session.into())?;
    let suites = reader.number()?;
    reader.bytes(suites.into())?;
    let compressions = reader.byte()?;
    reader.bytes(compressions.into())?;
    let length = reader.number()?;
    let mut extensions = Reader(reader.bytes(usize::from(length).min(reader.0.len()))?);
    loop {
        let kind = extensions.number()?;
        let length = extensions.number()?;
        let mut content = Reader(extensions.bytes(length.into())?);
        match kind {
            // server_name: a list whose first entry is a host name (RFC 6066, section 3).
            0 => {
                content.bytes(3)?;
                let length = content.number()?;
                facts.server_name = content.bytes(length.into())?;
            }
            // supported_versions; values of the form 0x?A?A are GREASE (RFC 8701).
            43 => {
                content.byte()?;
                while let Some(version) = content.number() {
                    if version & 0x0f0f != 0x0a0a {
                        facts.version = facts.version.max(version);
                    }
                }
            }
            _ => {}
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u16> {
        self.bytes(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}
