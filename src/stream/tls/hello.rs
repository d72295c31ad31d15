//! Reads ClientHello messages.
//!
//! In: a whole ClientHello message. Out: the server name and the highest version that it offers. Promises: a malformed
//! message is read up to its first malformed part.

/// Returns the length of a handshake message with its header, or `None` if the header is not complete (RFC 8446, section 4).
pub(super) fn message_length(message: &[u8]) -> Option<usize> {
    match message {
        [_, high, middle, low, ..] => {
            Some(4 + (usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low)))
        }
        _ => None,
    }
}

/// The contents of a ClientHello.
pub(super) struct HelloFacts<'a> {
    /// SNI; empty if absent.
    pub(super) server_name: &'a [u8],
    /// The highest version offered; 0 if unknown.
    pub(super) version: u16,
}

/// Reads a ClientHello (RFC 8446, section 4.1.2) as far as it is well-formed.
pub(super) fn hello_facts(message: &[u8]) -> HelloFacts<'_> {
    let mut facts = HelloFacts { server_name: &[], version: 0 };
    read_hello(message, &mut facts);
    facts
}

fn read_hello<'a>(message: &'a [u8], facts: &mut HelloFacts<'a>) -> Option<()> {
    let mut reader = Reader(message.get(4..)?);
    facts.version = reader.number()?;
    reader.bytes(32)?;
    let session = reader.byte()?;
    reader.bytes(session.into())?;
    let suites = reader.number()?;
    reader.bytes(suites.into())?;
    let compressions = reader.byte()?;
    reader.bytes(compressions.into())?;
    let length = reader.number()?;
    let mut extensions = Reader(reader.bytes(usize::from(length).min(reader.0.len()))?);
    loop {
        let kind = extensions.number()?;
        let length = extensions.number()?;
        let mut content = Reader(extensions.bytes(length.into())?);
        match kind {
            // server_name: a list whose first entry is a host name (RFC 6066, section 3).
            0 => {
                content.bytes(3)?;
                let length = content.number()?;
                facts.server_name = content.bytes(length.into())?;
            }
            // supported_versions; values of the form 0x?A?A are GREASE (RFC 8701).
            43 => {
                content.byte()?;
                while let Some(version) = content.number() {
                    if version & 0x0f0f != 0x0a0a {
                        facts.version = facts.version.max(version);
                    }
                }
            }
            _ => {}
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u16> {
        self.bytes(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}
