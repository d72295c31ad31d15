//! What several test modules share: a store of secrets, peers that seal records, and hellos.

use std::cell::RefCell;

use aws_lc_rs::{aead, cipher, hmac, iv::FixedLength};

use super::{
    Content, Label, Logged, Opened, Record, SearchLimit, SearchPlace, Searches, Secret, SecretSource, Sender, Session,
    Sessions,
    opener::pseudo_header,
    schedule::{DirectionKeys, TLS10, TLS13, key_block, next_traffic_secret, traffic_keys},
    suite::{Mac, Protection, Suite, suite},
};

/// Reads hexadecimal digits; blanks between them are skipped.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(super) fn secret(bytes: &[u8]) -> Secret {
    Secret::new(bytes).expect("1 to 64 bytes")
}

/// A store of secrets.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) lines: RefCell<Vec<(Label, [u8; 32], Secret)>>,
    pub(super) premasters: Vec<Secret>,
}

impl Store {
    pub(super) fn add(&self, label: Label, random: [u8; 32], bytes: &[u8]) {
        self.lines.borrow_mut().push((label, random, secret(bytes)));
    }
}

impl SecretSource for Store {
    fn candidates(&self, label: Label, random: &[u8; 32], found: &mut Vec<Secret>) {
        let lines = self.lines.borrow();
        let fitting = lines.iter().rev().filter(|line| line.0 == label && line.1 == *random);
        found.extend(fitting.take(4).map(|line| line.2.clone()));
    }

    /// Each line counts as a connection.
    fn number_of(&self, random: &[u8; 32]) -> Option<u32> {
        self.lines.borrow().iter().position(|line| line.1 == *random).map(|place| place as u32)
    }

    fn generation(&self) -> u64 {
        self.lines.borrow().len() as u64
    }

    fn decrypt_premaster(&self, _encrypted: &[u8], found: &mut Vec<Secret>) {
        found.extend(self.premasters.iter().cloned());
    }

    fn may_decrypt_premasters(&self) -> bool {
        !self.premasters.is_empty()
    }

    fn has_private_key(&self) -> bool {
        !self.premasters.is_empty()
    }

    fn begin_search(&self, place: &mut SearchPlace, near: u32) {
        place.begin(self.lines.borrow().len() as u32, near);
    }

    fn search(&self, labels: &[Label], place: &mut SearchPlace, found: &mut Vec<Logged>) -> bool {
        let lines = self.lines.borrow();
        let Some(numbers) = place.next() else { return false };
        let lines = numbers.map(|number| &lines[number as usize]).filter(|line| labels.contains(&line.0));
        found.extend(lines.map(|line| Logged { label: line.0, client_random: line.1, secret: line.2.clone() }));
        true
    }
}

/// A session with all that it works with.
pub(super) struct Reader {
    pub(super) session: Session,
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) searches: Searches,
    pub(super) plaintext: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            session: Session::default(),
            store: Store::default(),
            sessions: Sessions::default(),
            searches: Searches::new(SearchLimit::LIVE),
            plaintext: Vec::new(),
        }
    }
}

impl Reader {
    /// Gives a whole record.
    pub(super) fn give(&mut self, sender: Sender, record: &[u8]) -> Opened {
        let (header, body) = record.split_first_chunk().expect("a header");
        let record = Record { header: *header, body };
        let buffers = (&self.searches, &mut self.plaintext);
        self.session.record(&self.store, &self.sessions, sender, record, buffers)
    }

    /// Gives a whole record, and returns the data in it.
    pub(super) fn data(&mut self, sender: Sender, record: &[u8]) -> Option<Vec<u8>> {
        match self.give(sender, record).content {
            Content::Data(range) => Some(self.plaintext[range].to_vec()),
            _ => None,
        }
    }

    pub(super) fn wants_body(&mut self, sender: Sender, header: [u8; 5]) -> bool {
        self.session.wants_body(&self.store, &self.sessions, sender, header)
    }

    pub(super) fn progress(&self) -> u64 {
        self.session.progress(&self.store, &self.sessions)
    }
}

/// Puts a header before a body.
pub(super) fn record(kind: u8, version: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(version.to_be_bytes());
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// Puts a header before the body of a handshake message.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.extend(body);
    bytes
}

fn list8(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8][..], content].concat()
}

pub(super) fn list16(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes()[..], content].concat()
}

