//! Which rules are loaded.
//!
//! In: names of rules, or `all`. Out: a [`RuleSet`] of rules that exist, each named once and at least one; and of every rule
//! what there is to know before it runs.

use super::{
    given::Given,
    meaning::{Kind, Meaning, Shape, alternatives},
};
use crate::detect::{RuleName, RuleSet, catalog};

/// What there is to know of a rule before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// The rule.
    pub rule: RuleName,
    /// What it finds, in one line.
    pub finds: String,
    /// The section of its settings.
    pub section: &'static str,
}

/// All rules that exist.
pub fn rules() -> impl Iterator<Item = RuleInfo> {
    catalog().map(|entry| RuleInfo {
        rule: entry.rule,
        finds: entry.identity.summary.into_owned(),
        // The first rule had the section of all rules, and files that name it go on to work.
        section: if entry.rule == RuleName::ErrorSpike { "rule" } else { entry.rule.name() },
    })
}

/// The word that stands for every rule.
const ALL: &str = "all";

impl Meaning for RuleSet {
    const KIND: Kind = Kind { shape: Shape::List, choices: &[] };

    fn read(given: &Given) -> Result<Self, String> {
        let known: Vec<_> = RuleName::ALL.iter().map(|rule| rule.name()).collect();
        let items = given.items().ok_or_else(|| format!("{given} is not a list"))?;
        if let [only] = items.as_slice()
            && only.text() == Some(ALL)
        {
            return Ok(RuleName::ALL.iter().copied().collect());
        }
        let mut rules = Self::EMPTY;
        for item in &items {
            let rule = item.text().and_then(RuleName::from_name);
            let rule = rule.ok_or_else(|| format!("{item} is not a rule; known: {}", known.join(", ")))?;
            if rules.contains(rule) {
                return Err(format!("{item} is listed twice"));
            }
            rules = rules.with(rule);
        }
        if rules.is_empty() {
            return Err(format!("no rule is named; known: {}", alternatives(&known)));
        }
        Ok(rules)
    }

    fn value(&self) -> Option<toml::Value> {
        let names = RuleName::ALL.iter().filter(|rule| self.contains(**rule)).map(|rule| rule.name().into());
        Some(toml::Value::Array(names.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RuleSet, String> {
        RuleSet::read(&Given::Words(vec![text.to_owned()]))
    }

    #[test]
    fn rules_are_named_once_and_exist() {
        assert_eq!(read("error_spike"), Ok(RuleSet::of_defaults()));
        assert!(RuleName::ALL.iter().all(|rule| read("all").unwrap().contains(*rule)));
        assert!(read("error_spike").unwrap().contains(RuleName::ErrorSpike));
        for (text, complaint) in [
            ("errors", "'errors' is not a rule; known: error_spike, encrypted_scan, telltale_success"),
            ("error_spike,error_spike", "'error_spike' is listed twice"),
            ("", "no rule is named; known: error_spike, encrypted_scan or telltale_success"),
            ("all,error_spike", "'all' is not a rule; known: error_spike, encrypted_scan, telltale_success"),
        ] {
            assert_eq!(read(text).unwrap_err(), complaint);
        }
    }
}
