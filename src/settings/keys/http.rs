//! `[http]`: how much of a message is kept.

use crate::settings::{
    Settings,
    key::{Category::Limits, Key, setting},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        long: "Of a longer one the start line counts and the rest is skipped.",
        example: "262144",
        ..Key::new(
            "http.header_block_bytes",
            Limits,
            "Longest header block that is read, in bytes",
            setting!(http.max_head_bytes),
        )
    },
    Key {
        example: "131072",
        ..Key::new(
            "http.target_bytes",
            Limits,
            "Longest request target that is kept, in bytes",
            setting!(http.max_target_bytes),
        )
    },
    Key {
        example: "4096",
        ..Key::new(
            "http.field_bytes",
            Limits,
            "Longest other field that is kept, in bytes",
            setting!(http.max_field_bytes),
        )
    },
];
