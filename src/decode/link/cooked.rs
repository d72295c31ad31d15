//! Linux cooked captures (SLL and SLL2), as from the interface `any`.
//!
//! In: the header. Out: what its protocol or hardware type announces. etherparse's reader of SLL is of no use: it
//! refuses the hardware types it does not know, and the loopback, tunnel and PPP interfaces of ordinary captures are
//! among them.

use super::{LINK, number};
use crate::{
    capture::LinkType,
    decode::{
        counters::SkipReason,
        cursor::Cursor,
        layer::{Layer, Next},
        numbers::ethertype,
    },
};

pub(super) fn version_1(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let header: [u8; 16] = cursor.take(LINK)?;
    content(u16::from_be_bytes([header[2], header[3]]), u16::from_be_bytes([header[14], header[15]]), cursor)
}

pub(super) fn version_2(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let header: [u8; 20] = cursor.take(LINK)?;
    content(u16::from_be_bytes([header[8], header[9]]), u16::from_be_bytes([header[0], header[1]]), cursor)
}

/// What the header announces: an EtherType, or something else on some kinds of hardware.
fn content(hardware: u16, protocol: u16, cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const ARPHRD_PPP: u16 = 512;
    const ARPHRD_IEEE80211: u16 = 801;
    const ARPHRD_IEEE80211_RADIOTAP: u16 = 803;
    const ETH_P_802_2: u16 = 4;
    const NO_PROTOCOL: u16 = 0;
    let layer = match (hardware, protocol) {
        (ARPHRD_IEEE80211, _) => Layer::Wifi,
        (ARPHRD_IEEE80211_RADIOTAP, _) => Layer::Link(LinkType(number::RADIOTAP)),
        (ARPHRD_PPP, NO_PROTOCOL) => Layer::Ppp,
        (_, ETH_P_802_2) => Layer::Llc,
        (_, 0..=ethertype::LONGEST_LENGTH) => return Err(SkipReason::NotIp),
        (_, kind) => Layer::EtherType(kind),
    };
    Ok(Next::Layer(layer, cursor))
}
