//! What becomes of a client's early data (RFC 8446, sections 4.2.10 and 4.5).
//!
//! In: what the server says in its EncryptedExtensions; if that cannot be read, the client's records after the early data. Out: whether
//! early data is read. Promises: early data is read only if the server has surely accepted it. A client sends rejected
//! data again, and it would count twice.
//!
//! A client sends EndOfEarlyData, under the keys of the early data, only if the server has accepted it. Records under later keys without
//! it before them show that the server has rejected it.

use super::{
    keys::{Distance, Keys, NEAR_RECORDS, spend},
    messages::END_OF_EARLY_DATA,
    opener::Plain,
    outcome::{Record, Sender},
    records::{APPLICATION_DATA, HANDSHAKE},
    schedule::TLS13,
    secret::SecretSource,
    session::{Call, EarlyData, Session, Stage},
};

/// The longest record that may be EndOfEarlyData: a message of four bytes, its type, some padding and a tag.
const MAX_END_BYTES: usize = 64;

/// A record of the client that waits until it is known whether early data was accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting<'a> {
    pub(crate) record: Record<'a>,
    /// How many records of the client wait before it.
    pub(crate) before: u32,
    /// Whether all of them were captured whole.
    pub(crate) is_whole: bool,
}

impl Session {
    /// Returns whether it is not known yet what becomes of the client's early data. The client's records wait for that, and so do
    /// those of the server that hold data; no other record of the server does.
    pub(crate) fn awaits_answer(&self) -> bool {
        let client = self.half(Sender::Client).stage;
        client == Stage::Early && self.early == EarlyData::Offered && !self.is_waiting_over
    }

    /// Returns whether a sender's next record may be data that the number of a later record will not show to be missing.
    pub(crate) fn may_send_data(&self, sender: Sender) -> bool {
        self.is_open(sender) || self.half(sender).stage == Stage::Early
    }

    /// Returns whether there may have been early data that nothing else shows, if bytes of the client are missing: its hello was not
    /// captured, and the server accepted a session that it offered, or its hello was not captured either.
    pub(crate) fn may_have_hidden_early_data(&self) -> bool {
        let is_resumed = self.facts.as_ref().and_then(|facts| facts.is_resumed);
        !self.has_client_hello && self.version == TLS13 && is_resumed != Some(false)
    }

    /// Looks whether a record of the client shows what the server has answered.
    pub(crate) fn look_ahead<S: SecretSource>(&mut self, source: &S, waiting: Waiting<'_>, plaintext: &mut Vec<u8>) {
        let Waiting { record, before, is_whole } = waiting;
        if !self.awaits_answer() || record.header[0] != APPLICATION_DATA {
            return;
        }
        let (mut budget, distance) = (self.budget(Sender::Client), before.saturating_add(NEAR_RECORDS));
        let mut early = self.keys_of(source, Sender::Client, Stage::Early).peekable();
        // Without the secret, the absence of EndOfEarlyData shows nothing, and there is nothing to read.
        if early.peek().is_none() {
            return;
        }
        let is_short = record.body.len() <= MAX_END_BYTES;
        let is_end = is_short
            && early.any(|mut keys| {
                let opened = open_near(&mut keys, record, plaintext, distance, &mut budget);
                opened.is_some_and(|plain| plain.kind == HANDSHAKE && plaintext.first() == Some(&END_OF_EARLY_DATA))
            });
        let is_later = !is_end && is_whole && self.half(Sender::Client).missing == 0 && {
            let of_stage = |stage| self.keys_of(source, Sender::Client, stage);
            let mut later = of_stage(Stage::Handshake).chain(of_stage(Stage::Application));
            later.any(|mut keys| open_near(&mut keys, record, plaintext, 0, &mut budget).is_some())
        };
        self.set_budget(Sender::Client, budget);
        if is_end {
            self.accept_early();
        } else if is_later {
            self.reject_early();
        }
    }

    /// Returns whether a record of the server holds data while it is not known whether the data may answer early data.
    pub(super) fn is_answer_too_early<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> bool {
        if call.sender != Sender::Server || !self.awaits_answer() {
            return false;
        }
        let (mut budget, distance) = (self.budget(call.sender), self.half(call.sender).distance().ahead);
        let is_data = self
            .keys_of(call.source, call.sender, Stage::Application)
            .any(|mut keys| open_near(&mut keys, call.record, call.plaintext, distance, &mut budget).is_some());
        self.set_budget(call.sender, budget);
        is_data
    }

    /// The server accepts the client's early data.
    pub(super) fn accept_early(&mut self) {
        if self.early == EarlyData::Offered {
            self.answer_early(EarlyData::Accepted);
        }
    }

    /// The server rejects the client's early data, if there is any.
    pub(super) fn reject_early(&mut self) {
        if self.early == EarlyData::Offered {
            self.answer_early(EarlyData::Rejected);
            self.half_mut(Sender::Client).enter(Stage::Handshake);
        }
    }

    fn answer_early(&mut self, answer: EarlyData) {
        self.early = answer;
        self.step();
        if let Some(facts) = &mut self.facts {
            facts.early_data_accepted = Some(answer == EarlyData::Accepted);
        }
    }
}

/// Opens a record with new keys, at number 0 or, with a distance, at one of the numbers after it.
fn open_near(
    keys: &mut Keys,
    record: Record<'_>,
    plaintext: &mut Vec<u8>,
    ahead: u32,
    budget: &mut u32,
) -> Option<Plain> {
    spend(budget, record.body.len())?;
    let opened = keys.open(record, plaintext);
    let search = || {
        (ahead > 0).then(|| keys.search(record, plaintext, Distance { back: 0, ahead, likely: 0 }, budget)).flatten()
    };
    opened.or_else(search).map(|(plain, _)| plain)
}
