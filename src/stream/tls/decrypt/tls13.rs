//! Encrypted records of TLS 1.3.
//!
//! In: records with the outer type of application data. Out: their contents. Promises: the stage of a sender follows from the
//! keys that open its records.

use super::{
    keys::{JOINED_RECORDS, Keys, spend},
    opener::Plain,
    outcome::{Cause, Content, Opened, Sender},
    records::{ALERT, APPLICATION_DATA, HANDSHAKE},
    secret::{Label, Secret, SecretSource},
    session::{Call, EarlyData, Session, Stage},
    suite::{Suite, suite},
};

/// The suites of TLS 1.3 that are supported.
const SUITES: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// How many records of a sender may be taken for its handshake if there is no secret to tell.
const MAX_HANDSHAKE_RECORDS: u32 = 16;

/// Keys that may open a record, and the stage that the sender is in then.
struct Candidate {
    stage: Stage,
    keys: Keys,
}

/// A record that was opened.
type Found = (Plain, u32);

impl Session {
    /// Reads an encrypted record.
    pub(super) fn record13<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Opened {
        let half = self.half_mut(call.sender);
        if let Some(keys) = &mut half.keys
            && let Some((plain, lost)) = keys.open(call.record, call.plaintext)
        {
            half.opened(call.record);
            return Opened { lost, content: self.content13(call, plain) };
        }
        self.record_of_other_keys13(call)
    }

    /// Reads a record that the keys in use do not open, or for which there are none yet.
    fn record_of_other_keys13<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Opened {
        if let Some(cause) = self.unsupported() {
            self.half_mut(call.sender).pass(None);
            return Opened::of(Content::Failed(cause));
        }
        if !self.has_client_random {
            return self.midstream_record(call);
        }
        if self.half(call.sender).stage == Stage::Early && self.early == EarlyData::Offered {
            // Until the server's answer is known, the same data may be sent again later.
            if self.awaits_answer() {
                return Opened::of(Content::Waiting);
            }
            self.early = EarlyData::Unknown;
        }
        if self.is_answer_too_early(call) {
            return Opened::of(Content::Waiting);
        }
        let mut budget = self.budget(call.sender);
        let found = self.try_others(call, &mut budget);
        self.set_budget(call.sender, budget);
        match found {
            Some((plain, lost)) => Opened { lost, content: self.content13(call, plain) },
            None => Opened::of(self.unopened13(call)),
        }
    }

    /// Tries the keys of later stages, and other sequence numbers.
    fn try_others<S: SecretSource>(&mut self, call: &mut Call<'_, S>, budget: &mut u32) -> Option<Found> {
        // No attempt would be made, and to derive the keys for one is work too.
        if *budget == 0 {
            return None;
        }
        let mut others = Vec::new();
        let mut opened = None;
        for mut candidate in self.others(call.source, call.sender) {
            spend(budget, call.record.body.len())?;
            if let Some((plain, _)) = candidate.keys.open(call.record, call.plaintext) {
                opened = Some((candidate, plain));
                break;
            }
            others.push(candidate);
        }
        if let Some((candidate, plain)) = opened {
            return Some(self.adopt(call, candidate, plain));
        }
        let half = self.half_mut(call.sender);
        if half.keys.is_none() && half.missing == 0 && half.passed == 0 {
            return None;
        }
        let distance = half.distance();
        if let Some(keys) = &mut half.keys
            && let Some(found) = keys.search(call.record, call.plaintext, distance, budget)
        {
            half.opened(call.record);
            return Some(found);
        }
        for index in 0..others.len() {
            // Without keys, the records so far were counted instead; those of the handshake are among them.
            others[index].keys.next = if half.keys.is_some() { 0 } else { half.passed.into() };
            if let Some((plain, _)) = others[index].keys.search(call.record, call.plaintext, distance, budget) {
                return Some(self.adopt(call, others.swap_remove(index), plain));
            }
        }
        None
    }

    /// Takes keys into use that have opened a record. Records that did not open or were skipped may have been sent under
    /// them already. Where records were taken for data, the caller knows that these are missing.
    fn adopt<S: SecretSource>(&mut self, call: &Call<'_, S>, candidate: Candidate, plain: Plain) -> Found {
        let was_open = self.is_open(call.sender);
        let half = self.half_mut(call.sender);
        let number = u32::try_from(candidate.keys.next.saturating_sub(1)).unwrap_or(u32::MAX);
        let mut lost = if was_open { number.saturating_sub(half.passed) } else { number };
        if std::mem::take(&mut half.is_joined) {
            lost = lost.min(half.missing.saturating_sub(JOINED_RECORDS).saturating_add(half.passed));
        } else if (number != 0 || was_open) && half.missing != 0 {
            // Which of the records were data is not known. The last ones under the keys before may be missing too: those of early
            // data, or those before a key update.
            lost = lost.max(1);
        }
        if half.stage != candidate.stage {
            half.enter(candidate.stage);
        }
        half.keys = Some(Box::new(candidate.keys));
        half.opened(call.record);
        if !was_open {
            self.note_used(call);
        }
        self.step();
        (plain, lost)
    }

