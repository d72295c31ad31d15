//! Makes captures that hold nothing but a great many of one thing, to weigh it.
//!
//! In: a kind and a count. Out: a pcap file. Promises: the same arguments give the same file; every packet is
//! well-formed, checksums aside (they are zero).
//!
//! `synthesise flows COUNT OUTPUT`: so many connections, each with a handshake, one request and its response, none of
//! them ever closed, all within 20 seconds: every one is alive at the end.
//!
//! `synthesise clients COUNT OUTPUT`: so many clients, each with one connection, one request answered 404, closed by
//! both sides, all within 9 minutes: every one is a key in the rule's window, and few connections live at a time.
//!
//! `synthesise half-open|segments|fragments COUNT OUTPUT`: so many packets of an attack within 60 seconds, and after every
//! thousandth a connection as of `clients`. The attacks are SYNs, each of another client; one-byte segments, two thousand
//! of each of many connections, none of them next; first fragments whose datagrams are never completed.
//!
//! `synthesise forged|sprayed|threshold|unanswered COUNT OUTPUT`: the same, but all the connections are of one client, a scanner that
//! begins when half of the attack is over. The
//! attacks are responses that nobody sent, 2,000 to each address, more than the scanner has, or 14 to each of many addresses,
//! more than a client has that the table gives up first, or 51 to each, one more than the rule's threshold; segments of requests that are sent ahead and never answered, 64 of
//! each of many connections.

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufWriter, Write},
    process::ExitCode,
};

const REQUEST: &[u8] = b"GET /catalogue/item?number=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1\r\n\r\n";
const FOUND: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok";
const MISSING: &[u8] =
    b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nno";
const SERVER: [u8; 4] = [10, 80, 0, 1];
/// A multiple of the rule's interval, so that its windows do not cut the capture.
const START: u64 = 1_699_999_800;

/// The scanner's address.
const SCANNER: u32 = 0x0b00_0000;

/// Forged responses to one address.
const FORGED_OF_ONE: u32 = 2_000;
const SPRAYED_OF_ONE: u32 = 14;
/// One more than the rule's threshold.
const OVER_THRESHOLD: u32 = 51;

/// Segments of one connection whose requests are not answered, and requests in a segment.
const UNANSWERED_OF_ONE: u32 = 64;
const REQUESTS_OF_SEGMENT: usize = 16;

/// Segments of one attacking connection.
const SEGMENTS_OF_ONE: u32 = 2_000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kind, count, output] = arguments.as_slice() else {
        eprintln!(
            "usage: synthesise flows|clients|half-open|segments|fragments|forged|sprayed|threshold|unanswered COUNT OUTPUT"
        );
        return ExitCode::from(2);
    };
    match synthesise(kind, count, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("synthesise: {error}");
            ExitCode::from(2)
        }
    }
}

fn synthesise(kind: &str, count: &str, output: &str) -> Result<(), Box<dyn Error>> {
    let count: u32 = count.parse()?;
    let mut capture = Capture { output: BufWriter::with_capacity(1 << 20, File::create(output)?), microseconds: 0 };
    capture.header()?;
    for index in 0..count {
        match kind {
            "flows" => {
                capture.microseconds = u64::from(index) * 20_000_000 / u64::from(count);
                // A few hundred connections a client, as behind a proxy.
                let client = Client { address: 0x0b00_0000 + index / 500, port: 1024 + (index % 500) as u16 };
                capture.exchange(client, FOUND)?;
            }
            "clients" => {
                capture.microseconds = u64::from(index) * 540_000_000 / u64::from(count);
                let client = Client { address: 0x0b00_0000 + index, port: 40_000 };
                capture.exchange(client, MISSING)?;
                capture.close(client, MISSING)?;
            }
            "half-open" | "segments" | "fragments" => {
                capture.microseconds = u64::from(index) * 60_000_000 / u64::from(count);
                capture.attack(kind, index)?;
                if index % 1_000 == 999 {
                    let client = Client { address: 0x0b00_0000 + index / 1_000, port: 40_000 };
                    capture.exchange(client, MISSING)?;
                    capture.close(client, MISSING)?;
                }
            }
            "forged" | "sprayed" | "threshold" | "unanswered" => {
                capture.microseconds = u64::from(index) * 60_000_000 / u64::from(count);
                capture.attack(kind, index)?;
                if index >= count / 2 && index % 1_000 == 999 {
                    let client = Client { address: SCANNER, port: 1_024 + (index / 1_000 % 60_000) as u16 };
                    capture.exchange(client, MISSING)?;
                    capture.close(client, MISSING)?;
                }
            }
            other => return Err(format!("no such kind: {other}").into()),
        }
    }
    capture.output.flush()?;
    Ok(())
}

#[derive(Clone, Copy)]
struct Client {
    address: u32,
    port: u16,
}

#[derive(Clone, Copy, PartialEq)]
enum Sender {
    Client,
    Server,
}

struct Capture<W> {
    output: W,
    microseconds: u64,
}

impl<W: Write> Capture<W> {
    fn header(&mut self) -> std::io::Result<()> {
        self.output.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        self.output.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        self.output.write_all(&262_144_u32.to_le_bytes())?;
        self.output.write_all(&1_u32.to_le_bytes())
    }

