//! `[tunnels]`: what is looked into.

use crate::settings::{
    Settings,
    key::{Category::Packets, Key, setting},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        example: "8",
        ..Key::new(
            "tunnels.max_depth",
            Packets,
            "Tags and tunnels looked into, one inside the other",
            setting!(decode.max_depth),
        )
    },
    Key {
        long: "A connection takes new bytes only through the tunnel that its handshake came through, unless the outer source is a mirror: networks of your own switches, taps and cloud mirrors.",
        example: r#"["10.0.0.0/8"]"#,
        ..Key::new(
            "tunnels.mirrors",
            Packets,
            "Outer sources that mirror traffic to the sensor",
            setting!(decode.mirrors),
        )
    },
    Key {
        long: "A port is a hint: a datagram that does not parse as the tunnel is plain UDP.",
        example: "[4789]",
        ..Key::new("tunnels.vxlan_ports", Packets, "UDP ports of VXLAN", setting!(decode.ports.vxlan))
    },
    Key {
        example: "[4790]",
        ..Key::new("tunnels.vxlan_gpe_ports", Packets, "UDP ports of VXLAN-GPE", setting!(decode.ports.vxlan_gpe))
    },
    Key {
        example: "[6081]",
        ..Key::new("tunnels.geneve_ports", Packets, "UDP ports of GENEVE", setting!(decode.ports.geneve))
    },
    Key {
        example: "[2152]",
        ..Key::new("tunnels.gtp_u_ports", Packets, "UDP ports of GTP-U", setting!(decode.ports.gtp_u))
    },
    Key {
        example: "[3544]",
        ..Key::new("tunnels.teredo_ports", Packets, "UDP ports of Teredo", setting!(decode.ports.teredo))
    },
    Key {
        example: "[1701]",
        ..Key::new("tunnels.l2tp_ports", Packets, "UDP ports of L2TP", setting!(decode.ports.l2tp))
    },
    Key {
        example: "[37008]",
        ..Key::new("tunnels.tzsp_ports", Packets, "UDP ports of TZSP (MikroTik)", setting!(decode.ports.tzsp))
    },
    Key {
        example: "[30030]",
        ..Key::new(
            "tunnels.juniper_mirror_ports",
            Packets,
            "UDP ports of Juniper's packet mirror",
            setting!(decode.ports.juniper_mirror),
        )
    },
];
