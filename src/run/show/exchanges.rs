//! The exchanges of one client in captures.
//!
//! In: captures, a client, a time, and what decrypts TLS. Out: the first exchanges as lines of an access log, the number of all, and
//! what could not be read. Promises: packets shortly after the time are read too, so that an exchange at its edge is whole; so are all
//! packets before it, because TLS and HTTP/2 are read from the beginning of their connections; the same attribution of clients and
//! the same secrets as in a replay.

use std::{collections::HashSet, path::PathBuf, sync::Arc, sync::atomic::Ordering, time::Duration};

use serde_json::Value;

use crate::{
    capture::{
        PacketBatch,
        files::{CaptureSet, FileSettings, Filled},
    },
    document::{Batch, Document, EcsJson, Encoding, Value as DocumentValue, exchange_line},
    run::{
        RunError,
        evidence::{Connection, connection},
        progress::Progress,
        readahead, seed_of, sensor_settings,
        tls_keys::ReplayKeys,
        unread::Unread,
    },
    sensor::{Finding, Sensor, SensorSettings},
    settings::{Selection, Settings},
    time::Timestamp,
};

/// Packet time after the window that is read too.
const MARGIN: Duration = Duration::from_secs(60);

/// The exchanges of one client.
#[derive(Debug, Default)]
pub(super) struct ClientExchanges {
    /// The first of them as lines.
    pub(super) lines: Vec<String>,
    /// The number of all.
    pub(super) count: u64,
    /// The connections of those that a proxy made for the client, each once.
    pub(super) connections: Vec<Connection>,
    /// What could not be read of the captures.
    pub(super) problems: Vec<String>,
    /// Connections of TLS and HTTP/2 that were not read, and what to do: one line each.
    pub(super) unread: Vec<String>,
}

impl ClientExchanges {
    /// Reads captures.
    pub(super) fn read(
        settings: &Settings,
        selection: Selection,
        captures: &[PathBuf],
        most: usize,
    ) -> Result<Self, RunError> {
        let secrets = ReplayKeys::read(&settings.tls, settings.verbosity.is_quiet())?;
        let file_settings =
            FileSettings { read_ahead: Some(readahead::read_ahead), key_logs: true, ..FileSettings::default() };
        let mut captures = CaptureSet::open(captures, file_settings)?;
        secrets.take(&mut captures);
        let window = selection.times.unwrap_or(Timestamp::EPOCH..=Timestamp::MAX);
        let mut sensor_settings = secrets.given_to(sensor_settings(settings, seed_of(settings)));
        sensor_settings.times = Some(Timestamp::EPOCH..=window.end().plus(MARGIN));
        sensor_settings.events.clients = selection.clients;
        sensor_settings.report_exchanges = true;
        sensor_settings.streams.keep_detail = true;
        let mut sensor = Sensor::new(&sensor_settings)?;
        let mut lines = Lines {
            encoding: EcsJson::new(Arc::clone(&sensor_settings.site)),
            batch: Batch::default(),
            most,
            found: Self::default(),
            known: HashSet::new(),
        };
        let mut take = |finding: Finding<'_>| {
            if let Some(document) = document_of(&finding, &sensor_settings)
                && window.contains(&document.time)
            {
                lines.take(&document);
                lines.note_connection(&document);
            }
        };
        let progress = Progress::new(captures.total_bytes(), settings.verbosity.is_quiet());
        let consumed = captures.consumed_bytes();
        let mut batch = PacketBatch::default();
        while captures.fill(&mut batch) == Filled::Packets {
            secrets.take(&mut captures);
            batch.packets().for_each(|packet| sensor.push(&packet, &mut take));
            progress.update(consumed.load(Ordering::Relaxed), captures.counters().packets);
        }
        sensor.finish(&mut take);
        progress.finish();
        let stages = [sensor.counts(), secrets.stages()].concat();
        lines.found.problems = captures.problems().iter().map(ToString::to_string).collect();
        let ports = sensor.unread_ports();
        let unread = Unread { stages: &stages, ports: &ports };
        lines.found.unread = unread.all();
        Ok(lines.found)
    }
}

/// The document of an exchange that is over.
fn document_of<'a>(finding: &Finding<'a>, settings: &'a SensorSettings) -> Option<Document<'a>> {
    let site = &*settings.site;
    match *finding {
        Finding::Exchange { exchange, attribution } => {
            Some(Document::exchange(exchange, attribution, settings.events.reason_of(exchange), site))
        }
        Finding::EventAndExchange(event) => {
            Some(Document::exchange(&event.exchange, &event.attribution, Some(event.reason), site))
        }
        Finding::Event(_) | Finding::Alert { .. } | Finding::Gap(_) => None,
    }
}

/// Lines as they are made.
struct Lines {
    encoding: EcsJson,
    /// Empty between exchanges.
    batch: Batch,
    most: usize,
    found: ClientExchanges,
    /// The connections that were found.
    known: HashSet<Connection>,
}

impl Lines {
    /// Notes the connection of an exchange whose client is not its peer.
    fn note_connection(&mut self, document: &Document<'_>) {
        let DocumentValue::Exchange { exchange, attribution, .. } = document.value else { return };
        let Some((peer, server)) = exchange.endpoints else { return };
        let connection = connection(peer, server);
        if peer.address != attribution.client.endpoint.address && self.known.insert(connection) {
            self.found.connections.push(connection);
        }
    }

    fn take(&mut self, document: &Document<'_>) {
        self.found.count += 1;
        if self.found.lines.len() >= self.most {
            return;
        }
        self.encoding.write(document, &mut self.batch);
        let exchange: Value = serde_json::from_slice(self.batch.bytes()).unwrap_or_default();
        self.batch.release(self.batch.len());
        self.found.lines.push(exchange_line(&exchange));
    }
}
