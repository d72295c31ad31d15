//! Tests of finding the true client: a table of headers, and clients that write any headers in any form.

use proptest::prelude::*;

use super::*;

fn site() -> Site {
    let proxies = [
        "10.0.0.0/8",
        "10.1.0.0/16=x-forwarded-for",
        "10.2.0.0/16=forwarded",
        "10.3.0.0/16=x-real-ip",
        "10.4.0.0/16=true-client-ip",
        "10.5.0.0/16=cf-connecting-ip",
        "2001:db8:ffff::/48",
    ];
    Site { trusted_proxies: proxies.iter().map(|text| text.parse().unwrap()).collect(), ..Site::default() }
}

fn endpoint(text: &str) -> Endpoint {
    let socket: SocketAddr = text.parse().unwrap();
    Endpoint::new(socket.ip().into(), socket.port())
}

fn found(peer: &str, proxied: Option<&str>, lines: &str) -> (Client, EventCounters) {
    let mut exchange = Exchange { proxied_source: proxied.map(endpoint), ..Exchange::default() };
    exchange.forwarded = exchange.store(lines.as_bytes());
    let mut counters = EventCounters::default();
    let client = true_client(&site(), &exchange, endpoint(peer), &mut counters);
    (client, counters)
}

fn named(peer: &str, proxied: Option<&str>, lines: &str) -> (String, &'static str) {
    let (client, _) = found(peer, proxied, lines);
    let conflict = if client.conflicting { "conflicting" } else { client.source.name() };
    (client.endpoint.to_string(), conflict)
}

