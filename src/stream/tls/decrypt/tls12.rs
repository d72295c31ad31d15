//! Encrypted records of TLS 1.0 to 1.2.
//!
//! In: records after a sender's ChangeCipherSpec. Out: their contents. Promises: master secrets come from the source, from a
//! private key, or from an earlier session that this connection resumes; the tag or MAC decides which one is right.

use super::{
    keys::{Keys, spend, take},
    opener::Plain,
    outcome::{Cause, Content, Opened, Record, Sender},
    records::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE},
    schedule::{TLS10, key_block},
    search::Effort,
    secret::{Label, Secret, SecretSource},
    session::{Call, Session, Stage},
    sessions::Sessions,
    suite::Suite,
};

/// Bytes at the end of a record that are kept: its last block, and the longest MAC that may follow it.
const TAIL_BYTES: usize = 16 + 48;

/// What it costs to derive keys from a master secret, in bytes that could be decrypted in the same time.
const DERIVE_COST: usize = 16 << 10;

impl Session {
    /// Reads an encrypted record.
    pub(super) fn cipher_record<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Opened {
        if let Some(opened) = self.try_cipher(call) {
            return opened;
        }
        let has_keys = self.half(call.sender).keys.is_some();
        let cause = match self.unsupported() {
            Some(cause) => cause,
            None if self.budget(call.sender) == 0 => Cause::BudgetSpent,
            None if has_keys => Cause::Desynchronised,
            None if !self.has_client_random => Cause::Midstream,
            None if !self.is_waiting_over => return Opened::of(Content::Waiting),
            None if self.own_masters(call.source).is_empty() => {
                self.note_hopeless(call);
                self.without_secrets(call.source)
            }
            None => Cause::WrongKeys,
        };
        self.pass_cipher(call.sender, Some(call.record));
        Opened::of(Content::Failed(cause))
    }

    /// A record did not open or was not given.
    pub(super) fn pass_cipher(&mut self, sender: Sender, record: Option<Record<'_>>) {
        self.half_mut(sender).pass(record);
        let is_chained = self.version == TLS10 && self.half(sender).keys.is_none();
        let tail = record.filter(|_| is_chained).map(|record| {
            let start = record.body.len().saturating_sub(TAIL_BYTES);
            record.body.get(start..).unwrap_or_default().into()
        });
        if tail.is_some() || self.rare.is_some() {
            self.rare_mut().tails[sender as usize] = tail;
        }
    }

    /// Opens a record with the keys in use or, if there are none, with each candidate.
    pub(super) fn try_cipher<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Option<Opened> {
        if self.unsupported().is_some() {
            return None;
        }
        let (plain, missing) = match self.half(call.sender).keys {
            Some(_) => self.open_cipher(call)?,
            None => self.find_master(call)?,
        };
        let half = self.half_mut(call.sender);
        half.opened(call.record);
        // The first record under these keys is the Finished, which holds no data.
        let expected = half.keys.as_ref().map_or(0, |keys| keys.next.saturating_sub(1 + u64::from(missing)));
        let lost = if expected == 0 { missing.saturating_sub(1) } else { missing };
        Some(Opened { lost, content: self.content12(call, plain) })
    }

    fn open_cipher<S>(&mut self, call: &mut Call<'_, S>) -> Option<(Plain, u32)> {
        let mut budget = self.budget(call.sender);
        let half = self.half_mut(call.sender);
        let distance = half.distance();
        let keys = half.keys.as_mut()?;
        let opened = keys
            .open(call.record, call.plaintext)
            .or_else(|| keys.search(call.record, call.plaintext, distance, &mut budget));
        self.set_budget(call.sender, budget);
        opened
    }

    /// Tries each master secret. The one that opens the record is that of the session. If the ClientHello was not captured, these are
    /// the secrets of all connections.
    fn find_master<S: SecretSource>(&mut self, call: &mut Call<'_, S>) -> Option<(Plain, u32)> {
        let suite = self.suite()?;
        if !self.has_client_random {
            return self.search(call, &[Label::ClientRandom], |session, call, logged, effort, budget| match effort {
                Effort::Small => session.try_master(call, suite, (&logged.client_random, &logged.secret), budget),
                Effort::Large => None,
            });
        }
        let (mut budget, client_random) = (self.budget(call.sender), self.client_random);
        let mut masters = self.masters(call.source, call.sessions).into_iter();
        let opened = masters.find_map(|master| self.try_master(call, suite, (&client_random, &master), &mut budget));
        self.set_budget(call.sender, budget);
        opened
    }

