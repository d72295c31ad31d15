//! Header blocks that were read shortly before.
//!
//! In: the bytes after a start line. Out: their [`Fields`]. Promises: the fields are those that [`Fields::read`] would read.
//! A block whose bytes equal the bytes of a block that was kept has the same fields, so a comparison is enough.
//!
//! Clients repeat themselves: a scanner's requests differ only in the request line, and the error pages of a server that
//! answers it have the same fields for a second. On the capture of `tests/benches/instructions`, reading a block costs 1,100
//! instructions, and comparing it 330; keeping one that is not repeated costs 180.

use super::fields::{Fields, TEXTS};
use crate::address::Endpoint;

/// How many blocks are kept. Each sender has one place for its requests, and one for each status of its responses, which it
/// shares with other senders.
const PLACES: usize = 32;
/// Longest block that is kept, in bytes.
const MOST_BYTES: usize = 1024;

/// The blocks that were kept.
#[derive(Debug, Default)]
pub(crate) struct RepeatedFields {
    places: [Block; PLACES],
}

/// The block that was read last at its place, and what it was read as.
#[derive(Debug, Default)]
struct Block {
    /// The whole block with its empty line. Empty if no block was kept here.
    bytes: Vec<u8>,
    /// The fields whose values are not text.
    fields: Fields<'static>,
    /// Where each text begins and ends in the block.
    texts: [(u16, u16); TEXTS],
    /// Which texts are not empty: a bit for each.
    present: u8,
}

impl RepeatedFields {
    /// Reads the block at the start of the bytes into `fields`, which must be empty. Returns the block's length including
    /// its empty line, or `None` if the block is incomplete. `status` is 0 for a request.
    pub(super) fn read<'a>(
        &mut self,
        sender: Endpoint,
        status: u16,
        bytes: &'a [u8],
        fields: &mut Fields<'a>,
    ) -> Option<usize> {
        let block = &mut self.places[(usize::from(sender.address.last_byte()) ^ usize::from(status)) % PLACES];
        if block.bytes.is_empty() || !bytes.starts_with(&block.bytes) {
            let length = fields.read(bytes)?;
            block.keep(&bytes[..length], fields);
            return Some(length);
        }
        fields.take_but_texts(&block.fields);
        // Most blocks have two or three of the texts.
        let mut present = block.present;
        while present != 0 {
            let number = present.trailing_zeros() as usize;
            present &= present - 1;
            let (start, end) = block.texts[number];
            *fields.text_mut(number) = bytes.get(usize::from(start)..usize::from(end)).unwrap_or_default();
        }
        Some(block.bytes.len())
    }
}

impl Block {
    /// Keeps another block, unless it is long.
    fn keep(&mut self, bytes: &[u8], fields: &Fields<'_>) {
        self.bytes.clear();
        if bytes.len() > MOST_BYTES {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        self.fields.take_but_texts(fields);
        self.present = 0;
        for (number, text) in fields.texts().into_iter().enumerate().filter(|(_, text)| !text.is_empty()) {
            let start = text.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
            self.texts[number] = (start as u16, (start + text.len()) as u16);
            self.present |= 1 << number;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::Address;

    /// Lines of header blocks. Among them are folded, bare, empty and incomplete ones.
    const LINES: [&str; 14] = [
        "Host: a.example\r\n",
        "Host: b.example\r\n",
        "User-Agent: scan/1\r\n",
        "Content-Length: 5\r\n",
        "content-length: 7\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "Server: s\n",
        "X-Forwarded-For: 192.0.2.1\r\n",
        " folded\r\n",
        "Via : v\r\n",
        "\r\n",
        "\r\n",
        "Location: /",
    ];

    proptest! {
        #[test]
        fn fields_are_those_that_the_bytes_have(
            blocks in proptest::collection::vec(proptest::collection::vec(0..LINES.len(), 0..5), 1..6),
            order in proptest::collection::vec((0usize..6, 0u8..3, prop::sample::select(vec![0, 200, 404, 405])), 0..80),
        ) {
            let mut repeated = RepeatedFields::default();
            for (block, sender, status) in order {
                let text: String = blocks[block % blocks.len()].iter().map(|line| LINES[*line]).collect();
                let (wanted, length) = Fields::scan(text.as_bytes());
                let sender = Endpoint::new(Address::v4([192, 0, 2, sender]), 80);
                let mut fields = Fields::default();
                prop_assert_eq!(repeated.read(sender, status, text.as_bytes(), &mut fields), length);
                if length.is_some() {
                    prop_assert_eq!(fields, wanted);
                }
            }
        }
    }

    #[test]
    fn a_block_at_the_limit_keeps_its_last_text() {
        let mut repeated = RepeatedFields::default();
        for long in [MOST_BYTES - 1, MOST_BYTES, MOST_BYTES + 1, 70_000] {
            let text = format!("A: {}\r\nHost: end\r\n\r\n", "a".repeat(long - 18));
            for _ in 0..3 {
                let mut fields = Fields::default();
                let sender = Endpoint::UNKNOWN;
                assert_eq!(repeated.read(sender, 0, text.as_bytes(), &mut fields), Some(long));
                assert_eq!(fields.host, b"end");
            }
        }
    }
}
