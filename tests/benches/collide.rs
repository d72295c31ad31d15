//! Makes captures of IPv6 attacks with right checksums, or with wrong ones.
//!
//! In: a kind, `alike` or `random`, and a count. Out: a pcap file of raw IP packets. Promises: the same arguments give the same
//! file.
//!
//! `collide syns|responses|fragments alike|random COUNT OUTPUT`: so many packets, each of another network and 250
//! microseconds after the one before: SYNs; responses that nobody asked for; fragments of datagrams that never end. With
//! `alike`, the interface identifier of all addresses is a constant that makes them collide in a hash that multiplies by it,
//! whatever the hash's key is.
//!
//! `collide wrong-sums alike|random COUNT OUTPUT`: so many requests with wrong checksums, 2,000 of each connection, or one.
//!
//! In the second half, a scanner's connection with one 404 comes after every 500th packet.

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufWriter, Write},
    process::ExitCode,
};

use etherparse::{IpFragOffset, IpNumber, Ipv6FragmentHeader, Ipv6Header, PacketBuilder};

const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const MISSING: &[u8] = b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nno";
/// A multiple of the rule's interval, so that its windows do not cut the capture.
const START: u64 = 1_699_999_800;
/// Link type of raw IP packets.
const RAW: u32 = 101;
/// The first digits of pi, which many hashes have for a constant.
const CONSTANT: u64 = 0x243f_6a88_85a3_08d3;
const NETWORK: u64 = 0x2001_0db8_0000_0000;
const SERVER: u128 = 0x2001_0db8_ffff_0000_0000_0000_0000_0050;
const SCANNER: u128 = 0x2001_0db8_0000_0099_0000_0000_0000_0099;
/// Segments of one connection with wrong checksums.
const SEGMENTS_OF_ONE: u32 = 2_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kind, likeness, count, output] = arguments.as_slice() else {
        eprintln!("usage: collide syns|responses|fragments|wrong-sums alike|random COUNT OUTPUT");
        return ExitCode::from(2);
    };
    match make(kind, likeness == "alike", count, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("collide: {error}");
            ExitCode::from(2)
        }
    }
}

fn make(kind: &str, is_alike: bool, count: &str, output: &str) -> Result<(), Box<dyn Error>> {
    let count: u32 = count.parse()?;
    let mut capture = Capture { output: BufWriter::with_capacity(1 << 20, File::create(output)?), microseconds: 0 };
    capture.output.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
    capture.output.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    capture.output.write_all(&262_144_u32.to_le_bytes())?;
    capture.output.write_all(&RAW.to_le_bytes())?;
    let mut random = CONSTANT;
    for index in 0..count {
        capture.microseconds += 250;
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let identifier = if is_alike { CONSTANT } else { random };
        let source = End(u128::from(NETWORK + 0x10_0000 + u64::from(index)) << 64 | u128::from(identifier), 1_024);
        match kind {
            "syns" => capture.segment(source, WEB, Flags::Syn, (index, 0), b"")?,
            "responses" => capture.segment(WEB, source, Flags::Push, (1, 1), MISSING)?,
            "fragments" => capture.fragment(source, index)?,
            "wrong-sums" => {
                let number = if is_alike { index % SEGMENTS_OF_ONE } else { 0 };
                let network = if is_alike { index / SEGMENTS_OF_ONE } else { index };
                let source = End(u128::from(NETWORK + u64::from(network)) << 64 | 7, 1_024);
                capture.wrong_sum(source, number * 40)?;
            }
            other => return Err(format!("no such kind: {other}").into()),
        }
        if index > count / 2 && index % 500 == 499 {
            capture.exchange(End(SCANNER, 2_000 + (index / 500 % 60_000) as u16))?;
        }
    }
    capture.output.flush()?;
    Ok(())
}

/// An address and a port.
#[derive(Clone, Copy)]
struct End(u128, u16);

const WEB: End = End(SERVER, 80);

