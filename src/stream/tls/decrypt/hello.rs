//! Hello messages and other handshake messages with fields of interest.
//!
//! In: the bodies of whole handshake messages. Out: their fields, which borrow from the message. Promises: a malformed message
//! is read up to its first malformed part; fields after it have their empty value. No allocation.

use super::cursor::{Cursor, is_grease, numbers};

/// Extensions (IANA registry "TLS ExtensionType Values").
pub(super) const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const EC_POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const ALPN: u16 = 16;
const ENCRYPT_THEN_MAC: u16 = 22;
const EXTENDED_MASTER_SECRET: u16 = 23;
const SESSION_TICKET: u16 = 35;
const PRE_SHARED_KEY: u16 = 41;
const EARLY_DATA: u16 = 42;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// The random of a ServerHello that is a HelloRetryRequest (RFC 8446, section 4.1.3): the SHA-256 of "HelloRetryRequest".
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A list of extensions.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    /// Iterates over types and contents in the order of the message.
    pub(super) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> + Clone {
        let mut cursor = Cursor(self.0);
        std::iter::from_fn(move || Some((cursor.number()?, cursor.list16()?)))
    }

    /// Takes the list at the end of a message. A list that is cut short is read as far as it goes.
    fn take(cursor: &mut Cursor<'a>) -> Self {
        let length = cursor.number().map_or(0, usize::from);
        Self(cursor.bytes(length.min(cursor.0.len())).unwrap_or_default())
    }
}

/// A ClientHello (RFC 8446, section 4.1.2; RFC 5246, section 7.4.1.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientHello<'a> {
    /// The version field, which says 0x0303 also for TLS 1.3.
    pub(super) legacy_version: u16,
    /// The client random.
    pub(super) random: &'a [u8; 32],
    /// The session identifier; may be empty.
    pub(super) session_id: &'a [u8],
    /// The list of cipher suites, two bytes each.
    pub(super) suites: &'a [u8],
    /// All extensions.
    pub(super) extensions: Extensions<'a>,
    /// The first host name of SNI; `None` if the extension is absent.
    pub(super) server_name: Option<&'a [u8]>,
    /// The list of ALPN: each protocol after its length.
    pub(super) alpn: &'a [u8],
    /// The list of versions, two bytes each.
    pub(super) versions: &'a [u8],
    /// The list of groups, two bytes each.
    pub(super) groups: &'a [u8],
    /// The list of point formats.
    pub(super) point_formats: &'a [u8],
    /// The list of signature algorithms, two bytes each.
    pub(super) signature_algorithms: &'a [u8],
    /// The session ticket; `None` if the extension is absent.
    pub(super) ticket: Option<&'a [u8]>,
    /// Whether the client announces early data.
    pub(super) early_data: bool,
    /// Whether the client offers a pre-shared key.
    pub(super) pre_shared_key: bool,
    /// Whether the client offers encrypt-then-MAC.
    pub(super) encrypt_then_mac: bool,
    /// Whether the client offers the extended master secret.
    pub(super) extended_master_secret: bool,
    /// Whether the message holds an encrypted ClientHello, or random bytes in its place.
    pub(super) encrypted_client_hello: bool,
}

impl<'a> ClientHello<'a> {
    /// Reads a message's body; `None` if it ends within the random.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        let mut hello = Self {
            legacy_version: cursor.number()?,
            random: cursor.array()?,
            session_id: &[],
            suites: &[],
            extensions: Extensions::default(),
            server_name: None,
            alpn: &[],
            versions: &[],
            groups: &[],
            point_formats: &[],
            signature_algorithms: &[],
            ticket: None,
            early_data: false,
            pre_shared_key: false,
            encrypt_then_mac: false,
            extended_master_secret: false,
            encrypted_client_hello: false,
        };
        hello.read_lists(&mut cursor);
        for (kind, content) in hello.extensions.iter() {
            hello.read_extension(kind, content);
        }
        Some(hello)
    }

    fn read_lists(&mut self, cursor: &mut Cursor<'a>) -> Option<()> {
        self.session_id = cursor.list8()?;
        self.suites = cursor.list16()?;
        cursor.list8()?;
        self.extensions = Extensions::take(cursor);
        Some(())
    }

    fn read_extension(&mut self, kind: u16, content: &'a [u8]) {
        let mut cursor = Cursor(content);
        match kind {
            SERVER_NAME => self.server_name = Some(read_server_name(content).unwrap_or_default()),
            SUPPORTED_GROUPS => self.groups = cursor.list16().unwrap_or_default(),
            EC_POINT_FORMATS => self.point_formats = cursor.list8().unwrap_or_default(),
            SIGNATURE_ALGORITHMS => self.signature_algorithms = cursor.list16().unwrap_or_default(),
            ALPN => self.alpn = cursor.list16().unwrap_or_default(),
            SUPPORTED_VERSIONS => self.versions = cursor.list8().unwrap_or_default(),
            SESSION_TICKET => self.ticket = Some(content),
            EARLY_DATA => self.early_data = true,
            PRE_SHARED_KEY => self.pre_shared_key = true,
            ENCRYPT_THEN_MAC => self.encrypt_then_mac = true,
            EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
            ENCRYPTED_CLIENT_HELLO => self.encrypted_client_hello = true,
            _ => {}
        }
    }

    /// The highest version that the client offers.
    pub(super) fn version(&self) -> u16 {
        numbers(self.versions).filter(|version| !is_grease(*version)).max().unwrap_or(self.legacy_version)
    }

    /// The first protocol of ALPN; empty if there is none.
    pub(super) fn first_alpn(&self) -> &'a [u8] {
        Cursor(self.alpn).list8().unwrap_or_default()
    }
}

