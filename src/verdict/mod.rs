//! The verdict on an alert: the conclusions that an analyst would draw at first look.
//!
//! In: an [`Alert`], and the [`Conduct`] of its client. Out: a [`Verdict`]: what explains the errors, how sure that is and why;
//! the tool; how serious it is; the next steps. Promises: every sentence holds only numbers that were counted; the only texts from
//! the wire in it are a tool's version and paths, in plain ASCII. An address that one sender may have forged is never to be
//! blocked.
//!
//! [`activity`] remembers what clients and servers do. [`telltales`] says what requests look for.

pub mod activity;
mod claims;
mod facts;
mod follow_ups;
mod handshakes;
mod inferred;
mod judgement;
mod next_steps;
mod severity;
pub mod telltales;
mod tools;

pub(crate) use self::handshakes::Handshakes;
pub use self::{
    follow_ups::{FollowUpCounters, FollowUps},
    judgement::VerdictName,
};

use self::{activity::Conduct, facts::Facts};
use crate::detect::{Alert, AlertKind, Severity, Threat};

/// Whether a verdict may raise the severity of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeverityPolicy {
    /// What was found may raise it.
    #[default]
    Verdict,
    /// All alerts of a rule have the rule's severity.
    Constant,
}

/// The conclusions from an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What explains the errors.
    pub name: VerdictName,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
    /// Why.
    pub reasons: Vec<String>,
    /// The tool: what it names itself, or what its habits show.
    pub tool: Option<String>,
    /// The severity after escalation.
    pub severity: Severity,
    /// The risk score after escalation, 0 to 100.
    pub risk_score: u64,
    /// Why the severity is as it is.
    pub severity_reasons: Vec<String>,
    /// What it shows of MITRE ATT&CK.
    pub threat: Threat,
    /// The next steps for the analyst, the most useful first.
    pub next_steps: Vec<String>,
    /// What the client did.
    pub conduct: Option<Conduct>,
}

impl Verdict {
    /// Makes the verdict on an alert.
    pub fn of(alert: &Alert, mut conduct: Option<Conduct>) -> Self {
        if let Some(inference) = &alert.inference {
            return inferred::verdict(alert, inference);
        }
        let facts = Facts::of(alert, conduct.as_ref());
        let judged = judgement::judge(&facts);
        let made_up = claims::made_up(&facts.signals);
        let (name, confidence, reasons) = match alert.kind {
            AlertKind::LeftOut => (VerdictName::Unclear, 0.0, Vec::new()),
            // The judgement speaks of statuses of gRPC as of the equal ones of HTTP, so the reason that says which comes first.
            _ => {
                let counted = facts.grpc().into_iter().chain(facts.handshakes.reason(facts.errors));
                let reasons = counted.chain(judged.reasons).chain(made_up);
                (judged.name, judged.confidence, reasons.collect())
            }
        };
        if let Some(conduct) = conduct.as_mut().filter(|_| !name.blames_client() && name != VerdictName::Unclear) {
            // Pages that ordinary clients read are not found.
            conduct.found.retain(|found| found.class.is_some() || activity::is_remarkable(found.features));
            conduct.more_found = 0;
        }
        let (severity, severity_reasons) = severity::of(alert, name, conduct.as_ref());
        let named = tools::named_by(&alert.summary);
        let habits = conduct.as_ref().and_then(|conduct| conduct.signals.tool).map(str::to_owned);
        Self {
            name,
            confidence,
            reasons,
            tool: named.or(habits),
            severity,
            risk_score: severity::risk_score(alert, severity),
            severity_reasons,
            threat: severity::threat(alert, name),
            next_steps: next_steps::after(name, alert, conduct.as_ref()),
            conduct,
        }
    }

    /// The same verdict after the client had success: `conduct` holds what it got.
    fn after_success(&self, alert: &Alert, conduct: Conduct) -> Self {
        let (severity, severity_reasons) = severity::of(alert, self.name, Some(&conduct));
        Self {
            severity,
            risk_score: severity::risk_score(alert, severity),
            severity_reasons,
            next_steps: next_steps::after(self.name, alert, Some(&conduct)),
            conduct: Some(conduct),
            ..self.clone()
        }
    }

    /// The same verdict with the rule's severity: a label of the client lowers it.
    #[must_use]
    pub fn lowered(self, alert: &Alert) -> Self {
        self.with_severity_of_rule(alert, "Not raised: a label of the client lowers its alerts.")
    }

    /// The same verdict with the rule's severity: the settings keep it constant.
    #[must_use]
    pub fn constant(self, alert: &Alert) -> Self {
        self.with_severity_of_rule(alert, "Not raised: detect.severity keeps it constant.")
    }

    fn with_severity_of_rule(self, alert: &Alert, reason: &str) -> Self {
        let (severity, risk_score) = (alert.rule.severity, alert.rule.risk_score);
        Self { severity, risk_score, severity_reasons: vec![reason.into()], ..self }
    }

    /// Says what explains the errors, as the end of "looks like".
    pub const fn said(&self) -> &'static str {
        judgement::said(self.name)
    }
}
