//! Who a rule says it is.
//!
//! In: a constant in each rule's file. Out: a [`RuleIdentity`], which every alert of the rule carries.

use std::borrow::Cow;

/// How bad an alert is before anything is known that makes it worse or better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// 21
    Low,
    /// 47
    Medium,
    /// 73
    High,
    /// 99
    Critical,
}

impl Severity {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// `event.severity`, on the scale of Elastic's rules.
    pub const fn number(self) -> u64 {
        match self {
            Self::Low => 21,
            Self::Medium => 47,
            Self::High => 73,
            Self::Critical => 99,
        }
    }
}

/// A tactic, technique or sub-technique of MITRE ATT&CK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttackEntry {
    /// Its identifier, such as `T1595.002`.
    pub id: Cow<'static, str>,
    /// Its name.
    pub name: Cow<'static, str>,
}

impl AttackEntry {
    /// An entry whose texts are constants.
    pub const fn new(id: &'static str, name: &'static str) -> Self {
        Self { id: Cow::Borrowed(id), name: Cow::Borrowed(name) }
    }
}

/// What a rule finds, in the words of MITRE ATT&CK.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Threat {
    /// Tactics.
    pub tactics: Cow<'static, [AttackEntry]>,
    /// Techniques.
    pub techniques: Cow<'static, [AttackEntry]>,
    /// Sub-techniques of these techniques.
    pub subtechniques: Cow<'static, [AttackEntry]>,
}

/// A rule's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleIdentity {
    /// The name in snake case: on the command line, in the configuration, in `wirespike.alert.rule`.
    pub name: Cow<'static, str>,
    /// `rule.id`, part of every alert's ID.
    pub id: Cow<'static, str>,
    /// `rule.name`.
    pub title: Cow<'static, str>,
    /// `rule.version`.
    pub version: u32,
    /// What it finds, in one line without an end.
    pub summary: Cow<'static, str>,
    /// `rule.description`.
    pub description: Cow<'static, str>,
    /// Where the idea of the rule is published.
    pub reference: Cow<'static, str>,
    /// The severity of its alerts.
    pub severity: Severity,
    /// The risk score of its alerts, 0 to 100.
    pub risk_score: u64,
    /// What it finds.
    pub threat: Threat,
}
