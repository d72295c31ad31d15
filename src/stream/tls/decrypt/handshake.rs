//! What a session learns from handshake messages.
//!
//! In: contents of handshake records, in clear or decrypted. Out: changes of the [`Session`]: randoms, version, suite, stages,
//! master secrets, facts. Promises: a message that is malformed or too long changes nothing.

use super::{
    certificate,
    cursor::{is_grease, numbers},
    fingerprint::{ja3, ja4, ja4s},
    hello::{ClientHello, EncryptedExtensions, ServerHello, read_encrypted_premaster, read_ticket},
    messages::{
        CERTIFICATE, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, ENCRYPTED_EXTENSIONS, END_OF_EARLY_DATA, FINISHED, KEY_UPDATE,
        Message, NEW_SESSION_TICKET, SERVER_HELLO, SERVER_HELLO_DONE,
    },
    outcome::{Facts, Sender},
    schedule::{TLS12, TLS13, master_secret, session_hash},
    secret::{MAX_CANDIDATES, SecretSource},
    session::{EarlyData, Session, Stage},
    sessions::{SessionName, Sessions},
    suite::KeyExchange,
};

/// Most bytes of handshake messages that are kept for the extended master secret.
const MAX_TRANSCRIPT_BYTES: usize = 64 << 10;

/// Longest name that is kept.
const MAX_NAME_BYTES: usize = 255;

impl Session {
    /// Reads the content of a handshake record.
    pub(super) fn handshake_bytes<S: SecretSource>(
        &mut self,
        source: &S,
        sessions: &Sessions,
        sender: Sender,
        content: &[u8],
    ) {
        let mut rest = content;
        while !rest.is_empty() {
            let Some(message) = self.half_mut(sender).assembler.next(&mut rest) else { continue };
            self.note_transcript(&message.bytes);
            self.message(source, sessions, sender, &message);
            // What follows a Finished or a KeyUpdate in the same record is under other keys, which is not allowed.
            if matches!(message.kind, FINISHED | KEY_UPDATE) {
                break;
            }
        }
    }

    fn message<S: SecretSource>(&mut self, source: &S, sessions: &Sessions, sender: Sender, message: &Message<'_>) {
        let body = message.body();
        match (message.kind, sender) {
            (CLIENT_HELLO, Sender::Client) => {
                self.has_client_hello = true;
                self.client_hello(source.may_decrypt_premasters(), message);
            }
            (SERVER_HELLO, Sender::Server) => self.server_hello(body),
            (CLIENT_KEY_EXCHANGE, Sender::Client) => self.client_key_exchange(source, body),
            (ENCRYPTED_EXTENSIONS, Sender::Server) => self.encrypted_extensions(body),
            (NEW_SESSION_TICKET, Sender::Server) if self.version <= TLS12 => {
                self.rare_mut().given[1] = read_ticket(body).and_then(SessionName::of_ticket);
                self.remember(sessions);
            }
            (CERTIFICATE, Sender::Server) => {
                let is_tls13 = self.version == TLS13;
                if let (Some(facts), Some(name)) = (&mut self.facts, certificate::subject(body, is_tls13))
                    && facts.certificate.is_empty()
                {
                    facts.certificate = name.into();
                }
            }
            (SERVER_HELLO_DONE, Sender::Server) => self.is_full_handshake = true,
            (END_OF_EARLY_DATA, Sender::Client) if self.half(sender).stage == Stage::Early => {
                self.half_mut(sender).enter(Stage::Handshake);
            }
            (FINISHED, _) if self.half(sender).stage == Stage::Handshake => {
                self.half_mut(sender).enter(Stage::Application);
                self.step();
            }
            (KEY_UPDATE, _) if self.half(sender).stage == Stage::Application => {
                let half = self.half_mut(sender);
                half.keys = half.keys.as_ref().and_then(|keys| keys.updated()).map(Box::new);
            }
            _ => {}
        }
    }

    fn client_hello(&mut self, may_decrypt_premasters: bool, message: &Message<'_>) {
        let Some(hello) = ClientHello::read(message.body()) else { return };
        let is_renegotiation = self.half(Sender::Client).stage == Stage::Cipher;
        if self.has_client_random && !is_renegotiation {
            // The second ClientHello after a HelloRetryRequest. Secrets are kept under the first one's random.
            self.early = EarlyData::Absent;
            return;
        }
        self.has_client_random = true;
        self.client_random = *hello.random;
        self.offers_encrypted_hello = hello.encrypted_client_hello;
        self.is_full_handshake = false;
        let offered = [SessionName::of_identifier(hello.session_id), hello.ticket.and_then(SessionName::of_ticket)];
        self.rare = None;
        if offered.iter().any(Option::is_some) || may_decrypt_premasters {
            let rare = self.rare_mut();
            rare.offered = offered;
            rare.transcript = may_decrypt_premasters.then(|| message.bytes.to_vec());
        }
        if is_renegotiation {
            return;
        }
        if hello.early_data {
            self.early = EarlyData::Offered;
            self.half_mut(Sender::Client).enter(Stage::Early);
        }
        self.facts = Some(Box::new(Facts {
            server_name: capped(hello.server_name.unwrap_or_default()),
            alpn_offered: capped(hello.first_alpn()),
            offered_version: hello.version(),
            offers_grease: numbers(hello.suites).next().is_some_and(is_grease),
            ja3: Some(ja3(&hello)),
            ja4: Some(ja4(&hello)),
            ..Facts::default()
        }));
    }