#[test]
fn names_the_true_client() {
    const PEER: &str = "10.0.0.1:5";
    let table: &[(&str, &str, &str, &str)] = &[
        // peer, headers → client, named by
        ("192.0.2.9:5000", "", "192.0.2.9:5000", "peer"),
        (PEER, "", PEER, "peer"),
        ("192.0.2.9:5000", "X-Forwarded-For: 203.0.113.5", "192.0.2.9:5000", "peer"),
        (PEER, "X-Forwarded-For: 203.0.113.5", "203.0.113.5:0", "x-forwarded-for"),
        ("[::ffff:10.0.0.1]:5000", "x-forwarded-for:203.0.113.5:99", "203.0.113.5:99", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: 1.1.1.1, 203.0.113.5, 10.0.3.4", "203.0.113.5:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: 203.0.113.5\nX-Forwarded-For: 10.9.9.9", "203.0.113.5:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: 10.7.7.7, 10.9.9.9", "10.7.7.7:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: 1.1.1.1, unknown, 10.9.9.9", "10.9.9.9:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: garbage", PEER, "peer"),
        (PEER, "X-Forwarded-For: ::ffff:203.0.113.5", "203.0.113.5:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: [2001:db8::7]:443", "[2001:db8::7]:443", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: fe80::1%eth0", "[fe80::1]:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: 203.0.113.5,,", "203.0.113.5:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For:\t203.0.113.5 \t", "203.0.113.5:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: 1.1.1.1,   203.0.113.5", "203.0.113.5:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For : 1.1.1.1", PEER, "peer"),
        (PEER, "X-Forwarded-For: 203.0.113.5\nX-Forwarded-For : 1.1.1.1", PEER, "peer"),
        ("[2001:db8:ffff::5]:80", "X-Forwarded-For: 9.9.9.9", "9.9.9.9:0", "x-forwarded-for"),
        (PEER, "Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60:0", "forwarded"),
        (PEER, "Forwarded: For=\"[2001:db8:cafe::17]:4711\"", "[2001:db8:cafe::17]:4711", "forwarded"),
        (PEER, "Forwarded: for=192.0.2.43, for=\"[2001:db8:ffff::1]\"", "192.0.2.43:0", "forwarded"),
        (PEER, "Forwarded: for=\"192.0.2.43:_hidden\"", "192.0.2.43:0", "forwarded"),
        (PEER, "Forwarded: for=_gazonk, for=10.0.0.7", "10.0.0.7:0", "forwarded"),
        (PEER, "Forwarded: for=1.1.1.1;host=\"a,b\"", "1.1.1.1:0", "forwarded"),
        (PEER, "Forwarded: by=1.1.1.1", PEER, "peer"),
        (PEER, "Forwarded: host=\"x;for=6.6.6.6;y\";for=1.1.1.1", "1.1.1.1:0", "forwarded"),
        (PEER, "Forwarded: for=1.1.1.1;host=\"a\\\", for=6.6.6.6;x=\\\"\"", "1.1.1.1:0", "forwarded"),
        (PEER, "Forwarded: for=1.1.1.1;for=6.6.6.6", PEER, "peer"),
        // Two lists.
        (PEER, "X-Forwarded-For: 1.1.1.1\nForwarded: for=1.1.1.1", "1.1.1.1:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: 1.1.1.1, 10.0.0.9\nForwarded: for=1.1.1.1", "1.1.1.1:0", "x-forwarded-for"),
        (PEER, "X-Forwarded-For: 1.1.1.1\nForwarded: for=2.2.2.2", PEER, "conflicting"),
        (PEER, "Forwarded: for=unknown\nX-Forwarded-For: 1.1.1.1", PEER, "conflicting"),
        (PEER, "Forwarded: for=_hidden, for=_hidden\nX-Forwarded-For: 1.1.1.1", PEER, "conflicting"),
        ("10.1.0.1:5", "X-Forwarded-For: 1.1.1.1\nForwarded: for=2.2.2.2", "1.1.1.1:0", "x-forwarded-for"),
        ("10.2.0.1:5", "X-Forwarded-For: 1.1.1.1\nForwarded: for=2.2.2.2", "2.2.2.2:0", "forwarded"),
        // Headers with a single value are believed only where they are named.
        (PEER, "X-Real-IP: 203.0.113.8", PEER, "peer"),
        (PEER, "True-Client-IP: 203.0.113.8", PEER, "peer"),
        (PEER, "CF-Connecting-IP: 203.0.113.8", PEER, "peer"),
        (PEER, "X-Real-IP: 9.9.9.9\nX-Forwarded-For: 203.0.113.5", "203.0.113.5:0", "x-forwarded-for"),
        ("10.3.0.1:5", "X-Real-IP: 203.0.113.8\nX-Forwarded-For: 1.1.1.1", "203.0.113.8:0", "x-real-ip"),
        ("10.3.0.1:5", "X-Forwarded-For: 1.1.1.1", "10.3.0.1:5", "peer"),
        ("10.4.0.1:5", "True-Client-IP: 203.0.113.8\nX-Real-IP: 1.1.1.1", "203.0.113.8:0", "true-client-ip"),
        ("10.5.0.1:5", "CF-Connecting-IP: 2001:db8::8", "[2001:db8::8]:0", "cf-connecting-ip"),
        ("10.3.0.1:5", "X-Real-IP: 1.1.1.1\nX-Real-IP: 1.1.1.1", "1.1.1.1:0", "x-real-ip"),
        ("10.3.0.1:5", "X-Real-IP: 1.1.1.1\nX-Real-IP: 2.2.2.2", "10.3.0.1:5", "conflicting"),
        ("10.3.0.1:5", "X-Real-IP: 1.1.1.1, 2.2.2.2", "10.3.0.1:5", "peer"),
        // One proxy behind another, each with its own header.
        ("10.3.0.1:5", "X-Real-IP: 10.5.0.9\nCF-Connecting-IP: 203.0.113.8", "203.0.113.8:0", "cf-connecting-ip"),
        (
            PEER,
            "X-Forwarded-For: 1.1.1.1, 10.5.0.9\nCF-Connecting-IP: 203.0.113.8",
            "203.0.113.8:0",
            "cf-connecting-ip",
        ),
    ];
    for &(peer, lines, client, source) in table {
        assert_eq!(named(peer, None, lines), (client.to_owned(), source), "{peer} {lines}");
    }
}

#[test]
fn a_proxy_header_comes_before_the_request_headers() {
    for (peer, proxied, lines, client, source) in [
        ("192.0.2.9:5000", "203.0.113.5:1", "", "192.0.2.9:5000", "peer"),
        ("10.0.0.1:5", "203.0.113.5:777", "X-Forwarded-For: 9.9.9.9", "203.0.113.5:777", "proxy_protocol"),
        ("10.0.0.1:5", "10.6.5.5:777", "X-Forwarded-For: 9.9.9.9", "9.9.9.9:0", "x-forwarded-for"),
        ("10.0.0.1:5", "10.3.5.5:777", "X-Forwarded-For: 9.9.9.9\nX-Real-IP: 8.8.8.8", "8.8.8.8:0", "x-real-ip"),
        (
            "10.0.0.1:5",
            "10.6.5.5:777",
            "X-Forwarded-For: 9.9.9.9\nForwarded: for=1.1.1.1",
            "10.6.5.5:777",
            "conflicting",
        ),
    ] {
        assert_eq!(named(peer, Some(proxied), lines), (client.to_owned(), source), "{proxied} {lines}");
    }
}

#[test]
fn counts_what_it_ignores_and_what_disagrees() {
    let counted = |peer, proxied, lines| found(peer, proxied, lines).1;
    assert_eq!(counted("192.0.2.9:5", None, "X-Real-IP: 1.1.1.1").clients_forged, 1);
    assert_eq!(counted("192.0.2.9:5", Some("1.1.1.1:1"), "").clients_forged, 1);
    let agreeing = counted("10.0.0.1:5", None, "Forwarded: for=1.1.1.1\nX-Forwarded-For: 1.1.1.1");
    assert_eq!((agreeing.clients_conflicting, agreeing.clients_named), (0, 1));
    let differing = counted("10.0.0.1:5", None, "Forwarded: for=1.1.1.1\nX-Forwarded-For: 2.2.2.2");
    assert_eq!((differing.clients_conflicting, differing.clients_named), (1, 0));
    assert_eq!(counted("10.0.0.1:5", None, "X-Forwarded-For: ?").clients_unreadable, 1);
}

#[test]
fn a_list_beyond_any_chain_ends_at_a_trusted_hop() {
    let list = format!("X-Forwarded-For: 203.0.113.5{}", ", 10.0.0.2".repeat(MAX_HOPS));
    let (client, counters) = found("10.0.0.1:5", None, &list);
    assert_eq!((client.endpoint.to_string().as_str(), counters.clients_unreadable), ("10.0.0.2:0", 1));
}

#[test]
fn a_head_that_was_cut_names_nobody() {
    let mut exchange = Exchange::default();
    exchange.forwarded = exchange.store(b"X-Forwarded-For: 6.6.6.6");
    exchange.remarks.add(Remarks::REQUEST_TRUNCATED);
    let peer = endpoint("10.0.0.1:5");
    let client = |exchange: &Exchange, peer| true_client(&site(), exchange, peer, &mut EventCounters::default());
    let cut = client(&exchange, peer);
    assert_eq!((cut.endpoint, cut.unreadable), (peer, true));
    // Nor is it certain that nobody was named.
    exchange.forwarded = crate::exchange::Span::default();
    let cut = client(&exchange, peer);
    assert_eq!((cut.endpoint, cut.unreadable), (peer, true));
    // A peer that is no proxy is the client, whatever its head had.
    let direct = client(&exchange, endpoint("192.0.2.9:5"));
    assert_eq!((direct.endpoint, direct.unreadable), (endpoint("192.0.2.9:5"), false));
}

/// How a proxy passes on the lists that came with a request.
#[derive(Debug, Clone, Copy)]
enum Appends {
    /// In one line, before all other lines, as nginx does.
    JoinedFirst,
    /// In one line, after all other lines.
    JoinedLast,
    /// In a line of its own at the end, as HAProxy does.
    OwnLine,
}

/// The request lines behind a proxy that writes `header` for the client `203.0.113.77`.
fn through_proxy(header: ClientHeader, appends: Appends, sent: &[(ClientHeader, String)]) -> String {
    let real = if header == ClientHeader::Forwarded { "for=203.0.113.77" } else { "203.0.113.77" };
    let same = |(name, value): &(ClientHeader, String)| (*name == header).then(|| value.clone());
    let before: Vec<String> = sent.iter().filter_map(same).collect();
    let others: Vec<String> = sent
        .iter()
        .filter(|(name, _)| *name != header || (header.is_list() && matches!(appends, Appends::OwnLine)))
        .map(|(name, value)| format!("{}: {value}", name.name()))
        .collect();
    let joined = if header.is_list() && !matches!(appends, Appends::OwnLine) {
        format!("{}: {}", header.name(), before.into_iter().chain([real.to_owned()]).collect::<Vec<_>>().join(", "))
    } else {
        format!("{}: {real}", header.name())
    };
    let mut lines = others;
    if matches!(appends, Appends::JoinedFirst) {
        lines.insert(0, joined)
    } else {
        lines.push(joined)
    }
    lines.join("\n")
}

proptest! {
    #[test]
    fn any_lines_are_survived(lines in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&lines);
    }

    /// The client behind a proxy writes any client headers, with addresses of 6.0.0.0/8. It is never found under one of them.
    #[test]
    fn a_client_never_chooses_who_it_is(
        header in proptest::sample::select(ClientHeader::ALL.to_vec()),
        is_named in any::<bool>(),
        appends in proptest::sample::select(vec![Appends::JoinedFirst, Appends::JoinedLast, Appends::OwnLine]),
        sent in proptest::collection::vec((
            proptest::sample::select(ClientHeader::ALL.to_vec()),
            "((for=)?\"?6\\.6\\.6\\.[1-9](:80|:_x)?\"?[,; ]{0,2}|unknown|_hidden|10\\.0\\.0\\.[1-9]|[\"\\\\;, ]|\\[::ffff:6\\.6\\.6\\.6\\]){0,6}",
        ), 0..5),
    ) {
        let lines = through_proxy(header, appends, &sent);
        // Proxies that write a list need not say so.
        let peer = match header {
            ClientHeader::XForwardedFor if is_named => "10.1.0.1:5",
            ClientHeader::Forwarded if is_named => "10.2.0.1:5",
            ClientHeader::XForwardedFor | ClientHeader::Forwarded => "10.0.0.1:5",
            ClientHeader::XRealIp => "10.3.0.1:5",
            ClientHeader::TrueClientIp => "10.4.0.1:5",
            ClientHeader::CfConnectingIp => "10.5.0.1:5",
        };
        let (client, _) = found(peer, None, &lines);
        let address = client.endpoint.address;
        let is_right = address == endpoint("203.0.113.77:1").address || client.endpoint == endpoint(peer);
        prop_assert!(is_right, "{} from {lines}", client.endpoint);
        if is_named || !header.is_list() {
            prop_assert_eq!(address, endpoint("203.0.113.77:1").address, "{}", lines);
        }
    }

    #[test]
    fn every_address_is_read_back(bits in any::<u128>(), v4 in any::<u32>(), port in 1u16..) {
        for address in [Address::v6(bits.to_be_bytes()), Address::v4(v4.to_be_bytes())] {
            let endpoint = Endpoint::new(address, port);
            prop_assert_eq!(parse_node(endpoint.to_string().as_bytes()), Some(endpoint));
            prop_assert_eq!(parse_node(address.to_string().as_bytes()), Some(Endpoint::new(address, 0)));
        }
    }
}
