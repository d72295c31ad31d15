//! Lists of networks with a label.
//!
//! In: networks and files of networks by label. Out: the labels of an address, the longest prefix first. Promises: every
//! network that holds the address gives its label; a line that is not a network is an error with file and line.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    io::Read,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;

use super::EnrichError;
use crate::{address::Address, regular};

/// Larger files are refused.
const MAX_BYTES: u64 = 256 << 20;

/// Networks by label, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkLabels(BTreeMap<String, Vec<NetworkSource>>);

/// A network, or a file of networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkSource {
    /// One network.
    Network(IpNet),
    /// A file with one network or address a line.
    File(PathBuf),
}

impl NetworkSource {
    /// Reads a network or an address; anything else is the path of a file.
    pub fn of(text: &str) -> Self {
        parse(text).map_or_else(|| Self::File(text.into()), Self::Network)
    }
}

impl NetworkLabels {
    /// Adds networks to a label.
    pub fn add(&mut self, label: &str, sources: Vec<NetworkSource>) {
        self.0.entry(label.to_owned()).or_default().extend(sources);
    }

    /// The labels.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The labels with their networks.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[NetworkSource])> {
        self.0.iter().map(|(label, sources)| (label.as_str(), sources.as_slice()))
    }

    /// The files.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.values().flatten().filter_map(|source| match source {
            NetworkSource::File(path) => Some(path),
            NetworkSource::Network(_) => None,
        })
    }
}

/// Networks, ready for look-ups.
#[derive(Debug, Default)]
pub(super) struct Networks {
    labels: Vec<String>,
    /// The labels of each network, by their index.
    by_network: BTreeMap<IpNet, Vec<u32>>,
    /// The lengths of prefixes that occur, the longest first: those of IPv4 and those of IPv6.
    lengths: [BTreeSet<Reverse<u8>>; 2],
}

impl Networks {
    /// Reads all lists.
    pub(super) fn load(settings: &NetworkLabels) -> Result<Self, EnrichError> {
        let mut networks = Self::default();
        for (label, sources) in settings.iter() {
            let index = networks.labels.len() as u32;
            networks.labels.push(label.to_owned());
            for source in sources {
                match source {
                    NetworkSource::Network(network) => networks.insert(*network, index),
                    NetworkSource::File(path) => {
                        read_list(path)?.into_iter().for_each(|network| networks.insert(network, index));
                    }
                }
            }
        }
        Ok(networks)
    }

    fn insert(&mut self, network: IpNet, label: u32) {
        let network = canonical(network);
        let labels = self.by_network.entry(network).or_default();
        if !labels.contains(&label) {
            labels.push(label);
        }
        if let Some(lengths) = self.lengths.get_mut(usize::from(network.addr().is_ipv6())) {
            lengths.insert(Reverse(network.prefix_len()));
        }
    }

    /// The labels of all networks that hold the address, the longest prefix first, each label once.
    pub(super) fn labels_of(&self, address: Address) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        let lengths = self.lengths.get(usize::from(!address.is_v4())).into_iter().flatten();
        for Reverse(length) in lengths {
            let Ok(network) = IpNet::new(address.to_ip(), *length) else { continue };
            let labels = self.by_network.get(&network.trunc()).into_iter().flatten();
            for label in labels.filter_map(|&index| self.labels.get(index as usize)) {
                if !found.contains(&label.as_str()) {
                    found.push(label);
                }
            }
        }
        found
    }
}

/// A network without host bits. One of IPv4-mapped addresses is a network of IPv4, as addresses are.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(mapped) = network
        && mapped.prefix_len() >= 96
        && let Some(address) = mapped.addr().to_ipv4_mapped()
        && let Ok(network) = IpNet::new(address.into(), mapped.prefix_len() - 96)
    {
        return network.trunc();
    }
    network.trunc()
}

fn parse(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}

