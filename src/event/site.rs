//! The site that a sensor watches.
//!
//! In: configuration. Out: one [`Site`], built once and shared (`Arc<Site>`) by every module that writes about the site:
//! events, exchanges, alerts. Promises: no other type holds a sensor ID, a namespace, a server's name, a masked key or a
//! trusted proxy, so two outputs cannot disagree about them.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    mask::MaskedKeys,
    trust::{self, Trust, TrustedProxy},
};
use crate::address::Address;

/// The most bytes that a namespace may have. Elastic data streams set this limit.
const LONGEST_NAMESPACE: usize = 100;

/// Characters that an index name, and therefore a namespace, must not hold. `-` separates the parts of a data stream's name.
const NOT_IN_NAMESPACES: &[char] = &['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':', '-'];

/// The site: the sensor, the servers it watches, the proxies it trusts, and the parameters it masks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// `agent.id`: the name of this sensor.
    pub sensor_id: String,
    /// `data_stream.namespace`.
    pub namespace: String,
    /// `host.name` by server address. A server without an entry is named by its address.
    pub server_names: BTreeMap<Address, String>,
    /// Query parameters and path parameters whose values are never written.
    pub masked_keys: MaskedKeys,
    /// Proxies whose client headers and PROXY headers are trusted.
    pub trusted_proxies: Vec<TrustedProxy>,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            sensor_id: "wirespike".into(),
            namespace: "default".into(),
            server_names: BTreeMap::new(),
            masked_keys: MaskedKeys::default(),
            trusted_proxies: Vec::new(),
        }
    }
}

/// The reason why a site is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// The sensor's ID is empty. Alerts are grouped by this ID.
    #[error("the sensor ID is empty; write a name that tells this sensor from others, such as 'dmz-1'")]
    EmptySensorId,
    /// The sensor's ID holds a control character. Searches for such an ID would fail.
    #[error("the sensor ID {0:?} holds a control character; write letters, digits, '-', '_' and '.'")]
    SensorIdWithControl(String),
    /// The namespace is empty. A data stream's name ends with its namespace.
    #[error("the namespace is empty; write 'default' or a name such as 'production'")]
    EmptyNamespace,
    /// Elastic refuses such a data stream.
    #[error("the namespace '{0}' has capital letters; write '{lower}'", lower = .0.to_lowercase())]
    NamespaceWithCapitals(String),
    /// Elastic refuses such a data stream.
    #[error("the namespace {namespace:?} holds {character:?}; write '{instead}'")]
    NamespaceWith {
        /// The namespace as configured.
        namespace: String,
        /// The first character that is refused.
        character: char,
        /// The namespace with `_` in the place of every refused character.
        instead: String,
    },
    /// Elastic refuses such a data stream.
    #[error("the namespace has {0} bytes; write one of at most {LONGEST_NAMESPACE}")]
    NamespaceTooLong(usize),
}

impl Site {
    /// The configured name of a server.
    pub fn server_name(&self, server: Address) -> Option<&str> {
        self.server_names.get(&server).map(String::as_str)
    }

    /// Returns whether an address belongs to a trusted proxy.
    pub fn is_trusted(&self, address: Address) -> bool {
        self.trust_of(address).is_some()
    }

    /// What is believed of the requests of an address, or `None` if it belongs to no trusted proxy.
    pub(super) fn trust_of(&self, address: Address) -> Option<Trust> {
        trust::trust_of(&self.trusted_proxies, address)
    }

    /// Returns a URL or target in which passwords and the values of masked keys are replaced by `***`.
    pub fn masked<'a>(&self, url: &'a [u8]) -> Cow<'a, [u8]> {
        self.masked_keys.masked(url)
    }

    /// Checks that every output accepts the sensor's ID and the namespace.
    ///
    /// # Errors
    ///
    /// The first value that is refused, and what to write instead.
    pub fn validate(&self) -> Result<(), SiteError> {
        if self.sensor_id.trim().is_empty() {
            return Err(SiteError::EmptySensorId);
        }
        if self.sensor_id.chars().any(char::is_control) {
            return Err(SiteError::SensorIdWithControl(self.sensor_id.clone()));
        }
        validate_namespace(&self.namespace)
    }
}

/// Checks a namespace against the rules of Elastic data streams. The namespace is the last part of their name.
fn validate_namespace(namespace: &str) -> Result<(), SiteError> {
    let is_refused = |character: char| NOT_IN_NAMESPACES.contains(&character) || character.is_control();
    if namespace.is_empty() {
        return Err(SiteError::EmptyNamespace);
    }
    if namespace.len() > LONGEST_NAMESPACE {
        return Err(SiteError::NamespaceTooLong(namespace.len()));
    }
    if let Some(character) = namespace.chars().find(|&character| is_refused(character)) {
        let instead = namespace.replace(is_refused, "_").to_lowercase();
        return Err(SiteError::NamespaceWith { namespace: namespace.to_owned(), character, instead });
    }
    if namespace.to_lowercase() != namespace {
        return Err(SiteError::NamespaceWithCapitals(namespace.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(site: Site) -> String {
        site.validate().unwrap_err().to_string()
    }

    #[test]
    fn what_no_output_takes_is_refused_with_what_to_write_instead() {
        assert_eq!(Site::default().validate(), Ok(()));
        let sensor = |id: &str| Site { sensor_id: id.into(), ..Site::default() };
        assert!(refusal(sensor("")).contains("write a name"));
        assert!(refusal(sensor("  ")).contains("write a name"));
        assert!(refusal(sensor("a\nb")).contains("control character"));
        assert_eq!(sensor("dmz 1 (West)").validate(), Ok(()));
        let namespace = |name: &str| Site { namespace: name.into(), ..Site::default() };
        for (name, words) in [
            ("", "write 'default'"),
            ("Production", "write 'production'"),
            ("a b", "holds ' '; write 'a_b'"),
            ("Web-Shop", "holds '-'; write 'web_shop'"),
            ("a/b*c", "holds '/'; write 'a_b_c'"),
            ("a\tb", "write 'a_b'"),
            (&"x".repeat(101), "101 bytes"),
        ] {
            assert!(refusal(namespace(name)).contains(words), "{name}: {}", refusal(namespace(name)));
        }
        for name in ["default", "web_shop", "größe", "1.2", &"x".repeat(100)] {
            assert_eq!(namespace(name).validate(), Ok(()), "{name}");
        }
    }

    #[test]
    fn only_configured_proxies_are_trusted() {
        let site = Site { trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()], ..Site::default() };
        assert!(site.is_trusted(Address::v4([192, 0, 2, 200])));
        assert!(!site.is_trusted(Address::v4([192, 0, 3, 1])));
        assert!(!Site::default().is_trusted(Address::v4([192, 0, 2, 200])));
    }
}
