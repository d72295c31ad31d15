//! Master secrets of sessions that were decrypted, for connections that resume them (TLS 1.2 and below).
//!
//! In: session identifiers and tickets with their master secret. Out: the master secret for a resumption. Promises: bounded;
//! the oldest entry makes room for a new one. Secrets are erased when they leave.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{Context, SHA256};

use super::secret::Secret;

/// How many sessions are kept unless the caller says otherwise.
const DEFAULT_CAPACITY: usize = 16 << 10;

/// How a session is named on the wire: a hash of its identifier or ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct SessionName([u8; 16]);

impl SessionName {
    /// `None` if the identifier is empty.
    pub(super) fn of_identifier(identifier: &[u8]) -> Option<Self> {
        Self::hash(b"identifier", identifier)
    }

    /// `None` if the ticket is empty.
    pub(super) fn of_ticket(ticket: &[u8]) -> Option<Self> {
        Self::hash(b"ticket", ticket)
    }

    fn hash(kind: &[u8], bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let mut context = Context::new(&SHA256);
        context.update(kind);
        context.update(bytes);
        context.finish().as_ref().first_chunk().copied().map(Self)
    }
}

/// A bounded store of master secrets, shared by all connections. It is locked only while a session is kept or looked for, which
/// happens in handshakes.
#[derive(Debug)]
pub(crate) struct Sessions {
    kept: Mutex<Kept>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Kept {
    secrets: HashMap<SessionName, Secret>,
    /// The names in the order of their insertion.
    order: VecDeque<SessionName>,
    /// Counts the sessions that were added.
    generation: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl Sessions {
    /// Creates a store of at most so many sessions.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { kept: Mutex::default(), capacity }
    }

    /// Returns how many sessions are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.kept().secrets.len()
    }

    pub(super) fn insert(&self, name: SessionName, master: &Secret) {
        if self.capacity == 0 {
            return;
        }
        let mut kept = self.kept();
        if kept.secrets.insert(name, master.clone()).is_some() {
            return;
        }
        kept.generation += 1;
        kept.order.push_back(name);
        if kept.order.len() > self.capacity
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.secrets.remove(&oldest);
        }
    }

    /// Returns a number that changes when a session was added.
    pub(in crate::stream::tls) fn generation(&self) -> u64 {
        if self.capacity == 0 { 0 } else { self.kept().generation }
    }

    pub(super) fn get(&self, name: SessionName) -> Option<Secret> {
        if self.capacity == 0 { None } else { self.kept().secrets.get(&name).cloned() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::with_capacity(2);
        let names: Vec<_> = [b"a", b"b", b"c"].map(|text| SessionName::of_ticket(text).expect("not empty")).to_vec();
        let secret = Secret::new(&[1; 48]).expect("fits");
        for name in &names {
            sessions.insert(*name, &secret);
        }
        assert_eq!(sessions.len(), 2);
        assert!(sessions.get(names[0]).is_none() && sessions.get(names[2]).is_some());
        assert_ne!(SessionName::of_ticket(b"a"), SessionName::of_identifier(b"a"));
        assert_eq!(SessionName::of_ticket(b""), None);
    }
}
