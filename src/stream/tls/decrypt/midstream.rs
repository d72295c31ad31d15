//! Connections whose ClientHello was not captured.
//!
//! In: records of a connection without a known client random, and the secrets that were logged, whatever connection they belong to.
//! Out: the connection's client random, if a secret opens a record. Promises: `search` bounds the attempts; a tag decides.
//!
//! TLS 1.2 and below need the ServerHello, because the server random is an input of their keys; `tls12` tries them.

use std::ops::Range;

use super::{
    keys::{JOINED_RECORDS, Keys, take},
    number::Finder,
    opener::Plain,
    outcome::{Cause, Content, Opened, Sender},
    schedule::{TLS13, traffic_keys},
    search::Effort,
    secret::{Label, Logged, SecretSource},
    session::{Call, Session, Stage},
    suite::{Protection, Suite},
    tls13::possible_suites,
};

/// What it costs to derive the keys of a secret, in bytes that could be decrypted in the same time.
const DERIVE_COST: usize = 8 << 10;

/// How many numbers are tried where each has to be.
const FIRST_NUMBERS: u64 = 256;

/// What the record may be protected with.
#[derive(Clone, Copy)]
struct Guess {
    label: Label,
    stage: Stage,
    is_reversed: bool,
}

/// A record that was opened, how many are missing before it, and what opened it.
type Found = (Plain, u32, Suite, Keys);

impl Session {
    /// Reads an encrypted record of TLS 1.3, or of a version that is not known.
    pub(super) fn midstream_record<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Opened {
        match self.find_connection(call) {
            Some((plain, lost)) => Opened { lost, content: self.content13(call, plain) },
            None => Opened::of(Content::Failed(Cause::Midstream)),
        }
    }

    fn find_connection<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Option<(Plain, u32)> {
        let guesses = self.guesses(call.sender);
        self.search(call, &guesses.map(|guess| guess.label), |session, call, logged, effort, budget| {
            let found = try_secret(call, session.suite(), logged, effort, budget)?;
            let guess = guesses.iter().find(|guess| guess.label == logged.label)?;
            let joined = session.join(call.sender, *guess, logged, found);
            session.note_used(call);
            Some(joined)
        })
    }

    /// Takes the connection for the one whose secret has opened a record.
    fn join(&mut self, sender: Sender, guess: Guess, logged: &Logged, found: Found) -> (Plain, u32) {
        let (plain, mut lost, suite, keys) = found;
        if self.version == 0 {
            // No ServerHello was captured: records that came before the capture are missing too, and are not lost.
            let half = self.half(sender);
            lost = lost.min(half.missing.saturating_add(half.passed));
            self.half_mut(sender.opposite()).is_joined = true;
        }
        (self.client_random, self.has_client_random) = (logged.client_random, true);
        (self.version, self.suite, self.is_reversed) = (TLS13, suite.id, guess.is_reversed);
        self.half_mut(sender).enter(guess.stage);
        self.half_mut(sender).keys = Some(Box::new(keys));
        let other = self.half_mut(sender.opposite());
        if other.stage == Stage::Clear {
            let (missing, passed) = (other.missing, other.passed);
            other.enter(Stage::Application);
            // Nothing is known of the other sender's sequence number. Records that are known to be missing from the capture still count.
            (other.missing, other.passed) = (missing.saturating_add(JOINED_RECORDS), passed);
        }
        self.rare = None;
        self.step();
        (plain, lost)
    }

    /// If the ServerHello was seen, it is known who is the server, and the handshake may still go on.
    fn guesses(&self, sender: Sender) -> [Guess; 2] {
        let [data, handshake] = match sender {
            Sender::Client => [Label::ClientTraffic, Label::ClientHandshakeTraffic],
            Sender::Server => [Label::ServerTraffic, Label::ServerHandshakeTraffic],
        };
        let straight = Guess { label: data, stage: Stage::Application, is_reversed: false };
        let other = if self.version == TLS13 {
            Guess { label: handshake, stage: Stage::Handshake, is_reversed: false }
        } else {
            let [client, server] = [Label::ClientTraffic, Label::ServerTraffic];
            Guess { label: if data == client { server } else { client }, is_reversed: true, ..straight }
        };
        [straight, other]
    }
}

/// Tries a secret with all suites and sequence numbers that it may be used with.
fn try_secret<S>(
    call: &mut Call<'_, S>,
    chosen: Option<Suite>,
    logged: &Logged,
    effort: Effort,
    budget: &mut u32,
) -> Option<Found> {
    let record = call.record;
    possible_suites(chosen, &logged.secret).find_map(|suite| {
        let numbers = numbers(suite, effort)?;
        take(budget, DERIVE_COST)?;
        let keys = traffic_keys(suite, &logged.secret)?;
        Finder::new(suite, &keys, record, budget)?.find((numbers, 0), record, budget, |number| {
            let mut keys = Keys::of_traffic_secret(suite, &logged.secret)?;
            let (plain, lost) = keys.open_at(number, record, call.plaintext)?;
            Some((plain, lost, suite, keys))
        })
    })
}

/// Which numbers of a suite are tried: all with AES-GCM, which is also the most usual one, and the first ones with ChaCha20.
fn numbers(suite: Suite, effort: Effort) -> Option<Range<u64>> {
    match (suite.protection, effort) {
        (Protection::AesGcm, Effort::Small) => Some(0..u64::MAX),
        (Protection::ChaCha20Poly1305, Effort::Large) => Some(0..FIRST_NUMBERS),
        _ => None,
    }
}
