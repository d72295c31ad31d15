//! TZSP, the mirror of MikroTik routers and of wireless sensors.
//!
//! In: the content of a UDP datagram. Out: the mirrored frame: Ethernet, 802.11, PPP or an IP packet. Configuration and
//! keep-alive messages are counted as tunnel control. Source: the protocol has no standard; the numbers are those that
//! the products send.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::{
    capture::LinkType,
    decode::{
        TunnelKind,
        counters::SkipReason,
        cursor::Cursor,
        layer::{Layer, Next},
        outer::OuterHeaders,
    },
};

/// The link types of 802.11 after a Prism or AVS header.
const PRISM: LinkType = LinkType(119);
const AVS: LinkType = LinkType(163);

pub(super) const TUNNEL: Tunnel = Tunnel { udp_ports: &[(|ports| &ports.tzsp, tzsp)], ..Tunnel::UNANNOUNCED };

/// Version, type and the protocol of the frame; then tags up to the end tag.
fn tzsp<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const VERSION: u8 = 1;
    const RECEIVED: u8 = 0;
    const TO_TRANSMIT: u8 = 1;
    const LAST_TYPE: u8 = 5;
    let [version, kind, protocol @ ..]: [u8; 4] = cursor.take(PART)?;
    let layer = match (version, kind) {
        (VERSION, RECEIVED | TO_TRANSMIT) => layer(u16::from_be_bytes(protocol))?,
        (VERSION, ..=LAST_TYPE) => return Err(SkipReason::TunnelControl),
        _ => return Err(BAD_TUNNEL),
    };
    skip_tags(&mut cursor)?;
    outer.enter_tunnel(TunnelKind::Tzsp, 0)?;
    Ok(Next::Layer(layer, cursor))
}

/// The layer of a mirrored frame.
fn layer(protocol: u16) -> Result<Layer, SkipReason> {
    match protocol {
        1 => Ok(Layer::Ethernet),
        4 => Ok(Layer::Ppp),
        7 => Ok(Layer::Ip),
        18 => Ok(Layer::Wifi),
        119 => Ok(Layer::Link(PRISM)),
        127 => Ok(Layer::Link(AVS)),
        _ => Err(BAD_TUNNEL),
    }
}

/// Steps over the tags. Padding and the end tag are one byte; the others have a length.
fn skip_tags(cursor: &mut Cursor<'_>) -> Result<(), SkipReason> {
    const PADDING: u8 = 0;
    const END: u8 = 1;
    loop {
        match cursor.take(PART)? {
            [PADDING] => {}
            [END] => return Ok(()),
            _ => {
                let [length] = cursor.take(PART)?;
                cursor.skip(usize::from(length), PART)?;
            }
        }
    }
}
