//! An entry of the settings table.
//!
//! In: what somebody wrote who added a key: its name, its help, the field it fills. Out: [`Key`], from which the command line,
//! the configuration file's reader, `--set`, `wirespike config`, the documented example and the README are made. Promises: there
//! is no second place where a key's name, type, default, help or category stands.

use super::{given::Given, meaning::Kind};

/// A key of the configuration. `T` is what it configures: [`Settings`](super::Settings), or one server of a list.
#[derive(Debug)]
pub(crate) struct Key<T: 'static> {
    /// The name in TOML, with its section: `rule.threshold`.
    pub name: &'static str,
    /// The heading it stands under in `--help`.
    pub category: Category,
    /// The flag, where it has one.
    pub flag: Option<Flag>,
    /// What stands for the value in `--help`.
    pub value_name: &'static str,
    /// One line that says what the value decides.
    pub help: &'static str,
    /// What more there is to know; may be empty.
    pub long: &'static str,
    /// A sensible value, in TOML.
    pub example: &'static str,
    /// Whether a running sensor takes a new value over.
    pub reload: Reload,
    /// Whether the value must not be shown.
    pub secret: bool,
    /// The field it fills.
    pub field: Field<T>,
    /// Says what is wrong with a value of the right type.
    pub check: fn(&T) -> Result<(), String>,
}

/// The field of a key.
#[derive(Debug)]
pub(crate) struct Field<T: 'static> {
    /// What type of value it is.
    pub kind: fn() -> Kind,
    /// Fills the field with what was typed; the error says what is wrong with that.
    pub fill: fn(&mut T, &Given) -> Result<(), String>,
    /// The field's value in TOML; `None` where it is not set.
    pub value: fn(&T) -> Option<toml::Value>,
    /// Puts the second one's value in the place of the first one's, and returns whether they differed.
    pub keep: fn(&mut T, &T) -> bool,
}

/// A flag of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag {
    /// The name after `--`.
    pub long: &'static str,
    /// The letter after `-`.
    pub short: Option<char>,
    /// What follows it.
    pub takes: Takes,
}

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// One value; it wins over the file.
    Value,
    /// One value each time; they are added to the file's.
    Values,
    /// Nothing.
    Nothing {
        /// The value that the flag stands for.
        value: &'static str,
        /// What the flag does, in one line.
        help: &'static str,
    },
}

impl Flag {
    /// A flag that takes a value.
    pub(crate) const fn value(long: &'static str) -> Option<Self> {
        Some(Self { long, short: None, takes: Takes::Value })
    }

    /// A flag that may be repeated.
    pub(crate) const fn values(long: &'static str) -> Option<Self> {
        Some(Self { long, short: None, takes: Takes::Values })
    }

    /// A flag that stands for a value.
    pub(crate) const fn switch(long: &'static str, value: &'static str, help: &'static str) -> Option<Self> {
        Some(Self { long, short: None, takes: Takes::Nothing { value, help } })
    }
}

/// The heading a key stands under in `--help`, and what the flags under it are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    /// What is written where.
    Output,
    /// Which rules are loaded.
    Rules,
    /// The reference rule.
    ErrorSpike,
    /// Who the sensor is, and whom it believes.
    Sensor,
    /// What is an error event.
    Events,
    /// Which packets are read, and how.
    Packets,
    /// Limits of memory and time.
    Limits,
    /// How interfaces are watched.
    Capture,
    /// The service around live capture.
    Service,
}

impl Category {
    /// The heading.
    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Self::Output => "Output",
            Self::Rules => "Rules",
            Self::ErrorSpike => "Rule error_spike",
            Self::Sensor => "Sensor",
            Self::Events => "Events",
            Self::Packets => "Packets",
            Self::Limits => "Limits",
            Self::Capture => "Capture",
            Self::Service => "Service",
        }
    }

    /// Returns whether its keys mean nothing to a replay.
    pub(crate) const fn is_live(self) -> bool {
        matches!(self, Self::Capture | Self::Service)
    }
}

/// Whether a running sensor takes a new value over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reload {
    /// On SIGHUP.
    OnReload,
    /// Only when it is started again.
    OnRestart,
}

impl<T> Key<T> {
    /// A key with neither flag nor long help, which a reload takes over.
    pub(crate) const fn new(name: &'static str, category: Category, help: &'static str, field: Field<T>) -> Self {
        Self {
            name,
            category,
            flag: None,
            value_name: "VALUE",
            help,
            long: "",
            example: "",
            reload: Reload::OnReload,
            secret: false,
            field,
            check: |_| Ok(()),
        }
    }

    /// The name within its section.
    pub(crate) fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    /// Fills the field with what was typed, and checks it.
    pub(super) fn take(&self, target: &mut T, given: &Given) -> Result<(), String> {
        (self.field.fill)(target, given)?;
        (self.check)(target)
    }

    /// The field's value as TOML text; `None` where it is not set.
    pub(crate) fn written(&self, target: &T) -> Option<String> {
        (self.field.value)(target).map(|value| value.to_string())
    }

    /// The field's value as it is typed on the command line; `None` where it is not set.
    pub(crate) fn typed(&self, target: &T) -> Option<String> {
        (self.field.value)(target).map(|value| as_word(&value))
    }

    /// The example as it is typed on the command line.
    pub(crate) fn example_word(&self) -> String {
        let table = format!("example = {}", self.example).parse::<toml::Table>();
        table.ok().and_then(|table| table.get("example").map(as_word)).unwrap_or_default()
    }
}

/// A TOML value as a word of the command line.
fn as_word(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        // Tables hold commas of their own.
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => value.to_string(),
        toml::Value::Array(items) => items.iter().map(as_word).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

/// A [`Field`] by its path in the type it belongs to.
macro_rules! field {
    ($target:ty, $($path:ident).+) => {
        $crate::settings::key::Field::<$target> {
            kind: || $crate::settings::meaning::kind_of(|target: &$target| &target.$($path).+),
            fill: |target, given| {
                target.$($path).+ = $crate::settings::meaning::Meaning::read(given)?;
                Ok(())
            },
            value: |target| $crate::settings::meaning::Meaning::value(&target.$($path).+),
            keep: |new, running| $crate::settings::key::keep(&mut new.$($path).+, &running.$($path).+),
        }
    };
}

/// A [`Field`] of the settings.
macro_rules! setting {
    ($($path:ident).+) => { $crate::settings::key::field!($crate::settings::Settings, $($path).+) };
}

/// A [`Field`] of the site, which is shared once the settings are complete.
macro_rules! site {
    ($field:ident) => {
        $crate::settings::key::Field::<$crate::settings::Settings> {
            kind: || $crate::settings::meaning::kind_of(|target: &$crate::settings::Settings| &target.site.$field),
            fill: |target, given| {
                std::sync::Arc::make_mut(&mut target.site).$field = $crate::settings::meaning::Meaning::read(given)?;
                Ok(())
            },
            value: |target| $crate::settings::meaning::Meaning::value(&target.site.$field),
            keep: |new, running| {
                let site = std::sync::Arc::make_mut(&mut new.site);
                $crate::settings::key::keep(&mut site.$field, &running.site.$field)
            },
        }
    };
}

pub(super) use {field, setting, site};

/// Puts the running value in the place of the new one, and returns whether they differed.
pub(super) fn keep<V: Clone + PartialEq>(new: &mut V, running: &V) -> bool {
    let differs = new != running;
    new.clone_from(running);
    differs
}
