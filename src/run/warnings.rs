//! What a replay's user must know beside its result.
//!
//! In: the files read, the filter, and the counters of every stage. Out: warnings, one line each: what was not decoded, not
//! readable, not matched or not counted, how much of it, and what to do. Promises: a warning names the file where it is
//! about one file; what cannot be seen in names is escaped.

use std::path::{Path, PathBuf};

use crate::{
    address::Endpoint,
    capture::{
        LinkType,
        files::{CaptureSet, FileRead},
        filter::describe_link_type,
    },
    printable::printable,
    sensor::{self, SensorSettings},
    stream::UnreadPorts,
    telemetry::summary::{StageCounts, grouped},
};

use super::{
    survey::{self, UnreadableFiles},
    unread::Unread,
};

/// The most files, ports and servers that a warning names.
pub(super) const MOST_NAMED: usize = 5;

/// What is to be said at the end of a replay.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Warnings {
    /// One line each.
    pub(super) lines: Vec<String>,
    /// Whether no packet could be decoded at all, so that the run could not do what was asked.
    pub(super) nothing_decoded: bool,
}

/// The counters of all stages, by name.
pub(super) struct Counters<'a>(pub(super) &'a [StageCounts]);

impl Counters<'_> {
    /// The sum of counters of one stage.
    pub(super) fn of(&self, stage: &str, names: &[&str]) -> u64 {
        let stage = self.0.iter().filter(|counts| counts.stage == stage);
        stage.flat_map(|stage| &stage.counts).filter(|count| names.contains(&count.name)).map(|count| count.value).sum()
    }

    /// Returns whether secrets of TLS were there or expected.
    pub(super) fn has_secrets(&self) -> bool {
        self.0.iter().any(|counts| counts.stage == "tls_secrets")
    }

    /// Returns whether packets came, and none of them could be decoded.
    pub(super) fn nothing_decoded(&self) -> bool {
        self.of("decode", &["packets"]) > 0
            && self.of("decode", &DECODED) == 0
            && self.of("decode", &["fragments"]) == 0
    }

    /// Returns whether some packets could not be decoded or some connections not read.
    fn has_unread(&self) -> bool {
        UNDECODED.iter().any(|(counter, _)| self.of("decode", &[*counter]) > 0)
            || self.of("http", &["tls_unread", "http2_unread"]) > 0
    }
}

/// What a replay has counted, beside the captures' own counters.
pub(super) struct Counted<'a> {
    /// The counters of all stages.
    pub(super) stages: &'a [StageCounts],
    /// The ports of connections whose content is not read.
    pub(super) unread: &'a UnreadPorts,
    /// The number of the first packet whose stamp no other packet supported, or at which time went back.
    pub(super) first_disorder: Option<u64>,
}

/// The reasons for which the decoder finds neither IP nor a protocol that it knows, and what they mean.
const UNDECODED: [(&str, &str); 9] = [
    ("unsupported_link_type", "the link type is not known"),
    ("truncated_link", "the snap length cuts their link-layer headers off"),
    ("truncated_ip", "the snap length cuts their IP headers off"),
    ("malformed_link", "their link-layer headers contradict themselves"),
    ("malformed_ip", "their IP headers contradict themselves"),
    ("encrypted_wifi", "their 802.11 frames are encrypted"),
    ("encrypted_macsec", "their MACsec frames are encrypted"),
    ("too_deep", "they have too many tags and tunnels"),
    ("wifi_fragments", "they are fragments of 802.11 frames"),
];

/// The counters of packets in which the decoder found what it looks for, or something that it knows.
const DECODED: [&str; 13] = [
    "segments",
    "not_ip",
    "icmp",
    "udp",
    "udp_tunnel_mismatches",
    "sctp",
    "esp",
    "other_protocols",
    "truncated_tcp",
    "wrong_ip_checksums",
    "wrong_tcp_checksums",
    "wifi_without_data",
    "tunnel_control",
];

