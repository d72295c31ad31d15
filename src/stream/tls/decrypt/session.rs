//! The driver of one TLS connection.
//!
//! In: whole records of both senders in the order of capture, gaps, and records that passed without their body. Out: what each
//! record holds, as [`Opened`]; [`Facts`] of the handshake. Promises: a record counts as opened only if its tag or MAC is
//! right: which keys are in use and how many records are missing is decided by that, not by what should have been sent. The beginning
//! of a record is decrypted only where that is decided already ([`Session::open_beginning`]). Work is bounded by a budget for the
//! connection. A connection without keys keeps little more than its randoms.
//!
//! # Which keys a record is tried with
//!
//! 1. The sender's keys in use, at the expected sequence number.
//! 2. The keys of the stages that follow (TLS 1.3), and those after a key update, at number 0. So neither a missing handshake
//!    secret nor a lost Finished or KeyUpdate makes the rest unreadable.
//! 3. The same keys at other numbers. With AES-GCM, the record's tag shows the number. Otherwise these are the next 64 numbers, or up
//!    to 65,536 if bytes are known to be missing: first those that the bytes suggest, by the length of other records.

use std::num::NonZero;

use super::{
    keys::{BUDGET_BYTES, Distance, FAR_RECORDS, Keys, NEAR_RECORDS},
    messages::Assembler,
    outcome::{Cause, Content, Facts, Opened, Record, Sender},
    records::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_BYTES},
    schedule::{TLS10, TLS12, TLS13},
    search::{Search, Searches},
    secret::{Secret, SecretSource},
    sessions::{SessionName, Sessions},
    suite::{KeyExchange, Suite, suite},
};

/// The least that protection adds to a record: tag and inner type.
const MIN_PROTECTED_BYTES: u64 = 17;

/// How far a sender's records are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Stage {
    /// Not yet.
    #[default]
    Clear,
    /// TLS 1.2 and below, after ChangeCipherSpec.
    Cipher,
    /// TLS 1.3, the client's early data.
    Early,
    /// TLS 1.3, the handshake.
    Handshake,
    /// TLS 1.3, application data.
    Application,
}

/// Whether the client's early data is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum EarlyData {
    /// The client announced none.
    #[default]
    Absent,
    /// The client announced it, and the server has not answered.
    Offered,
    /// The server accepted it.
    Accepted,
    /// The server rejected it.
    Rejected,
    /// The server's answer was not captured or cannot be read, and nothing that the client sent shows it.
    Unknown,
}

/// One direction of the connection.
#[derive(Default)]
pub(super) struct Half {
    pub(super) assembler: Assembler,
    /// The keys in use, once a record was opened with them.
    pub(super) keys: Option<Box<Keys>>,
    /// Records since the last one that opened which the caller knows of: they did not open or were skipped.
    pub(super) passed: u32,
    /// How many records may be missing since the last one that opened, beside `passed`.
    pub(super) missing: u32,
    /// How many are likely to be missing, by the length of others.
    likely: u32,
    /// The usual length of a record with its header; 0 before the first.
    typical: u16,
    /// Bytes of work spent on searches; see [`BUDGET_BYTES`].
    spent: u32,
    pub(super) stage: Stage,
    /// Whether records of the sender came before the capture began, so that its first number does not show how many are missing.
    pub(super) is_joined: bool,
    /// Whether a record had padding.
    pub(super) is_padded: bool,
    /// Whether data was opened.
    pub(super) has_data: bool,
    /// Whether the last record that was opened held data, and only records that may be skipped came after it: the keys and the number of
    /// the next one are certain.
    pub(super) is_steady: bool,
    /// The generation of secrets in which there was none for this sender, once secrets are not waited for.
    pub(super) hopeless: Option<Generation>,
}

impl Half {
    /// Where to search for a sequence number.
    pub(super) fn distance(&self) -> Distance {
        let uncertain = if self.keys.is_some() { self.missing.saturating_add(self.passed) } else { self.missing };
        let ahead = uncertain.saturating_add(NEAR_RECORDS).min(FAR_RECORDS);
        Distance { back: self.passed.min(FAR_RECORDS), likely: self.likely.min(ahead), ahead }
    }

    /// So many bytes are missing.
    fn miss(&mut self, bytes: u64) {
        self.is_steady = false;
        let most = u32::try_from(bytes / MIN_PROTECTED_BYTES + 1).unwrap_or(u32::MAX);
        self.missing = self.missing.saturating_add(most);
        if let Some(length) = NonZero::new(u64::from(self.typical)) {
            let likely = u32::try_from(bytes / length).unwrap_or(u32::MAX);
            self.likely = self.likely.saturating_add(likely);
        }
    }

