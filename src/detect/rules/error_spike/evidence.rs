//! The evidence that the rule keeps of errors beyond their count.
//!
//! In: error events of one client in one cell of time. Out: tallies, the most requested paths, user agents, and the first
//! and last error. Merged over the cells of a window, they make a [`Summary`]. Promises: the size is bounded for any input;
//! the order of every list depends only on its content.

use std::{borrow::Cow, collections::BTreeMap, num::NonZeroU32, time::Duration};

use super::record::Record;
use crate::{
    address::Endpoint,
    detect::{
        TlsFacts,
        path_set::{Added, PathSet},
        summary::{Sample, Summary, ranked},
        top::{self, Top},
    },
    event::{Dataset, Reason, Site},
    exchange::{Answer, Method, MethodName, TlsConnection, path_and_query},
    time::Timestamp,
};

/// The most paths whose text is kept in a cell.
const PATHS: usize = 32;
/// The most user agents whose text is kept in a cell.
const USER_AGENTS: usize = 8;
/// The most hosts whose text is kept in a cell.
const HOSTS: usize = 8;
/// The most servers that a cell tells apart.
const SERVERS: usize = 32;
/// The most different paths that a cell counts exactly. Above this, the count is a lower bound.
const DISTINCT_PATHS: usize = 2_048;
/// The most connections that are kept in a cell.
const FLOWS: usize = 4;

/// The most methods in no list whose name is kept in a cell.
const SENT_METHODS: usize = 8;

/// One error that is kept as an example.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct KeptSample {
    time: Timestamp,
    /// The packet's number, which orders errors of equal time.
    packet: u64,
    answer: Answer,
    reason: Reason,
    method: MethodName,
    /// The server's number in the rule's list.
    server: u16,
    /// The path, masked and cut.
    path: Vec<u8>,
    /// The hash of the path, while it is known which path that is.
    #[serde(skip)]
    path_hash: Option<NonZeroU32>,
}

/// An event to add to the evidence: the compact record and the texts behind its hashes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) record: Record,
    /// The method as sent, if it is in no list and available.
    pub(super) sent: Option<&'a [u8]>,
    /// The target, if it is available. Of a kept error, it is the path, masked and cut.
    pub(super) target: Option<&'a [u8]>,
    /// The other texts, if they are still available.
    pub(super) text: Option<Texts<'a>>,
}

impl<'a> Seen<'a> {
    /// Returns the path masked and cut. A path of a kept error is masked already.
    pub(super) fn shown_path(&self) -> Option<Cow<'a, [u8]>> {
        let target = self.target?;
        let Some(text) = self.text else { return Some(Cow::Borrowed(top::cut(target))) };
        let path = path_and_query(target).map_or(target, |(path, _)| path);
        Some(top::shown(path, text.site))
    }
}

/// The texts of an event, without its path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'a> {
    pub(super) user_agent: &'a [u8],
    pub(super) host: &'a [u8],
    /// The TLS connection that carried it.
    pub(super) tls: Option<&'a TlsConnection>,
    /// The connection.
    pub(super) flow: Option<(Endpoint, Endpoint)>,
    /// The site, which lists the masked keys.
    pub(super) site: &'a Site,
}

/// The evidence of one client in one cell.
#[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Evidence {
    answers: Vec<(Answer, u32)>,
    methods: Vec<(MethodName, u32)>,
    datasets: [u32; Dataset::ALL.len()],
    reasons: [u32; Reason::ALL.len()],
    servers: Vec<(u16, u32)>,
    paths: Top<PATHS>,
    user_agents: Top<USER_AGENTS>,
    hosts: Top<HOSTS>,
    tls: TlsFacts,
    distinct_paths: PathSet,
    /// Whether there were more different paths than the table could hold.
    more_paths: bool,
    timeline: Vec<(u64, u32)>,
    first: Option<KeptSample>,
    last: Option<KeptSample>,
    flows: Vec<(Timestamp, u64, (Endpoint, Endpoint))>,
}

