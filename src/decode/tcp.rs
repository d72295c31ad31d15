//! The TCP header.
//!
//! In: a TCP segment, and the addresses of its IP header. Out: a [`Segment`]. Promises: the payload's length on the
//! wire comes from the IP header. etherparse reads the header (RFC 9293).

use etherparse::{TcpHeader, TcpHeaderSlice};

use super::{
    Segment, TcpFlags, checksum,
    counters::{PacketPart, SkipReason},
    cursor::Cursor,
    outer::OuterHeaders,
};
use crate::address::Endpoint;

/// A TCP header with its options.
pub(super) fn segment<'a>(
    mut cursor: Cursor<'a>,
    outer: &OuterHeaders,
    verify_checksum: bool,
) -> Result<Segment<'a>, SkipReason> {
    let addresses = outer.addresses;
    let header = cursor.header::<{ TcpHeader::MAX_LEN }, _, _>(TcpHeader::MIN_LEN, PacketPart::Tcp, |bytes| {
        TcpHeaderSlice::from_slice(bytes).map(|header| header.to_header())
    })?;
    if verify_checksum
        && addresses.checkable
        && cursor.is_whole()
        && !checksum::is_tcp_right(&addresses, cursor.captured())
    {
        return Err(SkipReason::TcpChecksum);
    }
    let bytes = cursor.captured().get(..header.header_len()).filter(|_| addresses.checkable).unwrap_or_default();
    cursor.skip(header.header_len(), PacketPart::Tcp)?;
    Ok(Segment {
        source: Endpoint::new(addresses.source, header.source_port),
        destination: Endpoint::new(addresses.destination, header.destination_port),
        sequence: header.sequence_number,
        acknowledgment: header.acknowledgment_number,
        flags: flags(&header),
        payload: cursor.captured(),
        wire_length: u32::try_from(cursor.wire_length()).unwrap_or(u32::MAX),
        header: bytes,
        encapsulation: outer.encapsulation,
    })
}

/// The flags as the byte that they are on the wire.
fn flags(header: &TcpHeader) -> TcpFlags {
    let highest_first =
        [header.cwr, header.ece, header.urg, header.ack, header.psh, header.rst, header.syn, header.fin];
    TcpFlags(highest_first.iter().fold(0, |byte, &flag| byte << 1 | u8::from(flag)))
}
