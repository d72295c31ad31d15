//! The core of TLS decryption.
//!
//! In: the bytes of both sides of a connection, in order, with gaps; secrets. Out: the data that the connection carries, and facts
//! of its handshake. Promises: no I/O, no clock. Nothing counts as read unless its tag or MAC is right. After a gap, later
//! records are still read. Work and memory of a connection are bounded, whatever its peers send.
//!
//! # The way of a byte
//!
//! 1. [`Records`] cuts a side's bytes into records. The caller decides for each header whether the body is kept.
//! 2. [`Session`] reads the records of both sides. `messages` puts handshake messages together, `hello` and `certificate`
//!    read them, `fingerprint` names the client and the server, and `handshake` draws the consequences.
//! 3. Encrypted records go to `tls13` or `tls12`, and if the beginning was not captured to `midstream`, which goes through the
//!    secrets of all connections with `search`. They try `keys`, which are made by `schedule` from what the [`SecretSource`] has,
//!    find the place of a record with `number`, and open records with `opener` and `cbc`.
//! 4. `sessions` keeps the master secrets of TLS 1.2 for connections that resume a session.

mod cbc;
mod certificate;
mod cursor;
mod early;
mod fingerprint;
mod ghash;
mod handshake;
mod hello;
mod keys;
mod messages;
mod midstream;
mod number;
mod opener;
mod outcome;
#[cfg(test)]
mod properties13;
mod records;
#[cfg(test)]
mod rfc8448;
mod schedule;
mod search;
mod secret;
mod session;
mod sessions;
mod skipping;
mod suite;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests12;
#[cfg(test)]
pub(super) mod tests13;
#[cfg(test)]
mod tests_search;
#[cfg(test)]
mod tests_table;
mod tls12;
mod tls13;

pub(crate) use early::Waiting;
#[cfg(test)]
use outcome::PlainLength;
pub(crate) use outcome::{Beginning, Cause, Content, Facts, Opened, Record, Sender};
pub(crate) use records::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, GapEffect, HANDSHAKE, HEADER_BYTES, MAX_BODY_BYTES, Piece, Records,
    body_length,
};
pub(crate) use search::{SearchLimit, Searches};
pub(crate) use secret::{
    Label, Logged, MAX_CANDIDATES, MAX_SECRET, SEARCHED_AT_ONCE, SearchPlace, Secret, SecretSource,
};
pub(crate) use session::Session;
pub(crate) use sessions::Sessions;
pub(crate) use skipping::MIN_SKIPPED_BYTES;
pub(crate) use suite::suite_name;
