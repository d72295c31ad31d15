//! Enrichment: what local files know about the client of an alert.
//!
//! In: [`EnrichSettings`], which name databases, lists of networks and maintenance windows; then the [`Subject`] of an alert.
//! Out: [`Annotations`]: the network and place of the client, labels, and whether a label suppresses or lowers the alert.
//! Promises: files are read by [`Enrichment::load`] alone, at the start and at a reload; [`Enrichment::annotate`] does no I/O
//! and cannot fail; nothing here is on the packet path.
//!
//! [`Sightings`] are the earlier alerts of each client. They are a value; the run saves and loads them.

mod databases;
mod maintenance;
mod networks;
mod sightings;
#[cfg(test)]
pub(crate) mod testing;

use std::path::PathBuf;

use self::{
    databases::{ANONYMOUS_LABELS, Databases},
    networks::Networks,
};
pub use self::{
    maintenance::{Daily, Maintenance, MaintenanceError, Period},
    networks::{NetworkLabels, NetworkSource},
    sightings::{Sighting, Sightings},
};
use crate::{
    address::Address,
    detect::{Alert, AlertKind},
    time::Timestamp,
};

crate::counters! {
    /// Counters of the enrichment.
    pub struct EnrichCounters {
        /// Alerts that were not written because of a label (enrich.suppress).
        suppressed_by_label,
        /// Past sightings of clients that were removed because there were too many (enrich.max_sightings).
        sightings_removed,
        /// Times that past sightings could not be saved.
        sightings_not_saved,
    }
}

/// Which local files annotate alerts, and what labels do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrichSettings {
    /// MaxMind databases.
    pub databases: Vec<PathBuf>,
    /// Networks by label.
    pub networks: NetworkLabels,
    /// Maintenance windows.
    pub maintenance: Vec<Maintenance>,
    /// The file that keeps past sightings.
    pub sightings: Option<PathBuf>,
    /// The most clients in that file.
    pub max_sightings: usize,
    /// Alerts with one of these labels are not written.
    pub suppress: Vec<String>,
    /// Alerts with one of these labels get a lower severity.
    pub lower: Vec<String>,
}

impl Default for EnrichSettings {
    fn default() -> Self {
        Self {
            databases: Vec::new(),
            networks: NetworkLabels::default(),
            maintenance: Vec::new(),
            sightings: None,
            max_sightings: 100_000,
            suppress: Vec::new(),
            lower: Vec::new(),
        }
    }
}

impl EnrichSettings {
    /// The files that are read at the start and at a reload.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.databases.iter().chain(self.networks.files())
    }

    /// All labels that an alert can get.
    pub fn labels(&self) -> impl Iterator<Item = String> {
        let networks = self.networks.labels().map(str::to_owned);
        let anonymous = ANONYMOUS_LABELS.iter().map(|label| (*label).to_owned());
        networks.chain(anonymous).chain(self.maintenance.iter().map(Maintenance::label))
    }
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The file is not a database, or it is damaged.
    #[error("{}: not a usable MaxMind database: {reason}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The database is of a type that gives no annotation.
    #[error(
        "{}: a database of the type {kind:?} gives no annotation; the types are ASN, ISP, City, Country, Enterprise and \
         Anonymous-IP",
        path.display()
    )]
    DatabaseType {
        /// The file.
        path: PathBuf,
        /// The type in its metadata.
        kind: String,
    },
    /// A line of a list is not a network.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// What enrichment needs to know of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The client, where the rule groups by clients.
    pub client: Option<Address>,
    /// The first and the last error, where both are known.
    pub extent: Option<(Timestamp, Timestamp)>,
    /// The servers.
    pub servers: Vec<Address>,
    /// Whether all servers of the alert are listed.
    pub has_all_servers: bool,
}

impl Subject {
    /// The subject of an alert.
    pub fn of(alert: &Alert) -> Self {
        let summary = &alert.summary;
        let [first, last] = [&summary.first, &summary.last].map(|sample| sample.as_ref().map(|sample| sample.time));
        let listed: u64 = summary.servers.iter().map(|&(_, count)| count).sum();
        let all: u64 = summary.reasons.iter().map(|&(_, count)| count).sum();
        Self {
            client: alert.group.client(),
            extent: first.zip(last),
            servers: summary.servers.iter().map(|(server, _)| server.address).collect(),
            has_all_servers: all <= listed,
        }
    }

    /// Returns whether an alert of this kind is a new sighting of its client. An update or a close tells of the same one.
    pub fn is_sighting(alert: &Alert) -> bool {
        matches!(alert.kind, AlertKind::Scheduled | AlertKind::Open)
    }
}