fn read_list(path: &Path) -> Result<Vec<IpNet>, EnrichError> {
    let unreadable = |reason: String| EnrichError::Unreadable { path: path.to_owned(), reason };
    let (mut file, size) = regular::open(path)
        .map_err(|error| unreadable(format!("{error}; an entry is a network, an address, or a file of them")))?;
    if size > MAX_BYTES {
        return Err(unreadable(format!("{size} bytes are more than {MAX_BYTES}")));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(|error| unreadable(error.to_string()))?;
    let mut networks = Vec::new();
    for (line, bytes) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let bytes = bytes.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if bytes.is_empty() {
            continue;
        }
        let network = str::from_utf8(bytes).ok().and_then(parse).ok_or_else(|| {
            let shown: String = String::from_utf8_lossy(bytes).chars().take(60).collect();
            let reason =
                format!("'{}' is not a network or an address; write for example 192.0.2.0/24", shown.escape_debug());
            EnrichError::Line { path: path.to_owned(), line, reason }
        })?;
        networks.push(network);
    }
    Ok(networks)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(lists: &[(&str, Vec<NetworkSource>)]) -> Result<Networks, EnrichError> {
        let mut settings = NetworkLabels::default();
        lists.iter().for_each(|(label, sources)| settings.add(label, sources.clone()));
        Networks::load(&settings)
    }

    #[test]
    fn lists_are_read_with_comments_and_errors_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        for (text, expected) in [
            ("192.0.2.0/24\n# a comment\n\n 2001:db8::1 # one host\r\n", Ok(2)),
            ("", Ok(0)),
            ("::ffff:192.0.2.1", Ok(1)),
            ("192.0.2.1\n192.0.2.0/33\n", Err(":2: '192.0.2.0/33' is not a network")),
            ("192.0.2.1, 192.0.2.2", Err(":1: '192.0.2.1, 192.0.2.2' is not a network")),
            ("\x1b[2J", Err(":1: '\\u{1b}[2J' is not a network")),
        ] {
            std::fs::write(&path, text).unwrap();
            match (read_list(&path), expected) {
                (Ok(networks), Ok(count)) => assert_eq!(networks.len(), count, "{text}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
        let missing = load(&[("x", vec![NetworkSource::of("192.0.2.0/33")])]).unwrap_err().to_string();
        assert!(missing.contains("192.0.2.0/33: cannot be read") && missing.contains("an entry is"), "{missing}");
    }

    #[test]
    fn mapped_networks_hold_the_addresses_of_ipv4() {
        let networks = load(&[("mapped", vec![NetworkSource::of("::ffff:192.0.2.0/120")])]).unwrap();
        assert_eq!(networks.labels_of(Address::v4([192, 0, 2, 9])), ["mapped"]);
        assert!(networks.labels_of(Address::v4([192, 0, 3, 9])).is_empty());
    }

    fn network() -> impl Strategy<Value = IpNet> {
        let v4 = (any::<[bool; 3]>(), 0u8..=32).prop_map(|(bits, length)| {
            let octets = [bits[0], bits[1], bits[2], false].map(u8::from);
            IpNet::new(IpAddr::from(octets), length).unwrap()
        });
        let v6 = (any::<[bool; 2]>(), 0u8..=128).prop_map(|(bits, length)| {
            let mut octets = [0x20; 16];
            (octets[1], octets[15]) = (bits[0].into(), bits[1].into());
            IpNet::new(IpAddr::from(octets), length).unwrap()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn labels_equal_those_of_a_search_through_all(
            lists in proptest::collection::vec((0usize..4, network()), 0..30),
            sought in network(),
        ) {
            const LABELS: [&str; 4] = ["a", "b", "c", "d"];
            let sources = |label: usize| {
                let own = lists.iter().filter(|(index, _)| *index == label);
                own.map(|(_, network)| NetworkSource::Network(*network)).collect::<Vec<_>>()
            };
            let networks =
                load(&LABELS.iter().enumerate().map(|(index, label)| (*label, sources(index))).collect::<Vec<_>>());
            let address = Address::from(sought.addr());
            let mut naive: Vec<(Reverse<u8>, usize)> = lists
                .iter()
                .filter(|(_, network)| network.contains(&address.to_ip()))
                .map(|(label, network)| (Reverse(network.prefix_len()), *label))
                .collect();
            naive.sort();
            let mut expected = Vec::new();
            for (_, label) in naive {
                if !expected.contains(&LABELS[label]) {
                    expected.push(LABELS[label]);
                }
            }
            let networks = networks.unwrap();
            prop_assert_eq!(networks.labels_of(address), expected);
        }
    }
}
