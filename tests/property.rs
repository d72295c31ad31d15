//! The captures of `pcaps/` as other networks and capture points would have shown them.
//!
//! However packets are cut, joined, repeated, reordered, fragmented or wrapped, the exchanges are the same. Where packets were
//! lost, exchanges may be missing or incomplete, and never wrong. Seeds are fixed; `WIRESPIKE_SEEDS` asks for more of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
    sync::Mutex,
    thread,
};

use tempfile::TempDir;

use crate::support::{
    Replay, Row,
    case::Case,
    documents, file,
    packets::{self, Timed},
    pipelining,
    transform::{self, Random},
    wrap::Wrap,
};

/// A case whose packets can be changed, and the exchanges of the unchanged capture.
struct Subject {
    case: Case,
    packets: Vec<Timed>,
    rows: Vec<Row>,
    /// The clients that sent a request before the last response had ended.
    pipelining: BTreeSet<String>,
}

fn subjects() -> Vec<Subject> {
    let subjects: Vec<Subject> = Case::all()
        .into_iter()
        .filter_map(|case| {
            let packets = packets::read(&case.capture)?;
            let replay = Replay::run(&case.capture, &case.settings.args).succeeded();
            let rows = certain(&case, replay.rows());
            let pipelining = pipelining(&documents(&replay.exchanges));
            Some(Subject { case, packets, rows, pipelining })
        })
        .collect();
    assert!(subjects.len() >= 6, "there are captures to change");
    subjects
}

/// What is certain about a case's rows. Where a client's bytes can be read in two ways, which requests are known depends on
/// the order of the packets, but the statuses do not.
fn certain(case: &Case, rows: Vec<Row>) -> Vec<Row> {
    if !case.settings.doubtful {
        return rows;
    }
    let answered = rows.into_iter().filter(|row| !row.status.is_empty());
    answered.map(|row| Row { method: String::new(), target: String::new(), failure: String::new(), ..row }).collect()
}