    /// The keys that may be in use beside the current ones: those of later stages, and those after a key update. If there
    /// are no current keys, those of the current stage too. Keys are derived as they are asked for: mostly the first ones fit.
    fn others<S: SecretSource>(&self, source: &S, sender: Sender) -> impl Iterator<Item = Candidate> {
        let half = self.half(sender);
        let is_possible = |stage: &Stage| if half.keys.is_some() { *stage > half.stage } else { *stage >= half.stage };
        let later = [Stage::Early, Stage::Handshake, Stage::Application].into_iter().filter(is_possible);
        let of_stage = move |stage| self.keys_of(source, sender, stage).map(move |keys| Candidate { stage, keys });
        let updated = half.keys.as_ref().filter(|_| half.stage == Stage::Application);
        let updated =
            updated.into_iter().filter_map(|keys| Some(Candidate { stage: Stage::Application, keys: keys.updated()? }));
        later.flat_map(of_stage).chain(updated)
    }

    /// The keys that may protect a sender's records in a stage. They are derived as they are asked for.
    pub(super) fn keys_of<S: SecretSource>(
        &self,
        source: &S,
        sender: Sender,
        stage: Stage,
    ) -> impl Iterator<Item = Keys> + use<S> {
        let chosen = self.suite();
        let of_secret = move |secret: Secret| {
            possible_suites(chosen, &secret).filter_map(move |suite| Keys::of_traffic_secret(suite, &secret))
        };
        self.traffic_secrets(source, sender, stage).into_iter().flat_map(of_secret)
    }

    /// The secrets that may protect a sender's records in a stage.
    fn traffic_secrets<S: SecretSource>(&self, source: &S, sender: Sender, stage: Stage) -> Vec<Secret> {
        let mut secrets = Vec::new();
        if !self.has_client_random {
            return secrets;
        }
        let label = match (stage, if self.is_reversed { sender.opposite() } else { sender }) {
            (Stage::Early, Sender::Client) => Label::ClientEarlyTraffic,
            (Stage::Handshake, Sender::Client) => Label::ClientHandshakeTraffic,
            (Stage::Handshake, Sender::Server) => Label::ServerHandshakeTraffic,
            (Stage::Application, Sender::Client) => Label::ClientTraffic,
            (Stage::Application, Sender::Server) => Label::ServerTraffic,
            _ => return secrets,
        };
        source.candidates(label, &self.client_random, &mut secrets);
        secrets
    }

    /// Interprets an opened record.
    pub(super) fn content13<S: SecretSource>(&mut self, call: &mut Call<'_, S>, plain: Plain) -> Content {
        let is_unknown = self.early == EarlyData::Unknown;
        let half = self.half_mut(call.sender);
        half.is_padded |= plain.is_padded;
        half.is_steady = false;
        let text = call.plaintext.get(..plain.length).unwrap_or_default();
        match (plain.kind, text) {
            (APPLICATION_DATA, [_, ..]) if is_unknown && half.stage == Stage::Early => {
                Content::Failed(Cause::EarlyData)
            }
            (APPLICATION_DATA, [_, ..]) => {
                (half.has_data, half.is_steady) = (true, true);
                Content::Data(0..plain.length)
            }
            (ALERT, [level, description]) => Content::Alert { level: *level, description: *description },
            (HANDSHAKE, _) => {
                self.handshake_bytes(call.source, call.sessions, call.sender, text);
                Content::Handshake
            }
            _ => Content::Nothing,
        }
    }

    /// Decides about a record that no keys open.
    fn unopened13<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Content {
        let sender = call.sender;
        let half = self.half(sender);
        let (stage, passed) = (half.stage, half.passed);
        let has_secrets = |stage| !self.traffic_secrets(call.source, sender, stage).is_empty();
        let (has_own, has_later) = match (half.keys.is_some(), stage) {
            (true, _) => (true, true),
            (false, Stage::Application) => (has_secrets(stage), false),
            (false, _) => (has_secrets(stage), has_secrets(Stage::Application)),
        };
        let content = if self.budget(sender) == 0 {
            Content::Failed(Cause::BudgetSpent)
        } else if half.keys.is_some() {
            Content::Failed(Cause::Desynchronised)
        } else if stage == Stage::Handshake
            && (has_own || has_later)
            && self.early == EarlyData::Rejected
            && sender == Sender::Client
        {
            // Rejected early data is not counted by the server, which has no keys for it either.
            return Content::Nothing;
        } else if stage == Stage::Handshake && !has_own && has_later && passed < MAX_HANDSHAKE_RECORDS {
            // A key log has the handshake's secrets before those of the data, so they will not come.
            Content::Nothing
        } else if stage == Stage::Early && !has_own && has_later {
            Content::Failed(Cause::EarlyData)
        } else if !self.is_waiting_over {
            return Content::Waiting;
        } else if has_own || has_later {
            Content::Failed(Cause::WrongKeys)
        } else {
            self.note_hopeless(call);
            Content::Failed(self.cause(call.source))
        };
        self.half_mut(sender).pass(Some(call.record));
        content
    }
}

/// The suites that a secret may belong to: the one that the server chose or, if that was not seen, those with a hash of the
/// secret's length. Secrets that were filled up to 64 bytes may belong to any.
pub(super) fn possible_suites(chosen: Option<Suite>, secret: &Secret) -> impl Iterator<Item = Suite> + use<> {
    let length = secret.bytes().len();
    let guessed = SUITES.into_iter().filter_map(suite).filter(move |suite| match length {
        32 | 48 => suite.hash.bytes() == length,
        _ => suite.hash.bytes() < length,
    });
    let count = if chosen.is_some() { 0 } else { SUITES.len() };
    chosen.into_iter().chain(guessed.take(count))
}
