//! `[enrich]`: what local files say about the clients of alerts.

use super::at_least_one;
use crate::settings::{
    Settings,
    key::{Category::Output, Key, Reload, setting},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        long: "ASN and ISP databases give source.as, City, Country and Enterprise databases source.geo, and Anonymous-IP \
               databases the labels anonymous_vpn, tor_exit, hosting_provider and public_proxy. They are read at the start and at \
               a reload.",
        example: r#"["GeoLite2-ASN.mmdb", "GeoLite2-City.mmdb"]"#,
        ..Key::new(
            "enrich.databases",
            Output,
            "MaxMind databases (.mmdb) that annotate alerts",
            setting!(enrich.databases),
        )
    },
    Key {
        long: "A label, and a list of networks, addresses and files. A file has one network or address a line; # begins a \
               comment. An alert gets every label that holds its client.",
        example: r#"{ own_scanner = ["192.0.2.10"], office = ["198.51.100.0/24", "offices.txt"] }"#,
        ..Key::new(
            "enrich.networks",
            Output,
            "Networks by label; an alert gets its client's labels",
            setting!(enrich.networks),
        )
    },
    Key {
        long: "Each has a name and either start and end (2026-11-28T22:00:00Z) or daily (22:00-23:30, UTC) and perhaps days (mon \
               to sun); servers limits it to some networks. An alert whose errors all lie within it gets the label \
               maintenance: NAME.",
        example: r#"[{ name = "backup", daily = "22:00-23:30", days = ["sat"], servers = ["203.0.113.80"] }]"#,
        ..Key::new(
            "enrich.maintenance",
            Output,
            "Maintenance windows; an alert within one is labelled",
            setting!(enrich.maintenance),
        )
    },
    Key {
        reload: Reload::OnRestart,
        long: "For each client the first and the last alert and their number; an alert then has those before it in \
               wirespike.alert.sightings.",
        example: r#""/var/lib/wirespike/sightings.state""#,
        ..Key::new(
            "enrich.sightings",
            Output,
            "Keep past alerts of each client in this file",
            setting!(enrich.sightings),
        )
    },
    Key {
        example: "100000",
        check: |settings| at_least_one(settings.enrich.max_sightings),
        ..Key::new(
            "enrich.max_sightings",
            Output,
            "Most clients in the file of past alerts; the oldest go first",
            setting!(enrich.max_sightings),
        )
    },
    Key {
        long: "Labels of enrich.networks, of anonymous networks, or maintenance: NAME. The alerts that are not written are counted \
               in the summary.",
        example: r#"["public_proxy"]"#,
        ..Key::new(
            "enrich.suppress",
            Output,
            "Alerts with one of these labels are not written",
            setting!(enrich.suppress),
        )
    },
    Key {
        example: r#"["hosting_provider"]"#,
        ..Key::new(
            "enrich.lower",
            Output,
            "Alerts with one of these labels get a lower severity",
            setting!(enrich.lower),
        )
    },
];
