//! MPLS (RFC 3032, RFC 4385), over Ethernet, IP (RFC 4023) and UDP (RFC 7510).
//!
//! In: a label stack. Out: the IP packet or Ethernet frame under it. No header says which it is: the bytes decide, and
//! a header whose lengths fit is believed.

use super::{BAD_TUNNEL, PART, Tunnel, content};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    ip::looks_like_ip,
    layer::{Layer, Next},
    link::ethernet::looks_like_ethernet,
    numbers::ethertype,
    outer::OuterHeaders,
};

const MULTICAST: u16 = 0x8848;
const MPLS_IN_IP: u8 = 137;
const MPLS_IN_UDP: u16 = 6_635;
/// Bytes of the word before an Ethernet pseudowire's frame.
const CONTROL_WORD: usize = 4;

pub(super) const TUNNEL: Tunnel = Tunnel {
    ether_types: &[(ethertype::MPLS, label_stack), (MULTICAST, label_stack)],
    ip_protocols: &[(MPLS_IN_IP, label_stack)],
    udp_ports: &[(|_| &[MPLS_IN_UDP], over_udp)],
};

/// A label stack on a UDP port, which is only a hint: what is under the labels must be recognised.
fn over_udp<'a>(cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    let mut under = cursor;
    take_labels(&mut under)?;
    let mut after_control_word = under;
    content::recognised(under).or_else(|reason| {
        let recognised =
            after_control_word.skip(CONTROL_WORD, PART).and_then(|()| content::recognised(after_control_word));
        recognised.map_err(|_| reason)
    })?;
    label_stack(cursor, outer)
}

/// A label stack over IP, or over an Ethernet pseudowire with or without a control word.
fn label_stack<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    let label = take_labels(&mut cursor)?;
    outer.enter_tunnel(TunnelKind::Mpls, label)?;
    let Some([first]) = cursor.peek(0) else {
        return Err(if cursor.wire_length() == 0 { BAD_TUNNEL } else { SkipReason::Truncated(PART) });
    };
    let layer = match first >> 4 {
        4 | 6 if looks_like_ip(cursor, 0) || !looks_like_ethernet(cursor, 0) => Layer::Ip,
        // A control word begins with a zero, and so do many MAC addresses.
        0 if looks_like_ethernet(cursor, CONTROL_WORD) || !looks_like_ethernet(cursor, 0) => {
            cursor.skip(CONTROL_WORD, PART)?;
            Layer::Ethernet
        }
        _ => Layer::Ethernet,
    };
    Ok(Next::Layer(layer, cursor))
}

/// Steps over a label stack. Returns its lowest label.
fn take_labels(cursor: &mut Cursor<'_>) -> Result<u32, SkipReason> {
    const BOTTOM: u32 = 0x100;
    loop {
        let entry = cursor.take_u32(PART)?;
        if entry & BOTTOM != 0 {
            return Ok(entry >> 12);
        }
    }
}
