//! PPP, PPPoE and Cisco's HDLC.
//!
//! In: a frame on a serial line, or the content of a tunnel that behaves as one. Out: what it carries. Sources: RFC 1661,
//! 1662, 2516, 3518.

use super::{
    TunnelKind,
    layer::{BAD_TUNNEL, Layer, Next, Trail},
    reason::{Part, Reason},
    view::View,
};

const LINK: Part = Part::Link;

/// The protocol field, in one byte or two, perhaps after address and control.
pub(super) fn protocol(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    if view.peek(0) == Some([0xff, 0x03]) {
        view.skip(2, LINK)?;
    }
    let [first] = view.take(LINK)?;
    let number = if first & 1 == 1 {
        u16::from(first)
    } else {
        let [second] = view.take(LINK)?;
        u16::from_be_bytes([first, second])
    };
    match number {
        0x0021 => Ok(Next::Layer(Layer::Ipv4, view)),
        0x0057 => Ok(Next::Layer(Layer::Ipv6, view)),
        0x0281 | 0x0283 => Ok(Next::Layer(Layer::Mpls, view)),
        0x0031 => bridged(view),
        0x003d => whole_of_multilink(view),
        _ => Err(Reason::NotIp),
    }
}

/// RFC 3518: flags and MAC type before a bridged frame; type 1 is Ethernet.
fn bridged(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    match view.take(LINK)? {
        [_, 1] => Ok(Next::Layer(Layer::Ethernet, view)),
        _ => Err(Reason::NotIp),
    }
}

/// RFC 1990: a multilink fragment (long sequence numbers) that is the whole packet.
fn whole_of_multilink(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    const BEGIN_AND_END: u8 = 0xc0;
    match view.take::<4>(LINK)? {
        [flags, ..] if flags & BEGIN_AND_END == BEGIN_AND_END => Ok(Next::Layer(Layer::Ppp, view)),
        _ => Err(Reason::NotIp),
    }
}

/// PPP in HDLC-like framing, or Cisco's HDLC, told by the address byte.
pub(super) fn serial(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    const CISCO_UNICAST: u8 = 0x0f;
    const CISCO_BROADCAST: u8 = 0x8f;
    match view.peek(0) {
        Some([CISCO_UNICAST | CISCO_BROADCAST, 0]) => {
            view.skip(2, LINK)?;
            let kind = view.take_u16(LINK)?;
            Ok(Next::Layer(Layer::EtherType(kind), view))
        }
        _ => Ok(Next::Layer(Layer::Ppp, view)),
    }
}

/// PPP whose address byte gave way to a direction; where only that byte did, control is still there.
pub(super) fn after_direction(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    if view.peek(0) == Some([0x03]) {
        view.skip(1, LINK)?;
    }
    Ok(Next::Layer(Layer::Ppp, view))
}

/// A PPPoE session packet (RFC 2516, section 4).
pub(super) fn over_ethernet<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const VERSION_AND_TYPE: u8 = 0x11;
    let header: [u8; 6] = view.take(Part::Tunnel)?;
    let session = u16::from_be_bytes([header[2], header[3]]);
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    match header {
        [VERSION_AND_TYPE, 0, ..] => {}
        [VERSION_AND_TYPE, ..] => return Err(Reason::TunnelControl),
        _ => return Err(BAD_TUNNEL),
    }
    trail.enter(TunnelKind::Pppoe, u32::from(session))?;
    // Offloaded segments exceed what the length field can say; the IP header inside says it.
    if length != 0 {
        view.limit(length);
    }
    Ok(Next::Layer(Layer::Ppp, view))
}