/// RFC 6066, section 3: a list whose first entry is a host name.
fn read_server_name(content: &[u8]) -> Option<&[u8]> {
    let mut list = Cursor(content);
    list.number()?;
    (list.byte()? == 0).then(|| list.list16()).flatten()
}

/// A ServerHello or a HelloRetryRequest (RFC 8446, sections 4.1.3 and 4.1.4; RFC 5246, section 7.4.1.3).
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerHello<'a> {
    /// The version that the server chose.
    pub(super) version: u16,
    /// The server random.
    pub(super) random: &'a [u8; 32],
    /// The session identifier; may be empty.
    pub(super) session_id: &'a [u8],
    /// The cipher suite that the server chose.
    pub(super) suite: u16,
    /// The compression method; 0 for none.
    pub(super) compression: u8,
    /// All extensions.
    pub(super) extensions: Extensions<'a>,
    /// The protocol that the server chose by ALPN; TLS 1.3 says it in EncryptedExtensions.
    pub(super) alpn: &'a [u8],
    /// Whether the server accepts the pre-shared key.
    pub(super) pre_shared_key: bool,
    /// Whether encrypt-then-MAC is used.
    pub(super) encrypt_then_mac: bool,
    /// Whether the extended master secret is used.
    pub(super) extended_master_secret: bool,
    /// Whether the message is a HelloRetryRequest.
    pub(super) is_retry: bool,
}

impl<'a> ServerHello<'a> {
    /// Reads a message's body; `None` if it ends before the cipher suite.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        let version = cursor.number()?;
        let random = cursor.array()?;
        let mut hello = Self {
            version,
            random,
            session_id: cursor.list8()?,
            suite: cursor.number()?,
            compression: cursor.byte().unwrap_or(0),
            extensions: Extensions::take(&mut cursor),
            alpn: &[],
            pre_shared_key: false,
            encrypt_then_mac: false,
            extended_master_secret: false,
            is_retry: *random == RETRY_RANDOM,
        };
        for (kind, content) in hello.extensions.iter() {
            match kind {
                SUPPORTED_VERSIONS => hello.version = Cursor(content).number().unwrap_or(version),
                ALPN => hello.alpn = read_chosen_alpn(content),
                PRE_SHARED_KEY => hello.pre_shared_key = true,
                ENCRYPT_THEN_MAC => hello.encrypt_then_mac = true,
                EXTENDED_MASTER_SECRET => hello.extended_master_secret = true,
                _ => {}
            }
        }
        Some(hello)
    }
}

/// Returns the only entry of a server's ALPN list.
fn read_chosen_alpn(content: &[u8]) -> &[u8] {
    Cursor(content).list16().and_then(|list| Cursor(list).list8()).unwrap_or_default()
}

/// EncryptedExtensions (RFC 8446, section 4.3.1).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EncryptedExtensions<'a> {
    /// The protocol that the server chose by ALPN; empty if there is none.
    pub(super) alpn: &'a [u8],
    /// Whether the server accepts the client's early data.
    pub(super) early_data: bool,
}

impl<'a> EncryptedExtensions<'a> {
    /// Reads a message's body.
    pub(super) fn read(body: &'a [u8]) -> Self {
        let mut found = Self::default();
        for (kind, content) in Extensions::take(&mut Cursor(body)).iter() {
            match kind {
                ALPN => found.alpn = read_chosen_alpn(content),
                EARLY_DATA => found.early_data = true,
                _ => {}
            }
        }
        found
    }
}

/// Returns the ticket of a NewSessionTicket of TLS 1.2 (RFC 5077, section 3.3).
pub(super) fn read_ticket(body: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor(body);
    cursor.bytes(4)?;
    cursor.list16().filter(|ticket| !ticket.is_empty())
}

