//! Key log text for tests.

use std::fmt::Write;

/// The digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A client random that is different for each number.
pub(crate) fn random(number: u64) -> [u8; 32] {
    let mut random = [0xc1; 32];
    random[..8].copy_from_slice(&number.to_be_bytes());
    random
}

/// A line of a key log, with its line feed.
pub(crate) fn line(label: &str, number: u64, secret: &[u8]) -> String {
    format!("{label} {} {}\n", hex(&random(number)), hex(secret))
}
