//! Small MaxMind databases for tests.
//!
//! In: a type, a network and one record. Out: the bytes of a database. The integration tests use this file too.

use std::path::{Path, PathBuf};

/// A value of a record.
#[derive(Clone, Copy)]
pub(crate) enum Record {
    Number(u32),
    Text(&'static str),
    Flag(bool),
    Map(&'static [(&'static str, Record)]),
}

/// The network of the record.
const NETWORK: [u8; 3] = [192, 0, 2];

fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let small = if size < 29 { size as u8 } else { 29 };
    if kind < 8 {
        out.push(kind << 5 | small)
    } else {
        out.extend([small, kind - 7])
    }
    if size >= 29 {
        out.push((size - 29) as u8);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    control(out, 2, text.len());
    out.extend(text.as_bytes());
}

fn number(out: &mut Vec<u8>, kind: u8, value: u64) {
    let bytes = value.to_be_bytes();
    let used = &bytes[value.leading_zeros() as usize / 8..];
    control(out, kind, used.len());
    out.extend(used);
}

fn map(out: &mut Vec<u8>, members: &[(&str, Record)]) {
    control(out, 7, members.len());
    for (name, value) in members {
        text(out, name);
        match *value {
            Record::Number(value) => number(out, 6, value.into()),
            Record::Text(value) => text(out, value),
            Record::Flag(value) => control(out, 14, usize::from(value)),
            Record::Map(members) => map(out, members),
        }
    }
}

/// A database for IPv4 of this type; the record belongs to 192.0.2.0/24.
pub(crate) fn database(kind: &str, record: &[(&str, Record)]) -> Vec<u8> {
    database_of(NETWORK, kind, record)
}

/// A database for IPv4 of this type; the record belongs to this /24.
pub(crate) fn database_of(network: [u8; 3], kind: &str, record: &[(&str, Record)]) -> Vec<u8> {
    let bits: Vec<u8> = network.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let nodes = bits.len() as u32;
    let mut out = Vec::new();
    for (index, bit) in (1..).zip(&bits) {
        // The last node leads to the data at offset 0.
        let next: u32 = if index == nodes { nodes + 16 } else { index };
        let pair = if *bit == 0 { [next, nodes] } else { [nodes, next] };
        pair.iter().for_each(|value| out.extend(&value.to_be_bytes()[1..]));
    }
    out.extend([0; 16]);
    map(&mut out, record);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    control(&mut out, 7, 9);
    text(&mut out, "binary_format_major_version");
    number(&mut out, 5, 2);
    text(&mut out, "binary_format_minor_version");
    number(&mut out, 5, 0);
    text(&mut out, "build_epoch");
    number(&mut out, 9, 1_700_000_000);
    text(&mut out, "database_type");
    text(&mut out, kind);
    text(&mut out, "description");
    map(&mut out, &[("en", Record::Text("test"))]);
    text(&mut out, "ip_version");
    number(&mut out, 5, 4);
    text(&mut out, "languages");
    control(&mut out, 11, 1);
    text(&mut out, "en");
    text(&mut out, "node_count");
    number(&mut out, 6, nodes.into());
    text(&mut out, "record_size");
    number(&mut out, 5, 24);
    out
}

/// Writes one database of each content.
pub(crate) fn databases(folder: &Path) -> Vec<PathBuf> {
    const COUNTRY: Record = Record::Map(&[("iso_code", Record::Text("NL"))]);
    const CITY: Record = Record::Map(&[("names", Record::Map(&[("en", Record::Text("Utrecht"))]))]);
    let number = Record::Number(64_496);
    let asn =
        [("autonomous_system_number", number), ("autonomous_system_organization", Record::Text("Example Networks"))];
    let anonymous = [
        ("is_anonymous_vpn", Record::Flag(true)),
        ("is_hosting_provider", Record::Flag(false)),
        ("is_tor_exit_node", Record::Flag(true)),
    ];
    let all: [(&str, &[(&str, Record)]); 3] = [
        ("GeoLite2-ASN", &asn),
        ("GeoLite2-City", &[("city", CITY), ("country", COUNTRY)]),
        ("GeoIP2-Anonymous-IP", &anonymous),
    ];
    let write = |(kind, record): (&str, &[(&str, Record)])| {
        let path = folder.join(format!("{kind}.mmdb"));
        std::fs::write(&path, database(kind, record)).unwrap();
        path
    };
    all.into_iter().map(write).collect()
}
