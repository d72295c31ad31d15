//! MaxMind databases.
//!
//! In: paths of databases. Out: network, place and anonymity of an address. Promises: a database is checked whole when it is
//! loaded, so that a damaged one is an error then; a look-up never fails or panics: what a record does not hold is left out.

use std::{fmt, io::Read, path::Path, path::PathBuf};

use maxminddb::Reader;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Annotations, EnrichError};
use crate::{address::Address, regular};

/// Larger files are refused. The largest databases have a few hundred MiB.
const MAX_BYTES: u64 = 2 << 30;

/// The labels that databases of anonymous networks give.
pub(super) const ANONYMOUS_LABELS: [&str; 4] = ["anonymous_vpn", "tor_exit", "hosting_provider", "public_proxy"];

/// The databases of a run.
#[derive(Debug, Default)]
pub(super) struct Databases(Vec<Database>);

struct Database {
    content: Content,
    reader: Reader<Vec<u8>>,
}

/// What a database tells about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    AutonomousSystem,
    Place,
    Anonymity,
}

#[derive(Deserialize)]
struct AutonomousSystem {
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<String>,
}

#[derive(Deserialize)]
struct Place {
    country: Option<Country>,
    city: Option<City>,
}

#[derive(Deserialize)]
struct Country {
    iso_code: Option<String>,
}

#[derive(Deserialize)]
struct City {
    names: Option<Names>,
}

#[derive(Deserialize)]
struct Names {
    en: Option<String>,
}

#[derive(Deserialize)]
struct Anonymity {
    #[serde(default)]
    is_anonymous_vpn: bool,
    #[serde(default)]
    is_tor_exit_node: bool,
    #[serde(default)]
    is_hosting_provider: bool,
    #[serde(default)]
    is_public_proxy: bool,
}

impl Databases {
    /// Reads and checks databases.
    pub(super) fn load(paths: &[PathBuf]) -> Result<Self, EnrichError> {
        paths.iter().map(|path| Database::load(path)).collect::<Result<_, _>>().map(Self)
    }

    /// Adds what is known about an address. Of two databases with the same content the first that knows the address counts.
    pub(super) fn annotate(&self, address: Address, annotations: &mut Annotations) {
        for database in &self.0 {
            database.annotate(address, annotations);
        }
    }
}

impl Content {
    fn of(kind: &str) -> Option<Self> {
        let has = |word: &str| kind.contains(word);
        if has("Anonymous") {
            Some(Self::Anonymity)
        } else if has("ASN") || has("ISP") {
            Some(Self::AutonomousSystem)
        } else if has("City") || has("Country") || has("Enterprise") {
            Some(Self::Place)
        } else {
            None
        }
    }
}

impl Database {
    fn load(path: &Path) -> Result<Self, EnrichError> {
        let unreadable =
            |error: std::io::Error| EnrichError::Unreadable { path: path.to_owned(), reason: error.to_string() };
        let damaged = |reason: String| EnrichError::Database { path: path.to_owned(), reason };
        let (mut file, size) = regular::open(path).map_err(unreadable)?;
        if size > MAX_BYTES {
            return Err(damaged(format!("{size} bytes are more than {MAX_BYTES}")));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        let reader = Reader::from_source(bytes).map_err(|error| damaged(error.to_string()))?;
        reader.verify().map_err(|error| damaged(error.to_string()))?;
        let kind = &reader.metadata().database_type;
        let content =
            Content::of(kind).ok_or_else(|| EnrichError::DatabaseType { path: path.to_owned(), kind: kind.clone() })?;
        Ok(Self { content, reader })
    }

    fn record<T: DeserializeOwned>(&self, address: Address) -> Option<T> {
        if self.reader.metadata().ip_version == 4 && !address.is_v4() {
            return None;
        }
        self.reader.lookup(address.to_ip()).ok()?.decode().ok()?
    }

    fn annotate(&self, address: Address, annotations: &mut Annotations) {
        match self.content {
            Content::AutonomousSystem => {
                let Some(record) = self.record::<AutonomousSystem>(address) else { return };
                if annotations.as_number.is_none() && annotations.as_organization.is_none() {
                    annotations.as_number = record.autonomous_system_number;
                    annotations.as_organization = record.autonomous_system_organization;
                }
            }
            Content::Place => {
                let Some(record) = self.record::<Place>(address) else { return };
                let country = record.country.and_then(|country| country.iso_code);
                let city = record.city.and_then(|city| city.names).and_then(|names| names.en);
                // A database of countries may stand before one of cities, but two must not contradict each other.
                if annotations.country.is_none() || annotations.country == country && annotations.city.is_none() {
                    (annotations.country, annotations.city) = (country, city);
                }
            }
            Content::Anonymity => {
                let Some(record) = self.record::<Anonymity>(address) else { return };
                let flags = [
                    record.is_anonymous_vpn,
                    record.is_tor_exit_node,
                    record.is_hosting_provider,
                    record.is_public_proxy,
                ];
                for (label, _) in ANONYMOUS_LABELS.iter().zip(flags).filter(|(_, is_set)| *is_set) {
                    annotations.add(label);
                }
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("content", &self.content).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::testing::{self, Record};

    #[test]
    fn content_follows_from_the_type_in_the_metadata() {
        for (kind, content) in [
            ("GeoLite2-ASN", Some(Content::AutonomousSystem)),
            ("GeoIP2-ISP", Some(Content::AutonomousSystem)),
            ("GeoLite2-City", Some(Content::Place)),
            ("DBIP-Country-Lite", Some(Content::Place)),
            ("GeoIP2-Enterprise", Some(Content::Place)),
            ("GeoIP2-Anonymous-IP", Some(Content::Anonymity)),
            ("GeoIP2-Domain", None),
            ("", None),
        ] {
            assert_eq!(Content::of(kind), content, "{kind}");
        }
    }

    #[test]
    fn an_address_outside_the_networks_has_no_annotation() {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::load(&testing::databases(folder.path())).unwrap();
        for address in [Address::v4([198, 51, 100, 1]), Address::v6([0x20; 16])] {
            let mut annotations = Annotations::default();
            databases.annotate(address, &mut annotations);
            assert_eq!(annotations, Annotations::NONE);
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mmdb");
        let said = || Databases::load(std::slice::from_ref(&path)).unwrap_err().to_string();
        assert!(said().contains("x.mmdb: cannot be read"), "{}", said());
        std::fs::write(&path, b"not a database").unwrap();
        assert!(said().contains("x.mmdb: not a usable MaxMind database"), "{}", said());
        std::fs::write(&path, testing::database("GeoIP2-Domain", &[])).unwrap();
        assert!(said().contains("the type \"GeoIP2-Domain\" gives no annotation"), "{}", said());
    }

    #[test]
    fn no_crafted_file_causes_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mmdb");
        let whole = testing::database(
            "GeoLite2-ASN",
            &[
                ("autonomous_system_number", Record::Number(64_496)),
                ("autonomous_system_organization", Record::Text("A")),
            ],
        );
        for at in 0..whole.len() {
            for change in [0x01, 0x20, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                // Through the reader alone: files are slow.
                let Ok(reader) = Reader::from_source(bytes) else { continue };
                let database = Database { content: Content::AutonomousSystem, reader };
                for address in [Address::v4([192, 0, 2, 7]), Address::v4([255; 4]), Address::v6([0xff; 16])] {
                    database.annotate(address, &mut Annotations::default());
                }
                let _ = database.reader.verify();
            }
            std::fs::write(&path, &whole[..at]).unwrap();
            let _ = Database::load(&path);
        }
    }
}
