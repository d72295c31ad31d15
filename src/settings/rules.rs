//! Which rules are loaded.
//!
//! In: names of rules, or `all`. Out: [`RuleNames`], which holds names of rules that exist, each once and at least one.

use super::{
    given::Given,
    meaning::{Kind, Meaning, Shape, alternatives},
};

/// What there is to know of a rule before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleInfo {
    /// The name in snake case.
    pub name: &'static str,
    /// What it finds, in one line.
    pub finds: &'static str,
    /// The section of its settings.
    pub section: &'static str,
    /// Whether it is loaded where nothing else is configured.
    pub is_default: bool,
}

/// All rules that exist.
pub const CATALOG: &[RuleInfo] = &[RuleInfo {
    name: "error_spike",
    finds: "One client that causes more errors than a threshold within a window",
    section: "rule",
    is_default: true,
}];

/// The word that stands for every rule.
const ALL: &str = "all";

/// The rules to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleNames(Vec<&'static str>);

impl RuleNames {
    /// Returns whether a rule is loaded.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(&name)
    }
}

impl Default for RuleNames {
    fn default() -> Self {
        Self(CATALOG.iter().filter(|rule| rule.is_default).map(|rule| rule.name).collect())
    }
}

impl Meaning for RuleNames {
    const KIND: Kind = Kind { shape: Shape::List, choices: &[] };

    fn read(given: &Given) -> Result<Self, String> {
        let known: Vec<_> = CATALOG.iter().map(|rule| rule.name).collect();
        let items = given.items().ok_or_else(|| format!("{given} is not a list"))?;
        if let [only] = items.as_slice()
            && only.text() == Some(ALL)
        {
            return Ok(Self(known));
        }
        let mut names = Vec::new();
        for item in &items {
            let name = item.text().and_then(|text| known.iter().find(|name| **name == text));
            let name = *name.ok_or_else(|| format!("{item} is not a rule; known: {}", known.join(", ")))?;
            if names.contains(&name) {
                return Err(format!("{item} is listed twice"));
            }
            names.push(name);
        }
        if names.is_empty() {
            return Err(format!("no rule is named; known: {}", alternatives(&known)));
        }
        Ok(Self(names))
    }

    fn value(&self) -> Option<toml::Value> {
        Some(toml::Value::Array(self.0.iter().map(|&name| name.into()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RuleNames, String> {
        RuleNames::read(&Given::Words(vec![text.to_owned()]))
    }

    #[test]
    fn rules_are_named_once_and_exist() {
        assert_eq!(read("error_spike"), Ok(RuleNames::default()));
        assert_eq!(read("all").unwrap().0.len(), CATALOG.len());
        assert!(read("error_spike").unwrap().contains("error_spike"));
        for (text, complaint) in [
            ("errors", "'errors' is not a rule; known: error_spike"),
            ("error_spike,error_spike", "'error_spike' is listed twice"),
            ("", "no rule is named; known: error_spike"),
            ("all,error_spike", "'all' is not a rule; known: error_spike"),
        ] {
            assert_eq!(read(text).unwrap_err(), complaint);
        }
    }
}
