//! Rules and their alerts.
//!
//! In: [`Observation`](crate::exchange::Observation)s of every final exchange in packet order, the exchanges that a rule's
//! own [`Filter`] matched, and the packet time reached. Out: [`Alert`]s, each complete in itself. Promises: alerts, their order
//! and their IDs depend on the exchanges alone; memory is bounded, and what is left out is counted.
//!
//! A [`Rule`] is a value in a file or folder of its own under `rules/`, and a line in the list there. [`Rules`] runs several
//! side by side. What rules have in common is beside them here: `cells` (windows as cells of time), `losses` (when packets were
//! lost), `text_pool` (the memory that all share), `top` (what was seen most), `summary` (what an alert says of what it
//! counts), `alert` and `identity`.

#[macro_use]
mod registry;

mod alert;
mod cells;
mod identity;
mod losses;
mod rule;
pub mod rules;
mod side_by_side;
mod summary;
mod text_pool;
mod top;

pub use self::{
    alert::{Alert, AlertKind, Episode, Execution, Group, GroupValue, Mode, Window},
    identity::{AttackEntry, RuleIdentity, Severity, Threat},
    rule::{Filter, Matched, Rule, RuleContext},
    rules::{
        CatalogEntry, Filters, RuleName, RuleSet, RulesSettings, catalog,
        error_spike::{ErrorSpike, ErrorSpikeSettings, ErrorSpikeSettingsError},
    },
    side_by_side::{Rules, RulesSnapshot, SnapshotError, Windows},
    summary::{Sample, Summary, TopEntry},
    text_pool::{DEFAULT_TEXT_BYTES, TextPool},
};