fn list_of(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn extensions(list: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let joined: Vec<u8> =
        list.iter().flat_map(|(kind, content)| [list_of(&[*kind]), list16(content)].concat()).collect();
    list16(&joined)
}

/// A ClientHello message.
pub(super) fn client_hello(random: [u8; 32], id: &[u8], suites: &[u16], list: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let head = [&[3, 3], &random[..], &list8(id), &list16(&list_of(suites)), &[1, 0]].concat();
    message(1, &[head, extensions(list)].concat())
}

/// A ServerHello message.
pub(super) fn server_hello(version: u16, random: [u8; 32], id: &[u8], suite: u16, list: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let version = version.min(0x0303).to_be_bytes();
    let head = [&version, &random[..], &list8(id), &suite.to_be_bytes(), &[0]].concat();
    message(2, &[head, extensions(list)].concat())
}

/// The extension supported_versions of a ServerHello that chooses TLS 1.3.
pub(super) fn chooses_tls13() -> (u16, Vec<u8>) {
    (43, vec![3, 4])
}

/// One direction of a peer that seals records under one set of keys.
pub(super) struct Sealer {
    version: u16,
    suite: Suite,
    keys: DirectionKeys,
    secret: Option<Secret>,
    encrypt_then_mac: bool,
    pub(super) next: u64,
}

impl Sealer {
    pub(super) fn tls13(id: u16, bytes: &[u8]) -> Self {
        let (suite, secret) = (suite(id).expect("supported"), secret(bytes));
        let keys = traffic_keys(suite, &secret).expect("long enough");
        Self { version: TLS13, suite, keys, secret: Some(secret), encrypt_then_mac: false, next: 0 }
    }

    /// The sealers of both senders, the client's first.
    pub(super) fn tls12(version: u16, id: u16, master: &[u8], randoms: (&[u8; 32], &[u8; 32]), etm: bool) -> [Self; 2] {
        let suite = suite(id).expect("supported");
        let keys = key_block(version, suite, &secret(master), randoms).expect("48 bytes");
        keys.map(|keys| Self { version, suite, keys, secret: None, encrypt_then_mac: etm, next: 0 })
    }

    /// Changes to the keys after a key update.
    pub(super) fn update(&mut self) {
        let next = next_traffic_secret(self.suite, self.secret.as_ref().expect("TLS 1.3")).expect("long enough");
        *self = Self::tls13(self.suite.id, next.bytes());
    }

    /// Seals a whole record.
    pub(super) fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        self.seal_padded(kind, content, 0)
    }

    pub(super) fn data(&mut self, content: &[u8]) -> Vec<u8> {
        self.seal(23, content)
    }

    /// Seals a whole record with so many bytes of padding (TLS 1.3).
    pub(super) fn seal_padded(&mut self, kind: u8, content: &[u8], padding: usize) -> Vec<u8> {
        let sequence = self.next;
        self.next += 1;
        let version = self.version.min(0x0303);
        let [major, minor] = version.to_be_bytes();
        let pseudo = pseudo_header(sequence, [kind, major, minor], content.len() as u16);
        let mut nonce = [0; 12];
        let mut sealed = content.to_vec();
        match (self.version, self.suite.protection) {
            (TLS13, _) => {
                sealed.push(kind);
                sealed.extend(vec![0; padding]);
                let header = record(23, version, &vec![0; sealed.len() + 16]);
                self.mix_sequence(&mut nonce, sequence);
                self.seal_aead(nonce, &header[..5], &mut sealed);
                record(23, version, &sealed)
            }
            (_, Protection::AesGcm) => {
                nonce[..4].copy_from_slice(&self.keys.iv);
                nonce[4..].copy_from_slice(&(sequence + 0x0123_4567_89ab).to_be_bytes());
                self.seal_aead(nonce, &pseudo, &mut sealed);
                record(kind, version, &[&nonce[4..], &sealed].concat())
            }
            (_, Protection::ChaCha20Poly1305) => {
                self.mix_sequence(&mut nonce, sequence);
                self.seal_aead(nonce, &pseudo, &mut sealed);
                record(kind, version, &sealed)
            }
            (_, Protection::AesCbc(mac)) => {
                let body = self.seal_cbc(mac, kind, content);
                record(kind, version, &body)
            }
        }
    }

    fn mix_sequence(&self, nonce: &mut [u8; 12], sequence: u64) {
        nonce.copy_from_slice(&self.keys.iv);
        for (to, from) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
            *to ^= from;
        }
    }

    fn seal_aead(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut Vec<u8>) {
        let algorithm = match (self.suite.protection, self.suite.key_bytes) {
            (Protection::ChaCha20Poly1305, _) => &aead::CHACHA20_POLY1305,
            (_, 16) => &aead::AES_128_GCM,
            _ => &aead::AES_256_GCM,
        };
        let key = aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, &self.keys.key).expect("right length"));
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, aead::Aad::from(aad), sealed).expect("short enough");
    }

    fn seal_cbc(&mut self, mac: Mac, kind: u8, content: &[u8]) -> Vec<u8> {
        let algorithm = match mac {
            Mac::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Mac::Sha256 => hmac::HMAC_SHA256,
            Mac::Sha384 => hmac::HMAC_SHA384,
        };
        let key = hmac::Key::new(algorithm, &self.keys.mac);
        let [major, minor] = self.version.to_be_bytes();
        let sign = |covered: &[u8]| {
            let header = pseudo_header(self.next - 1, [kind, major, minor], covered.len() as u16);
            hmac::sign(&key, &[&header, covered].concat()).as_ref().to_vec()
        };
        let mut text = content.to_vec();
        if !self.encrypt_then_mac {
            text.extend(sign(content));
        }
        let padding = 15 - text.len() % 16;
        text.extend(vec![padding as u8; padding + 1]);
        let is_chained = self.version == TLS10;
        let iv: [u8; 16] = if is_chained { self.keys.iv[..].try_into().expect("a block") } else { [0x5a; 16] };
        let algorithm = if self.suite.key_bytes == 16 { &cipher::AES_128 } else { &cipher::AES_256 };
        let key = cipher::UnboundCipherKey::new(algorithm, &self.keys.key).expect("right length");
        let encrypt = cipher::EncryptingKey::cbc(key).expect("AES has CBC");
        let context = cipher::EncryptionContext::Iv128(FixedLength::from(iv));
        encrypt.less_safe_encrypt(&mut text, context).expect("whole blocks");
        if is_chained {
            self.keys.iv = text[text.len() - 16..].to_vec();
        }
        let mut sealed = if is_chained { text } else { [&iv[..], &text].concat() };
        if self.encrypt_then_mac {
            sealed.extend(sign(&sealed));
        }
        sealed
    }
}
