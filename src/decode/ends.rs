//! The two ends of any packet: the innermost IP addresses, and the TCP ports where there are any.
//!
//! In: [`Packet`]s of any link type, also those without TCP. Out: [`Ends`], and of TCP how the segment starts. Promises: the same headers are read as by the
//! [`Decoder`](super::Decoder); no panic on any bytes; bounded memory.
//!
//! Only the first fragment of a datagram has ports and the headers of a tunnel. The reader remembers the ends that the first
//! fragment shows, and gives them to the later fragments of the same datagram. Of a fragment that arrives before the first one,
//! the reader knows only the addresses in the fragment's own IP header.

use std::collections::{HashMap, VecDeque};

use super::{
    DecodeSettings, Encapsulation, Segment, TcpFlags,
    counters::PacketPart,
    cursor::Cursor,
    layer::{self, Fragment, IpVersion, Layer, Next},
    link::wifi,
    outer::OuterHeaders,
    short_way,
    tunnel::TunnelTable,
};
use crate::{
    address::{Address, Endpoint},
    capture::{LinkType, Packet},
    keyed_hash::KeyedState,
};

/// The most fragmented datagrams whose first fragment is remembered. Over it the oldest is forgotten.
const MOST_DATAGRAMS: usize = 4_096;

/// The longest datagram that fragments can make.
const LONGEST_DATAGRAM: usize = 65_535;

/// Takes the ends of a packet, and how its TCP segment starts.
type Sink<'s> = dyn FnMut(Ends, Option<SegmentStart>) + 's;

/// Who sent a packet, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The sender's innermost address.
    pub source: Address,
    /// The receiver's innermost address.
    pub destination: Address,
    /// The sender's and the receiver's port, if the packet is known to carry TCP.
    pub ports: Option<[u16; 2]>,
}

impl Ends {
    /// The two ends of the TCP connection, the lower one first.
    pub fn connection(&self) -> Option<(Endpoint, Endpoint)> {
        let [source, destination] = self.ports?;
        let ends = [Endpoint::new(self.source, source), Endpoint::new(self.destination, destination)];
        Some((ends[0].min(ends[1]), ends[0].max(ends[1])))
    }

    fn of_segment(segment: &Segment<'_>) -> Self {
        let (source, destination) = (segment.source, segment.destination);
        Self { source: source.address, destination: destination.address, ports: Some([source.port, destination.port]) }
    }

    fn of_headers(outer: &OuterHeaders) -> Option<Self> {
        let addresses = outer.ip_addresses()?;
        Some(Self { source: addresses.source, destination: addresses.destination, ports: None })
    }
}

/// How a TCP segment starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentStart {
    /// The flags.
    pub flags: TcpFlags,
    /// Whether it has payload on the wire.
    pub has_payload: bool,
    /// The first bytes of the payload; zeros where there are none or they were not captured.
    pub payload: [u8; 4],
}

impl SegmentStart {
    fn of_segment(segment: &Segment<'_>) -> Self {
        let mut payload = [0; 4];
        payload.iter_mut().zip(segment.payload).for_each(|(byte, &captured)| *byte = captured);
        Self { flags: segment.flags, has_payload: segment.wire_length > 0, payload }
    }

    /// Reads the header at the cursor. Returns `None` if it was not captured.
    fn read(mut content: Cursor<'_>) -> Option<Self> {
        let [offset, flags] = content.peek(12)?;
        content.skip(usize::from(offset >> 4) * 4, PacketPart::Tcp).ok()?;
        Some(Self { flags: TcpFlags(flags), has_payload: content.wire_length() > 0, payload: content.padded() })
    }
}

/// What all fragments of one datagram share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Datagram {
    source: Address,
    destination: Address,
    identification: u32,
    /// IPv4 only.
    protocol: Option<u8>,
    encapsulation: Encapsulation,
}

/// Reads the ends of packets. Remembers the first fragments of datagrams between packets.
#[derive(Debug)]
pub struct EndsReader {
    max_depth: u8,
    takes_short_way: bool,
    tunnels: TunnelTable,
    pub(super) datagrams: HashMap<Datagram, Ends, KeyedState>,
    /// The remembered datagrams, the oldest first.
    pub(super) order: VecDeque<Datagram>,
}