impl Evidence {
    /// The number of bytes held now. The rounding of the allocator is not included.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.answers.capacity() * size_of::<(Answer, u32)>()
            + self.servers.capacity() * size_of::<(u16, u32)>()
            + self.methods.capacity() * size_of::<(MethodName, u32)>()
            + self.methods.iter().map(|(method, _)| method.heap_bytes()).sum::<usize>()
            + self.timeline.capacity() * size_of::<(u64, u32)>()
            + self.flows.capacity() * size_of::<(Timestamp, u64, (Endpoint, Endpoint))>()
            + self.distinct_paths.bytes()
            + self.paths.bytes()
            + self.user_agents.bytes()
            + self.hosts.bytes()
            + self.tls.bytes()
    }

    /// Adds an event. Without `room`, it updates only the counts that need no more memory. Returns by how many bytes the
    /// heap has grown: adding up the whole size for every event would cost more than adding the event.
    pub(super) fn add(&mut self, seen: &Seen<'_>, interval: u64, room: bool) -> isize {
        let record = &seen.record;
        let mut grown = bump(&mut self.answers, record.answer, usize::MAX);
        grown += bump(&mut self.servers, record.server, SERVERS);
        // A handshake is no request, so it has no method.
        if record.reason != Reason::TlsAlert {
            grown += self.add_method(record.method, seen.sent.filter(|_| room));
        }
        self.datasets[record.dataset as usize] += 1;
        self.reasons[record.reason as usize] += 1;
        grown += bump_latest(&mut self.timeline, record.time.as_nanos(), interval.max(1));
        if let Some(path) = record.path {
            grown += self.paths.add(path.get(), || seen.shown_path().filter(|_| room));
            grown += self.add_distinct(path.get(), room);
        }
        let text = seen.text.filter(|_| room);
        if let Some(user_agent) = record.user_agent {
            grown += self.user_agents.add(user_agent.get(), || text.map(|text| top::shown(text.user_agent, text.site)));
        }
        if let Some(host) = record.host {
            grown += self.hosts.add(host.get(), || text.map(|text| top::shown(text.host, text.site)));
        }
        if let Some(connection) = text.and_then(|text| text.tls) {
            grown += self.tls.add(connection);
        }
        grown + self.keep_samples(seen)
    }

    /// Counts a method. One that is in no list counts as [`Method::Other`] if there is no room for its name.
    #[inline]
    fn add_method(&mut self, method: Method, sent: Option<&[u8]>) -> isize {
        if let Some((_, count)) = self.methods.iter_mut().find(|(known, _)| known.is(method, sent)) {
            *count += 1;
            return 0;
        }
        let is_sent = |known: &&(MethodName, u32)| matches!(known.0, MethodName::Sent(_));
        let sent = sent.filter(|_| self.methods.iter().filter(is_sent).count() < SENT_METHODS);
        let name = MethodName::new(method, sent);
        let named = name.heap_bytes();
        bump(&mut self.methods, name, usize::MAX) + named as isize
    }

    fn add_distinct(&mut self, path: u32, room: bool) -> isize {
        if self.more_paths {
            return 0;
        }
        let before = self.distinct_paths.bytes();
        let added = self.distinct_paths.add(path, if room { DISTINCT_PATHS } else { 0 });
        self.more_paths = added == Added::Refused;
        (self.distinct_paths.bytes() - before) as isize
    }

    fn keep_samples(&mut self, seen: &Seen<'_>) -> isize {
        let record = &seen.record;
        let at = (record.time, record.packet());
        if self.first.as_ref().is_none_or(|first| at < (first.time, first.packet)) {
            fill(&mut self.first, seen);
        }
        if self.last.as_ref().is_none_or(|last| at >= (last.time, last.packet)) {
            fill(&mut self.last, seen);
        }
        let Some(flow) = seen.text.and_then(|text| text.flow) else { return 0 };
        let key = (record.time, record.packet(), flow);
        let earlier = self.flows.len() < FLOWS || self.flows.last().is_some_and(|last| key < *last);
        if !earlier || self.flows.iter().any(|&(.., known)| known == flow) {
            return 0;
        }
        self.flows.truncate(FLOWS - 1);
        let place = self.flows.partition_point(|known| *known < key);
        growth(&mut self.flows, |flows| flows.insert(place, key))
    }
}

/// Replaces a sample by an error, and reuses the buffer of its path.
fn fill(sample: &mut Option<KeptSample>, seen: &Seen<'_>) {
    let record = &seen.record;
    let (mut path, kept) = sample.take().map(|sample| (sample.path, sample.path_hash)).unwrap_or_default();
    let path_hash = record.path.filter(|_| seen.target.is_some());
    if path_hash.is_none() || kept != path_hash {
        path.clear();
        if let Some(shown) = seen.shown_path() {
            path.extend_from_slice(&shown);
        }
    }
    *sample = Some(KeptSample {
        time: record.time,
        packet: record.packet(),
        answer: record.answer,
        reason: record.reason,
        method: MethodName::new(record.method, seen.sent),
        server: record.server,
        path,
        path_hash,
    });
}

/// Changes a list, and returns by how many bytes its capacity has grown.
fn growth<T>(list: &mut Vec<T>, change: impl FnOnce(&mut Vec<T>)) -> isize {
    let before = list.capacity();
    change(list);
    ((list.capacity() - before) * size_of::<T>()) as isize
}

/// Adds one to a key's count in a short list. A new key is ignored when the list is full. Returns by how many bytes the list
/// has grown.
#[inline]
fn bump<K: PartialEq>(counts: &mut Vec<(K, u32)>, key: K, limit: usize) -> isize {
    if let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == key) {
        *count += 1;
        0
    } else if counts.len() < limit {
        growth(counts, |counts| counts.push((key, 1)))
    } else {
        0
    }
}

