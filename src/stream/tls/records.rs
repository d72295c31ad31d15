//! The record layer of one side, until it is encrypted (RFC 8446, section 5).
//!
//! In: the side's bytes, however they are cut. Out: the contents of the records, as [`Content`]: parts of handshake
//! messages, fatal alerts, or the information that no further record can be read. Promises: only the bytes of a header and
//! of an alert are kept.

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// The first byte of a fatal alert, which ends the connection.
const FATAL: u8 = 2;

/// The record layer of one side.
#[derive(Debug, Default)]
pub(super) struct Records {
    header: [u8; 5],
    /// Bytes of the header that have arrived.
    header_bytes: u8,
    /// Bytes of the record's content that have not arrived yet.
    left: u16,
    /// The last two bytes of an alert's content.
    alert: [u8; 2],
    /// Whether everything from here on is encrypted or unreadable.
    is_closed: bool,
}

/// The kind of the next bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// Bytes that are not looked at.
    Nothing,
    /// Part of the handshake messages.
    Handshake {
        /// The bytes.
        bytes: &'a [u8],
        /// Whether the record begins with these bytes.
        begins_record: bool,
    },
    /// A whole fatal alert.
    Fatal(u8),
    /// No further record can be read.
    Closed,
}

impl Records {
    /// Reads the next bytes, at least one. Returns how many bytes were read, and what they are.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> (usize, Content<'a>) {
        if self.is_closed {
            return (bytes.len(), Content::Nothing);
        }
        let at = usize::from(self.header_bytes);
        if at < self.header.len() {
            let taken = bytes.len().min(self.header.len() - at);
            self.header[at..at + taken].copy_from_slice(&bytes[..taken]);
            self.header_bytes += taken as u8;
            return (taken, self.read_header());
        }
        let taken = bytes.len().min(usize::from(self.left));
        let content = &bytes[..taken];
        let [kind, _, _, high, low] = self.header;
        let before = u16::from_be_bytes([high, low]) - self.left;
        self.left -= taken as u16;
        if self.left == 0 {
            self.header_bytes = 0;
        }
        let content = match kind {
            HANDSHAKE => Content::Handshake { bytes: content, begins_record: before == 0 },
            ALERT => self.read_alert(content, before),
            _ => Content::Nothing,
        };
        (taken, content)
    }

    fn read_alert(&mut self, content: &[u8], before: u16) -> Content<'static> {
        for (index, byte) in content.iter().enumerate() {
            self.alert[(usize::from(before) + index) & 1] = *byte;
        }
        match self.alert {
            [FATAL, alert] if self.left == 0 => Content::Fatal(alert),
            _ => Content::Nothing,
        }
    }

    /// Interprets the header, if it is whole.
    fn read_header(&mut self) -> Content<'static> {
        if usize::from(self.header_bytes) < self.header.len() {
            return Content::Nothing;
        }
        let [kind, major, _, high, low] = self.header;
        self.left = u16::from_be_bytes([high, low]);
        let is_clear = match kind {
            // An encrypted alert is longer.
            ALERT => self.left == 2,
            HANDSHAKE => self.left != 0,
            _ => false,
        };
        self.is_closed = !is_clear || major != 3;
        if self.is_closed { Content::Closed } else { Content::Nothing }
    }
}
