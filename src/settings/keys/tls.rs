//! `[tls]`: what decrypts TLS.

use crate::settings::{
    Settings,
    key::{
        Category::{Limits, Packets},
        Flag, Key, Reload, setting,
    },
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        flag: Flag::values("tls-keylog"),
        value_name: "PATH",
        long: "Files, directories or FIFOs. The format is that of RFC 9850 (SSLKEYLOGFILE), as curl, browsers, OpenSSL, Go, Java agents, HAProxy and Envoy write \
               it. A directory stands for all files in it. A replay waits for the writer of a FIFO, up to a minute. Live, files are followed: new lines, rotation, truncation, files that \
               come later. Secrets in a pcapng file need no setting.",
        example: r#"["/etc/wirespike/keys"]"#,
        reload: Reload::OnRestart,
        ..Key::new("tls.keylog", Packets, "Key logs that decrypt TLS", setting!(tls.key_logs))
    },
    Key {
        flag: Flag::values("tls-key"),
        value_name: "PATH",
        long: "PEM files. They decrypt connections of TLS 1.2 and before whose key exchange is RSA without Diffie-Hellman. Packets are then \
               read by one thread.",
        example: r#"["/etc/wirespike/keys/server.pem"]"#,
        reload: Reload::OnRestart,
        ..Key::new("tls.key", Packets, "RSA private keys that decrypt TLS 1.2", setting!(tls.keys))
    },
    Key {
        long: "About 50 bytes each; a connection of TLS 1.3 has four or five. Those that came first go first.",
        example: "1000000",
        reload: Reload::OnRestart,
        check: |settings| match settings.tls.max_secrets {
            0..4 => Err("at least 4 are needed".into()),
            _ => Ok(()),
        },
        ..Key::new("tls.max_secrets", Limits, "Most TLS secrets held", setting!(tls.max_secrets))
    },
    Key {
        long: "What is held longer, or does not fit, is given up and counted.",
        example: r#""10s""#,
        ..Key::new(
            "tls.patience",
            Limits,
            "How long records of TLS are held for secrets that come late",
            setting!(http.tls_patience),
        )
    },
    Key {
        example: "262144",
        ..Key::new(
            "tls.held_bytes",
            Limits,
            "Bytes of a TLS connection held for secrets that come late",
            setting!(http.max_tls_held_bytes),
        )
    },
];
