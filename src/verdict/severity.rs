//! How serious an alert is, and which techniques of MITRE ATT&CK it shows.
//!
//! In: an alert, the verdict's name, what was found. Out: severity with reasons, and a [`Threat`]. Promises: the rule's severity is
//! the least; an alert whose errors one sender may have forged is never raised; a verdict that blames the server is never raised.

use super::{
    VerdictName,
    activity::{Conduct, and_more},
};
use crate::detect::{Alert, AttackEntry, Severity, Threat};

/// Errors on so many servers show more than a look at one of them.
const MANY_SERVERS: usize = 5;
/// Sensitive successes of which one alone may be a mistake of the server's owner.
const MANY_FOUND: usize = 3;

/// The severity after escalation, and why it is not the rule's.
pub(super) fn of(alert: &Alert, name: VerdictName, conduct: Option<&Conduct>) -> (Severity, Vec<String>) {
    let base = alert.rule.severity;
    if !name.blames_client() {
        let reason = format!("Not raised: this looks like {}.", super::judgement::said(name));
        return (base, if name == VerdictName::Unclear { Vec::new() } else { vec![reason] });
    }
    if !alert.is_confirmed() {
        return (base, vec!["Not raised: one sender may have forged these errors.".into()]);
    }
    let mut raised: Vec<(Severity, String)> = Vec::new();
    if let Some(conduct) = conduct {
        let sensitive: Vec<_> = conduct.given_away().collect();
        if let Some(first) = sensitive.first() {
            let severity = if sensitive.len() >= MANY_FOUND { Severity::Critical } else { Severity::High };
            let paths = and_more(&first.said(), sensitive.len() - 1);
            raised.push((severity, format!("It got {paths}, which should not be on a server.")));
        }
        let logged_in = conduct.found.iter().find(|found| found.is_log_in());
        if let Some(found) = logged_in.filter(|_| name == VerdictName::CredentialGuessing) {
            raised.push((Severity::Critical, format!("A log-in at {} succeeded.", found.said())));
        } else if let Some(found) = logged_in {
            raised.push((Severity::High, format!("It logged in at {}.", found.said())));
        }
        if let Some(found) = conduct.found.iter().find(|found| found.is_stored()) {
            raised.push((Severity::High, format!("It stored a file: {} {}.", found.said_method(), found.said())));
        }
    }
    if alert.summary.servers.len() >= MANY_SERVERS {
        raised.push((Severity::Medium, format!("It works on {} servers.", alert.summary.servers.len())));
    }
    raised.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let severity = raised.first().map_or(base, |(severity, _)| (*severity).max(base));
    (severity, raised.into_iter().map(|(_, reason)| reason).collect())
}

/// The risk score of a severity: the rule's own, unless the severity was raised.
pub(super) fn risk_score(alert: &Alert, severity: Severity) -> u64 {
    if severity == alert.rule.severity { alert.rule.risk_score } else { severity.number() }
}

/// The entries of MITRE ATT&CK that a verdict shows. The rule's own hold where a client scans.
pub(super) fn threat(alert: &Alert, name: VerdictName) -> Threat {
    const ACCESS: &[AttackEntry] = &[AttackEntry::new("TA0001", "Initial Access")];
    const CREDENTIALS: &[AttackEntry] = &[AttackEntry::new("TA0006", "Credential Access")];
    const EXPLOIT: &[AttackEntry] = &[AttackEntry::new("T1190", "Exploit Public-Facing Application")];
    const BRUTE: &[AttackEntry] = &[AttackEntry::new("T1110", "Brute Force")];
    const GUESSING: &[AttackEntry] = &[AttackEntry::new("T1110.001", "Password Guessing")];
    match name {
        VerdictName::Enumeration
        | VerdictName::VulnerabilityScan
        | VerdictName::ProtocolProbing
        | VerdictName::EncryptedScan
        | VerdictName::Unclear => alert.rule.threat.clone(),
        VerdictName::CredentialGuessing => {
            Threat { tactics: CREDENTIALS.into(), techniques: BRUTE.into(), subtechniques: GUESSING.into() }
        }
        VerdictName::Injection | VerdictName::FaultInjection => {
            let Threat { tactics, techniques, subtechniques } = alert.rule.threat.clone();
            let more = |own: &[AttackEntry], of_rule: &[AttackEntry]| [of_rule, own].concat().into();
            Threat { tactics: more(ACCESS, &tactics), techniques: more(EXPLOIT, &techniques), subtechniques }
        }
        _ => Threat::default(),
    }
}
