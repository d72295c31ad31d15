//! UDP, as the carrier of tunnels.
//!
//! In: a UDP datagram. Out: what the tunnel on its ports carries; for any other datagram, that it is plain UDP.
//! Promises: a port is only a hint, the tunnel's header must also parse. etherparse reads the UDP header.

use etherparse::{UdpHeader, UdpHeaderSlice};

use super::{
    counters::{PacketPart, SkipReason},
    cursor::Cursor,
    layer::Next,
    outer::OuterHeaders,
    tunnel::TunnelTable,
};

/// A UDP header, then the tunnel on the receiver's port, or else the one on the sender's.
pub(super) fn datagram<'a>(
    mut cursor: Cursor<'a>,
    outer: &mut OuterHeaders,
    tunnels: &TunnelTable,
) -> Result<Next<'a>, SkipReason> {
    let Ok(header) = UdpHeaderSlice::from_slice(cursor.captured()) else { return Err(SkipReason::Udp) };
    let (source, destination) = (header.source_port(), header.destination_port());
    cursor.skip(UdpHeader::LEN, PacketPart::Tunnel)?;
    // Zero is segmentation offload. Any other length that is less than the header's own is wrong.
    match usize::from(header.length()).checked_sub(UdpHeader::LEN) {
        Some(length) => cursor.shorten_to(length),
        None if header.length() == 0 => {}
        None => return Err(SkipReason::Udp),
    }
    let mut outcome = Err(SkipReason::Udp);
    for port in [destination, source] {
        for read in tunnels.over_udp(port) {
            let mut tried = *outer;
            match read(cursor, &mut tried) {
                Err(SkipReason::Malformed(PacketPart::Tunnel)) => outcome = Err(SkipReason::UdpTunnelMismatch),
                result => {
                    *outer = tried;
                    return result;
                }
            }
        }
    }
    outcome
}