/// What local files say about an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotations {
    /// `source.as.number`.
    pub as_number: Option<u32>,
    /// `source.as.organization.name`.
    pub as_organization: Option<String>,
    /// `source.geo.country_iso_code`.
    pub country: Option<String>,
    /// `source.geo.city_name`.
    pub city: Option<String>,
    /// Labels: those of networks with the longest prefix first, then anonymous networks, then maintenance windows.
    pub labels: Vec<String>,
    /// The alerts of this client before this one.
    pub sightings: Option<Sighting>,
    /// A label says that the alert is not written.
    pub is_suppressed: bool,
    /// A label says that the severity is to be lowered.
    pub is_lowered: bool,
}

impl Annotations {
    /// No annotation.
    pub const NONE: Self = Self {
        as_number: None,
        as_organization: None,
        country: None,
        city: None,
        labels: Vec::new(),
        sightings: None,
        is_suppressed: false,
        is_lowered: false,
    };

    fn add(&mut self, label: &str) {
        if !self.labels.iter().any(|known| known == label) {
            self.labels.push(label.to_owned());
        }
    }
}

/// What the local files hold, ready for look-ups.
#[derive(Debug, Default)]
pub struct Enrichment {
    databases: Databases,
    networks: Networks,
    maintenance: Vec<Maintenance>,
    suppress: Vec<String>,
    lower: Vec<String>,
}

impl Enrichment {
    /// Reads all files.
    ///
    /// # Errors
    ///
    /// The first file that cannot be used, with the line where it is a list.
    pub fn load(settings: &EnrichSettings) -> Result<Self, EnrichError> {
        Ok(Self {
            databases: Databases::load(&settings.databases)?,
            networks: Networks::load(&settings.networks)?,
            maintenance: settings.maintenance.clone(),
            suppress: settings.suppress.clone(),
            lower: settings.lower.clone(),
        })
    }

    /// Looks everything up about an alert. Sightings are left out.
    pub fn annotate(&self, subject: &Subject) -> Annotations {
        let mut annotations = Annotations::default();
        if let Some(client) = subject.client {
            self.networks.labels_of(client).into_iter().for_each(|label| annotations.add(label));
            self.databases.annotate(client, &mut annotations);
        }
        for window in self.maintenance.iter().filter(|window| window.covers(subject)) {
            annotations.add(&window.label());
        }
        let has_one_of = |list: &[String]| annotations.labels.iter().any(|label| list.contains(label));
        let (is_suppressed, is_lowered) = (has_one_of(&self.suppress), has_one_of(&self.lower));
        Annotations { is_suppressed, is_lowered, ..annotations }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(client: &str) -> Subject {
        Subject {
            client: Some(client.parse::<std::net::IpAddr>().unwrap().into()),
            extent: Some((Timestamp::from_parts(100, 0), Timestamp::from_parts(200, 0))),
            servers: vec![Address::v4([203, 0, 113, 80])],
            has_all_servers: true,
        }
    }

    #[test]
    fn labels_of_all_kinds_come_together_and_decide() {
        let mut networks = NetworkLabels::default();
        networks.add("office", vec![NetworkSource::Network("192.0.2.0/24".parse().unwrap())]);
        networks.add("own_scanner", vec![NetworkSource::Network("192.0.2.7/32".parse().unwrap())]);
        let window = Period::Once { start: Timestamp::from_parts(50, 0), end: Timestamp::from_parts(300, 0) };
        let settings = EnrichSettings {
            networks,
            maintenance: vec![Maintenance { name: "upgrade".into(), period: window, servers: Vec::new() }],
            suppress: vec!["own_scanner".into()],
            lower: vec!["maintenance: upgrade".into()],
            ..EnrichSettings::default()
        };
        let enrichment = Enrichment::load(&settings).unwrap();
        let scanner = enrichment.annotate(&subject("192.0.2.7"));
        assert_eq!(scanner.labels, ["own_scanner", "office", "maintenance: upgrade"]);
        assert!(scanner.is_suppressed && scanner.is_lowered);
        let other = enrichment.annotate(&subject("198.51.100.1"));
        assert_eq!(other.labels, ["maintenance: upgrade"]);
        assert!(!other.is_suppressed && other.is_lowered);
        assert_eq!(Enrichment::default().annotate(&subject("192.0.2.7")), Annotations::NONE);
    }

    #[test]
    fn what_databases_say_stands_beside_the_labels() {
        let folder = tempfile::tempdir().unwrap();
        let settings = EnrichSettings { databases: testing::databases(folder.path()), ..EnrichSettings::default() };
        let annotations = Enrichment::load(&settings).unwrap().annotate(&subject("192.0.2.7"));
        assert_eq!(annotations.as_number, Some(64_496));
        assert_eq!(annotations.as_organization.as_deref(), Some("Example Networks"));
        assert_eq!(annotations.country.as_deref(), Some("NL"));
        assert_eq!(annotations.city.as_deref(), Some("Utrecht"));
        assert_eq!(annotations.labels, ["anonymous_vpn", "tor_exit"]);
    }
}
