//! The threshold rule.
//!
//! In: [`ErrorEvent`](crate::event::ErrorEvent)s in packet order and the packet time reached. Out: [`Alert`]s. Promises:
//! counts are exact for any order of events within the lateness; alerts, their order and their IDs depend on nothing but
//! the events; memory is bounded by [`RuleSettings`] and whatever is left out is counted.

mod alert;
mod client;
mod clients;
mod engine;
mod evidence;
mod losses;
mod record;
mod settings;
mod snapshot;
mod streaming;
mod top;
mod triage;
mod window;

pub use self::{
    alert::{Alert, AlertKind, Episode, Execution, Window},
    engine::{RuleCounters, RuleEngine},
    evidence::{Sample, Summary, TopEntry},
    settings::{Mode, RuleIdentity, RuleSettings, RuleSettingsError},
    snapshot::{Snapshot, SnapshotError},
    triage::{Assessment, Triage},
};