/// Adds one to the count of the interval that contains `time`. The list is sorted by interval, and the last interval is
/// checked first, because it is the most likely. Returns by how many bytes the list has grown.
#[inline]
fn bump_latest(counts: &mut Vec<(u64, u32)>, time: u64, interval: u64) -> isize {
    if let Some((known, count)) = counts.last_mut()
        && time.wrapping_sub(known.wrapping_mul(interval)) < interval
    {
        *count += 1;
        return 0;
    }
    let key = time / interval;
    match counts.binary_search_by_key(&key, |&(known, _)| known) {
        Ok(at) => {
            counts[at].1 += 1;
            0
        }
        Err(at) => growth(counts, |counts| counts.insert(at, (key, 1))),
    }
}

/// Merges the evidence of a window's cells into a summary.
pub(super) fn summarize<'e>(
    cells: impl Iterator<Item = (u64, Option<&'e Evidence>)>,
    servers: &[Endpoint],
    interval: u64,
) -> Summary {
    let mut answers = BTreeMap::<Answer, u64>::new();
    let mut by_server = BTreeMap::<u16, u64>::new();
    let mut timeline = BTreeMap::<u64, u64>::new();
    let mut distinct = std::collections::BTreeSet::<u32>::new();
    let mut methods = BTreeMap::<&MethodName, u64>::new();
    let (mut datasets, mut reasons) = ([0u64; 5], [0u64; Reason::ALL.len()]);
    let (mut paths, mut agents, mut hosts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut flows = Vec::new();
    let mut summary = Summary { timeline_interval: Duration::from_nanos(interval), ..Summary::default() };
    let (mut first, mut last): (Option<&KeptSample>, Option<&KeptSample>) = (None, None);
    for (count, evidence) in cells {
        let Some(evidence) = evidence else {
            summary.without_evidence += count;
            continue;
        };
        sum(&mut answers, &evidence.answers);
        sum(&mut by_server, &evidence.servers);
        sum(&mut timeline, &evidence.timeline);
        for (method, count) in &evidence.methods {
            *methods.entry(method).or_default() += u64::from(*count);
        }
        sum_array(&mut datasets, &evidence.datasets);
        sum_array(&mut reasons, &evidence.reasons);
        evidence.paths.merge_into(&mut paths);
        evidence.user_agents.merge_into(&mut agents);
        summary.with_user_agent += evidence.user_agents.total();
        evidence.hosts.merge_into(&mut hosts);
        summary.tls.merge(&evidence.tls);
        distinct.extend(evidence.distinct_paths.iter());
        summary.more_paths |= evidence.more_paths;
        flows.extend_from_slice(&evidence.flows);
        first = first.into_iter().chain(&evidence.first).min_by_key(|sample| (sample.time, sample.packet));
        last = last.into_iter().chain(&evidence.last).max_by_key(|sample| (sample.time, sample.packet));
    }
    let endpoint = |server: u16| servers.get(usize::from(server)).copied().unwrap_or(Endpoint::UNKNOWN);
    let named = |kept: &KeptSample| Sample {
        time: kept.time,
        answer: kept.answer,
        reason: kept.reason,
        method: Some(&kept.method).filter(|method| !method.is_one_of(&[Method::Unseen])).cloned(),
        path: kept.path.clone(),
        server: endpoint(kept.server),
    };
    flows.sort_unstable();
    summary.answers = ranked(answers);
    summary.methods = ranked(methods.into_iter().map(|(method, count)| (method.clone(), count)));
    summary.datasets = ranked(Dataset::ALL.into_iter().zip(datasets));
    summary.reasons = ranked(Reason::ALL.into_iter().zip(reasons));
    summary.servers = ranked(by_server.into_iter().map(|(server, count)| (endpoint(server), count)));
    summary.paths = top::ranked(paths, PATHS);
    summary.user_agents = top::ranked(agents, 5);
    summary.hosts = top::ranked(hosts, 5);
    summary.distinct_paths = distinct.len() as u64;
    summary.timeline = timeline
        .into_iter()
        .map(|(bucket, count)| (Timestamp::from_nanos(bucket.saturating_mul(interval)), count))
        .collect();
    summary.first = first.map(named);
    summary.last = last.map(named);
    for (.., flow) in flows {
        if summary.flows.len() < FLOWS && !summary.flows.contains(&flow) {
            summary.flows.push(flow);
        }
    }
    summary
}

fn sum<K: Ord + Copy>(total: &mut BTreeMap<K, u64>, counts: &[(K, u32)]) {
    for &(key, count) in counts {
        *total.entry(key).or_default() += u64::from(count);
    }
}

fn sum_array(total: &mut [u64], counts: &[u32]) {
    for (total, &count) in total.iter_mut().zip(counts) {
        *total += u64::from(count);
    }
}

#[cfg(test)]
#[path = "method_tests.rs"]
mod tests;
