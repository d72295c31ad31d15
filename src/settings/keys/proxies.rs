//! `[proxies]`: whose word about the client is believed.

use crate::settings::{
    Settings,
    key::{Category::Sensor, Flag, Key, setting, site},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        flag: Flag::values("trust"),
        value_name: "NETWORK[=HEADER]",
        long: "Only your own proxies: whoever is trusted can name any client. Without a header, X-Forwarded-For or Forwarded is \
               read. =HEADER names the one header that these proxies write: x-forwarded-for, forwarded, x-real-ip, \
               true-client-ip or cf-connecting-ip. The flag may be repeated and adds to the file's list.",
        example: r#"["192.0.2.10", "198.51.100.0/24=x-real-ip"]"#,
        ..Key::new(
            "proxies.trusted",
            Sensor,
            "Believe forwarded-for headers and PROXY protocol from this network",
            site!(trusted_proxies),
        )
    },
    Key {
        long: "With a tap on both sides of a proxy one failed request is two exchanges. auto counts the one between client and \
               proxy where it sees both, whether the proxy is trusted or not. For trusted proxies, client counts only those \
               between client and proxy, and backend only those between proxy and server. all counts both.",
        example: r#""client""#,
        ..Key::new(
            "proxies.leg",
            Sensor,
            "Side of a proxy that makes events where both are on the wire",
            setting!(events.count_leg),
        )
    },
];
