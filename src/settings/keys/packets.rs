//! `[packets]`: which packets are read, and how.

use crate::{
    capture::filter::FILTER_HELP,
    settings::{
        MOST_WORKERS, Settings,
        key::{Category::Packets, Flag, Key, Reload, setting},
        keys::within,
    },
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        flag: Flag::value("filter"),
        value_name: "BPF",
        long: FILTER_HELP,
        example: r#""tcp port 80 or (vlan and tcp port 80)""#,
        ..Key::new("packets.filter", Packets, "Use only packets that this BPF expression matches", setting!(filter))
    },
    Key {
        flag: Flag::value("workers"),
        value_name: "N",
        long: "From 1 to 16, beside the thread that reads and the one that writes. The results do not depend on it.",
        example: "2",
        reload: Reload::OnRestart,
        check: |settings| within(settings.workers as u64, 1..=MOST_WORKERS as u64, ""),
        ..Key::new("packets.workers", Packets, "Threads (workers) that reassemble and parse", setting!(workers))
    },
    Key {
        long: "auto: a TCP segment with a wrong checksum counts once its receiver acknowledges it, as where a host's own capture shows it before the network card fills the checksum in. always: dropped, and IPv4 headers are verified too. never: not looked at.",
        example: r#""always""#,
        ..Key::new(
            "packets.verify_checksums",
            Packets,
            "What happens to packets with a wrong checksum",
            setting!(decode.verify_checksums),
        )
    },
    Key {
        long: "first is what most receivers keep.",
        example: r#""last""#,
        ..Key::new(
            "packets.overlap",
            Packets,
            "Whose bytes count where TCP segments disagree",
            setting!(flow.tcp.overlap),
        )
    },
    Key {
        long: "With vlan or tunnel, equal addresses in two VLANs or tunnels are two connections.",
        example: r#""vlan""#,
        reload: Reload::OnRestart,
        ..Key::new(
            "packets.flow_scope",
            Packets,
            "What tells connections apart where address spaces overlap",
            setting!(scope),
        )
    },
    Key {
        value_name: "N",
        long: "Random if not set, so that nobody can choose packets that slow the sensor down. Results do not depend on it, \
               unless a limit was reached: then the summary of a replay names it, and the same number repeats the run.",
        example: "7",
        reload: Reload::OnRestart,
        ..Key::new(
            "packets.hash_seed",
            Packets,
            "Seed of all hashes: flows, fragments, tunnels, texts",
            setting!(hash_seed),
        )
    },
];