    /// Tries a master secret. Takes it for that of the session if the record opens.
    fn try_master<S: SecretSource>(
        &mut self,
        call: &mut Call<'_, S>,
        suite: Suite,
        (client_random, master): (&[u8; 32], &Secret),
        budget: &mut u32,
    ) -> Option<(Plain, u32)> {
        take(budget, DERIVE_COST)?;
        spend(budget, call.record.body.len())?;
        let block = key_block(self.version, suite, master, (client_random, &self.server_random))?;
        let keys = &block[call.sender as usize];
        let mut keys = Keys::of_key_block(self.version, suite, keys, self.encrypt_then_mac)?;
        self.place(call.sender, &mut keys);
        let mut opened = keys.open(call.record, call.plaintext);
        if opened.is_none() && self.half(call.sender).missing != 0 {
            let distance = self.half(call.sender).distance();
            opened = keys.search(call.record, call.plaintext, distance, budget);
        }
        if opened.is_some() {
            let half = self.half_mut(call.sender);
            (half.stage, half.keys) = (Stage::Cipher, Some(Box::new(keys)));
            (self.client_random, self.has_client_random) = (*client_random, true);
            self.note_used(call);
            self.rare_mut().secrets = vec![master.clone()];
            self.remember(call.sessions);
            self.step();
        }
        opened
    }

    /// Moves new keys of a sender to the record that is next, as far as the records before it were seen.
    fn place(&self, sender: Sender, keys: &mut Keys) {
        let (passed, missing) = (self.half(sender).passed, self.half(sender).missing);
        keys.next = passed.into();
        if missing != 0 || passed != 0 {
            keys.lost();
        }
        if let Some(tail) = self.rare.as_ref().and_then(|rare| rare.tails[sender as usize].as_ref()) {
            keys.follow(tail);
        }
    }

    /// The master secrets of this client random, the most likely first. The last ones are those of sessions that the client
    /// offers to resume.
    fn masters<S: SecretSource>(&self, source: &S, sessions: &Sessions) -> Vec<Secret> {
        let mut masters = self.own_masters(source);
        masters.extend(self.offered().filter_map(|name| sessions.get(name)));
        masters
    }

    /// The master secrets that are known for this connection.
    fn own_masters<S: SecretSource>(&self, source: &S) -> Vec<Secret> {
        let mut masters = self.rare.as_ref().map(|rare| rare.secrets.clone()).unwrap_or_default();
        source.candidates(Label::ClientRandom, &self.client_random, &mut masters);
        masters
    }

    /// Keeps the master secret of this session for those that resume it. Does nothing until a record was opened.
    pub(super) fn remember(&self, sessions: &Sessions) {
        let is_known = self.halves.iter().any(|half| half.stage == Stage::Cipher && half.keys.is_some());
        let Some(rare) = self.rare.as_ref().filter(|_| is_known) else { return };
        let Some(master) = rare.secrets.first() else { return };
        for name in rare.given.iter().flatten() {
            sessions.insert(*name, master);
        }
    }

    fn content12<S: SecretSource>(&mut self, call: &mut Call<'_, S>, plain: Plain) -> Content {
        let sender = call.sender;
        let text = call.plaintext.get(..plain.length).unwrap_or_default();
        self.half_mut(sender).is_steady = false;
        match (plain.kind, text) {
            (APPLICATION_DATA, []) => Content::Nothing,
            (APPLICATION_DATA, _) => {
                let half = self.half_mut(sender);
                (half.has_data, half.is_steady) = (true, true);
                Content::Data(0..plain.length)
            }
            (ALERT, [level, description]) => Content::Alert { level: *level, description: *description },
            (HANDSHAKE, _) => {
                self.handshake_bytes(call.source, call.sessions, sender, text);
                Content::Handshake
            }
            (CHANGE_CIPHER_SPEC, _) => {
                self.change_cipher_spec(sender);
                Content::Nothing
            }
            _ => Content::Nothing,
        }
    }
}
