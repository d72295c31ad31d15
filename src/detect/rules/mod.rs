//! The rules that exist. Each has one file or folder, and one line in the list below.
//!
//! In: the list. Out: the names of the rules, their settings, and one `enum` each for rules, filters and snapshots, so that
//! every call is dispatched statically.

use serde::{Deserialize, Serialize};

use super::{
    Alert, Filter, Matched, NearMiss, Rule, RuleContext, RuleIdentity, SnapshotError, text_pool::DEFAULT_TEXT_BYTES,
};
use crate::{
    event::Reason,
    exchange::{Exchange, Observation, Turn},
    telemetry::Count,
    time::{Stretch, Timestamp},
};

rules! {
    error_spike::ErrorSpike,
    encrypted_scan::EncryptedScan,
    #[cfg(test)] telltale_success::TelltaleSuccess,
}

/// The description of a rule that does not have to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogEntry {
    /// The rule's name as an `enum`.
    pub rule: RuleName,
    /// The rule's identity: name, title, description, reference and the rest.
    pub identity: RuleIdentity,
    /// Whether the rule runs when the configuration does not list rules.
    pub is_default: bool,
}

/// All rules, in the order of the list. Counters and calls use the same order.
pub fn catalog() -> impl Iterator<Item = CatalogEntry> {
    RuleName::ALL.iter().map(|rule| rule.entry())
}

impl RuleName {
    /// Finds a rule by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

/// A set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RuleSet(u32);

impl RuleSet {
    /// No rule.
    pub const EMPTY: Self = Self(0);

    /// The rules that run when the configuration does not list rules.
    pub fn of_defaults() -> Self {
        catalog().filter(|entry| entry.is_default).map(|entry| entry.rule).collect()
    }

    /// Returns the set with one more rule.
    #[must_use]
    pub const fn with(self, rule: RuleName) -> Self {
        Self(self.0 | 1 << rule as u32)
    }

    /// Returns whether a rule is in the set.
    #[inline]
    pub const fn contains(self, rule: RuleName) -> bool {
        self.0 >> rule as u32 & 1 == 1
    }

    /// Returns whether no rule is in the set.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<RuleName> for RuleSet {
    fn from_iter<I: IntoIterator<Item = RuleName>>(rules: I) -> Self {
        rules.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// The filters of the running rules. Each shard has its own copy.
#[derive(Debug, Clone)]
pub struct Filters(Vec<AnyFilter>);

impl Filters {
    /// Creates the filters of the rules that run with these settings.
    pub fn new(settings: &RulesSettings) -> Self {
        Self(settings.running().map(|rule| AnyFilter::new(rule, settings)).collect())
    }

    /// Returns the rules that want to see an exchange with its texts. `reason` is the reason why the exchange is an error,
    /// if it is one.
    #[inline]
    pub fn matching(&self, exchange: &Exchange, reason: Option<Reason>) -> RuleSet {
        self.0
            .iter()
            .filter(|filter| filter.matches(exchange, reason))
            .fold(RuleSet::EMPTY, |set, filter| set.with(filter.rule()))
    }
}

impl RulesSettings {
    /// The rules that run, in order.
    pub fn running(&self) -> impl Iterator<Item = RuleName> {
        let enabled = self.enabled;
        RuleName::ALL.iter().copied().filter(move |rule| enabled.contains(*rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_found_by_the_names_they_are_listed_under() {
        for entry in catalog() {
            let name = entry.rule.name();
            assert_eq!(name, entry.identity.name, "a rule says of itself what it is listed as");
            assert_eq!(RuleName::from_name(name), Some(entry.rule));
            assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'), "{name}");
            assert!(!entry.identity.title.is_empty() && !entry.identity.description.is_empty());
        }
        assert_eq!(RuleName::from_name("no_such_rule"), None);
        assert_eq!(RulesSettings::default().running().collect::<Vec<_>>(), [RuleName::ErrorSpike]);
        assert!(RuleName::ALL.len() <= 32, "a set has one bit a rule");
    }
}
