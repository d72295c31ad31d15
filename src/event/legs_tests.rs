//! Tests of the two legs of a proxied exchange.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    capture::Stamp,
    event::{EventBuilder, EventSettings, Site},
    exchange::{Exchange, Grade, Outcome},
};

const PATIENCE: Duration = Duration::from_secs(2);

fn address(text: &str) -> Address {
    text.parse::<std::net::IpAddr>().unwrap().into()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_nanos(1_700_000_000_000_000_000 + millis * 1_000_000)
}

/// An error: who asked whom for what, from when to when, and what came of it.
#[derive(Debug, Clone, PartialEq)]
struct Spec {
    peer: &'static str,
    server: (&'static str, u16),
    method: &'static str,
    target: &'static str,
    times: (u64, u64),
    status: u16,
    grade: Grade,
    headers: String,
    is_seen: bool,
}

const CLIENT: &str = "198.51.100.1";
const PROXY: &str = "192.0.2.20";
const SERVER: &str = "192.0.2.80";

/// The error of the client leg of a proxied request.
fn client_leg() -> Spec {
    Spec {
        peer: CLIENT,
        server: (PROXY, 80),
        method: "GET",
        target: "/a?x",
        times: (0, 50),
        status: 404,
        grade: Grade::Handshake,
        headers: String::new(),
        is_seen: true,
    }
}

/// The error of the backend leg of the same request, from a proxy that names the client.
fn backend_leg() -> Spec {
    let headers = format!("X-Forwarded-For: {CLIENT}");
    Spec { peer: PROXY, server: (SERVER, 80), times: (10, 40), headers, ..client_leg() }
}

/// The same from a proxy that names nobody.
fn silent_backend_leg() -> Spec {
    Spec { headers: String::new(), ..backend_leg() }
}

fn event(spec: &Spec) -> ErrorEvent {
    let stamp = |millis| Some(Stamp { number: millis, time: at(millis) });
    let mut exchange = Exchange {
        endpoints: Some((
            Endpoint::new(address(spec.peer), 40_000),
            Endpoint::new(address(spec.server.0), spec.server.1),
        )),
        outcome: if spec.status == 0 { Outcome::NoResponseClosed } else { Outcome::Answered },
        status: spec.status,
        grade: spec.grade,
        ..Exchange::default()
    };
    if spec.is_seen {
        exchange.request_start = stamp(spec.times.0);
        exchange.method = exchange.store(spec.method.as_bytes());
        exchange.target = exchange.store(spec.target.as_bytes());
    }
    if spec.status == 0 {
        exchange.decided = stamp(spec.times.1);
    } else {
        exchange.response_start = stamp(spec.times.1);
    }
    if !spec.headers.is_empty() {
        exchange.forwarded = exchange.store(spec.headers.as_bytes());
        exchange.features.add(Features::CLIENT_HEADER);
    }
    let now = Stamp { number: spec.times.1, time: at(spec.times.1) };
    let mut builder = EventBuilder::new(EventSettings::default(), Arc::new(Site::default()));
    builder.error_event(Box::new(exchange), now).unwrap()
}

/// What the evaluator does with events, as names.
struct Counting {
    legs: Legs<(ErrorEvent, usize)>,
    counted: Vec<usize>,
    left_out: Vec<usize>,
}

impl Counting {
    fn new(known_servers: &[&str]) -> Self {
        let mut legs = Legs::new(PATIENCE);
        let known: Vec<Endpoint> = known_servers.iter().map(|server| Endpoint::new(address(server), 80)).collect();
        legs.note_servers(&known);
        Self { legs, counted: Vec::new(), left_out: Vec::new() }
    }

    fn take(&mut self, name: usize, event: ErrorEvent) {
        while let Some((_, due)) = self.legs.due(event.seen) {
            self.counted.push(due);
        }
        let Some(facts) = LegFacts::of(&event) else { return self.counted.push(name) };
        self.left_out.extend(self.legs.answered_by(&facts).map(|(_, name)| name));
        if !self.legs.may_be_backend(&facts, event.seen) {
            return self.counted.push(name);
        }
        self.counted.extend(self.legs.hold(facts, (event, name), |(event, _)| event).map(|(_, name)| name));
    }

