//! The packets of alerts, from capture files.
//!
//! In: the captures of a run, which are read once more, and what is asked for. Out: the files. Promises: the packets come in the
//! same order as in the run; one pass for all alerts; nothing is read where nothing is asked for.

use std::{path::PathBuf, sync::atomic::Ordering};

use super::{Cuts, Evidence};
use crate::{
    capture::{
        PacketBatch,
        files::{CaptureSet, FileSettings, Filled},
    },
    run::{RunError, progress::Progress, readahead},
};

impl Evidence {
    /// Reads the captures of a replay again, and writes what its alerts have asked for.
    ///
    /// # Errors
    ///
    /// A capture that cannot be opened any more; a file that cannot be written.
    pub(in crate::run) fn read_again(self, captures: &[PathBuf], is_quiet: bool) -> Result<(), RunError> {
        let Self { mut cuts, received, .. } = self;
        cuts.add_all(received.try_iter());
        cut_from_files(cuts, captures, is_quiet)
    }
}

/// Reads captures and writes the files that are asked for. What cannot be read of a capture was told when it was read first.
///
/// # Errors
///
/// A capture that cannot be opened; a file that cannot be written.
pub(in crate::run) fn cut_from_files(mut cuts: Cuts, captures: &[PathBuf], is_quiet: bool) -> Result<(), RunError> {
    if cuts.is_empty() {
        return Ok(());
    }
    let settings = FileSettings { read_ahead: Some(readahead::read_ahead), ..FileSettings::default() };
    let mut captures = CaptureSet::open(captures, settings)?;
    let progress = Progress::new(captures.total_bytes(), is_quiet);
    let consumed = captures.consumed_bytes();
    let mut batch = PacketBatch::default();
    while captures.fill(&mut batch) == Filled::Packets {
        batch.packets().for_each(|packet| cuts.take(&packet));
        progress.update(consumed.load(Ordering::Relaxed), captures.counters().packets);
    }
    progress.finish();
    Ok(cuts.finish()?)
}
