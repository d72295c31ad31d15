//! Exchanges and events for tests.

use std::sync::Arc;

use super::{
    Attribution, Client, ClientSource, DatasetEvidence, ErrorEvent, EventBuilder, EventSettings, Reason, Site,
};
use crate::{
    address::{Address, Endpoint},
    capture::Stamp,
    exchange::{Answer, Exchange, Grade, Method, Observation, ObservationFlags, Outcome, Protocol, Version},
    time::Timestamp,
};

/// The test client with this number.
pub(crate) fn client(number: u8) -> Endpoint {
    Endpoint::new(Address::v4([198, 51, 100, number]), 40_000)
}

/// The test server.
pub(crate) const SERVER: Endpoint = Endpoint::new(Address::v4([203, 0, 113, 80]), 80);

/// An answered exchange with all the usual fields.
pub(crate) fn exchange(client: Endpoint, time: Timestamp, packet: u64, status: u16, target: &str) -> Exchange {
    let stamp = Some(Stamp { number: packet, time });
    let mut exchange = Exchange {
        endpoints: Some((client, SERVER)),
        outcome: Outcome::Answered,
        status,
        version: Version { major: 1, minor: 1 },
        grade: Grade::Handshake,
        request_start: stamp,
        request_end: stamp,
        response_start: stamp,
        ..Exchange::default()
    };
    exchange.method = exchange.store(b"GET");
    exchange.target = exchange.store(target.as_bytes());
    exchange.host = exchange.store(b"www.example");
    exchange.user_agent = exchange.store(b"gobuster/3.6");
    exchange.server = exchange.store(b"nginx/1.26.3");
    exchange
}

/// A builder with the default settings.
pub(crate) fn builder(site: Site) -> EventBuilder {
    EventBuilder::new(EventSettings::default(), Arc::new(site))
}

/// An error event of such an exchange, with status 404. The event is seen at the time when it happened.
pub(crate) fn event(client: Endpoint, time: Timestamp, packet: u64, target: &str) -> ErrorEvent {
    let exchange = Box::new(exchange(client, time, packet, 404, target));
    builder(Site::default()).error_event(exchange, Stamp { number: packet, time }).unwrap()
}

/// An error event with only the fields that counting needs.
pub(crate) fn bare_event(client: Endpoint, time: Timestamp, packet: u64, seen: Timestamp) -> ErrorEvent {
    let stamp = Some(Stamp { number: packet, time });
    let exchange = Exchange {
        endpoints: Some((client, SERVER)),
        outcome: Outcome::Answered,
        status: 404,
        response_start: stamp,
        ..Exchange::default()
    };
    let observation = Observation {
        announced_bytes: u32::MAX,
        time,
        packet,
        client: client.address,
        server: SERVER,
        path: None,
        user_agent: None,
        host: None,
        answer: Answer::http(404),
        flags: ObservationFlags::ERROR,
        method: Method::Unseen,
        outcome: Outcome::Answered,
        protocol: Protocol::default(),
        grade: Grade::Handshake,
    };
    let client = Client { endpoint: client, source: ClientSource::Peer, conflicting: false, unreadable: false };
    ErrorEvent {
        time,
        packet,
        seen,
        reason: Reason::HttpStatus,
        attribution: Attribution { client, dataset: DatasetEvidence::default() },
        observation,
        exchange: Box::new(exchange),
    }
}