    /// A record opened with the keys in use.
    #[inline]
    pub(super) fn opened(&mut self, record: Record<'_>) {
        (self.passed, self.missing, self.likely) = (0, 0, 0);
        self.spent = self.spent.saturating_sub(record.body.len() as u32);
        let length = (HEADER_BYTES + record.body.len()) as u16;
        self.typical = if self.typical == 0 { length } else { self.typical - self.typical / 8 + length / 8 };
    }

    /// A record did not open or was not given.
    pub(super) fn pass(&mut self, record: Option<Record<'_>>) {
        self.is_steady &= record.is_none();
        self.passed = self.passed.saturating_add(1);
        if let Some(keys) = &mut self.keys {
            keys.pass(record);
        }
    }

    /// Changes the stage. The keys of the new one are not known yet.
    pub(super) fn enter(&mut self, stage: Stage) {
        (self.stage, self.keys, self.is_steady) = (stage, None, false);
        (self.passed, self.missing, self.likely) = (0, 0, 0);
        self.assembler.reset();
    }
}

/// The low bits of a number that changes when secrets were added.
pub(super) type Generation = u32;

/// What only some connections need. It is allocated separately.
#[derive(Default)]
pub(super) struct Rare {
    /// Master secrets made from premaster secrets, or that of the session once a record was opened with it.
    pub(super) secrets: Vec<Secret>,
    /// The handshake messages so far, if the extended master secret may have to be computed.
    pub(super) transcript: Option<Vec<u8>>,
    /// The session identifier and the ticket that the client offers.
    pub(super) offered: [Option<SessionName>; 2],
    /// The session identifier and the ticket that the server gives to this session.
    pub(super) given: [Option<SessionName>; 2],
    /// The end of each sender's last record, if there were no keys for it and the next record is chained to it (TLS 1.0).
    pub(super) tails: [Option<Box<[u8]>>; 2],
    /// Each sender's search for secrets, if the client random is not known.
    pub(super) searches: [Option<Box<Search>>; 2],
}

/// One TLS connection. See the module's description.
#[derive(Default)]
pub(crate) struct Session {
    /// The random of the first ClientHello; after a renegotiation, that of its ClientHello. Valid if `has_client_random`.
    pub(super) client_random: [u8; 32],
    pub(super) server_random: [u8; 32],
    pub(super) halves: [Half; 2],
    pub(super) facts: Option<Box<Facts>>,
    pub(super) rare: Option<Box<Rare>>,
    /// Counts what may change the result of a record that waits.
    pub(super) steps: u16,
    /// The version of the ServerHello; 0 if none was seen.
    pub(super) version: u16,
    pub(super) suite: u16,
    pub(super) early: EarlyData,
    /// Whether a whole ClientHello was seen, well-formed or not.
    pub(super) has_client_hello: bool,
    pub(super) has_client_random: bool,
    pub(super) offers_encrypted_hello: bool,
    pub(super) encrypt_then_mac: bool,
    pub(super) extended_master_secret: bool,
    /// Whether ServerHelloDone was seen: the handshake is not that of a resumption (TLS 1.2 and below).
    pub(super) is_full_handshake: bool,
    /// Whether the server compresses, so that records hold no readable data.
    pub(super) is_compressed: bool,
    pub(super) is_waiting_over: bool,
    pub(super) is_reversed: bool,
}

/// What a call works with.
pub(super) struct Call<'a, S> {
    pub(super) source: &'a S,
    pub(super) sessions: &'a Sessions,
    pub(super) sender: Sender,
    pub(super) record: Record<'a>,
    pub(super) searches: &'a Searches,
    pub(super) plaintext: &'a mut Vec<u8>,
}

impl Session {
    /// Reads the next record of a sender. The caller keeps two things for all sessions: what they may spend on searches, and a
    /// buffer that is overwritten, of which a range is the data of the record.
    ///
    /// Records of both senders are given in the order of capture. A record that is [`Content::Waiting`] has changed nothing
    /// and is given again later.
    pub(crate) fn record<S: SecretSource>(
        &mut self,
        source: &S,
        sessions: &Sessions,
        sender: Sender,
        record: Record<'_>,
        (searches, plaintext): (&Searches, &mut Vec<u8>),
    ) -> Opened {
        let mut call = Call { source, sessions, sender, record, searches, plaintext };
        let kind = record.header[0];
        match self.half(sender).stage {
            Stage::Clear if kind == APPLICATION_DATA => self.unannounced(&mut call),
            Stage::Clear if kind == HANDSHAKE && self.may_lack_change_cipher_spec(sender) => {
                self.try_cipher(&mut call).unwrap_or_else(|| self.clear_record(&mut call))
            }
            Stage::Clear => self.clear_record(&mut call),
            Stage::Cipher => self.cipher_record(&mut call),
            _ if kind == APPLICATION_DATA => self.record13(&mut call),
            _ => self.clear_record(&mut call),
        }
    }

