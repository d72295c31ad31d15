//! Loss is known: what the capture lacks marks the alerts of its windows, and nothing else does. And loss gives no response to
//! a request that the server did not answer with it.
//!
//! The captures of `pcaps/` as they are, changed without loss, and with packets taken away.

use std::collections::{BTreeMap, BTreeSet};

use tempfile::TempDir;

use crate::support::{
    Replay,
    case::Case,
    documents, field, file,
    packets::{self, Timed},
    transform::{self, Random},
};

/// Replays a capture with a threshold that every error exceeds; which values its alerts' mark has. Of a window that is executed
/// again, the last alert counts: it has the ID of those before. The counts of a follow-up are those of its alert.
fn marks(folder: &TempDir, capture: &[u8], arguments: &[String]) -> BTreeSet<bool> {
    let path = file(folder, "capture.pcap", capture);
    let arguments: Vec<String> = arguments.iter().cloned().chain(["--threshold".into(), "0".into()]).collect();
    let alone = [&arguments[..], &["--workers".into(), "1".into()]].concat();
    let replay = Replay::run(&path, &alone).succeeded();
    let together = [&arguments[..], &["--workers".into(), "4".into()]].concat();
    assert_eq!(replay.alerts, Replay::run(&path, &together).succeeded().alerts);
    let mark = |alert: &serde_json::Value| alert.pointer("/wirespike/alert/window/lower_bound").unwrap().as_bool();
    let alerts = documents(&replay.alerts);
    let counting = alerts.iter().filter(|alert| field(alert, "wirespike.alert.kind") != "follow_up");
    let last: BTreeMap<String, bool> = counting.map(|alert| (field(alert, "event.id"), mark(alert).unwrap())).collect();
    last.into_values().collect()
}

/// Cases of plain packets whose one window has errors, each with its packets.
fn subjects() -> Vec<(Case, Vec<Timed>)> {
    let subjects: Vec<_> = Case::all()
        .into_iter()
        .filter(|case| case.log.iter().any(|entry| entry.answered && entry.status >= 400))
        .filter_map(|case| packets::read(&case.capture).map(|packets| (case, packets)))
        .collect();
    assert!(subjects.len() >= 6);
    subjects
}

