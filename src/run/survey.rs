//! Looks at the beginning of each capture file by itself, once a replay has found something that it could not read.
//!
//! In: the files of the replay, and its settings. Out: which files hold nothing that can be read, and why; and which servers a
//! filter that matched nothing could have matched. Promises: only regular files are opened, at most [`MOST_FILES`] of them,
//! and at most [`MOST_PACKETS`] packets are read of each.

use std::path::{Path, PathBuf};

use crate::{
    address::Endpoint,
    capture::{
        Packet, PacketBatch,
        files::{CaptureSet, FileSettings, Filled},
    },
    decode::{Decoder, TcpFlags},
    sensor::{Sensor, SensorSettings},
    telemetry::tally::Tally,
};

use super::warnings::Counters;

/// The most files that are looked at.
const MOST_FILES: usize = 32;
/// The most packets that are read of a file.
const MOST_PACKETS: u64 = 20_000;
/// The most servers that are told apart.
const MOST_SERVERS: usize = 4_096;

/// The files that hold nothing that can be read, by reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UnreadableFiles {
    /// No packet could be decoded.
    pub(super) undecodable: Vec<PathBuf>,
    /// There is TLS, but no HTTP in clear.
    pub(super) only_tls: Vec<PathBuf>,
    /// There is HTTP/2 that could not be read, and no other HTTP.
    pub(super) only_http2: Vec<PathBuf>,
}

impl UnreadableFiles {
    /// Looks at each of the files.
    pub(super) fn among(files: &[&Path], settings: &SensorSettings) -> Self {
        let mut found = Self::default();
        for path in files.iter().take(MOST_FILES) {
            let Ok(mut sensor) = Sensor::new(settings) else { return found };
            for_first_packets(path, |packet| sensor.push(packet, &mut |_| {}));
            sensor.finish(&mut |_| {});
            let stages = sensor.counts();
            let counters = Counters(&stages);
            let list = if counters.nothing_decoded() {
                &mut found.undecodable
            } else if counters.of("http", &["requests", "responses"]) > 0 {
                continue;
            } else if counters.of("http", &["http2_unread"]) > 0 {
                &mut found.only_http2
            } else if counters.of("http", &["tls_unread"]) > 0 {
                &mut found.only_tls
            } else {
                continue;
            };
            list.push(path.to_path_buf());
        }
        found
    }
}

/// Returns the servers with the most packets at the beginning of the files, at most `most` of them. A server is the receiver
/// of a SYN; where there are no SYNs, it is the end with the lower port.
pub(super) fn servers(files: &[&Path], settings: &SensorSettings, most: usize) -> Vec<(Endpoint, u64)> {
    let mut decoder = Decoder::new(settings.decode.clone());
    let mut servers = Tally::<Endpoint, MOST_SERVERS>::default();
    for path in files.iter().take(MOST_FILES) {
        for_first_packets(path, |packet| {
            decoder.decode(packet, &mut |segment| {
                let (source, destination) = (segment.source, segment.destination);
                let is_request = match segment.flags.has(TcpFlags::SYN) {
                    true => !segment.flags.has(TcpFlags::ACK),
                    false => destination.port < source.port,
                };
                servers.add(if is_request { destination } else { source }, 1);
            });
        });
    }
    servers.top(most).0
}

/// Reads the first packets of a regular file.
fn for_first_packets(path: &Path, mut take: impl FnMut(&Packet<'_>)) {
    if !path.is_file() {
        return;
    }
    let Ok(mut captures) = CaptureSet::open(&[path.to_path_buf()], FileSettings::default()) else { return };
    let mut batch = PacketBatch::default();
    let mut packets = 0;
    while packets < MOST_PACKETS && captures.fill(&mut batch) == Filled::Packets {
        for packet in batch.packets() {
            take(&packet);
            packets += 1;
        }
    }
}
