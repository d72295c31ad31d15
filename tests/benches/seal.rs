//! Makes captures of the same exchanges, in clear and inside TLS 1.3, and measures what decryption alone takes.
//!
//! In: a folder, and the numbers of connections, of requests of each, and of bytes of each response's body. Out: `clear.pcap`,
//! `tls.pcap` and `keys.log` in the folder; on standard output, the nanoseconds that the library itself takes to open all records of
//! the second, the least of several runs. Promises: the same arguments give the same files; checksums are zero.
//!
//! `seal FOLDER CONNECTIONS REQUESTS BODY`

use std::{
    env,
    error::Error,
    fs::{self, File},
    hint::black_box,
    io::{BufWriter, Write},
    path::Path,
    process::ExitCode,
    time::Instant,
};

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};

const SERVER: [u8; 4] = [10, 80, 0, 1];
const START: u64 = 1_699_999_800_000_000_000;
const SEGMENT: usize = 1_448;
const RECORD: usize = 16 << 10;
const SUITE: u16 = 0x1301;
const ACK: u8 = 0x10;
const SYN: u8 = 0x02;
const FIN: u8 = 0x01;

/// How often all records are opened, for the least time.
const RUNS: u32 = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seal: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [folder, connections, requests, body] = arguments else {
        return Err("usage: seal FOLDER CONNECTIONS REQUESTS BODY".into());
    };
    let (connections, requests, body): (u32, u32, usize) = (connections.parse()?, requests.parse()?, body.parse()?);
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    let mut clear = Capture::create(&folder.join("clear.pcap"))?;
    let mut sealed = Capture::create(&folder.join("tls.pcap"))?;
    let mut keys = BufWriter::new(File::create(folder.join("keys.log"))?);
    let mut floor = Vec::new();
    for number in 0..connections {
        let exchanges: Vec<(bool, Vec<u8>)> =
            (0..requests).flat_map(|request| exchange(number, request, body)).collect();
        clear.connection(number, 80, exchanges.iter().cloned())?;
        let mut peer = Peer::new(number);
        write!(keys, "{}", peer.key_log())?;
        let mut records = peer.handshake();
        for (is_client, data) in &exchanges {
            for part in data.chunks(RECORD) {
                records.push((*is_client, peer.seal(*is_client, part, &mut floor)));
            }
        }
        sealed.connection(number, 443, records.into_iter())?;
    }
    keys.flush()?;
    clear.file.flush()?;
    sealed.file.flush()?;
    println!("{}", opened(&floor)?);
    Ok(())
}

/// A request and its response.
fn exchange(connection: u32, number: u32, body: usize) -> [(bool, Vec<u8>); 2] {
    let status = if number % 3 == 2 { "404 Not Found" } else { "200 OK" };
    let request = format!(
        "GET /catalogue/{connection}/item{number} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n"
    );
    let mut response =
        format!("HTTP/1.1 {status}\r\nServer: nginx\r\nContent-Type: text/plain\r\nContent-Length: {body}\r\n\r\n")
            .into_bytes();
    response.resize(response.len() + body, b'b');
    [(true, request.into_bytes()), (false, response)]
}

/// Both ends of a TLS connection, under secrets of its own.
struct Peer {
    random: [u8; 32],
    /// For the handshake and for data, the client's and the server's: secret, key, first nonce, next number.
    ends: [Sealer; 4],
}

struct Sealer {
    secret: [u8; 32],
    key: [u8; 16],
    iv: [u8; 12],
    next: u64,
}

/// A record as it was sealed, with what opens it.
struct Sealed {
    key: [u8; 16],
    nonce: [u8; 12],
    header: [u8; 5],
    body: Vec<u8>,
}

impl Peer {
    fn new(number: u32) -> Self {
        let mut random = [0x5c; 32];
        random[..4].copy_from_slice(&number.to_be_bytes());
        let ends = [1, 2, 3, 4].map(|value| {
            let mut secret = [value; 32];
            secret[..4].copy_from_slice(&number.to_be_bytes());
            let expand = |label: &str, length: u8| expand(&secret, label, length);
            let (mut key, mut iv) = ([0; 16], [0; 12]);
            key.copy_from_slice(&expand("key", 16)[..16]);
            iv.copy_from_slice(&expand("iv", 12)[..12]);
            Sealer { secret, key, iv, next: 0 }
        });
        Self { random, ends }
    }

    fn key_log(&self) -> String {
        let names = [
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            "CLIENT_TRAFFIC_SECRET_0",
            "SERVER_TRAFFIC_SECRET_0",
        ];
        let line = |(name, end): (&str, &Sealer)| format!("{name} {} {}\n", hex(&self.random), hex(&end.secret));
        names.into_iter().zip(&self.ends).map(line).collect()
    }

    /// The hellos, EncryptedExtensions and both Finished (RFC 8446, section 2).
    fn handshake(&mut self) -> Vec<(bool, Vec<u8>)> {
        let versions = [0, 43, 0, 3, 2, 3, 4];
        let hello = [&[3, 3][..], &self.random, &[0, 0, 2], &SUITE.to_be_bytes(), &[1, 0, 0, 7], &versions].concat();
        let answer = [&[3, 3][..], &[7; 32], &[0], &SUITE.to_be_bytes(), &[0, 0, 6, 0, 43, 0, 2, 3, 4]].concat();
        let finished = message(20, &[0; 32]);
        let flight = [message(8, &[0, 0]), finished.clone()].concat();
        let (server, client) = (self.ends[1].record(22, &flight).bytes(), self.ends[0].record(22, &finished).bytes());
        vec![
            (true, record(22, &message(1, &hello))),
            (false, [record(22, &message(2, &answer)), server].concat()),
            (true, client),
        ]
    }