    fn server_hello(&mut self, body: &[u8]) {
        let Some(hello) = ServerHello::read(body) else { return };
        self.step();
        if hello.is_retry {
            // Early data cannot be accepted any longer (RFC 8446, section 4.2.10).
            self.reject_early();
            return;
        }
        let is_renegotiation = self.half(Sender::Server).stage == Stage::Cipher;
        self.server_random = *hello.random;
        (self.version, self.suite) = (hello.version, hello.suite);
        self.encrypt_then_mac = hello.encrypt_then_mac;
        self.extended_master_secret = hello.extended_master_secret;
        self.is_compressed = hello.compression != 0;
        let is_tls13 = hello.version == TLS13;
        if !self.has_client_hello {
            // The ClientHello was not captured. What this one shows is known all the same.
            self.facts.get_or_insert_default();
        }
        if let Some(facts) = &mut self.facts
            && !is_renegotiation
        {
            (facts.version, facts.suite) = (hello.version, hello.suite);
            facts.ja4s = Some(ja4s(&hello));
            facts.alpn = capped(hello.alpn);
            facts.is_resumed = is_tls13.then_some(hello.pre_shared_key);
        }
        if is_tls13 {
            self.rare = None;
            self.begin_handshake13(hello.pre_shared_key);
            return;
        }
        self.reject_early();
        let uses_rsa = self.suite().is_some_and(|suite| suite.key_exchange == KeyExchange::StaticRsa);
        let given = SessionName::of_identifier(hello.session_id);
        if let Some(rare) = &mut self.rare
            && !(uses_rsa && hello.extended_master_secret)
        {
            rare.transcript = None;
        }
        if given.is_some() {
            self.rare_mut().given = [given, None];
        }
    }

    fn begin_handshake13(&mut self, accepts_psk: bool) {
        if !accepts_psk {
            self.reject_early();
        }
        let client = if self.early == EarlyData::Offered { Stage::Early } else { Stage::Handshake };
        for (sender, stage) in [(Sender::Server, Stage::Handshake), (Sender::Client, client)] {
            if self.half(sender).stage < stage {
                self.half_mut(sender).enter(stage);
            }
        }
    }

    fn encrypted_extensions(&mut self, body: &[u8]) {
        let extensions = EncryptedExtensions::read(body);
        if let Some(facts) = &mut self.facts {
            facts.alpn = capped(extensions.alpn);
        }
        if extensions.early_data { self.accept_early() } else { self.reject_early() }
    }

    /// The client sends a premaster secret that a private key may decrypt. The master secrets that follow from it are tried
    /// as those of the source are.
    fn client_key_exchange<S: SecretSource>(&mut self, source: &S, body: &[u8]) {
        let transcript = self.rare.as_mut().and_then(|rare| rare.transcript.take());
        let Some(suite) = self.suite() else { return };
        if suite.key_exchange != KeyExchange::StaticRsa || !source.may_decrypt_premasters() {
            return;
        }
        let hashed = match (self.extended_master_secret, transcript) {
            (false, _) => None,
            (true, Some(messages)) => Some(session_hash(self.version, suite.hash, &messages)),
            // Messages are missing.
            (true, None) => return,
        };
        let randoms = (&self.client_random, &self.server_random);
        let mut premasters = Vec::new();
        source.decrypt_premaster(read_encrypted_premaster(body), &mut premasters);
        let masters = premasters
            .iter()
            .take(MAX_CANDIDATES)
            .filter_map(|premaster| master_secret(self.version, suite.hash, premaster, randoms, hashed.as_deref()))
            .collect();
        self.rare_mut().secrets = masters;
    }

    fn note_transcript(&mut self, message: &[u8]) {
        let Some(rare) = &mut self.rare else { return };
        let Some(transcript) = &mut rare.transcript else { return };
        if transcript.len() + message.len() > MAX_TRANSCRIPT_BYTES {
            rare.transcript = None;
        } else {
            transcript.extend_from_slice(message);
        }
    }

    /// A sender announces encryption (TLS 1.2 and below). In TLS 1.3, the message has no meaning.
    pub(super) fn change_cipher_spec(&mut self, sender: Sender) {
        if self.version == 0 || self.version >= TLS13 {
            return;
        }
        if sender == Sender::Server
            && self.half(sender).missing == 0
            && let Some(facts) = &mut self.facts
            && facts.is_resumed.is_none()
        {
            facts.is_resumed = Some(!self.is_full_handshake);
        }
        self.half_mut(sender).enter(Stage::Cipher);
    }
}

/// Copies a name. Longer ones than a protocol allows are cut.
fn capped(name: &[u8]) -> Box<[u8]> {
    name.get(..MAX_NAME_BYTES).unwrap_or(name).into()
}
