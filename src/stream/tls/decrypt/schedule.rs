//! Key derivation of TLS 1.0 to 1.3.
//!
//! In: secrets. Out: master secrets, key blocks and traffic keys. Promises: a secret whose length does not fit the hash gives
//! `None`. Everything derived is erased when it is dropped.

use aws_lc_rs::{digest, hkdf, hmac, tls_prf};
use md5::{Digest, Md5};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    secret::Secret,
    suite::{Hash, Protection, Suite},
};

/// TLS versions as they are sent.
pub(super) const TLS10: u16 = 0x0301;
pub(super) const TLS11: u16 = 0x0302;
pub(super) const TLS12: u16 = 0x0303;
pub(super) const TLS13: u16 = 0x0304;

/// Length of a master secret of TLS 1.2 and below.
pub(super) const MASTER_SECRET_BYTES: usize = 48;

const AEAD_NONCE_BYTES: usize = 12;
const AES_BLOCK_BYTES: usize = 16;
const MD5_BLOCK_BYTES: usize = 64;

/// The keys of one direction. Parts that the suite does not use are empty.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
pub(super) struct DirectionKeys {
    /// The key of a CBC suite's HMAC.
    pub(super) mac: Vec<u8>,
    /// The encryption key.
    pub(super) key: Vec<u8>,
    /// The initialisation vector, or the part of the nonce that is not sent.
    pub(super) iv: Vec<u8>,
}

/// Computes the master secret from a premaster secret (RFC 5246, section 8.1; RFC 7627, section 4, with a session hash).
pub(super) fn master_secret(
    version: u16,
    hash: Hash,
    premaster: &Secret,
    randoms: (&[u8; 32], &[u8; 32]),
    session_hash: Option<&[u8]>,
) -> Option<Secret> {
    let mut master = Zeroizing::new([0; MASTER_SECRET_BYTES]);
    let (client_random, server_random) = randoms;
    match session_hash {
        Some(hashed) => {
            prf(version, hash, premaster.bytes(), b"extended master secret", [hashed, &[]], &mut *master)?;
        }
        None => {
            let seed = [&client_random[..], &server_random[..]];
            prf(version, hash, premaster.bytes(), b"master secret", seed, &mut *master)?;
        }
    }
    Secret::new(&*master)
}

/// Derives the keys of both directions, the client's first (RFC 5246, section 6.3).
pub(super) fn key_block(
    version: u16,
    suite: Suite,
    master: &Secret,
    randoms: (&[u8; 32], &[u8; 32]),
) -> Option<[DirectionKeys; 2]> {
    if master.bytes().len() != MASTER_SECRET_BYTES {
        return None;
    }
    let (mac_bytes, iv_bytes) = match suite.protection {
        Protection::AesGcm => (0, 4),
        Protection::ChaCha20Poly1305 => (0, AEAD_NONCE_BYTES),
        Protection::AesCbc(mac) => (mac.bytes(), if version <= TLS10 { AES_BLOCK_BYTES } else { 0 }),
    };
    let mut block = Zeroizing::new(vec![0; 2 * (mac_bytes + suite.key_bytes + iv_bytes)]);
    let (client_random, server_random) = randoms;
    let seed = [&server_random[..], &client_random[..]];
    prf(version, suite.hash, master.bytes(), b"key expansion", seed, &mut block)?;
    let mut rest = &block[..];
    let mut take = |bytes: usize| -> Option<Vec<u8>> {
        let (taken, after) = rest.split_at_checked(bytes)?;
        rest = after;
        Some(taken.to_vec())
    };
    let (client_mac, server_mac) = (take(mac_bytes)?, take(mac_bytes)?);
    let (client_key, server_key) = (take(suite.key_bytes)?, take(suite.key_bytes)?);
    let (client_iv, server_iv) = (take(iv_bytes)?, take(iv_bytes)?);
    Some([
        DirectionKeys { mac: client_mac, key: client_key, iv: client_iv },
        DirectionKeys { mac: server_mac, key: server_key, iv: server_iv },
    ])
}

/// Derives the keys of a traffic secret (RFC 8446, section 7.3).
pub(super) fn traffic_keys(suite: Suite, secret: &Secret) -> Option<DirectionKeys> {
    let mut keys = DirectionKeys { mac: Vec::new(), key: vec![0; suite.key_bytes], iv: vec![0; AEAD_NONCE_BYTES] };
    expand_label(suite.hash, secret, b"key", &mut keys.key)?;
    expand_label(suite.hash, secret, b"iv", &mut keys.iv)?;
    Some(keys)
}

/// Computes the traffic secret that follows a key update (RFC 8446, section 7.2).
pub(super) fn next_traffic_secret(suite: Suite, secret: &Secret) -> Option<Secret> {
    let mut next = Zeroizing::new(vec![0; suite.hash.bytes()]);
    expand_label(suite.hash, secret, b"traffic upd", &mut next)?;
    Secret::new(&next)
}

/// Returns the hash of handshake messages, which the extended master secret uses (RFC 7627, section 3).
pub(super) fn session_hash(version: u16, hash: Hash, messages: &[u8]) -> Vec<u8> {
    if version <= TLS11 {
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, messages);
        return [&Md5::digest(messages)[..], sha1.as_ref()].concat();
    }
    let algorithm = match hash {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
    };
    digest::digest(algorithm, messages).as_ref().to_vec()
}

/// A length for [`hkdf::Prk::expand`].
struct OutputBytes(usize);

