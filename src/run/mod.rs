//! Runs: what the program does with settings and packets.
//!
//! In: [`Settings`](crate::settings::Settings) and where packets come from. Out: alerts, events and exchanges in sinks, and a
//! [`Verdict`].

pub mod live;
mod progress;
pub mod readahead;
pub mod replay;

pub use crate::sensor::{RunError, Verdict};
