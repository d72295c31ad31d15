//! The settings table: every key once, a file a section.
//!
//! In: nothing. Out: [`SECTIONS`] in the order of the documented example. To add a key, add an entry to its section's file
//! here, and the field it fills; command line, file, `--set`, `check`, `config`, reload, example file and README follow.

mod detect;
mod encrypted_scan;
mod enrich;
mod error_spike;
mod events;
mod http;
mod limits;
mod live;
mod output;
mod packets;
mod proxies;
mod sensor;
pub(super) mod server;
mod timeouts;
mod tls;
mod tunnels;

use std::ops::RangeInclusive;

use super::{Settings, key::Key};

/// A section of the configuration file.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name in TOML.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [Key<Settings>],
}

const fn section(name: &'static str, about: &'static str, keys: &'static [Key<Settings>]) -> Section {
    Section { name, about, keys }
}

/// All sections. `[[server]]`, which may be repeated, has a table of its own: [`server::KEYS`].
pub(crate) const SECTIONS: &[Section] = &[
    section("sensor", "Who this sensor is.", sensor::KEYS),
    section("output", "What is written where.", output::KEYS),
    section("detect", "Which rules are loaded.", detect::KEYS),
    section("rule", "The rule error_spike, and it alone.", error_spike::KEYS),
    section("encrypted_scan", "The rule encrypted_scan, where detect.rules names it.", encrypted_scan::KEYS),
    section("events", "Which exchanges are error events, and what is not written of them.", events::KEYS),
    section("proxies", "Proxies in front of the servers.", proxies::KEYS),
    section("enrich", "What local files say about the clients of alerts.", enrich::KEYS),
    section("packets", "Which packets are read, and how.", packets::KEYS),
    section("tunnels", "Tunnels that are looked into.", tunnels::KEYS),
    section("tls", "What decrypts TLS.", tls::KEYS),
    section("http", "How much of an HTTP message is kept.", http::KEYS),
    section("limits", "Memory. Totals hold whatever the number of workers.", limits::KEYS),
    section("timeouts", "How long something is waited for, in packet time.", timeouts::KEYS),
    section("live", "Live capture and the service around it.", live::KEYS),
];

/// What `[[server]]` is about.
pub(crate) const ABOUT_SERVERS: &str =
    "What is known of a server; repeat the section for several. All conditions given must hold.";

/// All keys but those of `[[server]]`.
pub(crate) fn all() -> impl Iterator<Item = &'static Key<Settings>> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// The key of a name with its section.
pub(super) fn find(name: &str) -> Option<&'static Key<Settings>> {
    all().find(|key| key.name == name)
}

/// The known name that is nearest to an unknown one, when it is near.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let names = all().map(|key| key.name).chain(server::KEYS.iter().map(|key| key.name));
    let (section, last) = name.rsplit_once('.').unwrap_or(("", name));
    let distance = |known: &'static str| {
        let (known_section, known_last) = known.rsplit_once('.').unwrap_or(("", known));
        let within = edit_distance(known_last, last);
        // The right key in the wrong section is nearer than another key.
        if within == 0 { 1 } else { within + edit_distance(known_section, section) }
    };
    let (nearest, distance) = names.map(|known| (known, distance(known))).min_by_key(|(_, distance)| *distance)?;
    (distance <= 1 + last.len() / 4).then_some(nearest)
}

/// How many letters must be put in, taken out or replaced to make one word of another.
fn edit_distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (column, &other_letter) in other.iter().enumerate() {
            let above = row.get(column + 1).copied().unwrap_or(usize::MAX);
            let replaced = diagonal + usize::from(letter != other_letter);
            diagonal = above;
            if let Some(place) = row.get_mut(column) {
                *place = left;
            }
            left = replaced.min(above + 1).min(left + 1);
        }
        if let Some(last) = row.last_mut() {
            *last = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Refuses a number outside a range.
fn within(number: u64, range: RangeInclusive<u64>, unit: &str) -> Result<(), String> {
    if range.contains(&number) {
        return Ok(());
    }
    Err(format!("{number}{unit} is not between {} and {}", range.start(), range.end()))
}

/// Refuses a limit of nothing.
fn at_least_one(limit: usize) -> Result<(), String> {
    if limit == 0 { Err("0 is too little: nothing could be held".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_far_apart_as_letters_must_change() {
        for (one, other, distance) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("threshold", "treshold", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(edit_distance(one, other), distance, "{one} {other}");
        }
    }

    #[test]
    fn the_nearest_name_is_told_when_one_is_near() {
        for (unknown, known) in [
            ("rule.treshold", Some("rule.threshold")),
            ("rules.threshold", Some("rule.threshold")),
            ("threshold", Some("rule.threshold")),
            ("limits.workers", Some("packets.workers")),
            ("output.alert", Some("output.alerts")),
            ("server.adress", None),
            ("rule.nothing", None),
        ] {
            assert_eq!(nearest(unknown), known, "{unknown}");
        }
    }

    #[test]
    fn names_and_flags_are_given_once() {
        let mut names: Vec<_> = all().map(|key| key.name).chain(server::KEYS.iter().map(|key| key.name)).collect();
        let mut flags: Vec<_> = all().filter_map(|key| key.flag).map(|flag| flag.long).collect();
        for list in [&mut names, &mut flags] {
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), count);
        }
        for section in SECTIONS {
            for key in section.keys {
                assert_eq!(key.name.rsplit_once('.'), Some((section.name, key.short_name())));
            }
        }
    }
}