/// Makes the warnings of a replay.
pub(super) fn of(settings: &SensorSettings, captures: &CaptureSet, counted: &Counted<'_>) -> Warnings {
    let counters = Counters(counted.stages);
    let mut warnings = Warnings::default();
    let files: Vec<&FileRead> = captures.files().filter(|file| file.packets > 0).collect();
    let unknown: Vec<&FileRead> = files.iter().copied().filter(|file| is_unknown(file)).collect();
    warnings.lines.extend(unknown.iter().map(|file| unknown_link_type(file)));
    let taken_in = counters.of("decode", &["packets"]);
    let nothing = counters.nothing_decoded();
    warnings.nothing_decoded = nothing || (!files.is_empty() && unknown.len() == files.len());
    if nothing && unknown.len() < files.len().max(1) {
        warnings.lines.push(nothing_decoded(&counters, taken_in, &files));
    }
    let known: Vec<&Path> = files.iter().filter(|file| !is_unknown(file)).map(|file| file.path.as_path()).collect();
    let unreadable = match known.len() {
        2.. if counters.has_unread() && !nothing => UnreadableFiles::among(&known, settings),
        _ => UnreadableFiles::default(),
    };
    if !unreadable.undecodable.is_empty() {
        warnings.lines.push(format!(
            "{}: no packet could be decoded; look at the capture with tcpdump or Wireshark",
            names(&unreadable.undecodable)
        ));
    }
    warnings.lines.extend(no_match(settings, &counters, taken_in, || survey::servers(&known, settings, MOST_NAMED)));
    warnings.lines.extend(late_secrets(&counters));
    let unread = Unread { stages: counted.stages, ports: counted.unread };
    warnings.lines.extend(unread.where_much([&unreadable.only_tls, &unreadable.only_http2]));
    warnings.lines.extend(disorder(&counters, counted.first_disorder));
    warnings
}

/// The name of an input for people.
fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".into() } else { printable(&path.to_string_lossy()).into_owned() }
}

/// The names of files, at most [`MOST_NAMED`].
pub(super) fn names(paths: &[PathBuf]) -> String {
    let mut names: Vec<String> = paths.iter().take(MOST_NAMED).map(|path| name(path)).collect();
    if let Some(others @ 1..) = paths.len().checked_sub(MOST_NAMED) {
        names.push(format!("{others} more files"));
    }
    names.join(", ")
}

fn is_unknown(file: &FileRead) -> bool {
    !file.link_types.is_empty() && !file.link_types.iter().any(|link_type| sensor::decodes(*link_type))
}

fn unknown_link_type(file: &FileRead) -> String {
    let types: Vec<String> =
        file.link_types.iter().map(|&link_type: &LinkType| describe_link_type(link_type)).collect();
    format!(
        "{}: none of its {} packets can be decoded, because link type {} is not known; capture again on an interface with \
         Ethernet or IP headers, or convert the file",
        name(&file.path),
        grouped(file.packets),
        types.join(", "),
    )
}

fn nothing_decoded(counters: &Counters<'_>, packets: u64, files: &[&FileRead]) -> String {
    let reasons = UNDECODED.iter().filter_map(|(counter, meaning)| {
        let count = counters.of("decode", &[*counter]);
        (count > 0).then(|| format!("{meaning} ({})", grouped(count)))
    });
    let where_from = match files {
        [only] => format!("{}: none of its", name(&only.path)),
        _ => "none of the".to_owned(),
    };
    format!(
        "{where_from} {} packets could be decoded: {}; look at the capture with tcpdump or Wireshark, and capture again with the \
         right link type and a larger snap length",
        grouped(packets),
        reasons.collect::<Vec<_>>().join(", ")
    )
}

/// A filter, or the times asked for, that let no packet in.
fn no_match(
    settings: &SensorSettings,
    counters: &Counters<'_>,
    taken_in: u64,
    servers: impl FnOnce() -> Vec<(Endpoint, u64)>,
) -> Option<String> {
    let [left_out, outside] = ["left_out", "outside_time"].map(|name| counters.of("filter", &[name]));
    if taken_in > 0 || left_out + outside == 0 {
        return None;
    }
    if left_out == 0 {
        return Some(format!(
            "none of the {} packets read is within the times asked for; leave out --since and --until, or correct them",
            grouped(outside)
        ));
    }
    let filter = printable(settings.filter.as_deref().unwrap_or_default());
    let servers: Vec<String> =
        servers().iter().map(|(server, packets)| format!("{server} ({})", grouped(*packets))).collect();
    let present = match servers.is_empty() {
        true => "no TCP was found without the filter either".to_owned(),
        false => format!("without it there are packets of the TCP servers {}", servers.join(", ")),
    };
    Some(format!(
        "the filter \"{filter}\" matches none of the {} packets read; {present}; correct it, or leave it out: packets with VLAN \
         tags or in tunnels need their own words in a filter, such as \"vlan and tcp\"",
        grouped(left_out)
    ))
}

/// Secrets that came too late for connections before them.
fn late_secrets(counters: &Counters<'_>) -> Option<String> {
    let late = counters.of("capture", &["key_logs_late"]);
    (late > 0 && counters.of("http", &["tls_unread", "tls_partly_read"]) > 0).then(|| {
        format!(
            "secrets of TLS stand behind packets in the capture ({} {}), and connections before them may not have been read; give the \
             secrets with --tls-keylog, or as the first block of the file (`editcap --inject-secrets tls,KEYS IN OUT`): of a file without \
             compression, the first 16 MiB and the last MiB are searched for them first",
            grouped(late),
            if late == 1 { "block" } else { "blocks" },
        )
    })
}

