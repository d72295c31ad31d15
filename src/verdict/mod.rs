//! What an alert's evidence amounts to: the first look that an analyst would take.
//!
//! In: an [`Alert`]. Out: a [`Verdict`]: what the errors look like, the tool that named itself, what to do next. Promises: says
//! only what the alert's counts show; text from the wire is in it only as a tool's version of plain ASCII.

mod assessment;
mod next_steps;
mod tools;

pub use self::assessment::Assessment;

use crate::detect::Alert;

/// What an alert amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the errors look like.
    pub assessment: Assessment,
    /// The tool that named itself in the user agent.
    pub tool: Option<String>,
    /// What to do next, most useful first.
    pub next_steps: Vec<&'static str>,
}

impl Verdict {
    /// The verdict on an alert.
    pub fn of(alert: &Alert) -> Self {
        let assessment = assessment::assess(&alert.summary);
        Self {
            assessment,
            tool: alert.summary.user_agents.iter().find_map(|entry| tools::named_in(&entry.text)),
            next_steps: next_steps::after(assessment, alert.lower_bound),
        }
    }
}