#[derive(Clone, Copy, PartialEq)]
enum Flags {
    Syn,
    SynAck,
    Ack,
    Push,
    Fin,
}

struct Capture<W> {
    output: W,
    microseconds: u64,
}

impl<W: Write> Capture<W> {
    fn exchange(&mut self, client: End) -> Result<(), Box<dyn Error>> {
        let (sent, received) = (1 + REQUEST.len() as u32, 1 + MISSING.len() as u32);
        self.segment(client, WEB, Flags::Syn, (0, 0), b"")?;
        self.segment(WEB, client, Flags::SynAck, (0, 1), b"")?;
        self.segment(client, WEB, Flags::Ack, (1, 1), b"")?;
        self.segment(client, WEB, Flags::Push, (1, 1), REQUEST)?;
        self.segment(WEB, client, Flags::Push, (1, sent), MISSING)?;
        self.segment(client, WEB, Flags::Ack, (sent, received), b"")?;
        self.segment(WEB, client, Flags::Fin, (received, sent), b"")?;
        self.segment(client, WEB, Flags::Fin, (sent, received + 1), b"")?;
        self.segment(WEB, client, Flags::Ack, (received + 1, sent + 1), b"")
    }

    fn segment(
        &mut self,
        from: End,
        to: End,
        flags: Flags,
        numbers: (u32, u32),
        payload: &[u8],
    ) -> Result<(), Box<dyn Error>> {
        let packet = segment(from, to, flags, numbers, payload)?;
        self.write(&packet)
    }

    /// A request of which one bit was changed on the way.
    fn wrong_sum(&mut self, from: End, sequence: u32) -> Result<(), Box<dyn Error>> {
        let mut packet = segment(from, WEB, Flags::Push, (sequence, 1), REQUEST)?;
        if let Some(last) = packet.last_mut() {
            *last ^= 1;
        }
        self.write(&packet)
    }

    fn fragment(&mut self, from: End, identification: u32) -> Result<(), Box<dyn Error>> {
        const PAYLOAD: [u8; 40] = [b'x'; 40];
        let mut packet = Vec::new();
        let header = Ipv6Header {
            payload_length: 48,
            next_header: IpNumber::IPV6_FRAGMENTATION_HEADER,
            hop_limit: 64,
            source: from.0.to_be_bytes(),
            destination: SERVER.to_be_bytes(),
            ..Ipv6Header::default()
        };
        header.write(&mut packet)?;
        Ipv6FragmentHeader::new(IpNumber::TCP, IpFragOffset::ZERO, true, identification).write(&mut packet)?;
        packet.extend_from_slice(&PAYLOAD);
        self.write(&packet)
    }

    fn write(&mut self, packet: &[u8]) -> Result<(), Box<dyn Error>> {
        let (seconds, length) = ((START + self.microseconds / 1_000_000) as u32, packet.len() as u32);
        for number in [seconds, (self.microseconds % 1_000_000) as u32, length, length] {
            self.output.write_all(&number.to_le_bytes())?;
        }
        Ok(self.output.write_all(packet)?)
    }
}

fn segment(
    End(from, source): End,
    End(to, destination): End,
    flags: Flags,
    (sequence, acknowledgment): (u32, u32),
    payload: &[u8],
) -> Result<Vec<u8>, Box<dyn Error>> {
    let tcp = PacketBuilder::ipv6(from.to_be_bytes(), to.to_be_bytes(), 64).tcp(source, destination, sequence, 9_000);
    let tcp = match flags {
        Flags::Syn => tcp.syn(),
        Flags::SynAck => tcp.syn().ack(acknowledgment),
        Flags::Ack => tcp.ack(acknowledgment),
        Flags::Push => tcp.psh().ack(acknowledgment),
        Flags::Fin => tcp.fin().ack(acknowledgment),
    };
    let mut packet = Vec::with_capacity(tcp.size(payload.len()));
    tcp.write(&mut packet, payload)?;
    Ok(packet)
}