    /// The names of the events that count, and of those that are left out.
    fn finish(mut self) -> (Vec<usize>, Vec<usize>) {
        self.counted.extend(std::iter::from_fn(|| self.legs.let_go()).map(|(_, name)| name));
        self.counted.sort_unstable();
        self.left_out.sort_unstable();
        (self.counted, self.left_out)
    }
}

/// Takes events in this order.
fn counted(specs: &[Spec]) -> (Vec<usize>, Vec<usize>) {
    let mut counting = Counting::new(&[PROXY, SERVER]);
    for (name, spec) in specs.iter().enumerate() {
        counting.take(name, event(spec));
    }
    counting.finish()
}

#[test]
fn the_client_leg_counts_where_both_are_seen() {
    let elsewhere = |headers: &str| Spec { peer: "127.0.0.1", headers: headers.into(), ..backend_leg() };
    for (what, backend, client) in [
        ("the proxy names its client", backend_leg(), client_leg()),
        ("the proxy names nobody", silent_backend_leg(), client_leg()),
        ("the backend is on the proxy's own host", Spec { server: (PROXY, 8_000), ..backend_leg() }, client_leg()),
        ("the proxy has another address", elsewhere("Forwarded: for=198.51.100.1"), client_leg()),
        ("a single header names the client", elsewhere("X-Real-IP: 198.51.100.1"), client_leg()),
        ("what the client wrote stands before", elsewhere("X-Forwarded-For: 127.0.0.1, 198.51.100.1"), client_leg()),
        ("the proxy rewrites the path", Spec { target: "/app/a", ..backend_leg() }, client_leg()),
        ("the proxy adds to the query", Spec { target: "/a?x&y", ..silent_backend_leg() }, client_leg()),
        ("the proxy gives another status of the class", backend_leg(), Spec { status: 403, ..client_leg() }),
        ("the server gave no answer", Spec { status: 0, ..backend_leg() }, Spec { status: 504, ..client_leg() }),
        ("both give no answer", Spec { status: 0, ..backend_leg() }, Spec { status: 0, ..client_leg() }),
        (
            "no leg is confirmed",
            Spec { grade: Grade::OneWay, ..backend_leg() },
            Spec { grade: Grade::OneWay, ..client_leg() },
        ),
        ("the stamps differ a little", backend_leg(), Spec { times: (15, 50), ..client_leg() }),
    ] {
        assert_eq!(counted(&[backend, client]), (vec![1], vec![0]), "{what}");
    }
}

#[test]
fn whatever_else_looks_like_a_pair_counts_twice() {
    let stranger = |headers: &str| Spec { peer: "203.0.113.66", headers: headers.into(), ..backend_leg() };
    for (what, backend, client) in [
        ("another path", Spec { target: "/b", ..silent_backend_leg() }, client_leg()),
        (
            "another path, and the header names another",
            Spec { target: "/b", headers: "X-Forwarded-For: 198.51.100.9".into(), ..backend_leg() },
            client_leg(),
        ),
        ("another method", Spec { method: "HEAD", ..backend_leg() }, client_leg()),
        ("asked for before", Spec { times: (0, 40), ..backend_leg() }, Spec { times: (20, 50), ..client_leg() }),
        (
            "the proxy gives a status of another class",
            Spec { status: 404, ..backend_leg() },
            Spec { status: 502, ..client_leg() },
        ),
        ("no answer does not stand for an answer", backend_leg(), Spec { status: 0, ..client_leg() }),
        ("the client leg may be forged", backend_leg(), Spec { grade: Grade::OneWay, ..client_leg() }),
        ("the request of the client leg was not seen", backend_leg(), Spec { is_seen: false, ..client_leg() }),
        (
            "the client leg leads to another server",
            silent_backend_leg(),
            Spec { server: ("192.0.2.30", 80), ..client_leg() },
        ),
        ("the header names an innocent at another server", stranger("X-Forwarded-For: 198.51.100.9"), client_leg()),
        (
            "both asked the same server",
            stranger("X-Forwarded-For: 198.51.100.1"),
            Spec { server: (SERVER, 80), ..client_leg() },
        ),
        (
            "a host that scans two of its own ports",
            silent_backend_leg(),
            Spec { peer: PROXY, server: (PROXY, 8_080), ..client_leg() },
        ),
        ("the client leg comes too late", backend_leg(), Spec { times: (0, 2_100), ..client_leg() }),
    ] {
        assert_eq!(counted(&[backend, client]), (vec![0, 1], vec![]), "{what}");
    }
}

#[test]
fn what_a_proxy_asks_for_itself_counts_and_a_client_leg_is_used_once() {
    let own = Spec { target: "/health", headers: String::new(), ..backend_leg() };
    assert_eq!(counted(&[own.clone(), backend_leg(), client_leg()]), (vec![0, 2], vec![1]));
    assert_eq!(counted(&[backend_leg(), backend_leg(), client_leg()]), (vec![1, 2], vec![0]));
    // The one that names the client goes, though the other one is older.
    assert_eq!(counted(&[silent_backend_leg(), backend_leg(), client_leg()]), (vec![0, 2], vec![1]));
    // Without a client leg all counts.
    assert_eq!(counted(&[backend_leg(), own]), (vec![0, 1], vec![]));
}

#[test]
fn of_a_chain_of_proxies_the_first_leg_counts() {
    let second = "192.0.2.21";
    let first_to_second = Spec { server: (second, 80), times: (10, 45), ..silent_backend_leg() };
    let second_to_server = Spec { peer: second, times: (20, 40), ..silent_backend_leg() };
    let mut counting = Counting::new(&[PROXY]);
    for round in 0..3 {
        let later = |spec: &Spec| {
            event(&Spec { times: (spec.times.0 + round * 100, spec.times.1 + round * 100), ..spec.clone() })
        };
        for (name, spec) in [&second_to_server, &first_to_second, &client_leg()].into_iter().enumerate() {
            counting.take(round as usize * 3 + name, later(spec));
        }
    }
    // The second proxy is known as a server from its first exchange on.
    assert_eq!(counting.finish(), (vec![0, 2, 5, 8], vec![1, 3, 4, 6, 7]));
}

#[test]
fn errors_of_peers_that_are_no_proxies_are_not_held_and_others_only_so_many_and_so_long() {
    let facts = |spec: &Spec| LegFacts::of(&event(spec)).unwrap();
    let mut legs = Legs::<()>::new(PATIENCE);
    assert!(!legs.may_be_backend(&facts(&client_leg()), at(50)));
    assert!(!legs.may_be_backend(&facts(&silent_backend_leg()), at(50)), "not known as a server");
    assert!(legs.may_be_backend(&facts(&backend_leg()), at(50)), "a header names a client");

    let mut counting = Counting::new(&[PROXY]);
    (0..MOST_HELD + 20).for_each(|name| counting.take(name, event(&backend_leg())));
    assert_eq!(counting.counted, (0..20).collect::<Vec<_>>(), "the oldest");
    let late = Spec { times: (2_040, 2_040), ..client_leg() };
    counting.take(9_999, event(&late));
    assert_eq!((counting.counted.len(), counting.legs.is_empty()), (MOST_HELD + 21, true));
    // So many in vain: this peer is not waited for, until a minute later.
    let later = |millis| Spec { times: (millis, millis + 1), ..backend_leg() };
    assert!(!counting.legs.may_be_backend(&facts(&later(3_000)), at(3_000)));
    assert!(counting.legs.may_be_backend(&facts(&later(63_000)), at(63_000)));
    counting.take(10_000, event(&later(63_000)));
    counting.take(10_001, event(&Spec { times: (62_999, 63_002), ..client_leg() }));
    assert_eq!(counting.left_out, [10_000]);
    assert_eq!(counting.legs.proxies().collect::<Vec<_>>(), [(address(PROXY), 1)]);
}

#[test]
fn of_many_peers_those_that_are_proxies_stay_known() {
    let mut legs = Legs::<()>::new(PATIENCE);
    legs.peer(address(PROXY)).left_out = 3;
    for last in 0..=255 {
        legs.peer(Address::v4([203, 0, 113, last])).misses = 1;
    }
    assert_eq!((legs.peers.len(), legs.proxies().count()), (MOST_PEERS, 1));
}

proptest! {
    /// Any interleaving of proxied requests gives exactly the errors of their client legs, and those that the proxy makes itself.
    #[test]
    fn proxied_errors_count_once(
        requests in proptest::collection::vec(
            (0u64..1_000, 1u64..5, 1u64..5, 1u64..5, 0usize..3, 0usize..3, any::<bool>(), 0u8..4),
            1..60,
        ),
    ) {
        let clients = [CLIENT, "198.51.100.2", "198.51.100.3"];
        let targets = ["/a", "/b", "/c"];
        let mut specs: Vec<(bool, Spec)> = Vec::new();
        for (start, to_server, at_server, back, client, target, names, kind) in requests {
            let (asked, answered) = (start + to_server, start + to_server + at_server);
            let headers = if names { format!("X-Forwarded-For: {}", clients[client]) } else { String::new() };
            let backend = Spec { target: targets[target], times: (asked, answered), headers, ..backend_leg() };
            let times = (start, answered + back);
            if kind == 0 {
                // Of the proxy's own, and on a path of its own.
                specs.push((true, Spec { target: "/own", ..backend }));
            } else {
                specs.push((false, backend));
                specs.push((true, Spec { peer: clients[client], target: targets[target], times, ..client_leg() }));
            }
        }
        specs.sort_by_key(|(_, spec)| spec.times.1);
        let mut counting = Counting::new(&[PROXY, SERVER]);
        for (name, (_, spec)) in specs.iter().enumerate() {
            counting.take(name, event(spec));
        }
        let (counted, _) = counting.finish();
        let by_peer = |names: &mut dyn Iterator<Item = &Spec>| {
            let mut sums = BTreeMap::new();
            names.for_each(|spec| *sums.entry((spec.peer, spec.target)).or_insert(0) += 1);
            sums
        };
        let expected = by_peer(&mut specs.iter().filter(|(counts, _)| *counts).map(|(_, spec)| spec));
        prop_assert_eq!(by_peer(&mut counted.iter().map(|&name| &specs[name].1)), expected);
    }
}
