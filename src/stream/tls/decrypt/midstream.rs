//! Connections whose ClientHello was not captured.
//!
//! In: records of a connection without a known client random, and the secrets that were logged last, whatever connection they
//! belong to. Out: the connection's client random, if a secret opens a record. Promises: bounded attempts; a tag decides.
//!
//! TLS 1.2 and below need the ServerHello, because the server random is an input of their keys; `tls12` tries them.

use super::{
    keys::{FAR_RECORDS, Keys, NEAR_RECORDS, spend},
    opener::Plain,
    outcome::{Cause, Content, Opened, Sender},
    schedule::TLS13,
    secret::{Label, MAX_RECENT, Secret, SecretSource},
    session::{Call, Session, Stage},
    suite::{Protection, Suite},
    tls13::possible_suites,
};

/// How many records of a connection are tried with the newest secrets, each after further secrets were logged. One record is
/// as good as another.
const MAX_ATTEMPTS: u8 = 4;

/// What the record may be protected with.
#[derive(Clone, Copy)]
struct Guess {
    label: Label,
    stage: Stage,
    is_reversed: bool,
}

impl Session {
    /// Reads an encrypted record of TLS 1.3, or of a version that is not known.
    pub(super) fn midstream_record<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Opened {
        if let Some((plain, lost)) = self.begin_attempt(call).then(|| self.find_connection(call)).flatten() {
            return Opened { lost, content: self.content13(call, plain) };
        }
        Opened::of(Content::Failed(Cause::Midstream))
    }

    /// Returns whether the newest secrets are to be tried, and notes that they were.
    pub(super) fn begin_attempt<S: SecretSource>(&mut self, call: &Call<'_, S>) -> bool {
        let before = self.half(call.sender).hopeless;
        self.note_hopeless(call);
        let is_new = self.half(call.sender).hopeless != before && self.midstream_attempts < MAX_ATTEMPTS;
        self.midstream_attempts += u8::from(is_new);
        is_new
    }

    fn find_connection<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Option<(Plain, u32)> {
        let mut budget = self.budget(call.sender);
        for guess in self.guesses(call.sender) {
            let mut recent = Vec::new();
            call.source.recent(guess.label, &mut recent);
            for (client_random, secret) in recent.iter().take(MAX_RECENT) {
                let found = try_secret(call, self.suite(), secret, &mut budget);
                self.set_budget(call.sender, budget);
                let Some((plain, mut lost, suite, keys)) = found else { continue };
                if self.version == 0 {
                    // No ServerHello was captured: records that came before the capture are missing too, and are not lost.
                    lost = lost.min(self.half(call.sender).missing);
                    self.half_mut(call.sender.opposite()).is_joined = true;
                }
                (self.client_random, self.has_client_random) = (*client_random, true);
                (self.version, self.suite, self.is_reversed) = (TLS13, suite.id, guess.is_reversed);
                self.half_mut(call.sender).enter(guess.stage);
                self.half_mut(call.sender).keys = Some(Box::new(keys));
                let other = self.half_mut(call.sender.opposite());
                if other.stage == Stage::Clear {
                    other.enter(Stage::Application);
                    // The other sender's sequence number is anywhere.
                    other.missing = FAR_RECORDS;
                }
                self.step();
                return Some((plain, lost));
            }
        }
        None
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
    secret: &Secret,
    budget: &mut u32,
) -> Option<(Plain, u32, Suite, Keys)> {
    possible_suites(chosen, secret).find_map(|suite| {
        let mut keys = Keys::of_traffic_secret(suite, secret)?;
        let distance = if suite.protection == Protection::AesGcm { FAR_RECORDS } else { NEAR_RECORDS };
        spend(budget, call.record.body.len())?;
        let (plain, lost) = keys
            .open(call.record, call.plaintext)
            .or_else(|| keys.search(call.record, call.plaintext, (0, distance), budget))?;
        Some((plain, lost, suite, keys))
    })
}