impl hkdf::KeyType for OutputBytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446, section 7.1).
fn expand_label(hash: Hash, secret: &Secret, label: &[u8], output: &mut [u8]) -> Option<()> {
    let algorithm = match hash {
        Hash::Sha256 => hkdf::HKDF_SHA256,
        Hash::Sha384 => hkdf::HKDF_SHA384,
    };
    // Some writers of key logs fill secrets up to 64 bytes.
    let secret = secret.bytes().get(..hash.bytes())?;
    let [high, low] = u16::try_from(output.len()).ok()?.to_be_bytes();
    let label_bytes = u8::try_from(b"tls13 ".len() + label.len()).ok()?;
    let info = [&[high, low, label_bytes][..], b"tls13 ", label, &[0]];
    let prk = hkdf::Prk::new_less_safe(algorithm, secret);
    prk.expand(&info, OutputBytes(output.len())).ok()?.fill(output).ok()
}

/// The pseudorandom function of TLS 1.0 to 1.2 (RFC 5246, section 5; RFC 2246, section 5). The seed's parts are
/// concatenated.
fn prf(version: u16, hash: Hash, secret: &[u8], label: &[u8], seed: [&[u8]; 2], output: &mut [u8]) -> Option<()> {
    if version <= TLS11 {
        old_prf(secret, label, seed, output);
        return Some(());
    }
    let algorithm = match hash {
        Hash::Sha256 => &tls_prf::P_SHA256,
        Hash::Sha384 => &tls_prf::P_SHA384,
    };
    let secret = tls_prf::Secret::new(algorithm, secret).ok()?;
    let derived = secret.derive_with_seed_concatination(label, seed[0], seed[1], output.len()).ok()?;
    output.copy_from_slice(derived.as_ref().get(..output.len())?);
    Some(())
}

/// The pseudorandom function of TLS 1.0 and 1.1: P_MD5 of the secret's first half xor P_SHA1 of its second half. The halves
/// share the middle byte of a secret of odd length.
fn old_prf(secret: &[u8], label: &[u8], seed: [&[u8]; 2], output: &mut [u8]) {
    let half = secret.len().div_ceil(2);
    let (first, second) = (&secret[..half], &secret[secret.len() - half..]);
    let seed = [label, seed[0], seed[1]].concat();
    output.fill(0);
    xor_p_hash(&|message| hmac_md5(first, message).to_vec(), &seed, output);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, second);
    xor_p_hash(&|message| hmac::sign(&key, message).as_ref().to_vec(), &seed, output);
}

/// Adds the output of P_hash to `output` by xor.
fn xor_p_hash(hmac: &dyn Fn(&[u8]) -> Vec<u8>, seed: &[u8], output: &mut [u8]) {
    let mut chained = hmac(seed);
    let mut filled = 0;
    while filled < output.len() {
        let block = Zeroizing::new(hmac(&[&chained[..], seed].concat()));
        for (to, from) in output[filled..].iter_mut().zip(block.iter()) {
            *to ^= from;
        }
        filled += block.len();
        chained = hmac(&chained);
    }
}

/// HMAC-MD5 (RFC 2104), which the AEAD library does not have.
fn hmac_md5(key: &[u8], message: &[u8]) -> [u8; 16] {
    let mut block = Zeroizing::new([0; MD5_BLOCK_BYTES]);
    if let Some(fitting) = block.get_mut(..key.len()) {
        fitting.copy_from_slice(key);
    } else {
        block[..16].copy_from_slice(&Md5::digest(key));
    }
    let padded = |pad: u8| Zeroizing::new(block.map(|byte| byte ^ pad));
    let inner = Md5::new().chain_update(&padded(0x36)[..]).chain_update(message).finalize();
    Md5::new().chain_update(&padded(0x5c)[..]).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::{suite::suite, testing::unhex};
    use super::*;

    #[test]
    fn hmac_md5_is_that_of_rfc_2202() {
        assert_eq!(hmac_md5(&[0x0b; 16], b"Hi There")[..], unhex("9294727a3638bb1c13f48ef8158bfc9d"));
        let long_key = hmac_md5(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(long_key[..], unhex("6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"));
    }

    /// RFC 8448, section 3: the keys of the server's handshake traffic secret and of the client's.
    #[test]
    fn traffic_keys_are_those_of_rfc_8448() {
        let secret = |hex| Secret::new(&unhex(hex)).expect("32 bytes");
        let suite = suite(0x1301).expect("supported");
        let server = secret("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
        let keys = traffic_keys(suite, &server).expect("long enough");
        assert_eq!(keys.key, unhex("3fce516009c21727d0f2e4e86ee403bc"));
        assert_eq!(keys.iv, unhex("5d313eb2671276ee13000b30"));
        let client = secret("b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21");
        let keys = traffic_keys(suite, &client).expect("long enough");
        assert_eq!(keys.key, unhex("dbfaa693d1762c5b666af5d950258d01"));
        assert_eq!(keys.iv, unhex("5bd3c71b836e0b76bb73265f"));
    }

    #[test]
    fn secrets_of_other_lengths_give_no_keys() {
        let short = Secret::new(&[7; 31]).expect("fits");
        let (gcm128, gcm256) = (suite(0x1301).expect("supported"), suite(0x1302).expect("supported"));
        assert!(traffic_keys(gcm128, &short).is_none());
        assert!(next_traffic_secret(gcm128, &short).is_none());
        let filled = Secret::new(&[&[7; 48][..], &[0; 16]].concat()).expect("fits");
        let exact = Secret::new(&[7; 48]).expect("fits");
        let keys = [filled, exact].map(|secret| traffic_keys(gcm256, &secret).expect("long enough").key.clone());
        assert_eq!(keys[0], keys[1]);
        assert!(key_block(TLS12, suite(0xc02f).expect("supported"), &short, (&[0; 32], &[0; 32])).is_none());
    }
}
