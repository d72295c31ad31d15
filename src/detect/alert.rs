//! The alert: what a rule found, complete in itself.
//!
//! In: a rule's group that is over its threshold. Out: an [`Alert`], which says who raised it, of whom, of which time and
//! upon what evidence. Promises: whoever writes an alert needs nothing else; the same exchanges give the same ID.

use std::{borrow::Cow, sync::Arc, time::Duration};

use sha1::{Digest, Sha1};

use super::{identity::RuleIdentity, summary::Summary};
use crate::{address::Address, event::Site, time::Timestamp};

/// How a rule looks at time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// At every multiple of the interval since the Unix epoch, count the look-back before it.
    #[default]
    Scheduled,
    /// Alert with the very packet that makes the count exceed the threshold within a sliding look-back.
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

/// What kind of news an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// A scheduled execution found the group over the threshold.
    Scheduled,
    /// Streaming: the group has just crossed the threshold.
    Open,
    /// Streaming: it goes on. Has the ID of the alert it updates.
    Update,
    /// Streaming: the group fell quiet, or the input ended. Has the ID of the alert it closes.
    Close,
}

impl AlertKind {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Update => "update",
            Self::Close => "close",
        }
    }
}

/// The time an alert counts, half open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first time within.
    pub start: Timestamp,
    /// The first time no more within.
    pub end: Timestamp,
    /// Whether the input ended before the window did.
    pub partial: bool,
}

/// The execution an alert is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// The time between two executions.
    pub every: Duration,
    /// Groups over the threshold.
    pub groups: u64,
    /// How many of them are left out because there were too many.
    pub truncated: u64,
}

/// A streaming alert from its opening on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode {
    /// The first of the exchanges that crossed the threshold.
    pub started: Timestamp,
    /// The last one.
    pub last: Timestamp,
    /// Exchanges since `started`.
    pub count: u64,
    /// How often it was updated.
    pub updates: u64,
}

/// One value that a rule groups by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupValue {
    /// An address.
    Address(Address),
    /// A text of this sensor, not of the wire.
    Text(String),
    /// A number.
    Number(u64),
}

/// What a rule groups by: the ECS name and the value of each part, in the rule's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group(Vec<(Cow<'static, str>, GroupValue)>);

impl Group {
    /// The group with one more part.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: GroupValue) -> Self {
        self.0.push((Cow::Borrowed(name), value));
        self
    }

    /// The parts in order.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &GroupValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// The client, where the rule groups by clients.
    pub fn client(&self) -> Option<Address> {
        self.parts().find_map(|(name, value)| match value {
            GroupValue::Address(address) if name == "source.ip" => Some(*address),
            _ => None,
        })
    }
}

/// One group over the threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// A hash of rule, group and time.
    pub id: String,
    /// The rule that raised it.
    pub rule: Arc<RuleIdentity>,
    /// The site, as the rule knew it.
    pub site: Arc<Site>,
    /// What kind of news it is.
    pub kind: AlertKind,
    /// The boundary, or in streaming mode the time of the deciding exchange.
    pub time: Timestamp,
    /// How the rule looks at time.
    pub mode: Mode,
    /// More than this make an alert.
    pub threshold: u64,
    /// The length of the look-back.
    pub look_back: Duration,
    /// What is counted.
    pub window: Window,
    /// Whose exchanges they are.
    pub group: Group,
    /// The group's exchanges in the window.
    pub count: u64,
    /// What they were.
    pub summary: Summary,
    /// The execution, in scheduled mode.
    pub execution: Option<Execution>,
    /// The whole of it so far, in streaming mode.
    pub episode: Option<Episode>,
    /// Whether the sensor is known to have lost packets within the window.
    pub lower_bound: bool,
}

/// A hash of a rule, a group and a time, in hexadecimal.
///
/// It covers the rule's ID and the group's texts, each after its length, then the group's addresses and numbers, then the
/// time, all as big-endian 64-bit numbers; an address is two of them.
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
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
