//! BPF filters.
//!
//! In: an expression in libpcap's filter language, and a link type. Out: a program that decides which packets match.
//! Promises: an expression that does not compile is refused with libpcap's reason and a hint.

use pcap::{BpfProgram, Capture, Linktype};

use crate::capture::{LinkType, Packet};

/// How to write filters for mirrored traffic; the long help of `--filter`.
pub const FILTER_HELP: &str = "\
Only packets that match the expression are looked at (pcap-filter(7)).

Mirror ports often add a tag or a tunnel, and a filter sees only the outermost headers:
  plain and VLAN-tagged     'tcp port 80 or (vlan and tcp port 80)'
  two tags (QinQ)           '... or (vlan and vlan and tcp port 80)'
  MPLS                      'mpls and tcp port 80'
  VXLAN (also cloud)        'udp port 4789'
  GENEVE                    'udp port 6081'
  GRE, ERSPAN               'ip proto 47'
  IP in IP, 6in4            'ip proto 4 or ip proto 41'
  GTP-U                     'udp port 2152'
Filter tunnels by their outer header only: what is inside is found by wirespike itself.
After 'vlan' the rest of the expression looks behind the tag, so put 'vlan' last.
Write addresses, not names of hosts: a name is resolved once at the start, never at a reload.";

/// Why a filter is refused.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The expression is not valid in libpcap's filter language, or no packet of this link type can match it.
    #[error(
        "filter '{expression}' does not compile for link type {link_type}: {reason} (see `--help`, pcap-filter(7))"
    )]
    Compile {
        /// The expression as given.
        expression: String,
        /// Number of the link type.
        link_type: u16,
        /// libpcap's reason.
        reason: String,
    },
}

impl FilterError {
    pub(super) fn new(expression: &str, link_type: LinkType, reason: &pcap::Error) -> Self {
        Self::Compile { expression: expression.into(), link_type: link_type.0, reason: reason_of(reason) }
    }
}

/// A compiled filter for packets of one link type.
pub struct Filter {
    program: BpfProgram,
}

impl Filter {
    /// Compiles an expression. Resolves host names that the expression contains, as libpcap does.
    pub fn compile(link_type: LinkType, expression: &str) -> Result<Self, FilterError> {
        Capture::dead(Linktype(data_link(link_type)))
            .and_then(|capture| capture.compile(expression, true))
            .map(|program| Self { program })
            .map_err(|reason| FilterError::new(expression, link_type, &reason))
    }

    /// Returns whether a packet matches. Lengths in the expression (`greater`, `less`, `len`) mean captured bytes.
    #[inline]
    pub fn matches(&self, packet: &[u8]) -> bool {
        self.program.filter(packet)
    }
}

/// One filter expression, compiled for each link type that comes.
pub struct PacketFilter {
    expression: String,
    compiled: Vec<(LinkType, Option<Filter>)>,
}

impl PacketFilter {
    /// Creates a filter for packets of any link type. The expression must compile for Ethernet.
    ///
    /// # Errors
    ///
    /// An expression that is not in libpcap's language.
    pub fn new(expression: &str) -> Result<Self, FilterError> {
        let compiled = Filter::compile(LinkType::ETHERNET, expression)?;
        Ok(Self { expression: expression.to_owned(), compiled: vec![(LinkType::ETHERNET, Some(compiled))] })
    }

    /// Returns whether a packet matches. No packet matches on a link type for which the expression does not compile.
    pub fn matches(&mut self, packet: &Packet<'_>) -> bool {
        let known = self.compiled.iter().position(|(link_type, _)| *link_type == packet.link_type);
        let index = known.unwrap_or_else(|| {
            self.compiled.push((packet.link_type, Filter::compile(packet.link_type, &self.expression).ok()));
            self.compiled.len() - 1
        });
        self.compiled
            .get(index)
            .and_then(|(_, filter)| filter.as_ref())
            .is_some_and(|filter| filter.matches(packet.data))
    }
}

/// Describes a link type for people: its number, and libpcap's name for it where it has one.
pub fn describe_link_type(link_type: LinkType) -> String {
    match Linktype(data_link(link_type)).get_name() {
        Ok(name) => format!("{} ({name})", link_type.0),
        Err(_) => link_type.0.to_string(),
    }
}

/// Converts libpcap's link type (`DLT_`) to the link type of files (`LINKTYPE_`). The numbers differ only for raw IP.
pub(super) fn link_type(data_link: i32) -> LinkType {
    const RAW_ON_LINUX: i32 = 12;
    const RAW_ON_OPENBSD: i32 = 14;
    match data_link {
        RAW_ON_LINUX | RAW_ON_OPENBSD => LinkType(101),
        other => LinkType(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

fn data_link(link_type: LinkType) -> i32 {
    match link_type.0 {
        101 => 12,
        other => i32::from(other),
    }
}

/// libpcap's message without the crate's prefix.
pub(super) fn reason_of(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(reason) => reason.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: &[u8], port: u16) -> Vec<u8> {
        let mut frame = [[2u8; 6], [4u8; 6]].concat();
        frame.extend_from_slice(tag);
        frame.extend_from_slice(&[0x08, 0x00]);
        frame.extend_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend_from_slice(&40_000u16.to_be_bytes());
        frame.extend_from_slice(&port.to_be_bytes());
        frame.extend_from_slice(&[0; 16]);
        frame
    }

    #[test]
    fn matches_what_the_help_says() {
        let plain = Filter::compile(LinkType::ETHERNET, "tcp port 80").unwrap();
        assert!(plain.matches(&frame(&[], 80)));
        assert!(!plain.matches(&frame(&[], 81)));
        assert!(!plain.matches(&frame(&[0x81, 0, 0, 7], 80)));
        let tagged = Filter::compile(LinkType::ETHERNET, "tcp port 80 or (vlan and tcp port 80)").unwrap();
        assert!(tagged.matches(&frame(&[], 80)) && tagged.matches(&frame(&[0x81, 0, 0, 7], 80)));
        assert!(!tagged.matches(&frame(&[0x81, 0, 0, 7], 81)));
        assert!(!tagged.matches(&[]));
    }

    #[test]
    fn every_expression_of_the_help_compiles() {
        for line in FILTER_HELP.lines() {
            let Some((_, expression)) = line.split_once('\'').filter(|_| line.starts_with("  ")) else { continue };
            let expression = expression.trim_end_matches('\'').replace("...", "tcp port 80");
            Filter::compile(LinkType::ETHERNET, &expression).unwrap();
        }
    }

    #[test]
    fn raw_ip_has_its_own_number() {
        let filter = Filter::compile(LinkType(101), "tcp port 80").unwrap();
        assert!(filter.matches(&frame(&[], 80)[14..]));
        assert_eq!(link_type(12), LinkType(101));
        assert_eq!(link_type(113), LinkType(113));
    }

    #[test]
    fn refuses_with_the_reason() {
        let Err(error) = Filter::compile(LinkType::ETHERNET, "tcp prot 80") else { panic!("compiled") };
        let text = error.to_string();
        assert!(text.contains("'tcp prot 80'") && text.contains("syntax error"), "{text}");
        assert!(Filter::compile(LinkType::ETHERNET, "tcp\0port").is_err());
    }
}