    fn exchange(&mut self, client: Client, response: &[u8]) -> std::io::Result<()> {
        let (sent, received) = (1 + REQUEST.len() as u32, 1 + response.len() as u32);
        self.packet(client, Sender::Client, SYN, 0, 0, b"")?;
        self.packet(client, Sender::Server, SYN | ACK, 0, 1, b"")?;
        self.packet(client, Sender::Client, ACK, 1, 1, b"")?;
        self.packet(client, Sender::Client, PSH | ACK, 1, 1, REQUEST)?;
        self.packet(client, Sender::Server, PSH | ACK, 1, sent, response)?;
        self.packet(client, Sender::Client, ACK, sent, received, b"")
    }

    fn close(&mut self, client: Client, response: &[u8]) -> std::io::Result<()> {
        let (sent, received) = (1 + REQUEST.len() as u32, 1 + response.len() as u32);
        self.packet(client, Sender::Server, FIN | ACK, received, sent, b"")?;
        self.packet(client, Sender::Client, FIN | ACK, sent, received + 1, b"")?;
        self.packet(client, Sender::Server, ACK, received + 1, sent + 1, b"")
    }

    fn attack(&mut self, kind: &str, index: u32) -> std::io::Result<()> {
        match kind {
            "half-open" => {
                self.packet(Client { address: 0x2000_0000 + index, port: 1_024 }, Sender::Client, SYN, index, 0, b"")
            }
            "segments" => {
                let client = Client { address: 0x2000_0000 + index / SEGMENTS_OF_ONE, port: 1_024 };
                match index % SEGMENTS_OF_ONE {
                    0 => self.packet(client, Sender::Client, SYN, 0, 0, b""),
                    number => self.packet(client, Sender::Client, ACK, 1 + number * 2, 1, b"x"),
                }
            }
            "forged" | "sprayed" | "threshold" => {
                let each = match kind {
                    "forged" => FORGED_OF_ONE,
                    "sprayed" => SPRAYED_OF_ONE,
                    _ => OVER_THRESHOLD,
                };
                let client = Client { address: 0x2000_0000 + index / each, port: 1_024 + (index % each) as u16 };
                self.packet(client, Sender::Server, PSH | ACK, 1, 1, MISSING)
            }
            "unanswered" => {
                let requests = REQUEST.repeat(REQUESTS_OF_SEGMENT);
                let client = Client { address: 0x2000_0000 + index / UNANSWERED_OF_ONE, port: 1_024 };
                let sequence = 1 + index % UNANSWERED_OF_ONE * requests.len() as u32;
                self.packet(client, Sender::Client, PSH | ACK, sequence, 1, &requests)
            }
            _ => self.first_fragment(0x2000_0000 + index, index as u16),
        }
    }

    fn first_fragment(&mut self, source: u32, identification: u16) -> std::io::Result<()> {
        let mut frame = [0_u8; 74];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[17] = 60;
        frame[18..20].copy_from_slice(&identification.to_be_bytes());
        frame[20] = 0x20;
        frame[22] = 64;
        frame[23] = 6;
        frame[26..30].copy_from_slice(&source.to_be_bytes());
        frame[30..34].copy_from_slice(&SERVER);
        frame[34..36].copy_from_slice(&1_024_u16.to_be_bytes());
        frame[36..38].copy_from_slice(&80_u16.to_be_bytes());
        frame[46] = 0x50;
        frame[47] = ACK;
        self.record(frame.len() as u32)?;
        self.output.write_all(&frame)
    }

    /// The header of a packet's record.
    fn record(&mut self, length: u32) -> std::io::Result<()> {
        self.output.write_all(&((START + self.microseconds / 1_000_000) as u32).to_le_bytes())?;
        self.output.write_all(&((self.microseconds % 1_000_000) as u32).to_le_bytes())?;
        self.output.write_all(&length.to_le_bytes())?;
        self.output.write_all(&length.to_le_bytes())
    }

    fn packet(
        &mut self,
        client: Client,
        sender: Sender,
        flags: u8,
        sequence: u32,
        acknowledgment: u32,
        payload: &[u8],
    ) -> std::io::Result<()> {
        let length = 54 + payload.len() as u32;
        self.record(length)?;
        let mut frame = [0_u8; 54];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&((length - 14) as u16).to_be_bytes());
        frame[22] = 64;
        frame[23] = 6;
        let (client_at, server_at, client_port_at, server_port_at) =
            if sender == Sender::Client { (26, 30, 34, 36) } else { (30, 26, 36, 34) };
        frame[client_at..client_at + 4].copy_from_slice(&client.address.to_be_bytes());
        frame[server_at..server_at + 4].copy_from_slice(&SERVER);
        frame[client_port_at..client_port_at + 2].copy_from_slice(&client.port.to_be_bytes());
        frame[server_port_at..server_port_at + 2].copy_from_slice(&80_u16.to_be_bytes());
        frame[38..42].copy_from_slice(&sequence.to_be_bytes());
        frame[42..46].copy_from_slice(&acknowledgment.to_be_bytes());
        frame[46] = 0x50;
        frame[47] = flags;
        frame[48..50].copy_from_slice(&u16::MAX.to_be_bytes());
        self.output.write_all(&frame)?;
        self.output.write_all(payload)
    }
}
