//! The captures of `pcaps/`, with the short way and without it.

use std::path::Path;

use super::*;
use crate::capture::{
    PacketBatch,
    files::{CaptureSet, FileSettings, Filled},
};

/// What comes after the decoder sees segments and counters alone, so a run without the short way writes the same.
#[test]
fn every_capture_is_the_same_without_the_short_way() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps");
    let mut captures = CaptureSet::open(&[folder], FileSettings::default()).unwrap();
    let mut decoder = decoder();
    let mut batch = PacketBatch::default();
    while captures.fill(&mut batch) == Filled::Packets {
        for packet in batch.packets() {
            decoder.decode(&packet);
        }
    }
    let counters = decoder.counters();
    assert_eq!(counters.packets, captures.counters().packets);
    assert!(counters.segments > 7_000, "{counters:?}");
}
