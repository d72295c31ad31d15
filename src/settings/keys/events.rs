//! `[events]`: which exchanges are error events, and what is not written of them.

use crate::settings::{
    Settings,
    key::{Category::Events, Key, setting, site},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        long: "Statuses, ranges (400-599) and classes (4xx); ! takes out: [\"4xx\", \"!404\"].",
        example: r#"["500-599"]"#,
        ..Key::new("events.statuses", Events, "Statuses that are errors", setting!(events.error_statuses))
    },
    Key {
        long: "http_status, no_response, malformed_request, tls_alert, and grpc_status, which is not in the default: a status of \
               gRPC other than 0. Where this key is not given, what rule.reasons names is an event as well.",
        example: r#"["http_status", "no_response"]"#,
        ..Key::new("events.reasons", Events, "Kinds of error that events are written for", setting!(events.reasons))
    },
    Key {
        long: "Keys of queries and paths. A key matches whole words of a parameter's name, in any case and encoding: token \
               matches accessToken and user[token], but not tokenize. A key that ends with ? masks only values that look \
               generated. Passwords before @ are masked as well. The list replaces the default; [] switches masking off.",
        example: r#"["token", "password"]"#,
        ..Key::new("events.masked_keys", Events, "Keys in URLs whose values are never written", site!(masked_keys))
    },
];