/// Returns the encrypted premaster secret of a ClientKeyExchange with static RSA (RFC 5246, section 7.4.7.1).
pub(super) fn read_encrypted_premaster(body: &[u8]) -> &[u8] {
    Cursor(body).list16().unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing, *};

    fn full() -> Vec<u8> {
        let name = [&[0, 9, 0, 0, 6][..], b"a.test"].concat();
        let list = [
            (0x1a1a, vec![]),
            (SERVER_NAME, name),
            (SUPPORTED_GROUPS, vec![0, 4, 0, 29, 0, 23]),
            (EC_POINT_FORMATS, vec![1, 0]),
            (SIGNATURE_ALGORITHMS, vec![0, 2, 4, 3]),
            (ALPN, [&[0, 12][..], b"\x02h2\x08http/1.1"].concat()),
            (ENCRYPT_THEN_MAC, vec![]),
            (EXTENDED_MASTER_SECRET, vec![]),
            (SESSION_TICKET, vec![9; 20]),
            (SUPPORTED_VERSIONS, vec![6, 0xaa, 0xaa, 3, 4, 3, 3]),
            (EARLY_DATA, vec![]),
            (PRE_SHARED_KEY, vec![0; 50]),
        ];
        testing::client_hello([5; 32], &[6; 32], &[0x1301, 0xc02f], &list)
    }

    #[test]
    fn all_fields_of_a_client_hello_are_read() {
        let message = full();
        let hello = ClientHello::read(&message[4..]).expect("whole");
        assert_eq!((hello.random, hello.session_id, hello.version()), (&[5; 32], &[6; 32][..], 0x0304));
        assert_eq!((hello.server_name, hello.first_alpn()), (Some(&b"a.test"[..]), &b"h2"[..]));
        assert_eq!((hello.groups, hello.point_formats), (&[0, 29, 0, 23][..], &[0][..]));
        assert_eq!((hello.signature_algorithms, hello.ticket), (&[4, 3][..], Some(&[9; 20][..])));
        assert!(hello.early_data && hello.pre_shared_key && hello.encrypt_then_mac && hello.extended_master_secret);
        assert!(!hello.encrypted_client_hello);
        assert_eq!(hello.extensions.iter().count(), 12);
    }

    #[test]
    fn a_server_hello_is_read() {
        let list = [(SUPPORTED_VERSIONS, vec![3, 4]), (PRE_SHARED_KEY, vec![0, 0])];
        let message = testing::server_hello(0x0304, [5; 32], &[6; 8], 0x1302, &list);
        let hello = ServerHello::read(&message[4..]).expect("whole");
        assert_eq!((hello.version, hello.suite, hello.session_id), (0x0304, 0x1302, &[6; 8][..]));
        assert!(hello.pre_shared_key && !hello.is_retry && !hello.encrypt_then_mac);
        let list = [(ALPN, vec![0, 3, 2, b'h', b'2']), (ENCRYPT_THEN_MAC, vec![]), (EXTENDED_MASTER_SECRET, vec![])];
        let message = testing::server_hello(0x0303, RETRY_RANDOM, &[], 0xc02f, &list);
        let hello = ServerHello::read(&message[4..]).expect("whole");
        assert_eq!((hello.version, hello.alpn), (0x0303, &b"h2"[..]));
        assert!(hello.is_retry && hello.encrypt_then_mac && hello.extended_master_secret);
    }

    #[test]
    fn other_messages_are_read() {
        let extensions = EncryptedExtensions::read(&[0, 13, 0, 16, 0, 5, 0, 3, 2, b'h', b'2', 0, 42, 0, 0]);
        assert_eq!((extensions.alpn, extensions.early_data), (&b"h2"[..], true));
        assert_eq!(read_ticket(&[0, 0, 0, 9, 0, 2, 7, 8]), Some(&[7, 8][..]));
        assert_eq!(read_ticket(&[0, 0, 0, 9, 0, 0]), None);
        assert_eq!(read_encrypted_premaster(&[0, 2, 7, 8]), &[7, 8]);
        assert_eq!(read_encrypted_premaster(&[9, 9, 7, 8]), &[9, 9, 7, 8]);
    }

    proptest! {
        /// A hello that is cut has the fields before the cut.
        #[test]
        fn a_cut_hello_is_read_up_to_the_cut(cut in 0usize..400) {
            let message = full();
            let body = &message[4..];
            let whole = ClientHello::read(body).expect("whole");
            let cut = cut.min(body.len());
            match ClientHello::read(&body[..cut]) {
                None => prop_assert!(cut < 34),
                Some(hello) => {
                    prop_assert!(hello.session_id.is_empty() || hello.session_id == whole.session_id);
                    let kinds: Vec<_> = hello.extensions.iter().collect();
                    let all: Vec<_> = whole.extensions.iter().collect();
                    prop_assert_eq!(&kinds[..], &all[..kinds.len()]);
                }
            }
        }

        #[test]
        fn mutated_hellos_never_panic(
            changes in prop::collection::vec((0usize..400, any::<u8>()), 0..6),
            is_server in any::<bool>(),
        ) {
            let mut message = full();
            for (at, value) in changes {
                if let Some(byte) = message.get_mut(at) {
                    *byte = value;
                }
            }
            let body = &message[4..];
            if is_server {
                ServerHello::read(body);
                EncryptedExtensions::read(body);
            } else if let Some(hello) = ClientHello::read(body) {
                super::super::fingerprint::ja3(&hello);
                super::super::fingerprint::ja4(&hello);
            }
        }
    }
}
