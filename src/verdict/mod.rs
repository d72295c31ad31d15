//! The verdict on an alert: the conclusions that an analyst would draw at first look.
//!
//! In: an [`Alert`]. Out: a [`Verdict`]: the pattern of the errors, the tool that named itself, and the next steps.
//! Promises: the verdict says only what the alert's counts show. The only text from the wire in it is a tool's version, in
//! plain ASCII. An address that one sender may have forged is never to be blocked.

mod assessment;
mod next_steps;
mod tools;

pub use self::assessment::Assessment;

use crate::detect::Alert;

/// The conclusions from an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The pattern that the errors show.
    pub assessment: Assessment,
    /// The tool that named itself in the user agent.
    pub tool: Option<String>,
    /// The next steps for the analyst, the most useful first.
    pub next_steps: Vec<&'static str>,
}

impl Verdict {
    /// Makes the verdict on an alert.
    pub fn of(alert: &Alert) -> Self {
        let assessment = assessment::assess(&alert.summary);
        Self {
            assessment,
            tool: alert.summary.user_agents.iter().find_map(|entry| tools::named_in(&entry.text)),
            next_steps: next_steps::after(assessment, alert),
        }
    }
}