    fn seal(&mut self, is_client: bool, data: &[u8], floor: &mut Vec<Sealed>) -> Vec<u8> {
        let sealed = self.ends[if is_client { 2 } else { 3 }].record(23, data);
        let bytes = sealed.bytes();
        floor.push(sealed);
        bytes
    }
}

impl Sealer {
    /// Seals a record (RFC 8446, section 5.2).
    fn record(&mut self, kind: u8, content: &[u8]) -> Sealed {
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(self.next.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        self.next += 1;
        let mut body = [content, &[kind]].concat();
        let length = (body.len() + 16) as u16;
        let header = [23, 3, 3, length.to_be_bytes()[0], length.to_be_bytes()[1]];
        if let Some(key) = key(&self.key) {
            let sealed =
                key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut body);
            assert!(sealed.is_ok(), "a record is short enough");
        }
        Sealed { key: self.key, nonce, header, body }
    }
}

impl Sealed {
    fn bytes(&self) -> Vec<u8> {
        [&self.header[..], &self.body].concat()
    }
}

/// The least nanoseconds in which all records are opened, without putting them together or copying them.
fn opened(records: &[Sealed]) -> Result<u128, Box<dyn Error>> {
    let mut least = u128::MAX;
    for _ in 0..RUNS {
        let mut bodies: Vec<Vec<u8>> = records.iter().map(|record| record.body.clone()).collect();
        let start = Instant::now();
        open_all(records, &mut bodies)?;
        least = least.min(start.elapsed().as_nanos());
    }
    Ok(least)
}

/// Opens all records. `tests/benches/tls` counts the instructions of this function by its name.
#[inline(never)]
fn open_all(records: &[Sealed], bodies: &mut [Vec<u8>]) -> Result<(), Box<dyn Error>> {
    // Client and server take turns: each end's key is made once for a connection.
    let mut known: [Option<([u8; 16], LessSafeKey)>; 2] = [None, None];
    for (record, body) in records.iter().zip(bodies) {
        if known.iter().flatten().all(|(bytes, _)| *bytes != record.key) {
            known = [Some((record.key, key(&record.key).ok_or("no key")?)), known[0].take()];
        }
        let fitting = known.iter().flatten().find(|(bytes, _)| *bytes == record.key);
        let (_, key) = fitting.ok_or("no key")?;
        let nonce = Nonce::assume_unique_for_key(record.nonce);
        black_box(key.open_in_place(nonce, Aad::from(record.header), body).map_err(|_| "a record does not open")?);
    }
    Ok(())
}

fn key(bytes: &[u8; 16]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_128_GCM, bytes).ok().map(LessSafeKey::new)
}

/// HKDF-Expand-Label without a context (RFC 8446, section 7.1), for at most 32 bytes.
fn expand(secret: &[u8; 32], label: &str, length: u8) -> [u8; 32] {
    let label = format!("tls13 {label}");
    let info = [&[0, length, label.len() as u8][..], label.as_bytes(), &[0, 1]].concat();
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &info).as_ref());
    out
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A pcap file with nanoseconds.
struct Capture {
    file: BufWriter<File>,
    time: u64,
}

impl Capture {
    fn create(path: &Path) -> Result<Self, Box<dyn Error>> {
        let mut file = BufWriter::new(File::create(path)?);
        for word in [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, 262_144, 1u32] {
            file.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { file, time: START })
    }

    /// Writes a connection: its handshake, what both sides send, and its end.
    fn connection(
        &mut self,
        number: u32,
        port: u16,
        parts: impl Iterator<Item = (bool, Vec<u8>)>,
    ) -> Result<(), Box<dyn Error>> {
        let client = (0x0b00_0000 + number / 4).to_be_bytes();
        let ends = [(client, 20_000 + (number % 4) as u16), (SERVER, port)];
        let mut sent = [1_000u32, 9_000];
        self.packet(&ends, 0, sent, SYN, &[])?;
        sent[0] += 1;
        self.packet(&ends, 1, sent, SYN | ACK, &[])?;
        sent[1] += 1;
        self.packet(&ends, 0, sent, ACK, &[])?;
        for (is_client, bytes) in parts {
            let side = usize::from(!is_client);
            for segment in bytes.chunks(SEGMENT) {
                self.packet(&ends, side, sent, ACK, segment)?;
                sent[side] = sent[side].wrapping_add(segment.len() as u32);
            }
        }
        for side in [0, 1] {
            self.packet(&ends, side, sent, ACK | FIN, &[])?;
            sent[side] += 1;
        }
        self.packet(&ends, 0, sent, ACK, &[])
    }

    fn packet(
        &mut self,
        ends: &[([u8; 4], u16); 2],
        side: usize,
        sent: [u32; 2],
        flags: u8,
        payload: &[u8],
    ) -> Result<(), Box<dyn Error>> {
        self.time += 20_000;
        let (from, to) = (ends[side], ends[1 - side]);
        let length = (40 + payload.len()) as u16;
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
        frame.extend(length.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(from.0.iter().chain(&to.0));
        frame.extend(from.1.to_be_bytes().iter().chain(&to.1.to_be_bytes()));
        frame.extend(sent[side].to_be_bytes().iter().chain(&sent[1 - side].to_be_bytes()));
        frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend(payload);
        let (seconds, nanoseconds) = (self.time / 1_000_000_000, self.time % 1_000_000_000);
        for word in [seconds as u32, nanoseconds as u32, frame.len() as u32, frame.len() as u32] {
            self.file.write_all(&word.to_le_bytes())?;
        }
        self.file.write_all(&frame)?;
        Ok(())
    }
}