    /// So many bytes of a sender are missing: whole records, parts of records, or both.
    pub(crate) fn gap(&mut self, sender: Sender, bytes: u64) {
        let half = self.half_mut(sender);
        half.miss(bytes);
        half.assembler.reset();
        if let Some(keys) = &mut half.keys {
            keys.lost();
        }
        if let Some(rare) = &mut self.rare {
            rare.transcript = None;
            rare.tails[sender as usize] = None;
        }
    }

    /// Returns a number that changes when a record that was `Waiting` may have another result.
    pub(crate) fn progress<S: SecretSource>(&self, source: &S, sessions: &Sessions) -> u64 {
        self.generation(source, sessions) << u16::BITS | u64::from(self.steps)
    }

    /// Secrets are not waited for any longer: records that would be `Waiting` are `Failed` from here on. Secrets that come
    /// later still open later records.
    pub(crate) fn stop_waiting(&mut self) {
        self.is_waiting_over = true;
        self.step();
    }

    /// Returns whether secrets are not waited for any longer.
    pub(crate) fn is_waiting_over(&self) -> bool {
        self.is_waiting_over
    }

    /// Returns whether the body of a sender's next record is of any use. It is not if the suite is not supported, or if
    /// secrets are not waited for any longer and none were added for this connection since the last attempt. [`skip`](Self::skip)
    /// is to be called then when the record has passed; [`cause`](Self::cause) says why its data is missing.
    pub(crate) fn wants_body<S: SecretSource>(
        &mut self,
        source: &S,
        sessions: &Sessions,
        sender: Sender,
        header: [u8; 5],
    ) -> bool {
        let half = self.half(sender);
        let is_encrypted = half.stage == Stage::Cipher || header[0] == APPLICATION_DATA;
        let has_keys = half.keys.is_some();
        !is_encrypted || has_keys || !self.is_hopeless(source, sessions, sender)
    }

    /// Returns whether nothing opens a record of a sender without keys. Secrets that were added since the last attempt are mostly
    /// those of other connections; that is noted, so that it is looked up once for each addition.
    fn is_hopeless<S: SecretSource>(&mut self, source: &S, sessions: &Sessions, sender: Sender) -> bool {
        let is_search_over = !self.has_client_random && self.is_search_exhausted(sender);
        if self.unsupported().is_some() || is_search_over {
            return true;
        }
        let Some(last) = self.half(sender).hopeless else { return false };
        let now = self.generation(source, sessions) as Generation;
        if last != now && self.may_have_secrets(source, sessions) {
            return false;
        }
        self.half_mut(sender).hopeless = Some(now);
        true
    }

    /// Returns whether a secret is there that may be one of this connection.
    fn may_have_secrets<S: SecretSource>(&self, source: &S, sessions: &Sessions) -> bool {
        !self.has_client_random
            || source.number_of(&self.client_random).is_some()
            || self.offered().any(|name| sessions.get(name).is_some())
    }

    /// Notes that there are no secrets for this sender so far.
    pub(super) fn note_hopeless<S: SecretSource>(&mut self, call: &Call<'_, S>) {
        self.half_mut(call.sender).hopeless = Some(self.generation_of(call));
    }

    pub(super) fn generation_of<S: SecretSource>(&self, call: &Call<'_, S>) -> Generation {
        self.generation(call.source, call.sessions) as Generation
    }

    /// Returns a number that changes when secrets were added that may be those of this connection.
    fn generation<S: SecretSource>(&self, source: &S, sessions: &Sessions) -> u64 {
        let sessions = if self.offered().next().is_some() { sessions.generation() } else { 0 };
        source.generation().wrapping_add(sessions)
    }

    /// The sessions that the client offers to resume.
    pub(super) fn offered(&self) -> impl Iterator<Item = SessionName> {
        self.rare.iter().flat_map(|rare| rare.offered).flatten()
    }

    /// Returns whether a whole ClientHello was seen, well-formed or not.
    pub(crate) fn has_client_hello(&self) -> bool {
        self.has_client_hello
    }

    /// What is known from the handshake so far.
    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// Takes the facts out, so that they use no more memory. They are not collected any longer.
    pub(crate) fn take_facts(&mut self) -> Option<Box<Facts>> {
        self.facts.take()
    }

