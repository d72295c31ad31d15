//! `[timeouts]`: how long something is waited for, in packet time.

use crate::settings::{
    Settings,
    key::{Category::Limits, Key, Reload, setting},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        example: r#""30s""#,
        ..Key::new(
            "timeouts.half_open",
            Limits,
            "Silence that ends a connection without a completed handshake",
            setting!(flow.half_open_time),
        )
    },
    Key {
        long: "A connection that goes on after that is picked up again in the middle.",
        example: r#""10m""#,
        ..Key::new(
            "timeouts.established",
            Limits,
            "Silence that ends an established connection",
            setting!(flow.established_time),
        )
    },
    Key {
        example: r#""2m""#,
        ..Key::new(
            "timeouts.half_closed",
            Limits,
            "Silence that ends a connection that one side has closed",
            setting!(flow.half_closed_time),
        )
    },
    Key {
        example: r#""3s""#,
        ..Key::new(
            "timeouts.linger",
            Limits,
            "How long a closed connection is remembered for late segments",
            setting!(flow.linger_time),
        )
    },
    Key {
        example: r#""250ms""#,
        ..Key::new(
            "timeouts.reorder",
            Limits,
            "How much the capture may be out of order",
            setting!(flow.tcp.reorder_time),
        )
    },
    Key {
        example: r#""3s""#,
        ..Key::new(
            "timeouts.hole",
            Limits,
            "How long missing bytes are waited for where no acknowledgments are seen",
            setting!(flow.tcp.gap_time),
        )
    },
    Key {
        example: r#""30s""#,
        reload: Reload::OnRestart,
        ..Key::new(
            "timeouts.fragments",
            Limits,
            "How long the rest of a fragmented datagram is waited for",
            setting!(decode.fragments.timeout),
        )
    },
    Key {
        example: r#""60s""#,
        ..Key::new(
            "timeouts.response",
            Limits,
            "Silence after a request that counts as no response",
            setting!(http.no_response_timeout),
        )
    },
];