/// Stamps that could not be taken as they were, and errors that were not counted everywhere because of that.
fn disorder(counters: &Counters<'_>, first_disorder: Option<u64>) -> Vec<String> {
    let mut lines = Vec::new();
    let clamped = counters.of("capture", &["stamps_clamped"]);
    if clamped > 0 {
        lines.push(format!(
            "{} packets are stamped before 1970 or after 2553, and were given the nearest time that can be shown; correct the \
             stamps, for instance with editcap -t",
            grouped(clamped)
        ));
    }
    let [incomplete, dropped] = ["late_incomplete", "late_dropped"].map(|name| counters.of("detect", &[name]));
    let set_back = counters.of("time", &["time_set_back"]);
    if let Some(packet) = first_disorder.filter(|_| incomplete + dropped + set_back > 0) {
        lines.push(format!(
            "packet time is out of order from packet {} on: {} errors came after other errors of their windows were forgotten, and \
             {} were left out of some of their windows; packet time went back {} times; sort the capture, for instance with \
             reordercap (files without compression, named by their path, are sorted as they are read)",
            grouped(packet),
            grouped(incomplete),
            grouped(dropped),
            grouped(set_back)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Count;

    fn stage(stage: &'static str, counts: &[(&'static str, u64)]) -> StageCounts {
        let counts = counts.iter().map(|&(name, value)| Count { name, help: "", value }).collect();
        StageCounts { stage, counts }
    }

    fn said(settings: &SensorSettings, stages: &[StageCounts], first_disorder: Option<u64>) -> String {
        let unread = UnreadPorts::default();
        let counted = Counted { stages, unread: &unread, first_disorder };
        of(settings, &CaptureSet::default(), &counted).lines.join("\n")
    }

    #[test]
    fn every_reason_says_its_number() {
        let plain = SensorSettings::default();
        let filtered = SensorSettings { filter: Some("tcp port\u{1b}81".into()), ..SensorSettings::default() };
        for (settings, stages, disorder, words) in [
            (&plain, vec![stage("decode", &[("packets", 9), ("segments", 1), ("malformed_ip", 8)])], None, ""),
            (
                &plain,
                vec![stage("decode", &[("packets", 1_200), ("malformed_ip", 1_200)])],
                None,
                "none of the 1,200 packets",
            ),
            (
                &filtered,
                vec![stage("filter", &[("left_out", 1_234)])],
                None,
                "\"tcp port\\u{1b}81\" matches none of the 1,234",
            ),
            (
                &plain,
                vec![stage("filter", &[("outside_time", 5)])],
                None,
                "none of the 5 packets read is within the times",
            ),
            (
                &plain,
                vec![
                    stage("http", &[("tls_unread", 1_204), ("requests", 3)]),
                    stage("flow", &[("flows_opened", 1_310)]),
                ],
                None,
                "1,204 of 1,310 connections are TLS, whose content cannot be read without their secrets",
            ),
            (
                &plain,
                vec![
                    stage("http", &[("tls_unread", 3)]),
                    stage("flow", &[("flows_opened", 4)]),
                    stage("tls_secrets", &[("lines", 8)]),
                ],
                None,
                "3 of 4 connections are TLS that the secrets given do not open",
            ),
            (
                &plain,
                vec![
                    stage("http", &[("tls_handshakes", 6), ("tls_unread", 3), ("tls_midstream", 3), ("tls_read", 3)]),
                    stage("flow", &[("flows_opened", 6)]),
                    stage("tls_secrets", &[("lines", 8)]),
                ],
                None,
                "3 of 6 connections are TLS that the secrets given do not open (6 TLS connections, 3 read; 3 begun before the \
                 capture); no further secrets help",
            ),
            (
                &plain,
                vec![stage("http", &[("tls_unread", 1), ("requests", 3)]), stage("flow", &[("flows_opened", 9)])],
                None,
                "",
            ),
            (
                &plain,
                vec![stage("http", &[("http2_unread", 2)]), stage("flow", &[("flows_opened", 2)])],
                None,
                "2 of 2",
            ),
            (
                &plain,
                vec![stage("http", &[("tls_unread", 1)]), stage("flow", &[("flows_opened", 1)])],
                None,
                "1 of 1 connections is TLS, ",
            ),
            (
                &plain,
                vec![stage("detect", &[("late_incomplete", 7), ("late_dropped", 2)])],
                Some(40),
                "from packet 40 on: 7 errors",
            ),
            (&plain, vec![stage("capture", &[("stamps_clamped", 3)])], None, "3 packets are stamped before 1970"),
        ] {
            let said = said(settings, &stages, disorder);
            assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{said:?} should have {words:?}");
        }
    }
}
