//! A progress bar for people.
//!
//! In: bytes and packets so far. Out: a bar on standard error, if standard error is a terminal and the run is not quiet.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::telemetry::summary::grouped;

/// Redraws a second. A person sees no more of a faster bar.
const REDRAWS: u8 = 8;

/// The bar, if there is one.
#[derive(Clone)]
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar over `total` bytes, or without an end where the total is not known.
    pub(super) fn new(total: Option<u64>, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(REDRAWS));
        let template = if total.is_some() {
            "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg} {eta} left"
        } else {
            "{spinner} {bytes} {bytes_per_sec} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    /// Shows how far the run is.
    pub(super) fn update(&self, bytes: u64, packets: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
            let rate = packets as f64 / bar.elapsed().max(Duration::from_millis(1)).as_secs_f64();
            bar.set_message(format!("{} packets ({}/s)", grouped(packets), grouped(rate as u64)));
        }
    }

    /// Does something that writes to the terminal, with the bar out of its way.
    pub(super) fn aside<R>(&self, write: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