#[test]
fn a_whole_capture_marks_nothing() {
    for case in Case::all() {
        let arguments = [&case.settings.args[..], &["--threshold".into(), "0".into()]].concat();
        let replay = Replay::run(&case.capture, &arguments).succeeded();
        assert!(!replay.alerts.contains(r#""lower_bound":true"#), "{}", case.name);
    }
}

#[test]
fn what_networks_do_to_packets_marks_nothing() {
    let folder = TempDir::new().unwrap();
    for (case, packets) in subjects() {
        let mut random = Random::new(7);
        let changed = transform::repeat(&transform::reorder(&packets, &mut random), &mut random);
        let marks = marks(&folder, &packets::plain(&changed), &case.settings.args);
        assert_eq!(marks, BTreeSet::from([false]), "{}", case.name);
    }
}

#[test]
fn to_join_midstream_or_see_one_side_marks_nothing() {
    let folder = TempDir::new().unwrap();
    for (case, packets) in subjects() {
        for seen in [packets[packets.len() / 3..].to_vec(), transform::one_side(&packets, true)] {
            let marks = marks(&folder, &packets::plain(&seen), &case.settings.args);
            assert!(!marks.contains(&true), "{}", case.name);
        }
    }
}

#[test]
fn a_lost_packet_marks_its_window() {
    let folder = TempDir::new().unwrap();
    let mut marked = 0;
    for (case, packets) in subjects() {
        // The receiver has it, and its sender goes on: by data, or by its end.
        let place = (0..packets.len()).find(|&at| {
            let lost = &packets[at].segment;
            !lost.payload.is_empty()
                && packets[..at]
                    .iter()
                    .any(|before| before.segment.source == lost.source && before.segment.flags & 2 != 0)
                && packets[at + 1..].iter().any(|after| {
                    let ends = after.segment.flags & 1 != 0 || !after.segment.payload.is_empty();
                    let end = lost.sequence.wrapping_add(lost.payload.len() as u32);
                    after.segment.source == lost.source && ends && after.segment.sequence == end
                })
        });
        let mut lossy = packets;
        lossy.remove(place.unwrap());
        let marks = marks(&folder, &packets::plain(&lossy), &case.settings.args);
        assert!(!marks.contains(&false), "{}", case.name);
        marked += usize::from(!marks.is_empty());
    }
    assert!(marked >= 6, "only {marked} captures still have errors");
}

#[test]
fn a_snap_length_marks_only_where_it_may_have_cut_a_status() {
    let folder = TempDir::new().unwrap();
    let (case, packets) = subjects().into_iter().find(|(case, _)| case.name == "nginx-curl").unwrap();
    // Headers without options take 54 bytes, timestamps 12 more, `HTTP/1.1 404` another 12.
    for (snap_length, expected) in [(1_000, false), (256, false), (100, false)] {
        let marks = marks(&folder, &packets::snapped(&packets, snap_length), &case.settings.args);
        assert_eq!(marks, BTreeSet::from([expected]), "{snap_length}");
    }
    // Such a status is not known, and nothing counts; a whole response elsewhere in the window does, marked.
    let cut = packets::snapped(&packets[..packets.len() / 2], 74);
    let whole = &packets::plain(&packets[packets.len() / 2..])[24..];
    let marks = marks(&folder, &[&cut, whole].concat(), &case.settings.args);
    assert_eq!(marks, BTreeSet::from([true]));
}

/// Each recording loses packets at several rates, by several seeds. What the server logged, and what the whole capture shows, is
/// the truth: a pair that neither has is wrong. Where the client's bytes can be read in two ways, only the log is the truth.
#[test]
fn loss_gives_no_response_to_another_request() {
    type Pair = (String, String, String, String);
    let folder = TempDir::new().unwrap();
    let mut wrong = Vec::new();
    let mut table: BTreeMap<usize, [usize; 3]> = BTreeMap::new();
    for case in Case::all() {
        let Some(packets) = packets::read(&case.capture) else { continue };
        let pairs = |capture: &std::path::Path| -> (usize, Vec<Pair>) {
            let arguments = [&case.settings.args[..], &["--workers".into(), "1".into()]].concat();
            let rows = Replay::run(capture, &arguments).succeeded().rows();
            let answered: Vec<_> = rows.into_iter().filter(|row| !row.status.is_empty()).collect();
            // Fields of HTTP/2 that a lost table entry held are not known, and the method may be there without its target.
            let paired = answered.iter().filter(|row| !row.method.is_empty() && !row.target.is_empty());
            let pairs =
                paired.map(|row| (row.peer.clone(), row.method.clone(), row.target.clone(), row.status.clone()));
            (answered.len(), pairs.collect())
        };
        let mut truth: Vec<Pair> = case
            .log
            .iter()
            .filter_map(|entry| {
                let (method, target) = entry.request.clone()?;
                Some((entry.peer.clone(), method, target, entry.status.to_string()))
            })
            .collect();
        let (whole, known) = pairs(&case.capture);
        if !case.settings.doubtful {
            truth.extend(known);
        }
        let truth: BTreeSet<Pair> = truth.into_iter().collect();
        for thousandths in [1, 10, 50, 200] {
            for seed in 0..if case.settings.doubtful { 40 } else { 2 } {
                let mut random = Random::new(seed * 7 + thousandths as u64);
                // Without its handshake, nothing shows that a connection's first captured request is the body of another.
                let lossy: Vec<Timed> = packets
                    .iter()
                    .filter(|packet| {
                        let is_kept = case.settings.doubtful && packet.segment.flags & 2 != 0;
                        random.below(1_000) >= thousandths || is_kept
                    })
                    .cloned()
                    .collect();
                let path = file(&folder, "lossy.pcap", packets::plain(&lossy));
                let (seen, pairs) = pairs(&path);
                let counts = table.entry(thousandths).or_default();
                for (count, more) in counts.iter_mut().zip([whole, seen, pairs.len()]) {
                    *count += more;
                }
                let others = pairs.into_iter().filter(|pair| !truth.contains(pair));
                wrong.extend(others.map(|pair| format!("{} {thousandths} ‰, seed {seed}: {pair:?}", case.name)));
            }
        }
    }
    for (thousandths, [whole, seen, paired]) in table {
        println!("{thousandths} ‰ lost: {whole} responses, {seen} seen, {paired} with their request");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
