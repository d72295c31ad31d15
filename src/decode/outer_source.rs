//! Where a tunnelled packet came from: the sources of the IP headers outside the innermost one.
//!
//! In: the source addresses of outer IP headers. Out: [`Encapsulation::outer_source`], a hash by which packets from different
//! tunnels differ. Promises: a packet that came only through configured mirrors gets the value of a packet without a tunnel.
//! The hash is keyed, so a sender cannot find an address with the hash of another address.

use std::hash::BuildHasher;

use ipnet::IpNet;

use super::Encapsulation;
use crate::{address::Address, keyed_hash::KeyedState};

/// Which outer sources are mirrors, and the key of the hash.
#[derive(Debug)]
pub(super) struct OuterSources {
    mirrors: Vec<IpNet>,
    hasher: KeyedState,
}

impl OuterSources {
    pub(super) fn new(mirrors: Vec<IpNet>, hash_seed: u64) -> Self {
        Self { mirrors, hasher: KeyedState::with_seed(hash_seed) }
    }

    /// Changes which sources are mirrors. Hashes stay as they were, since connections hold them.
    pub(super) fn reconfigure(&mut self, mirrors: Vec<IpNet>) {
        self.mirrors = mirrors;
    }

    /// Adds the source of an IP header inside which another IP header follows.
    pub(super) fn note(&self, source: Address, encapsulation: &mut Encapsulation) {
        if !self.is_mirror(source) {
            let sources = (encapsulation.outer_source, source.halves());
            encapsulation.outer_source = (self.hasher.hash_one(sources) as u32).max(2);
        }
    }

    fn is_mirror(&self, source: Address) -> bool {
        if self.mirrors.is_empty() {
            return false;
        }
        let source = source.to_ip();
        self.mirrors.iter().any(|mirror| mirror.contains(&source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_leave_no_trace_and_other_sources_are_told_apart_by_their_order() {
        let sources = OuterSources::new(vec!["10.0.0.0/8".parse().unwrap()], 7);
        let note = |addresses: &[[u8; 4]]| {
            let mut encapsulation = Encapsulation::default();
            addresses.iter().for_each(|address| sources.note(Address::v4(*address), &mut encapsulation));
            encapsulation.outer_source
        };
        let (mirror, one, other) = ([10, 1, 2, 3], [192, 0, 2, 1], [192, 0, 2, 2]);
        assert_eq!(note(&[mirror]), 0);
        assert_ne!(note(&[one]), 0);
        assert_eq!(note(&[one]), note(&[mirror, one]));
        assert_ne!(note(&[one]), note(&[other]));
        assert_ne!(note(&[one, other]), note(&[other, one]));
    }
}