fn seeds() -> u64 {
    std::env::var("WIRESPIKE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

impl Subject {
    /// The rows, without the requests of clients that pipeline: which of them a response answers is not certain where requests are
    /// lost.
    fn without_pipelined(&self, rows: &[Row]) -> Vec<Row> {
        let of = |row: &Row| match self.pipelining.contains(&row.peer) && !row.status.is_empty() {
            true => Row { method: String::new(), target: String::new(), ..row.clone() },
            false => row.clone(),
        };
        rows.iter().map(of).collect()
    }

    /// Replays a changed capture and says what is wrong with its rows; the capture is kept then, to look into.
    fn complaint(&self, change: &str, capture: &[u8], judge: impl Fn(&[Row]) -> String) -> String {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("property");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{}-{}.pcap", self.case.name, change.replace(' ', "-")));
        fs::write(&path, capture).unwrap();
        let rows = Replay::run(&path, &self.case.settings.args).succeeded().rows();
        let complaint = judge(&certain(&self.case, rows));
        if complaint.is_empty() {
            fs::remove_file(&path).unwrap();
            return complaint;
        }
        format!("{} {change} ({}):\n{complaint}", self.case.name, path.display())
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

/// Exchanges must be equal after a change by any seed, also in what they are called.
fn unchanged_by(name: &str, change: impl Fn(&[Timed], &mut Random) -> Vec<u8> + Sync) {
    unchanged_but_for(name, <[Row]>::to_vec, change);
}

/// Exchanges must be equal after a change by any seed, once `regardless` has taken out what may differ.
fn unchanged_but_for(
    name: &str,
    regardless: impl Fn(&[Row]) -> Vec<Row> + Sync,
    change: impl Fn(&[Timed], &mut Random) -> Vec<u8> + Sync,
) {
    each_subject(|subject| {
        let by_seed = |seed| {
            let changed = change(&subject.packets, &mut Random::new(seed));
            let judge = |rows: &[Row]| differences(&regardless(&subject.rows), &regardless(rows));
            subject.complaint(&format!("{name} {seed}"), &changed, judge)
        };
        (1..=seeds()).map(by_seed).collect()
    });
}

fn without_ids(rows: &[Row]) -> Vec<Row> {
    rows.iter().map(|row| Row { id: String::new(), ..row.clone() }).collect()
}

#[test]
fn rewritten_packets_give_the_same_exchanges() {
    unchanged_by("rewritten", |packets, _| packets::plain(packets));
}

#[test]
fn repeated_packets_give_the_same_exchanges() {
    unchanged_by("repeated", |packets, random| packets::plain(&transform::repeat(packets, random)));
}

#[test]
fn reordered_packets_give_the_same_exchanges() {
    unchanged_by("reordered", |packets, random| packets::plain(&transform::reorder(packets, random)));
}

#[test]
fn directions_that_overtake_each_other_give_the_same_exchanges() {
    unchanged_by("interleaved", |packets, random| packets::plain(&transform::interleave(packets, random)));
}

#[test]
fn a_side_whose_clock_is_ahead_gives_the_same_exchanges() {
    // A server that is seen to close before it was asked does not tell that it left the request unanswered.
    let without_failure =
        |rows: &[Row]| -> Vec<Row> { rows.iter().map(|row| Row { failure: String::new(), ..row.clone() }).collect() };
    each_subject(|subject| {
        let by_seed = |seed| {
            let changed = packets::plain(&transform::lead(&subject.packets, &mut Random::new(seed)));
            let judge = |rows: &[Row]| differences(&without_failure(&subject.rows), &without_failure(rows));
            subject.complaint(&format!("lead {seed}"), &changed, judge)
        };
        (1..=seeds()).map(by_seed).collect()
    });
}

#[test]
fn copies_in_another_vlan_give_the_same_exchanges() {
    unchanged_by("twice", transform::twice);
}

#[test]
fn forged_resets_give_the_same_exchanges() {
    // Where both sides seem to have reset, who began is unknown.
    let but_for_resets = |rows: &[Row]| -> Vec<Row> {
        let blameless = |row: &Row| Row { failure: row.failure.replace("reset", ""), ..row.clone() };
        rows.iter().map(blameless).collect()
    };
    each_subject(|subject| {
        let by_seed = |seed| {
            let forged = transform::forge_resets(&subject.packets, &mut Random::new(seed));
            subject.complaint(&format!("reset {seed}"), &packets::plain(&forged), |rows| {
                differences(&but_for_resets(&subject.rows), &but_for_resets(rows))
            })
        };
        (1..=seeds()).map(by_seed).collect()
    });
}

#[test]
fn a_capture_of_each_direction_gives_the_same_exchanges() {
    each_subject(|subject| {
        let folder = TempDir::new().unwrap();
        let [requests, replies] = [false, true].map(|servers| transform::one_side(&subject.packets, servers));
        let other = file(&folder, "requests.pcap", packets::plain(&requests));
        let arguments = [&subject.case.settings.args[..], &[other.to_string_lossy().into_owned()]].concat();
        let capture = file(&folder, "replies.pcap", packets::plain(&replies));
        let rows = certain(&subject.case, Replay::run(&capture, &arguments).succeeded().rows());
        let differences = differences(&subject.rows, &rows);
        if differences.is_empty() { differences } else { format!("{}:\n{differences}", subject.case.name) }
    });
}

#[test]
fn split_segments_give_the_same_exchanges() {
    unchanged_by("split", |packets, random| packets::plain(&transform::split(packets, random)));
}

#[test]
fn single_bytes_give_the_same_exchanges() {
    unchanged_by("shredded", |packets, random| packets::plain(&transform::shred(packets, random)));
}

#[test]
fn joined_segments_give_the_same_exchanges() {
    unchanged_by("joined", |packets, random| packets::plain(&transform::join(packets, random)));
}

#[test]
fn sequence_numbers_that_wrap_around_give_the_same_exchanges() {
    // Other sequence numbers are another connection's.
    unchanged_but_for("wrapped around", without_ids, |packets, random| {
        packets::plain(&transform::wrap_around(packets, random))
    });
}

#[test]
fn all_of_it_at_once_gives_the_same_exchanges() {
    unchanged_but_for("all at once", without_ids, |packets, random| {
        let changed = transform::reorder(&transform::split(packets, random), random);
        let changed = transform::repeat(&transform::wrap_around(&changed, random), random);
        transform::in_fragments(&changed, random)
    });
}

#[test]
fn ip_fragments_give_the_same_exchanges() {
    unchanged_by("fragmented", transform::in_fragments);
}

#[test]
fn every_tunnel_gives_the_same_exchanges() {
    let carried = Mutex::new(BTreeSet::new());
    each_subject(|subject| {
        let in_tunnel = |wrap: Wrap| {
            let Some(capture) = transform::in_tunnel(&subject.packets, wrap) else { return String::new() };
            carried.lock().unwrap().insert(format!("{wrap:?}"));
            subject.complaint(&format!("{wrap:?}"), &capture, |rows| differences(&subject.rows, rows))
        };
        Wrap::ALL.into_iter().map(in_tunnel).collect()
    });
    let carried = carried.into_inner().unwrap();
    let idle: Vec<_> =
        Wrap::ALL.iter().map(|wrap| format!("{wrap:?}")).filter(|wrap| !carried.contains(wrap)).collect();
    assert!(idle.is_empty(), "no capture went through {idle:?}");
}

#[test]
fn lost_packets_leave_out_and_never_make_up() {
    each_subject(|subject| {
        let by_seed = |seed| {
            let lossy = transform::lose(&subject.packets, &mut Random::new(seed));
            subject.complaint(&format!("lossy {seed}"), &packets::plain(&lossy), |rows| {
                made_up(&subject.rows, &subject.without_pipelined(rows))
            })
        };
        (1..=4 * seeds()).map(by_seed).collect()
    });
}

/// Under a snap length nearly all requests stay with their responses. A target may be cut.
#[test]
fn a_snap_length_leaves_the_pairs() {
    let kept = Mutex::new((0, 0));
    each_subject(|subject| {
        let in_clear = |row: &&Row| !row.method.is_empty() && !row.status.is_empty();
        let by_length = |snap_length| {
            let capture = packets::snapped(&subject.packets, snap_length);
            subject.complaint(&format!("snapped {snap_length}"), &capture, |rows| {
                let rows = subject.without_pipelined(&with_whole_targets(&subject.rows, rows));
                let mut sum = kept.lock().unwrap();
                *sum = (
                    sum.0 + rows.iter().filter(in_clear).count(),
                    sum.1 + subject.rows.iter().filter(in_clear).count(),
                );
                made_up(&subject.rows, &rows)
            })
        };
        match subject.case.settings.args.iter().any(|argument| argument.starts_with("--tls-key")) {
            true => String::new(),
            false => [96, 128, 256, 400].into_iter().map(by_length).collect(),
        }
    });
    let (kept, all) = kept.into_inner().unwrap();
    assert!(kept * 100 >= all * 90, "{kept} of {all} pairs are left");
}

/// The rows that a snap length left, with the targets that the whole capture has: of a cut one, its beginning is compared.
fn with_whole_targets(truth: &[Row], found: &[Row]) -> Vec<Row> {
    let of = |row: &Row| {
        let is_same = |known: &&Row| known.peer == row.peer && (row.status.is_empty() || known.id == row.id);
        let known = truth.iter().filter(is_same).find(|known| known.target.starts_with(&row.target));
        let target = known.filter(|_| !row.target.is_empty()).map_or(&row.target, |known| &known.target);
        Row { target: target.clone(), ..row.clone() }
    };
    found.iter().map(of).collect()
}

#[test]
fn replies_alone_still_give_every_status() {
    let errors = |rows: &[Row]| rows.iter().filter(|row| row.status.as_str() >= "400").count();
    each_subject(|subject| {
        // The secrets of a TLS connection are found by what its client sent.
        if subject.case.settings.args.iter().any(|argument| argument.starts_with("--tls-key")) {
            return String::new();
        }
        let replies = transform::one_side(&subject.packets, true);
        subject.complaint("replies", &packets::plain(&replies), |rows| {
            let (all, seen) = (errors(&subject.rows), errors(rows));
            let missing = if seen < all { format!("    {seen} of {all} errors\n") } else { String::new() };
            missing + &made_up(&subject.rows, rows)
        })
    });
}

/// Rows that the truth does not explain: a request or a status that was not there or once too often, a pair of them that did not
/// belong together, or a status that is called otherwise. Halves of an exchange may stand alone.
fn made_up(truth: &[Row], found: &[Row]) -> String {
    let mut requests: Vec<Option<&Row>> = truth.iter().map(Some).collect();
    let mut statuses = requests.clone();
    let mut rows: Vec<&Row> = found.iter().collect();
    rows.sort_by_key(|row| row.method.is_empty() || row.status.is_empty());
    let mut invented = String::new();
    for row in rows {
        // In HTTP/2, what a lost table entry held is not known, and the method may be there without its target.
        let is_asked = |known: &Row| known.target == row.target || row.target.is_empty();
        let asked = |known: &Row| known.peer == row.peer && known.method == row.method && is_asked(known);
        let answered = |known: &Row| known.peer == row.peer && known.status == row.status && known.id == row.id;
        let (has_request, has_status) = (!row.method.is_empty(), !row.status.is_empty());
        let place = (0..truth.len()).find(|&at| {
            (!has_request || requests[at].is_some_and(asked)) && (!has_status || statuses[at].is_some_and(answered))
        });
        match place {
            Some(at) => {
                requests[at].take_if(|_| has_request);
                statuses[at].take_if(|_| has_status);
            }
            None => writeln!(invented, "    made up: {row:?}").unwrap(),
        }
    }
    invented
}
