//! An error event in 32 bytes.
//!
//! In: an [`ErrorEvent`]. Out: what counting and evidence need of it, texts as hashes. A client with few errors is kept
//! as these; a million of them fit where their texts would not.

use std::{
    hash::{BuildHasher, Hasher},
    num::NonZeroU32,
};

use foldhash::fast::FixedState;

use super::evidence::{METHODS, Seen, Texts};
use crate::{
    event::{Dataset, ErrorEvent, Reason, Site},
    exchange::path_and_query,
    time::Timestamp,
};

/// The compact form. Hashes of texts are `None` where the text is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    pub(super) path: Option<NonZeroU32>,
    pub(super) user_agent: Option<NonZeroU32>,
    pub(super) host: Option<NonZeroU32>,
    packet: u32,
    /// The server's number in the engine's list.
    pub(super) server: u16,
    pub(super) status: u16,
    pub(super) method: u8,
    pub(super) dataset: Dataset,
    pub(super) reason: Reason,
}

impl Record {
    /// The packet's number, modulo 2³²: for order among equal times only.
    pub(super) fn packet(&self) -> u64 {
        u64::from(self.packet)
    }
}

/// Reads an event for counting.
pub(super) fn read<'e>(event: &'e ErrorEvent, server: u16, hasher: &FixedState, site: &'e Site) -> Seen<'e> {
    let exchange = &*event.exchange;
    let target = exchange.field(exchange.target);
    let path = path_and_query(target).map_or(target, |(path, _)| path);
    let user_agent = exchange.field(exchange.user_agent);
    let host = exchange.field(exchange.host);
    let record = Record {
        time: event.time,
        path: hash(hasher, path),
        user_agent: hash(hasher, user_agent),
        host: hash(hasher, host),
        packet: event.packet as u32,
        server,
        status: exchange.status,
        method: method(exchange.field(exchange.method)),
        dataset: event.dataset(),
        reason: event.reason,
    };
    let text = Texts { user_agent, host, flow: exchange.endpoints, site };
    Seen { record, path: Some(path), text: Some(text) }
}

#[inline]
fn hash(hasher: &FixedState, text: &[u8]) -> Option<NonZeroU32> {
    if text.is_empty() {
        return None;
    }
    let mut state = hasher.build_hasher();
    state.write(text);
    NonZeroU32::new((state.finish() >> 32) as u32).or(Some(NonZeroU32::MIN))
}

/// Places in the list of methods.
const OTHER_METHOD: u8 = METHODS.len() as u8 - 2;
const UNSEEN_METHOD: u8 = METHODS.len() as u8 - 1;

fn method(method: &[u8]) -> u8 {
    if method.is_empty() {
        return UNSEEN_METHOD;
    }
    let known = METHODS[..usize::from(OTHER_METHOD)].iter().position(|name| name.as_bytes() == method);
    known.map_or(OTHER_METHOD, |place| place as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small() {
        assert_eq!(size_of::<Record>(), 32);
    }

    #[test]
    fn methods_have_names() {
        for (sent, name) in
            [("GET", "GET"), ("PATCH", "PATCH"), ("get", "other"), ("PROPFIND", "other"), ("", "unseen")]
        {
            assert_eq!(METHODS[usize::from(method(sent.as_bytes()))], name, "{sent}");
        }
    }
}
