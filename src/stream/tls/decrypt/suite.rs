//! Cipher suites.
//!
//! In: a suite's identifier (IANA registry "TLS Cipher Suites"). Out: [`Suite`], with what it takes to open its records;
//! the suite's name. Promises: a suite that is not listed is not supported.

/// How a suite protects records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    /// AES-GCM (RFC 5288, RFC 8446).
    AesGcm,
    /// ChaCha20-Poly1305 (RFC 7905, RFC 8446).
    ChaCha20Poly1305,
    /// AES-CBC with an HMAC (RFC 5246, section 6.2.3.2).
    AesCbc(Mac),
}

/// The hash of a CBC suite's HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mac {
    /// HMAC-SHA-1.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-384.
    Sha384,
}

impl Mac {
    /// Length of the key and of the tag in bytes.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// The hash of a suite's key derivation. TLS 1.0 and 1.1 use MD5 and SHA-1 together instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Hash {
    /// Length of the hash in bytes.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// How a suite's premaster secret is agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyExchange {
    /// TLS 1.3, where the suite does not say.
    Any,
    /// ECDHE, DHE, PSK: the premaster secret is known only from a key log.
    Other,
    /// The client encrypts the premaster secret with the server's RSA key.
    StaticRsa,
}

/// A cipher suite whose records can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suite {
    /// Its identifier.
    pub(super) id: u16,
    /// How it protects records.
    pub(super) protection: Protection,
    /// Length of the encryption key in bytes.
    pub(super) key_bytes: usize,
    /// The hash of its key derivation.
    pub(super) hash: Hash,
    /// How its premaster secret is agreed.
    pub(super) key_exchange: KeyExchange,
}

macro_rules! suites {
    ($($id:literal $name:literal $protection:tt $key:literal $hash:ident $exchange:ident;)*) => {
        /// Returns what it takes to open the records of a suite; `None` if it is not supported.
        pub(super) fn suite(id: u16) -> Option<Suite> {
            match id {
                $($id => Some(Suite {
                    id,
                    protection: protection!($protection),
                    key_bytes: $key,
                    hash: Hash::$hash,
                    key_exchange: KeyExchange::$exchange,
                }),)*
                _ => None,
            }
        }

        /// Returns the name of a supported suite; `None` for any other.
        pub(crate) fn suite_name(id: u16) -> Option<&'static str> {
            match id {
                $($id => Some($name),)*
                _ => None,
            }
        }

        #[cfg(test)]
        const ALL: &[u16] = &[$($id),*];
    };
}

macro_rules! protection {
    (gcm) => {
        Protection::AesGcm
    };
    (chacha) => {
        Protection::ChaCha20Poly1305
    };
    (sha1) => {
        Protection::AesCbc(Mac::Sha1)
    };
    (sha256) => {
        Protection::AesCbc(Mac::Sha256)
    };
    (sha384) => {
        Protection::AesCbc(Mac::Sha384)
    };
}

