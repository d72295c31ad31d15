//! The keys of one direction in use, and the search for a record's sequence number.
//!
//! In: records. Out: their plaintext and how many records are missing before them. Promises: an opened record was
//! authenticated. The work of a search is bounded by a budget in bytes.

use super::{
    ghash::DIVISION_COST,
    number::{Finder, outward},
    opener::{Opener, Plain},
    outcome::{Beginning, Record},
    schedule::{DirectionKeys, TLS13, next_traffic_secret, traffic_keys},
    secret::Secret,
    suite::Suite,
};

/// Bytes that one direction of a connection may use to try keys and sequence numbers: about 10 ms of work. Each record that
/// opens gives its length back.
pub(super) const BUDGET_BYTES: u32 = 16 << 20;

/// How far a sequence number is searched when no bytes are known to be missing.
pub(super) const NEAR_RECORDS: u32 = 64;

/// How far a sequence number is searched at most.
pub(super) const FAR_RECORDS: u32 = 1 << 16;

/// How far the sequence number is searched of the other sender of a connection that was joined midway.
pub(super) const JOINED_RECORDS: u32 = 4096;

/// Where the sequence number of a record may be, as seen from the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Distance {
    /// So far before it, in case that records were counted that the sender did not send.
    pub(super) back: u32,
    /// At most so far after it.
    pub(super) ahead: u32,
    /// About so far after it: the search begins there.
    pub(super) likely: u32,
}

/// Cost of one attempt beside the record's bytes, in bytes that could be decrypted in the same time.
const ATTEMPT_COST: usize = 512;

/// The record protection of one direction, with the sequence number that is expected next.
pub(super) struct Keys {
    opener: Opener,
    /// The sequence number of the next record if none is missing.
    pub(super) next: u64,
    /// The traffic secret (TLS 1.3).
    secret: Option<Secret>,
    suite: Suite,
    /// The nonce that the last opened record carried (AES-GCM of TLS 1.2).
    last_nonce: Option<u64>,
}

impl Keys {
    /// Creates the keys of a traffic secret (TLS 1.3).
    pub(super) fn of_traffic_secret(suite: Suite, secret: &Secret) -> Option<Self> {
        let opener = Opener::new(TLS13, suite, &traffic_keys(suite, secret)?, false)?;
        Some(Self { opener, next: 0, secret: Some(secret.clone()), suite, last_nonce: None })
    }

    /// Creates the keys of a direction of TLS 1.2 and below.
    pub(super) fn of_key_block(
        version: u16,
        suite: Suite,
        keys: &DirectionKeys,
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        let opener = Opener::new(version, suite, keys, encrypt_then_mac)?;
        Some(Self { opener, next: 0, secret: None, suite, last_nonce: None })
    }

    /// Creates the keys that follow a key update (TLS 1.3).
    pub(super) fn updated(&self) -> Option<Self> {
        Self::of_traffic_secret(self.suite, &next_traffic_secret(self.suite, self.secret.as_ref()?)?)
    }

    /// Opens the record that is expected, or with a carried nonce the one that the nonce shows. Returns how many records are
    /// missing before it.
    pub(super) fn open(&mut self, record: Record<'_>, plaintext: &mut Vec<u8>) -> Option<(Plain, u32)> {
        let nonce = self.opener.explicit_nonce(record);
        if let (Some(nonce), Some(last)) = (nonce, self.last_nonce)
            && let missing @ 1.. = nonce.wrapping_sub(last).wrapping_sub(1)
            && missing < FAR_RECORDS.into()
            && let Some(found) = self.open_at(self.next.wrapping_add(missing), record, plaintext)
        {
            return Some(found);
        }
        self.open_at(self.next, record, plaintext)
    }

    /// Searches for the sequence number of a record that [`open`](Self::open) did not open. Takes the work off the budget, and ends
    /// the search if it is used up.
    pub(super) fn search(
        &mut self,
        record: Record<'_>,
        plaintext: &mut Vec<u8>,
        Distance { back, ahead, likely }: Distance,
        budget: &mut u32,
    ) -> Option<(Plain, u32)> {
        let first = self.next.saturating_sub(back.into());
        let end = self.next.saturating_add(ahead.into()).saturating_add(1);
        let from = self.next.saturating_add(likely.into());
        if let Some(secret) = &self.secret {
            let keys = traffic_keys(self.suite, secret)?;
            let finder = Finder::new(self.suite, &keys, record, budget)?;
            return finder.find((first..end, from), record, budget, |number| self.open_at(number, record, plaintext));
        }
        if let Opener::Gcm12 { .. } = &self.opener {
            spend(budget, DIVISION_COST + 2 * record.body.len())?;
            let number = self.opener.shown_number(record).filter(|number| *number >= first)?;
            return self.open_at(number, record, plaintext);
        }
        if self.opener.is_chain_broken() {
            return None;
        }
        for sequence in outward(first..end, from) {
            spend(budget, record.body.len())?;
            if let Some(found) = self.open_at(sequence, record, plaintext) {
                return Some(found);
            }
        }
        None
    }

    /// Opens a record with this sequence number. Returns how many records are missing before it.
    pub(super) fn open_at(
        &mut self,
        sequence: u64,
        record: Record<'_>,
        plaintext: &mut Vec<u8>,
    ) -> Option<(Plain, u32)> {
        let plain = self.opener.open(sequence, record, plaintext)?;
        let missing = u32::try_from(sequence.saturating_sub(self.next)).unwrap_or(u32::MAX);
        self.next = sequence.wrapping_add(1);
        self.last_nonce = self.opener.explicit_nonce(record);
        self.opener.passed(record.body);
        Some((plain, missing))
    }

    /// Decrypts the beginning of the record that is expected, without authentication.
    pub(super) fn open_beginning(&self, body: &[u8], data: u64, plaintext: &mut Vec<u8>) -> Option<Beginning> {
        self.opener.open_beginning(self.next, body, data, plaintext)
    }

    /// Notes a record that did not open or was not given. The next one has the next number.
    pub(super) fn pass(&mut self, record: Option<Record<'_>>) {
        self.next += 1;
        self.last_nonce = self.last_nonce.map(|nonce| nonce.wrapping_add(1));
        match record {
            Some(record) => self.opener.passed(record.body),
            None => self.opener.lost(),
        }
    }

    /// Notes how the record ends that is before the next one.
    pub(super) fn follow(&mut self, tail: &[u8]) {
        self.opener.passed(tail);
    }

    /// Notes that bytes may be missing before the next record.
    pub(super) fn lost(&mut self) {
        self.opener.lost();
    }

    /// Returns the bytes that protection adds to each record if this is the same for all records without padding.
    pub(super) fn overhead(&self) -> Option<usize> {
        self.opener.overhead()
    }
}

/// Takes the cost of an attempt to open so many bytes off the budget; `None` if it is used up.
pub(super) fn spend(budget: &mut u32, bytes: usize) -> Option<()> {
    take(budget, bytes.checked_add(ATTEMPT_COST)?)
}

/// Takes a cost off the budget; `None` if it is used up.
pub(super) fn take(budget: &mut u32, cost: usize) -> Option<()> {
    let left = u32::try_from(cost).ok().and_then(|cost| budget.checked_sub(cost));
    *budget = left.unwrap_or(0);
    left.map(|_| ())
}
