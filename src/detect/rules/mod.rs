//! The rules that exist: one file or folder each, and one line each in the list below.
//!
//! In: the list. Out: the names of the rules, their settings, and for rules, filters and snapshots one `enum` each, so that
//! every call is dispatched statically.

use serde::{Deserialize, Serialize};

use super::{Alert, Filter, Matched, Rule, RuleContext, RuleIdentity, SnapshotError, text_pool::DEFAULT_TEXT_BYTES};
use crate::{
    event::Reason,
    exchange::{Exchange, Observation},
    telemetry::Count,
    time::{Stretch, Timestamp},
};

rules! {
    error_spike::ErrorSpike,
    #[cfg(test)] telltale_success::TelltaleSuccess,
}

/// What there is to say of a rule without running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Which rule it is.
    pub rule: RuleName,
    /// Who the rule is: name, title, description, reference and the rest.
    pub identity: RuleIdentity,
    /// Whether the rule runs where nobody says which rules run.
    pub is_default: bool,
}

/// All rules, in the order in which they are listed, counted and asked.
pub fn catalog() -> impl Iterator<Item = CatalogEntry> {
    RuleName::ALL.iter().map(|rule| rule.entry())
}

impl RuleName {
    /// The rule of a name.
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

    /// The rules that run where nobody says which.
    pub fn of_defaults() -> Self {
        catalog().filter(|entry| entry.is_default).map(|entry| entry.rule).collect()
    }

    /// The set with one more rule.
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

/// The filters of the rules that run: each shard has them.
#[derive(Debug, Clone)]
pub struct Filters(Vec<AnyFilter>);

impl Filters {
    /// The filters under these settings.
    pub fn new(settings: &RulesSettings) -> Self {
        Self(settings.running().map(|rule| AnyFilter::new(rule, settings)).collect())
    }

    /// The rules that want to see an exchange with its text; `reason` says why it is an error, if it is one.
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
