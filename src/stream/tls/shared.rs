//! What connections with TLS share.
//!
//! In: the store of secrets. Out: [`TlsKeys`], which all shards share, and [`TlsShared`], which the connections of one shard share.
//! Promises: nothing shows a secret.

use std::{borrow::Cow, sync::Arc};

use super::{
    decrypt::{
        Beginning, Cause, HEADER_BYTES, Opened, Record, SearchLimit, Searches, Sender, Session, Sessions, Waiting,
    },
    secrets::{SecretStore, Secrets},
};
use crate::{keyed_hash::KeyedState, stream::context::Origin, time::Timestamp};

/// The secrets of all connections, and the sessions that were decrypted.
#[derive(Clone)]
pub struct TlsKeys {
    secrets: Arc<SecretStore>,
    /// Whether secrets of a session are used for connections that resume it.
    resumes: bool,
    /// Sessions that later connections may resume.
    sessions: Arc<Sessions>,
    /// What the searches of all connections share; `None` if those of each shard share something of their own.
    searches: Option<Arc<Searches>>,
}

impl TlsKeys {
    /// Takes secrets from a store. `resumes` says whether secrets of a session are used for connections that resume it, if the
    /// store has none for them. Where several threads read packets, it depends on their pace whether that comes in time.
    pub fn new(secrets: Arc<SecretStore>, resumes: bool) -> Self {
        let sessions = if resumes { Sessions::default() } else { Sessions::with_capacity(0) };
        Self { secrets, resumes, sessions: Arc::new(sessions), searches: None }
    }

    /// Does a step once, and again for as long as in it a connection has shown what may open another one.
    pub(crate) fn until_nothing_is_shown(&self, mut step: impl FnMut()) {
        loop {
            let before = self.sessions.generation();
            step();
            if self.sessions.generation() == before {
                break;
            }
        }
    }

    /// All shards share what may be spent on searches for secrets, so that there is less of it. What a search finds in time depends on the
    /// pace of threads then.
    #[must_use]
    pub fn with_shared_searches(self) -> Self {
        Self { searches: Some(Arc::new(Searches::new(SearchLimit::LIVE))), ..self }
    }
}

impl Default for TlsKeys {
    fn default() -> Self {
        Self::new(Arc::new(Secrets::new(0, KeyedState::secret(), Vec::new())), false)
    }
}

impl std::fmt::Debug for TlsKeys {
    /// Shows no secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TlsKeys").finish_non_exhaustive()
    }
}

/// What the connections of a shard share.
#[derive(Debug)]
pub(crate) struct TlsShared {
    keys: TlsKeys,
    searches: Arc<Searches>,
    /// The data of the record that is being read.
    pub(super) plaintext: Vec<u8>,
    pub(super) spare: Spare,
}

/// Buffers for the next record that several packets carry: most connections have such records all the time, and none of them
/// between its packets. They have held one record at most.
#[derive(Debug, Default)]
pub(super) struct Spare {
    pub(super) body: Vec<u8>,
    pub(super) origins: Vec<Origin>,
}

impl Spare {
    /// Takes the buffers of a record that was read.
    pub(super) fn take_back(&mut self, body: Cow<'_, [u8]>, mut origins: Vec<Origin>) {
        if let Cow::Owned(body) = body
            && body.capacity() > self.body.capacity()
        {
            self.body = body;
        }
        if origins.capacity() > self.origins.capacity() {
            origins.clear();
            self.origins = origins;
        }
    }
}

impl TlsShared {
    /// Uses these keys from now on.
    pub(crate) fn use_keys(&mut self, keys: TlsKeys) {
        self.searches = searches_of(&keys);
        self.keys = keys;
    }

    /// Returns whether any secret may come. If not, records are not kept.
    #[inline]
    pub(crate) fn expects_secrets(&self) -> bool {
        self.keys.secrets.expects_any()
    }

    /// Returns a number that changes when records that wait may be opened.
    pub(super) fn progress(&self, session: &Session) -> u64 {
        session.progress(&*self.keys.secrets, &self.keys.sessions)
    }

    /// Returns whether the body of a sender's next record is of any use.
    pub(super) fn wants_body(&self, session: &mut Session, sender: Sender, header: [u8; HEADER_BYTES]) -> bool {
        session.wants_body(&*self.keys.secrets, &self.keys.sessions, sender, header)
    }

    /// Returns the cause to count for a connection of which nothing was opened.
    pub(super) fn cause(&self, session: &Session) -> Cause {
        session.cause(&*self.keys.secrets)
    }

    /// Looks whether a record of the client that waits shows what becomes of its early data.
    pub(super) fn look_ahead(&mut self, session: &mut Session, waiting: Waiting<'_>) {
        session.look_ahead(&*self.keys.secrets, waiting, &mut self.plaintext);
    }

    /// Reads the next record of a sender. What it holds is in `plaintext`.
    #[inline]
    pub(super) fn open(&mut self, session: &mut Session, sender: Sender, record: Record<'_>) -> Opened {
        let Self { keys: TlsKeys { secrets, sessions, .. }, searches, plaintext, .. } = self;
        session.record(&**secrets, sessions, sender, record, (searches, plaintext))
    }

    /// Reads the beginning of a sender's next record, up to so many bytes of data. They are in `plaintext`.
    pub(super) fn open_beginning(
        &mut self,
        session: &Session,
        sender: Sender,
        body: &[u8],
        data: u64,
    ) -> Option<Beginning> {
        session.open_beginning(sender, body, data, &mut self.plaintext)
    }

    /// Time has passed. Returns how many searches for secrets were put off since the last call.
    pub(super) fn time(&self, now: Timestamp) -> u64 {
        self.searches.refill(now);
        self.searches.take_put_off()
    }
}

/// What the searches of a shard's connections share.
fn searches_of(keys: &TlsKeys) -> Arc<Searches> {
    let limit = if keys.resumes { SearchLimit::REPLAY_IN_ORDER } else { SearchLimit::SHARD_OF_REPLAY };
    keys.searches.clone().unwrap_or_else(|| Arc::new(Searches::new(limit)))
}

impl Default for TlsShared {
    fn default() -> Self {
        let keys = TlsKeys::default();
        Self { searches: searches_of(&keys), keys, plaintext: Vec::new(), spare: Spare::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_searches_of_one_shard_spend_another_still_has() {
        let left_of_both = |keys: TlsKeys| {
            let mut shards = [TlsShared::default(), TlsShared::default()];
            shards.iter_mut().for_each(|shard| shard.use_keys(keys.clone()));
            shards.map(|shard| shard.searches.exhaust() > 0)
        };
        assert_eq!(left_of_both(TlsKeys::default()), [true, true]);
        assert_eq!(left_of_both(TlsKeys::default().with_shared_searches()), [true, false]);
    }
}