// Identifier, name, protection (a hash means CBC with this HMAC), key length, hash of the key derivation, key exchange.
suites! {
    0x1301 "TLS_AES_128_GCM_SHA256" gcm 16 Sha256 Any;
    0x1302 "TLS_AES_256_GCM_SHA384" gcm 32 Sha384 Any;
    0x1303 "TLS_CHACHA20_POLY1305_SHA256" chacha 32 Sha256 Any;
    0xc02b "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0xc02c "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0xc02f "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0xc030 "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0x009e "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0x009f "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0x00a2 "TLS_DHE_DSS_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0x00a3 "TLS_DHE_DSS_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0x00a6 "TLS_DH_anon_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0x00a7 "TLS_DH_anon_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0xc02d "TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0xc02e "TLS_ECDH_ECDSA_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0xc031 "TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0xc032 "TLS_ECDH_RSA_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0x009c "TLS_RSA_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 StaticRsa;
    0x009d "TLS_RSA_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 StaticRsa;
    0x00a8 "TLS_PSK_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0x00a9 "TLS_PSK_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0x00aa "TLS_DHE_PSK_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0x00ab "TLS_DHE_PSK_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0x00ac "TLS_RSA_PSK_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0x00ad "TLS_RSA_PSK_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0xd001 "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256" gcm 16 Sha256 Other;
    0xd002 "TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384" gcm 32 Sha384 Other;
    0xcca8 "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" chacha 32 Sha256 Other;
    0xcca9 "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" chacha 32 Sha256 Other;
    0xccaa "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256" chacha 32 Sha256 Other;
    0xccab "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256" chacha 32 Sha256 Other;
    0xccac "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256" chacha 32 Sha256 Other;
    0xccad "TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256" chacha 32 Sha256 Other;
    0xccae "TLS_RSA_PSK_WITH_CHACHA20_POLY1305_SHA256" chacha 32 Sha256 Other;
    0x002f "TLS_RSA_WITH_AES_128_CBC_SHA" sha1 16 Sha256 StaticRsa;
    0x0035 "TLS_RSA_WITH_AES_256_CBC_SHA" sha1 32 Sha256 StaticRsa;
    0x003c "TLS_RSA_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 StaticRsa;
    0x003d "TLS_RSA_WITH_AES_256_CBC_SHA256" sha256 32 Sha256 StaticRsa;
    0x0032 "TLS_DHE_DSS_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0x0038 "TLS_DHE_DSS_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0x0040 "TLS_DHE_DSS_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0x006a "TLS_DHE_DSS_WITH_AES_256_CBC_SHA256" sha256 32 Sha256 Other;
    0x0033 "TLS_DHE_RSA_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0x0039 "TLS_DHE_RSA_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0x0067 "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0x006b "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256" sha256 32 Sha256 Other;
    0x0034 "TLS_DH_anon_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0x003a "TLS_DH_anon_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0x006c "TLS_DH_anon_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0x006d "TLS_DH_anon_WITH_AES_256_CBC_SHA256" sha256 32 Sha256 Other;
    0xc004 "TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0xc005 "TLS_ECDH_ECDSA_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0xc00e "TLS_ECDH_RSA_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0xc00f "TLS_ECDH_RSA_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0xc009 "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0xc00a "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0xc013 "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0xc014 "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0xc018 "TLS_ECDH_anon_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0xc019 "TLS_ECDH_anon_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0xc023 "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0xc024 "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384" sha384 32 Sha384 Other;
    0xc025 "TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0xc026 "TLS_ECDH_ECDSA_WITH_AES_256_CBC_SHA384" sha384 32 Sha384 Other;
    0xc027 "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0xc028 "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384" sha384 32 Sha384 Other;
    0xc029 "TLS_ECDH_RSA_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0xc02a "TLS_ECDH_RSA_WITH_AES_256_CBC_SHA384" sha384 32 Sha384 Other;
    0x008c "TLS_PSK_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0x008d "TLS_PSK_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0x0090 "TLS_DHE_PSK_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0x0091 "TLS_DHE_PSK_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0x0094 "TLS_RSA_PSK_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0x0095 "TLS_RSA_PSK_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0x00ae "TLS_PSK_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0x00af "TLS_PSK_WITH_AES_256_CBC_SHA384" sha384 32 Sha384 Other;
    0x00b2 "TLS_DHE_PSK_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0x00b3 "TLS_DHE_PSK_WITH_AES_256_CBC_SHA384" sha384 32 Sha384 Other;
    0x00b6 "TLS_RSA_PSK_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0x00b7 "TLS_RSA_PSK_WITH_AES_256_CBC_SHA384" sha384 32 Sha384 Other;
    0xc035 "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA" sha1 16 Sha256 Other;
    0xc036 "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA" sha1 32 Sha256 Other;
    0xc037 "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256" sha256 16 Sha256 Other;
    0xc038 "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384" sha384 32 Sha384 Other;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suite_is_what_its_name_says() {
        for id in ALL {
            let (suite, name) = (suite(*id).expect("listed"), suite_name(*id).expect("listed"));
            let is_cbc = name.contains("_CBC_");
            assert_eq!(name.contains("_GCM_"), suite.protection == Protection::AesGcm, "{name}");
            assert_eq!(name.contains("_CHACHA20_"), suite.protection == Protection::ChaCha20Poly1305, "{name}");
            assert_eq!(is_cbc, matches!(suite.protection, Protection::AesCbc(_)), "{name}");
            assert_eq!(name.contains("_AES_128_"), suite.key_bytes == 16, "{name}");
            assert_eq!(name.ends_with("_SHA384"), suite.hash == Hash::Sha384, "{name}");
            assert_eq!(name.starts_with("TLS_RSA_WITH"), suite.key_exchange == KeyExchange::StaticRsa, "{name}");
            assert_eq!(id >> 8 == 0x13, suite.key_exchange == KeyExchange::Any, "{name}");
            if let Protection::AesCbc(mac) = suite.protection {
                let hash = if name.ends_with("_SHA") {
                    Mac::Sha1
                } else if name.ends_with("256") {
                    Mac::Sha256
                } else {
                    Mac::Sha384
                };
                assert_eq!(mac, hash, "{name}");
            }
        }
    }

    #[test]
    fn other_suites_are_not_supported() {
        for id in [0x0000, 0x000a, 0x1304, 0x1305, 0xc09c, 0x00ff, 0x0a0a] {
            assert_eq!((suite(id), suite_name(id)), (None, None));
        }
    }
}
