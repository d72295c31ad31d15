//! A set of paths by their hashes.
//!
//! In: hashes of paths, each with 32 random bits. Out: the number of different paths. Promises: a set has a maximum size; the
//! stored form of a set is the same, whatever the order of the paths.

use hashbrown::{HashTable, hash_table::Entry};
use serde::{Deserialize, Serialize};

/// The bytes that a table needs for each path of its capacity.
const BYTES_A_PATH: usize = 6;

/// Up to a limit of different paths. It is stored as a sorted list.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<u32>", into = "Vec<u32>")]
pub(crate) struct PathSet(HashTable<u32>);

/// What became of a path that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// The path was not in the set before.
    New,
    /// The path was already in the set.
    Known,
    /// The path is not in the set, and the set is full.
    Refused,
}

impl PathSet {
    /// Adds a path, if the set has it already or has fewer than `limit`. A limit of 0 adds none.
    pub(crate) fn add(&mut self, path: u32, limit: usize) -> Added {
        let fits = self.0.len() < limit;
        match self.0.entry(spread(&path), |known| *known == path, spread) {
            Entry::Occupied(_) => Added::Known,
            Entry::Vacant(place) if fits => {
                place.insert(path);
                Added::New
            }
            Entry::Vacant(_) => Added::Refused,
        }
    }

    /// Returns whether the set has a path.
    pub(crate) fn contains(&self, path: u32) -> bool {
        self.0.find(spread(&path), |known| *known == path).is_some()
    }

    /// The paths, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Forgets all paths and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The number of bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity() * BYTES_A_PATH
    }
}

/// Spreads a path's hash for the table. The hash has 32 random bits, but the table needs random bits at the high end of 64.
fn spread(&path: &u32) -> u64 {
    u64::from(path).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl From<Vec<u32>> for PathSet {
    fn from(paths: Vec<u32>) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.add(path, usize::MAX);
        }
        set
    }
}

impl From<PathSet> for Vec<u32> {
    fn from(set: PathSet) -> Self {
        let mut paths: Self = set.iter().collect();
        paths.sort_unstable();
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_a_limit_and_is_stored_in_order() {
        let mut set = PathSet::default();
        assert_eq!(set.add(7, 0), Added::Refused);
        let added = [9, 7, 9, 3, 1].map(|path| set.add(path, 3));
        assert_eq!(added, [Added::New, Added::New, Added::Known, Added::New, Added::Refused]);
        assert!(set.contains(3) && !set.contains(1) && set.bytes() > 0);
        let stored = serde_json::to_string(&set).unwrap();
        assert_eq!(stored, "[3,7,9]");
        assert!(serde_json::from_str::<PathSet>(&stored).unwrap().contains(9));
    }
}