impl EndsReader {
    /// A reader that has seen no packet yet.
    pub fn new(settings: &DecodeSettings) -> Self {
        Self {
            max_depth: settings.max_depth,
            takes_short_way: settings.short_way && settings.max_depth >= 2,
            tunnels: TunnelTable::new(&settings.ports),
            datagrams: HashMap::default(),
            order: VecDeque::new(),
        }
    }

    /// Hands the packet's ends to `sink`: one pair or none; of an aggregated 802.11 frame perhaps several. A later fragment of a
    /// segment has ends and no start.
    pub fn read(&mut self, packet: &Packet<'_>, sink: &mut Sink<'_>) {
        if self.takes_short_way
            && packet.link_type == LinkType::ETHERNET
            && let Some(segment) = short_way::ethernet_v4(packet).or_else(|| short_way::ethernet_v6(packet))
        {
            return sink(Ends::of_segment(&segment), Some(SegmentStart::of_segment(&segment)));
        }
        let wire_length = usize::try_from(packet.wire_length).unwrap_or(usize::MAX);
        let cursor = Cursor::new(packet.data, wire_length);
        self.read_headers(Layer::Link(packet.link_type), cursor, OuterHeaders::new(self.max_depth), sink);
    }

    fn read_headers(&mut self, mut layer: Layer, mut cursor: Cursor<'_>, mut outer: OuterHeaders, sink: &mut Sink<'_>) {
        loop {
            match layer::read(layer, cursor, &mut outer, &self.tunnels, false) {
                Ok(Next::Layer(next, content)) => (layer, cursor) = (next, content),
                Ok(Next::Tcp(content)) => {
                    let port = |at| content.peek(at).map(u16::from_be_bytes);
                    let ports = port(0).zip(port(2)).map(|(source, destination)| [source, destination]);
                    let start = SegmentStart::read(content);
                    return Ends::of_headers(&outer).into_iter().for_each(|ends| sink(Ends { ports, ..ends }, start));
                }
                Ok(Next::Subframes(frames)) => return self.subframes(frames, outer, sink),
                Ok(Next::Fragment(fragment, data)) => return self.fragment(&fragment, data, outer, sink),
                // Every other packet has the addresses that were read so far.
                Err(_) => return Ends::of_headers(&outer).into_iter().for_each(|ends| sink(ends, None)),
            }
        }
    }

    fn subframes(&mut self, mut frames: Cursor<'_>, mut outer: OuterHeaders, sink: &mut Sink<'_>) {
        while let Ok(subframe) = wifi::subframe(&mut frames) {
            self.read_headers(Layer::Llc, subframe, outer, sink);
            if frames.wire_length() < wifi::SUBFRAME_HEADER {
                return;
            }
            outer = outer.for_next_subframe();
        }
    }

    fn fragment(&mut self, fragment: &Fragment, mut data: Cursor<'_>, mut outer: OuterHeaders, sink: &mut Sink<'_>) {
        let Some(own) = Ends::of_headers(&outer) else { return };
        let datagram = Datagram {
            source: own.source,
            destination: own.destination,
            identification: fragment.identification,
            protocol: (fragment.version == IpVersion::V4).then_some(fragment.protocol),
            encapsulation: outer.encapsulation,
        };
        if fragment.offset > 0 {
            return sink(self.datagrams.get(&datagram).copied().unwrap_or(own), None);
        }
        let mut inside = (own, None);
        if outer.spend_depth().is_ok() {
            // The lengths of the headers inside are those of the whole datagram.
            data.set_wire_length(LONGEST_DATAGRAM);
            self.read_headers(Layer::IpProtocol(fragment.protocol), data, outer, &mut |ends, start| {
                inside = (ends, start)
            });
        }
        self.remember(datagram, inside.0);
        sink(inside.0, inside.1);
    }

    fn remember(&mut self, datagram: Datagram, inside: Ends) {
        if self.datagrams.insert(datagram, inside).is_some() {
            return;
        }
        self.order.push_back(datagram);
        if self.order.len() > MOST_DATAGRAMS
            && let Some(oldest) = self.order.pop_front()
        {
            self.datagrams.remove(&oldest);
        }
    }
}
