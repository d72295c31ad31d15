//! Which successes are remembered with their text.
//!
//! In: exchanges without an error, on the threads that decide them. Out: whether the text is wanted. Promises: a text is selected
//! unless it would show nothing but the path of an exchange that was selected before, so that no output depends on which shard
//! decides an exchange; a path that was selected shortly before costs only a look-up.

use super::{super::telltales, is_remarkable};
use crate::{
    exchange::{Exchange, Method, path_and_query},
    keyed_hash::KeyedState,
};

/// How many paths are known to have been selected.
const PLACES: usize = 1_024;

/// The paths of successes that were selected lately.
#[derive(Debug, Clone)]
pub struct Telling {
    hasher: KeyedState,
    /// The hash of the path that was selected last at each place. The lowest bit says whether the path is a tell-tale.
    known: Box<[u64]>,
}

impl Telling {
    /// Knows no path yet. The seed is that of the observations.
    pub fn new(seed: u64) -> Self {
        Self { hasher: KeyedState::with_seed(seed), known: vec![0; PLACES].into() }
    }

    /// Returns whether the text of an exchange without an error tells something: it is a tell-tale or a redirect, carries
    /// credentials or a file, or its path was not selected lately.
    pub fn wants(&mut self, exchange: &Exchange) -> bool {
        if !(200..400).contains(&exchange.status) {
            return false;
        }
        let target = exchange.field(exchange.target);
        if target.is_empty() {
            return false;
        }
        let (path, query) = path_and_query(target).unwrap_or((target, None));
        let hash = self.hasher.hash(path);
        let known = &mut self.known[(hash >> 32) as usize % PLACES];
        let is_new = *known | 1 != hash | 1;
        if is_new {
            *known = hash & !1 | u64::from(telltales::classify(Method::Get, path).is_some());
        }
        let is_telltale = *known & 1 != 0;
        let method = exchange.field(exchange.method);
        is_new
            || is_telltale
            || !exchange.location.is_empty()
            || is_remarkable(exchange.features)
            || (query.is_some() || method != b"GET") && telltales::classify(Method::of(method), target).is_some()
    }
}
