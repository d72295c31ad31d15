//! The threshold rule.

mod settings;

pub use self::settings::{Mode, RuleIdentity, RuleSettings, RuleSettingsError};