    /// Returns whether the sender's records are data, as far as is known: the keys of its data are in use.
    pub(crate) fn is_open(&self, sender: Sender) -> bool {
        let half = self.half(sender);
        half.keys.is_some() && matches!(half.stage, Stage::Cipher | Stage::Early | Stage::Application)
    }

    /// Returns whether the last record of a sender that was opened is the first one that may hold data.
    pub(crate) fn is_at_first_data(&self, sender: Sender) -> bool {
        let half = self.half(sender);
        let before = match half.stage {
            Stage::Clear | Stage::Handshake => return false,
            // The Finished is under the same keys.
            Stage::Cipher => 1,
            Stage::Early | Stage::Application => 0,
        };
        half.keys.as_ref().is_some_and(|keys| keys.next == before + 1)
    }

    /// Returns whether the caller has named client and server the wrong way round. This can be known only if the beginning
    /// was not captured and a record was opened.
    pub(crate) fn is_reversed(&self) -> bool {
        self.is_reversed
    }

    /// Returns the cause to count for a connection of which nothing was opened.
    pub(crate) fn cause<S: SecretSource>(&self, source: &S) -> Cause {
        match self.unsupported() {
            Some(cause) => cause,
            None if !self.has_client_random || self.version == 0 => Cause::Midstream,
            None if self.offers_encrypted_hello && self.version == TLS13 => Cause::EncryptedClientHello,
            None => self.without_secrets(source),
        }
    }

    /// Returns the cause to count for a connection whose hellos were read and for which there are no secrets.
    pub(super) fn without_secrets<S: SecretSource>(&self, source: &S) -> Cause {
        let is_static_rsa = self.suite().is_some_and(|suite| suite.key_exchange == KeyExchange::StaticRsa);
        if source.has_private_key() && !is_static_rsa { Cause::ForwardSecret } else { Cause::NoKeys }
    }

    pub(super) fn half(&self, sender: Sender) -> &Half {
        &self.halves[sender as usize]
    }

    pub(super) fn half_mut(&mut self, sender: Sender) -> &mut Half {
        &mut self.halves[sender as usize]
    }

    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Notes a change after which records that wait may open.
    pub(super) fn step(&mut self) {
        self.halves.iter_mut().for_each(|half| half.hopeless = None);
        self.steps = self.steps.wrapping_add(1);
    }

    /// The budget for searches that is left for a sender.
    pub(super) fn budget(&self, sender: Sender) -> u32 {
        BUDGET_BYTES.saturating_sub(self.half(sender).spent)
    }

    /// Notes what a search has left of a sender's budget.
    pub(super) fn set_budget(&mut self, sender: Sender, left: u32) {
        self.half_mut(sender).spent = BUDGET_BYTES.saturating_sub(left);
    }

    /// The suite of the ServerHello if it is supported.
    pub(super) fn suite(&self) -> Option<Suite> {
        suite(self.suite)
    }

    /// Why no record can be opened, whatever the secrets.
    pub(super) fn unsupported(&self) -> Option<Cause> {
        let is_supported = (TLS10..=TLS13).contains(&self.version) && self.suite().is_some() && !self.is_compressed;
        (self.version != 0 && !is_supported).then_some(Cause::UnsupportedSuite(self.suite))
    }

    /// Whether a handshake record may be encrypted already, because the ChangeCipherSpec before it may be missing.
    fn may_lack_change_cipher_spec(&self, sender: Sender) -> bool {
        self.half(sender).missing != 0 && self.has_client_random && (TLS10..=TLS12).contains(&self.version)
    }

    /// Reads a record that is not encrypted.
    pub(super) fn clear_record<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Opened {
        let (sender, body) = (call.sender, call.record.body);
        let content = match (call.record.header[0], body) {
            (CHANGE_CIPHER_SPEC, _) => {
                self.change_cipher_spec(sender);
                Content::Nothing
            }
            (ALERT, [level, description]) => Content::Alert { level: *level, description: *description },
            (HANDSHAKE, _) => {
                self.handshake_bytes(call.source, call.sessions, sender, body);
                Content::Handshake
            }
            _ => Content::Nothing,
        };
        Opened::of(content)
    }

    /// Reads a record of data of a sender that has not announced encryption: something is missing.
    fn unannounced<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Opened {
        match self.version {
            0 if !self.has_client_random => self.midstream_record(call),
            // No ServerHello was seen. The secrets show whether this is TLS 1.3.
            0 | TLS13 => {
                self.half_mut(call.sender).stage = Stage::Handshake;
                self.record13(call)
            }
            _ => self.try_cipher(call).unwrap_or_else(|| {
                self.half_mut(call.sender).pass(None);
                Opened::of(Content::Failed(self.cause(call.source)))
            }),
        }
    }
}
