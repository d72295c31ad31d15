//! Rules and their alerts.
//!
//! In: [`Observation`](crate::exchange::Observation)s of every final exchange in packet order, the exchanges that a rule's
//! own [`Filter`] matched, and the packet time reached. Out: [`Alert`]s, each complete in itself. Promises: alerts, their
//! order and their IDs depend only on the exchanges; memory is bounded, and everything that is left out is counted.
//!
//! A [`Rule`] is a type in its own file or folder under `rules/`, with one line in the list there. [`Rules`] runs several
//! rules side by side. The modules that all rules use are here: `cells` (windows as cells of time), `losses` (the times at
//! which packets were lost), `text_pool` (the memory that all rules share), `top` (the most frequent texts), `summary` (the
//! evidence in an alert), `tls_facts` (what TLS connections show), `grades` (the order of groups over a limit), `inference` (what a
//! rule concluded from lengths and times alone), `places` (how many alerts one interval opens), `left_out` (who found no place), `alert`
//! and `identity`.

#[macro_use]
mod registry;

mod alert;
mod cells;
mod grades;
mod identity;
mod inference;
mod left_out;
mod losses;
mod near_misses;
pub(crate) mod path_set;
mod places;
mod rule;
pub mod rules;
pub(crate) mod server_numbers;
mod side_by_side;
mod summary;
mod text_pool;
mod tls_facts;
mod top;

pub(crate) use self::top::shown;
pub use self::{
    alert::{Alert, AlertKind, Episode, Execution, Group, GroupValue, Mode, Window},
    grades::GradeCounts,
    identity::{AttackEntry, RuleIdentity, Severity, Threat},
    inference::Inference,
    left_out::{LargestClients, LeftOut, LeftOutCount},
    near_misses::NearMiss,
    rule::{Filter, Matched, Rule, RuleContext},
    rules::{
        CatalogEntry, Filters, RuleName, RuleSet, RulesSettings, catalog,
        encrypted_scan::{EncryptedScan, EncryptedScanSettings},
        error_spike::{ErrorSpike, ErrorSpikeSettings, ErrorSpikeSettingsError},
    },
    side_by_side::{Rules, RulesSnapshot, SnapshotError, Windows},
    summary::{Sample, Summary, TopEntry},
    text_pool::{DEFAULT_TEXT_BYTES, TextPool},
    tls_facts::TlsFacts,
};
