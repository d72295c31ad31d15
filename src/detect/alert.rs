//! Alerts: the findings of rules. Each alert is complete in itself.
//!
//! In: a group of a rule whose count is over the threshold. Out: an [`Alert`] with its rule, group, time window and
//! evidence. Promises: a writer of alerts needs no other data; the same exchanges give the same ID.

use std::{borrow::Cow, sync::Arc, time::Duration};

use sha1::{Digest, Sha1};

use super::{grades::GradeCounts, identity::RuleIdentity, inference::Inference, left_out::LeftOut, summary::Summary};
use crate::{address::Address, event::Site, time::Timestamp};

/// How a rule places its windows in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// At every multiple of the interval since the Unix epoch, the rule counts the look-back before that time.
    #[default]
    Scheduled,
    /// The look-back slides. The rule alerts at the packet that makes the count exceed the threshold.
    Streaming,
}

impl Mode {
    /// The name in documents and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Streaming => "streaming",
        }
    }
}

/// The kind of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// A scheduled execution found the group over the threshold.
    Scheduled,
    /// Streaming: the group has just crossed the threshold.
    Open,
    /// Streaming: the group still causes errors. The update has the ID of the alert that it updates.
    Update,
    /// Streaming: the group caused no error for a whole look-back, or the input ended. The alert has the ID of the alert
    /// that it closes.
    Close,
    /// A client whose alert was raised before has got something since.
    FollowUp,
    /// The sum of the clients that found no place: over the limit of alerts, or over the limit of clients.
    LeftOut,
}

impl AlertKind {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Update => "update",
            Self::Close => "close",
            Self::FollowUp => "follow_up",
            Self::LeftOut => "left_out",
        }
    }
}

/// The time range that an alert counts: `start` is included, `end` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first time in the window.
    pub start: Timestamp,
    /// The first time after the window.
    pub end: Timestamp,
    /// Whether the input ended before the window did.
    pub partial: bool,
}

/// The execution that raised an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// The time between two executions.
    pub every: Duration,
    /// The number of groups over the threshold.
    pub groups: u64,
    /// The number of these groups that got no alert because there were too many.
    pub truncated: u64,
}

/// The history of a streaming alert since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode {
    /// The time of the first of the exchanges that crossed the threshold.
    pub started: Timestamp,
    /// The time of the last exchange.
    pub last: Timestamp,
    /// The number of exchanges since `started`.
    pub count: u64,
    /// The number of updates that were written.
    pub updates: u64,
}

/// One value that a rule groups by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupValue {
    /// An address.
    Address(Address),
    /// A text that this sensor made. It never comes from the wire.
    Text(String),
    /// A number.
    Number(u64),
}

/// The group that a rule counts: the ECS name and the value of each part, in the rule's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group(Vec<(Cow<'static, str>, GroupValue)>);

impl Group {
    /// Returns the group with one more part.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: GroupValue) -> Self {
        self.0.push((Cow::Borrowed(name), value));
        self
    }

    /// The parts in order.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &GroupValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Returns the client, when the rule groups by clients.
    pub fn client(&self) -> Option<Address> {
        self.parts().find_map(|(name, value)| match value {
            GroupValue::Address(address) if name == "source.ip" => Some(*address),
            _ => None,
        })
    }
}

/// One group over the threshold, or the sum of those that found no place.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// A hash of rule, group and time.
    pub id: String,
    /// The rule that raised it.
    pub rule: Arc<RuleIdentity>,
    /// The site, as the rule knew it.
    pub site: Arc<Site>,
    /// The kind of the alert.
    pub kind: AlertKind,
    /// The end of the window; in streaming mode the time of the exchange that decided the alert.
    pub time: Timestamp,
    /// The rule's mode.
    pub mode: Mode,
    /// The threshold. A larger count makes an alert.
    pub threshold: u64,
    /// The length of the look-back.
    pub look_back: Duration,
    /// The time range that is counted.
    pub window: Window,
    /// The group that the exchanges belong to.
    pub group: Group,
    /// The group's exchanges in the window.
    pub count: u64,
    /// These exchanges by the grade of their evidence.
    pub grades: GradeCounts,
    /// A summary of these exchanges.
    pub summary: Summary,
    /// The execution that raised the alert; only in scheduled mode.
    pub execution: Option<Execution>,
    /// The history of the alert since it was opened; only in streaming mode.
    pub episode: Option<Episode>,
    /// Whether the sensor is known to have lost packets, or errors of clients that found no place, within the window. The
    /// count is then a lower bound.
    pub lower_bound: bool,
    /// The clients that found no place; only in an alert of the kind [`LeftOut`](AlertKind::LeftOut).
    pub left_out: Option<Box<LeftOut>>,
    /// What the alert was inferred from; only in an alert about one group of a rule that reads no statuses.
    pub inference: Option<Box<Inference>>,
}

impl Alert {
    /// Returns whether the exchanges that one sender alone cannot have forged are enough for the alert.
    pub fn is_confirmed(&self) -> bool {
        self.grades.confirmed() > self.threshold
    }

    /// The ID of an alert that follows this one. It is never that of an alert of a rule: those have no such text in their group.
    pub(crate) fn id_of_follow_up(&self, time: Timestamp) -> String {
        let group = self.group.clone().with("wirespike.alert.kind", GroupValue::Text("follow_up".into()));
        alert_id(&self.rule, &group, time)
    }
}

/// Computes the ID of an alert: a hash of rule, group and time, in hexadecimal.
///
/// The hash covers the rule's ID and the group's texts, each after its length; then the group's addresses and numbers; then
/// the time. All numbers are big-endian with 64 bits. An address is two such numbers.
pub(super) fn alert_id(rule: &RuleIdentity, group: &Group, time: Timestamp) -> String {
    let mut hash = Sha1::new();
    let texts = group.parts().filter_map(|(_, value)| match value {
        GroupValue::Text(text) => Some(text.as_bytes()),
        GroupValue::Address(_) | GroupValue::Number(_) => None,
    });
    for text in std::iter::once(rule.id.as_bytes()).chain(texts) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    for (_, value) in group.parts() {
        match value {
            GroupValue::Address(address) => {
                let (high, low) = address.halves();
                hash.update(high.to_be_bytes());
                hash.update(low.to_be_bytes());
            }
            GroupValue::Number(number) => hash.update(number.to_be_bytes()),
            GroupValue::Text(_) => {}
        }
    }
    hash.update(time.as_nanos().to_be_bytes());
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    hash.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
