//! Where the secrets of TLS connections come from.
//!
//! In: text of key logs (RFC 9850) and private keys of servers. Out: a [`Secrets`] store that all threads share. Promises: no I/O;
//! what is read appears in no message; memory is limited, and everything that is left out is counted.

mod keylog;
mod private_key;
mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

#[cfg(fuzzing)]
pub use self::keylog::fuzz as fuzz_key_log;
pub use self::{
    keylog::{KeyLog, KeyLogCounters},
    private_key::{PrivateKey, PrivateKeyError},
    store::{DEFAULT_MAX_SECRETS, SecretCounters, Secrets, StoreCounters},
};
#[cfg(test)]
pub(crate) use super::decrypt::{Label, SecretSource};

use crate::keyed_hash::KeyedState;

/// The store of a run.
pub type SecretStore = Secrets<KeyedState>;
