//! An exchange, or its error event, as one line of JSON.
//!
//! In: an exchange, whose it is, and whether it is written whole or as an event. Out: the line. Promises: an event holds what was
//! known when the exchange was decided; the whole exchange has the same members and, beside them, its end and the sizes of its
//! bodies.

use std::sync::Arc;

use super::super::{
    Identifier, community_id,
    json::{Json, TimeWriter, key},
};
use super::{
    ECS_VERSION,
    connection::{begin_network, end_network, write_connection, write_rpc, write_tls},
    fields::{
        Field, begin_facts, begin_request, begin_response, outcome, write_body, write_changes, write_end,
        write_endpoint, write_masked, write_names, write_target,
    },
    reuse::{Joints, PartsKind, Prepared, Previous, members},
    write_agent,
};
use crate::{
    address::Endpoint,
    event::{Attribution, Reason, Site, host_without_port},
    exchange::{Exchange, Outcome, Remarks},
    time::nanos,
};

/// Writes exchanges and events. Prepared once for a sensor, then without allocation.
#[derive(Debug)]
pub(super) struct ExchangeWriter {
    site: Arc<Site>,
    /// `ecs` and `agent`, the same in every document.
    identity: Vec<u8>,
    prepared: Prepared,
    times: TimeWriter,
    /// The connection whose Community ID was last written.
    community: Option<(Endpoint, Endpoint, [u8; community_id::LENGTH])>,
    /// The last event, and the last exchange.
    previous: [Previous; 2],
}

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) id: Identifier,
    pub(super) exchange: &'a Exchange,
    pub(super) attribution: &'a Attribution,
    /// Why the exchange is an error, if it is one.
    pub(super) reason: Option<Reason>,
    /// Whether the exchange is over and written whole; else it is an event.
    pub(super) is_whole: bool,
}

impl ExchangeWriter {
    /// A writer for a site.
    pub(super) fn new(site: Arc<Site>) -> Self {
        let identity = members(|json| {
            let ecs = json.open(key!("ecs"));
            json.name(key!("version"), ECS_VERSION);
            json.close(ecs);
            write_agent(json, &site.sensor_id);
        });
        Self {
            site,
            identity,
            prepared: Prepared::default(),
            times: TimeWriter::default(),
            community: None,
            previous: Default::default(),
        }
    }

    /// Appends the whole exchange that was just written as an event. The lines are the same but for the end and the bodies'
    /// sizes, and to copy a line costs a fraction of writing it.
    pub(super) fn write_whole_after_event(
        &mut self,
        out: &mut Vec<u8>,
        event: &[u8],
        joints: &Joints,
        exchange: &Exchange,
    ) {
        let [to_end, to_request_body, to_response_body, rest] = joints.cut(event);
        out.extend_from_slice(to_end);
        let mut json = Json::within(out);
        write_end(&mut self.times, &mut json, exchange, exchange.response_end);
        json.raw(to_request_body);
        write_body(&mut json, exchange.request_body_bytes);
        json.raw(to_response_body);
        write_body(&mut json, exchange.response_body_bytes);
        json.raw(rest);
    }

    /// Appends a document. Parts that documents have in common (`parts.shared`) alternate with what each has of its own.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, subject: Subject<'_>) -> Joints {
        let Subject { id, exchange, attribution, reason, is_whole } = subject;
        let Self { site, identity, prepared, times, community, previous } = self;
        let previous = &mut previous[usize::from(is_whole)];
        let category = if exchange.outcome == Outcome::TlsAlert { "network" } else { "web" };
        let outcome = outcome(exchange, reason);
        let kind = PartsKind { dataset: attribution.dataset.dataset, reason, outcome, category };
        let mut parts = previous.parts(exchange, reason, attribution);
        let start = out.len();
        let mut json = Json::object(out);

        times.write(&mut json, key!("@timestamp"), exchange.event_time());
        parts.part(&mut json, |json, _| {
            json.raw(b",");
            json.raw(identity);
            json.raw(b",");
            json.raw(&prepared.kind(kind, site).event);
        });
        json.raw(br#","id":""#);
        json.raw(&id.digits());
        json.raw(b"\"");
        if let Some(start) = exchange.request_start {
            times.write(&mut json, key!("start"), start.time);
        }
        let end = json.position();
        let response_end = exchange.response_end.filter(|_| is_whole);
        write_end(times, &mut json, exchange, response_end.or(exchange.decided));
        parts.part(&mut json, |json, _| {
            json.raw(b"},");
            json.raw(&prepared.kind(kind, site).stream);
            if let Some((_, server)) = exchange.endpoints {
                json.raw(b",");
                json.raw(&prepared.server(server, site).host);
            }
        });

        if let Some((client, server)) = exchange.endpoints {
            write_endpoint(&mut json, key!("source"), attribution.client.endpoint);
            parts.part(&mut json, |json, _| {
                json.raw(b",");
                json.raw(&prepared.server(server, site).destination);
                begin_network(json, exchange, server);
            });
            json.raw(&community_id_of(community, client, server));
        }
        let (mut http, mut request, mut response, mut url, mut facts) = Default::default();
        parts.part(&mut json, |json, changes| {
            if exchange.endpoints.is_some() {
                end_network(json, exchange);
            }
            http = json.open(key!("http"));
            request = begin_request(json, exchange, site, changes);
        });
        let request_body = json.position();
        if is_whole {
            write_body(&mut json, exchange.request_body_bytes);
        }
        parts.part(&mut json, |json, changes| {
            json.close(request);
            response = begin_response(json, exchange, changes);
        });
        let response_body = json.position();
        if is_whole {
            write_body(&mut json, exchange.response_body_bytes);
        }
        parts.part(&mut json, |json, _| {
            json.close(response);
            json.close(http);
            url = json.open(key!("url"));
        });

        let in_target = write_target(&mut json, exchange, site);
        parts.part(&mut json, |json, changes| {
            let host = host_without_port(exchange.field(exchange.host));
            write_masked(json, key!("domain"), Field::Domain, host, site, changes);
            json.close(url);
            let agent = json.open(key!("user_agent"));
            let name = exchange.field(exchange.user_agent);
            write_masked(json, key!("original"), Field::UserAgent, name, site, changes);
            json.close(agent);
            write_tls(json, exchange, changes);
            write_rpc(json, exchange);
            facts = begin_facts(json, exchange, attribution, site, changes);
        });
        if let Some(time) = exchange.time_to_first_byte() {
            json.number(key!("time_to_first_byte"), nanos(time));
        }
        if exchange.stream != 0 {
            json.number(key!("stream"), exchange.stream);
        }
        parts.part(&mut json, |json, _| {
            write_connection(json, exchange);
            if exchange.remarks != Remarks::default() {
                write_names(json, key!("remarks"), exchange.remarks.names());
            }
        });
        write_changes(&mut json, parts.changes.and(in_target));
        parts.part(&mut json, |json, _| {
            json.close(facts);
            json.end_line();
        });
        if let Some(written) = parts.written() {
            previous.keep(&written, out, exchange, reason, attribution);
        }
        Joints { start, end, request_body, response_body }
    }
}

/// The Community ID of a connection, which mostly is that of the document before.
fn community_id_of(
    last: &mut Option<(Endpoint, Endpoint, [u8; community_id::LENGTH])>,
    client: Endpoint,
    server: Endpoint,
) -> [u8; community_id::LENGTH] {
    if let Some((known_client, known_server, id)) = *last
        && (known_client, known_server) == (client, server)
    {
        return id;
    }
    let id = community_id::community_id(client, server);
    *last = Some((client, server, id));
    id
}
