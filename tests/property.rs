//! The captures of `pcaps/` as other networks and capture points would have shown them.
//!
//! However packets are cut, joined, repeated, reordered, fragmented or wrapped, the exchanges are the same. Where packets were
//! lost, exchanges may be missing or incomplete, and never wrong. Seeds are fixed; `WIRESPIKE_SEEDS` asks for more of them.

use std::{collections::BTreeMap, fmt::Write, sync::Mutex, thread};

use tempfile::TempDir;

use crate::support::{
    Replay, Row,
    case::Case,
    file,
    packets::{self, Timed},
    transform::{self, Random},
    wrap::Wrap,
};

/// A case whose packets can be changed, and the exchanges of the unchanged capture.
struct Subject {
    case: Case,
    packets: Vec<Timed>,
    rows: Vec<Row>,
}

fn subjects() -> Vec<Subject> {
    let subjects: Vec<Subject> = Case::all()
        .into_iter()
        .filter_map(|case| {
            let packets = packets::read(&case.capture)?;
            let rows = Replay::run(&case.capture, &case.settings.args).succeeded().rows();
            Some(Subject { case, packets, rows })
        })
        .collect();
    assert!(subjects.len() >= 6, "there are captures to change");
    subjects
}

fn seeds() -> u64 {
    std::env::var("WIRESPIKE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

impl Subject {
    fn replay(&self, capture: Vec<u8>) -> Vec<Row> {
        let folder = TempDir::new().unwrap();
        Replay::run(&file(&folder, "changed.pcap", capture), &self.case.settings.args).succeeded().rows()
    }
}

/// Rows by connection, in order.
fn by_connection(rows: &[Row]) -> BTreeMap<&str, Vec<&Row>> {
    let mut connections: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        connections.entry(&row.peer).or_default().push(row);
    }
    connections
}

/// What differs between two lists of rows, connection by connection.
fn differences(expected: &[Row], found: &[Row]) -> String {
    let (expected, found) = (by_connection(expected), by_connection(found));
    let mut text = String::new();
    for peer in expected.keys().chain(found.keys().filter(|peer| !expected.contains_key(*peer))) {
        let (wanted, got) = (expected.get(peer), found.get(peer));
        if wanted != got {
            let show = |rows: Option<&Vec<&Row>>| {
                let rows = rows.map(Vec::as_slice).unwrap_or_default();
                let lines =
                    rows.iter().map(|row| format!("{} {:.60} {} {}", row.method, row.target, row.status, row.failure));
                lines.collect::<Vec<_>>().join("; ")
            };
            writeln!(text, "    {peer}:\n      expected {}\n      found    {}", show(wanted), show(got)).unwrap();
        }
    }
    text
}

/// Runs a check on every subject, on every processor, and shows all that is wrong.
fn each_subject(check: impl Fn(&Subject) -> String + Sync) {
    let subjects = subjects();
    let complaints = Mutex::new(String::new());
    let next = Mutex::new(subjects.iter());
    let take = || next.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(subject) = take() {
                    let complaint = check(subject);
                    complaints.lock().unwrap().push_str(&complaint);
                }
            });
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "\n{complaints}");
}

/// Exchanges must be equal after a change by any seed.
fn unchanged_by(change: impl Fn(&[Timed], &mut Random) -> Vec<u8> + Sync) {
    each_subject(|subject| {
        let mut complaints = String::new();
        for seed in 1..=seeds() {
            let found = subject.replay(change(&subject.packets, &mut Random::new(seed)));
            let difference = differences(&subject.rows, &found);
            if !difference.is_empty() {
                writeln!(complaints, "{} seed {seed}:\n{difference}", subject.case.name).unwrap();
            }
        }
        complaints
    });
}

#[test]
fn rewritten_packets_give_the_same_exchanges() {
    unchanged_by(|packets, _| packets::plain(packets));
}

#[test]
fn repeated_packets_give_the_same_exchanges() {
    unchanged_by(|packets, random| packets::plain(&transform::repeat(packets, random)));
}

#[test]
fn reordered_packets_give_the_same_exchanges() {
    unchanged_by(|packets, random| packets::plain(&transform::reorder(packets, random)));
}

#[test]
fn directions_that_overtake_each_other_give_the_same_exchanges() {
    unchanged_by(|packets, random| packets::plain(&transform::interleave(packets, random)));
}

