//! The identity of a rule: its names, texts and severity.
//!
//! In: a constant in each rule's file. Out: a [`RuleIdentity`], which every alert of the rule carries.

use std::borrow::Cow;

/// The severity of a rule's alerts. All alerts of a rule have the same severity.
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
    /// The identifier, such as `T1595.002`.
    pub id: Cow<'static, str>,
    /// The name in MITRE ATT&CK.
    pub name: Cow<'static, str>,
}

impl AttackEntry {
    /// Creates an entry from constant texts.
    pub const fn new(id: &'static str, name: &'static str) -> Self {
        Self { id: Cow::Borrowed(id), name: Cow::Borrowed(name) }
    }
}

/// The threats that a rule finds, as entries of MITRE ATT&CK.
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
    /// What the rule finds, in one line without a full stop.
    pub summary: Cow<'static, str>,
    /// `rule.description`.
    pub description: Cow<'static, str>,
    /// The address of the publication that the rule's idea comes from.
    pub reference: Cow<'static, str>,
    /// The severity of its alerts.
    pub severity: Severity,
    /// The risk score of its alerts, 0 to 100.
    pub risk_score: u64,
    /// The rule's entries in MITRE ATT&CK.
    pub threat: Threat,
    /// Whether the rule counts turns inside TLS by their lengths and times, and not exchanges that were read.
    pub is_inferred: bool,
}
