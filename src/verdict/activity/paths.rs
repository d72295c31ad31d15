//! The texts of paths that are named in alerts: one pool for all clients.
//!
//! In: paths with their hashes. Out: the path of a hash, masked and cut. Promises: at most [`MOST_BYTES`]; what found no room is
//! counted.

use hashbrown::{HashMap, HashSet};

use crate::{detect::shown, event::Site, keyed_hash::KeyedState};

/// The most bytes of texts.
const MOST_BYTES: usize = 16 << 20;
/// What an entry needs beside its text.
const ENTRY_BYTES: usize = 32;

/// Texts by the hash that observations have in their place.
#[derive(Debug, Default)]
pub(super) struct Paths {
    texts: HashMap<u32, Box<[u8]>, KeyedState>,
    bytes: usize,
    /// Texts that found no room.
    pub(super) refused: u64,
}

impl Paths {
    /// Keeps a text, masked and cut, unless it is known.
    pub(super) fn keep(&mut self, hash: u32, text: &[u8], site: &Site) {
        if self.texts.contains_key(&hash) {
            return;
        }
        if self.bytes >= MOST_BYTES {
            self.refused += 1;
            return;
        }
        let text: Box<[u8]> = shown(text, site).into();
        self.bytes += text.len() + ENTRY_BYTES;
        self.texts.insert(hash, text);
    }

    pub(super) fn get(&self, hash: u32) -> Option<&[u8]> {
        self.texts.get(&hash).map(|text| &**text)
    }

    /// Forgets all texts but those of these hashes, when there is no room.
    pub(super) fn clean(&mut self, used: impl Iterator<Item = u32>) {
        if self.bytes >= MOST_BYTES {
            let used: HashSet<u32, KeyedState> = used.collect();
            self.texts.retain(|hash, _| used.contains(hash));
            self.bytes = self.texts.values().map(|text| text.len() + ENTRY_BYTES).sum();
        }
    }
}
