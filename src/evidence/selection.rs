//! Which packets belong to which alert.
//!
//! In: for each alert the client, the connections that a proxy made for it, and a stretch of time; then packets. Out: the alerts
//! that a packet belongs to, and the client's segments in it, also those before the time. Promises: a packet is decoded at most once,
//! however many alerts there are, and not at all after the times of every alert; fragments and packets in tunnels are known by what
//! is inside (see [`EndsReader`]).

use std::{collections::HashMap, ops::RangeInclusive};

use crate::{
    address::{Address, Endpoint},
    capture::{
        Packet,
        filter::{FilterError, PacketFilter},
    },
    decode::{DecodeSettings, EndsReader, SegmentStart},
    keyed_hash::KeyedState,
    time::Timestamp,
};

/// A TCP connection, the lower end first.
pub type Connection = (Endpoint, Endpoint);

/// The packets of one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Packets that this address sent or received.
    pub client: Address,
    /// Packets of these TCP connections, each with the lower end first. A proxy made them for the client.
    pub connections: Vec<Connection>,
    /// Only packets of these times.
    pub times: RangeInclusive<Timestamp>,
}

impl Selection {
    /// Extends this selection by another of the same client.
    pub fn merge(&mut self, other: &Self) {
        let (start, end) = (self.times.start().min(other.times.start()), self.times.end().max(other.times.end()));
        self.times = *start..=*end;
        for connection in &other.connections {
            if !self.connections.contains(connection) {
                self.connections.push(*connection);
            }
        }
    }
}

/// Finds the selections that packets belong to.
pub struct Selector {
    reader: EndsReader,
    /// Packets that it does not let in belong to no selection.
    filter: Option<PacketFilter>,
    /// The times of each selection, by its index.
    times: Vec<RangeInclusive<Timestamp>>,
    /// The latest of these times. `None` without selections.
    until: Option<Timestamp>,
    by_client: HashMap<Address, Vec<usize>, KeyedState>,
    by_connection: HashMap<Connection, Vec<usize>, KeyedState>,
    /// The indices of the selections that the last packet belongs to.
    found: Vec<usize>,
    segments: Vec<ClientSegment>,
}

/// A TCP segment that a client sent or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSegment {
    /// Its connection.
    pub connection: Connection,
    /// Whether the lower end sent it.
    pub is_from_lower: bool,
    /// How it starts.
    pub start: SegmentStart,
}

/// The selections that a packet belongs to, and the clients' segments in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The indices of the selections that the packet belongs to, each once.
    pub selections: &'a [usize],
    /// The segments of clients, also of those whose time has not come.
    pub segments: &'a [ClientSegment],
}

impl Selector {
    /// A selector without selections.
    ///
    /// # Errors
    ///
    /// A filter that is not in libpcap's language.
    pub fn new(settings: &DecodeSettings, filter: Option<&str>) -> Result<Self, FilterError> {
        Ok(Self {
            reader: EndsReader::new(settings),
            filter: filter.map(PacketFilter::new).transpose()?,
            times: Vec::new(),
            until: None,
            by_client: HashMap::default(),
            by_connection: HashMap::default(),
            found: Vec::new(),
            segments: Vec::new(),
        })
    }

