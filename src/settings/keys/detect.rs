//! `[detect]`: which rules are loaded.

use crate::settings::{
    Settings,
    key::{Category::Rules, Flag, Key, setting},
};

pub(super) const KEYS: &[Key<Settings>] = &[Key {
    flag: Flag::value("rules"),
    value_name: "NAME,...|all",
    long: "The list replaces the default. `wirespike rules` shows the names, what each rule finds, and its settings.",
    example: r#"["error_spike"]"#,
    ..Key::new("detect.rules", Rules, "Rules to load", setting!(rules.enabled))
}];
