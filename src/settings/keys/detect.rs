//! `[detect]`: which rules are loaded.

use crate::settings::{
    Settings,
    key::{Category::Rules, Flag, Key, setting},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        flag: Flag::value("rules"),
        value_name: "NAME,...|all",
        long: "The list replaces the default. `wirespike rules` shows the names, what each rule finds, and its settings.",
        example: r#"["error_spike"]"#,
        ..Key::new("detect.rules", Rules, "Rules to load", setting!(rules.enabled))
    },
    Key {
        value_name: "POLICY",
        long: "With verdict, an alert is raised above its rule's severity by what the client found, stored or logged in to, and by \
               how many servers it works on. With constant, all alerts of a rule have the rule's severity.",
        example: r#""constant""#,
        ..Key::new(
            "detect.severity",
            Rules,
            "What decides an alert's severity: verdict or constant",
            setting!(severity),
        )
    },
];