    /// Replaces the selections. Their order gives the indices. What is known of fragments stays.
    pub fn select<'a>(&mut self, selections: impl Iterator<Item = &'a Selection> + Clone) {
        self.times.clear();
        self.by_client.clear();
        self.by_connection.clear();
        self.until = selections.clone().map(|selection| *selection.times.end()).max();
        for (index, Selection { client, connections, times }) in selections.enumerate() {
            self.by_client.entry(*client).or_default().push(index);
            for connection in connections {
                self.by_connection.entry(*connection).or_default().push(index);
            }
            self.times.push(times.clone());
        }
    }

    /// Looks for clients in a packet. Returns `None` if there are none.
    pub fn find(&mut self, packet: &Packet<'_>) -> Option<Found<'_>> {
        let Self { reader, filter, times, until, by_client, by_connection, found, segments } = self;
        if packet.stamp.time > (*until)? {
            return None;
        }
        found.clear();
        segments.clear();
        reader.read(packet, &mut |ends, start| {
            let connection = ends.connection();
            let of_connection = connection.and_then(|connection| by_connection.get(&connection));
            let of_clients = [ends.source, ends.destination].map(|address| by_client.get(&address));
            let mut is_known = false;
            for indices in of_clients.into_iter().chain([of_connection]).flatten() {
                is_known = true;
                let at_the_time =
                    |index: &&usize| times.get(**index).is_some_and(|times| times.contains(&packet.stamp.time));
                found.extend(indices.iter().filter(at_the_time));
            }
            if let (true, Some(connection), Some(start)) = (is_known, connection, start) {
                let sender = ends.ports.map(|[port, _]| Endpoint::new(ends.source, port));
                segments.push(ClientSegment { connection, is_from_lower: sender == Some(connection.0), start });
            }
        });
        let has_any = !found.is_empty() || !segments.is_empty();
        if !has_any || filter.as_mut().is_some_and(|filter| !filter.matches(packet)) {
            return None;
        }
        found.sort_unstable();
        found.dedup();
        Some(Found { selections: found, segments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{LinkType, Stamp};

    const CLIENT: Address = Address::v4([192, 0, 2, 1]);
    const PROXY: Address = Address::v4([192, 0, 2, 20]);
    const SERVER: Address = Address::v4([198, 51, 100, 2]);

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    /// An IPv4 packet with the beginning of a TCP header.
    fn packet(source: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
        packet.extend(source);
        packet.extend([198, 51, 100, 2]);
        ports.iter().for_each(|port| packet.extend(port.to_be_bytes()));
        packet.resize(40, 0x50);
        packet
    }

    fn found(selector: &mut Selector, time: u64, data: &[u8]) -> Vec<usize> {
        let stamp = Stamp { number: 1, time: seconds(time) };
        let packet = Packet { stamp, link_type: LinkType(101), interface: 0, wire_length: data.len() as u32, data };
        selector.find(&packet).map(|found| found.selections.to_vec()).unwrap_or_default()
    }

    fn selection(client: Address, times: RangeInclusive<u64>) -> Selection {
        Selection { client, connections: Vec::new(), times: seconds(*times.start())..=seconds(*times.end()) }
    }

    fn selector(filter: Option<&str>, selections: &[Selection]) -> Selector {
        let mut selector = Selector::new(&DecodeSettings::default(), filter).unwrap();
        selector.select(selections.iter());
        selector
    }

    #[test]
    fn a_packet_belongs_to_its_clients_at_their_times() {
        let selections = [selection(CLIENT, 10..=20), selection(CLIENT, 15..=40), selection(SERVER, 30..=30)];
        let mut selector = selector(None, &selections);
        let [own, other] = [packet([192, 0, 2, 1], [40_000, 80]), packet([192, 0, 2, 9], [40_000, 80])];
        for (time, of_own, of_other) in
            [(9, &[][..], &[][..]), (10, &[0], &[]), (20, &[0, 1], &[]), (30, &[1, 2], &[2]), (41, &[], &[])]
        {
            assert_eq!(found(&mut selector, time, &own), of_own, "{time}");
            assert_eq!(found(&mut selector, time, &other), of_other, "{time}");
        }
    }

    #[test]
    fn behind_a_proxy_the_connections_count() {
        let connection = (Endpoint::new(PROXY, 40_000), Endpoint::new(SERVER, 80));
        let mut behind = selection(CLIENT, 0..=9);
        behind.merge(&Selection { connections: vec![connection], ..selection(CLIENT, 5..=20) });
        behind.merge(&Selection { connections: vec![connection], ..selection(CLIENT, 5..=6) });
        assert_eq!((behind.connections.len(), behind.times.clone()), (1, seconds(0)..=seconds(20)));
        let mut selector = selector(None, &[behind]);
        assert_eq!(found(&mut selector, 20, &packet([192, 0, 2, 20], [40_000, 80])), [0]);
        assert_eq!(found(&mut selector, 20, &packet([192, 0, 2, 20], [40_001, 80])), [0; 0]);
        assert_eq!(found(&mut selector, 20, &packet([192, 0, 2, 1], [40_001, 80])), [0], "and the client itself");
    }

    #[test]
    fn the_filter_counts_too() {
        let mut selector = selector(Some("tcp port 81"), &[selection(CLIENT, 0..=9)]);
        assert_eq!(found(&mut selector, 1, &packet([192, 0, 2, 1], [40_000, 81])), [0]);
        assert_eq!(found(&mut selector, 1, &packet([192, 0, 2, 1], [40_000, 80])), [0; 0]);
        assert!(Selector::new(&DecodeSettings::default(), Some("tcp prot 80")).is_err());
    }
}
