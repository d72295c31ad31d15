//! Which successes are remembered with their text.
//!
//! In: exchanges without an error, on the threads that decide them. Out: whether the text is wanted. Promises: a text is selected
//! unless it would show nothing but the path of an exchange that was selected before, so that no output depends on which shard
//! decides an exchange; a path that was selected shortly before costs only a look-up.

use super::{super::telltales, is_remarkable};
use crate::exchange::{Exchange, Method, Observation, ObservationFlags, path_and_query};

/// How many paths are known to have been selected.
const PLACES: usize = 1_024;

/// The paths of successes that were selected lately.
#[derive(Debug, Clone)]
pub struct Telling {
    /// The path that was selected last at each place.
    known: Box<[Known]>,
}

/// A path that was selected.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The hash that observations have in its place; 0 for none.
    hash: u32,
    /// Whether the path is a tell-tale.
    is_telltale: bool,
}

impl Default for Telling {
    fn default() -> Self {
        Self { known: vec![Known::default(); PLACES].into() }
    }
}

impl Telling {
    /// Returns whether the text of an exchange without an error tells something: it is a tell-tale or a redirect, carries
    /// credentials or a file, or its path was not selected lately.
    #[inline]
    pub fn wants(&mut self, observation: &Observation, exchange: &Exchange) -> bool {
        let Some(hash) = observation.path.filter(|_| observation.answer.is_success()) else { return false };
        let known = &self.known[hash.get() as usize % PLACES];
        if known.hash != hash.get() {
            self.note(hash.get(), exchange.field(exchange.target));
            return true;
        }
        let may_be_telltale = || observation.flags.has(ObservationFlags::QUERY) || observation.method != Method::Get;
        known.is_telltale
            || !exchange.location.is_empty()
            || is_remarkable(observation.flags.features())
            || may_be_telltale() && telltales::classify(observation.method, exchange.field(exchange.target)).is_some()
    }

    /// The path of this target is selected.
    #[inline(never)]
    fn note(&mut self, hash: u32, target: &[u8]) {
        let path = path_and_query(target).map_or(target, |(path, _)| path);
        let is_telltale = telltales::classify(Method::Get, path).is_some();
        self.known[hash as usize % PLACES] = Known { hash, is_telltale };
    }
}