#[test]
fn split_segments_give_the_same_exchanges() {
    unchanged_by(|packets, random| packets::plain(&transform::split(packets, random)));
}

#[test]
fn single_bytes_give_the_same_exchanges() {
    unchanged_by(|packets, random| packets::plain(&transform::shred(packets, random)));
}

#[test]
fn joined_segments_give_the_same_exchanges() {
    unchanged_by(|packets, random| packets::plain(&transform::join(packets, random)));
}

#[test]
fn sequence_numbers_that_wrap_around_give_the_same_exchanges() {
    unchanged_by(|packets, random| packets::plain(&transform::wrap_around(packets, random)));
}

#[test]
fn all_of_it_at_once_gives_the_same_exchanges() {
    unchanged_by(|packets, random| {
        let changed = transform::reorder(&transform::split(packets, random), random);
        let changed = transform::repeat(&transform::wrap_around(&changed, random), random);
        transform::in_fragments(&changed, random)
    });
}

#[test]
fn ip_fragments_give_the_same_exchanges() {
    unchanged_by(transform::in_fragments);
}

#[test]
fn every_tunnel_gives_the_same_exchanges() {
    let carried = Mutex::new(BTreeMap::new());
    each_subject(|subject| {
        let mut complaints = String::new();
        for wrap in Wrap::ALL {
            let Some(capture) = transform::in_tunnel(&subject.packets, wrap) else { continue };
            *carried.lock().unwrap().entry(format!("{wrap:?}")).or_insert(0) += 1;
            let difference = differences(&subject.rows, &subject.replay(capture));
            if !difference.is_empty() {
                writeln!(complaints, "{} in {wrap:?}:\n{difference}", subject.case.name).unwrap();
            }
        }
        complaints
    });
    let carried = carried.into_inner().unwrap();
    assert_eq!(carried.len(), Wrap::ALL.len(), "every tunnel carried some capture: {carried:?}");
}

#[test]
fn lost_packets_leave_out_and_never_make_up() {
    each_subject(|subject| {
        let mut complaints = String::new();
        for seed in 1..=4 * seeds() {
            let lossy = transform::lose(&subject.packets, &mut Random::new(seed));
            let found = subject.replay(packets::plain(&lossy));
            for row in made_up(&subject.rows, &found) {
                writeln!(complaints, "{} seed {seed}: made up: {row:?}", subject.case.name).unwrap();
            }
        }
        complaints
    });
}

#[test]
fn replies_alone_still_give_every_status() {
    each_subject(|subject| {
        let found = subject.replay(packets::plain(&transform::one_side(&subject.packets, true)));
        let mut complaints = String::new();
        for row in made_up(&subject.rows, &found) {
            writeln!(complaints, "{}: made up: {row:?}", subject.case.name).unwrap();
        }
        let count = |rows: &[Row]| {
            rows.iter().filter(|row| row.status.parse::<u16>().is_ok_and(|status| status >= 400)).count()
        };
        if count(&found) < count(&subject.rows) * 9 / 10 {
            writeln!(complaints, "{}: {} of {} errors", subject.case.name, count(&found), count(&subject.rows))
                .unwrap();
        }
        complaints
    });
}

/// Rows that no row of the truth explains: a method, target or status that was not there, or once too often.
fn made_up<'a>(truth: &[Row], found: &'a [Row]) -> Vec<&'a Row> {
    let mut left: Vec<&Row> = truth.iter().collect();
    let mut invented = Vec::new();
    let complete = |row: &Row| usize::from(row.method.is_empty()) + usize::from(row.status.is_empty());
    let mut rows: Vec<&Row> = found.iter().collect();
    rows.sort_by_key(|row| complete(row));
    for row in rows {
        let explains = |known: &&Row| {
            let field = |ours: &str, theirs: &str| ours.is_empty() || ours == theirs;
            known.peer == row.peer
                && field(&row.method, &known.method)
                && field(&row.target, &known.target)
                && field(&row.status, &known.status)
        };
        match left.iter().position(explains) {
            Some(at) => {
                left.swap_remove(at);
            }
            None if row.method.is_empty() && row.status.is_empty() => {}
            None => invented.push(row),
        }
    }
    invented
}
