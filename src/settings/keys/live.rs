//! `[live]`: how interfaces are watched, and the service around that.

use crate::settings::{
    Settings,
    key::{
        Category::{Capture, Service},
        Flag, Key, Reload, setting,
    },
    keys::within,
};

/// The kernel takes the ring's size as a signed number of bytes.
const MOST_RING_MIB: u64 = 2_047;
/// The headers of a tunnelled packet fit into it.
const LEAST_SNAP_LENGTH: u64 = 128;
/// libpcap's own limit.
const MOST_SNAP_LENGTH: u64 = 262_144;

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        flag: Flag::value("snap-length"),
        value_name: "BYTES",
        example: "65535",
        reload: Reload::OnRestart,
        check: |settings| within(settings.live.snap_length.into(), LEAST_SNAP_LENGTH..=MOST_SNAP_LENGTH, " bytes"),
        ..Key::new("live.snap_length", Capture, "Bytes kept of each packet", setting!(live.snap_length))
    },
    Key {
        flag: Flag::value("ring"),
        value_name: "MIB",
        long: "Up to 2047. The ring holds packets while the sensor is busy; when it is full the kernel drops packets and counts \
               them. At 1 Gbit/s, 64 MiB are half a second.",
        example: "256",
        reload: Reload::OnRestart,
        check: |settings| within(settings.live.ring_mib.into(), 1..=MOST_RING_MIB, " MiB"),
        ..Key::new(
            "live.ring",
            Capture,
            "The kernel's ring for each interface and worker, in MiB",
            setting!(live.ring_mib),
        )
    },
    Key {
        flag: Flag::switch("no-promiscuous", "false", "Watch only traffic to and from this machine"),
        long: "Without it the interface takes in every packet on its wire: what a mirror port needs.",
        example: "false",
        reload: Reload::OnRestart,
        ..Key::new(
            "live.promiscuous",
            Capture,
            "Watch all traffic, not only to and from this machine",
            setting!(live.promiscuous),
        )
    },
    Key {
        flag: Flag::value("stamps"),
        value_name: "CLOCK",
        long: "With hardware the interface's own clock stamps packets where it offers that; else the kernel's does, and a warning \
               says so. Windows are executed on the system's clock, so keep the interface's in step with it (phc2sys).",
        example: r#""hardware""#,
        reload: Reload::OnRestart,
        ..Key::new("live.stamps", Capture, "Whose clock stamps packets", setting!(live.stamps))
    },
    Key {
        flag: Flag::value("metrics"),
        value_name: "ADDRESS",
        example: r#""127.0.0.1:9177""#,
        reload: Reload::OnRestart,
        ..Key::new("live.metrics", Service, "Serve /metrics, /healthz and /readyz here", setting!(live.metrics))
    },
    Key {
        flag: Flag::value("state"),
        value_name: "PATH",
        long: "With it no alert is written twice and none is lost when the sensor is started again.",
        example: r#""/var/lib/wirespike/windows.state""#,
        reload: Reload::OnRestart,
        ..Key::new("live.state", Service, "Keep open windows here across restarts", setting!(live.state))
    },
    Key {
        long: "Where the open windows take more, clients are left out: first those with the fewest confirmed errors, then those with the \
               fewest errors. They are counted, and after a restart their counts begin anew.",
        example: "33554432",
        reload: Reload::OnRestart,
        ..Key::new(
            "live.state_bytes",
            Service,
            "Bytes of each rule's open windows in the state file",
            setting!(live.state_bytes),
        )
    },
    Key {
        long: "Started as root, the sensor becomes this user once interfaces and outputs are open: a name or a number; \"root\" keeps \
               root. Where nothing is set it becomes wirespike, or else nobody; where that user could not rotate the outputs, \
               save the state or read the configuration again, it stays root, and a warning says what to do. A replay never \
               changes its user.",
        example: r#""wirespike""#,
        reload: Reload::OnRestart,
        ..Key::new("live.user", Service, "User that the sensor becomes when it is started as root", setting!(live.user))
    },
    Key {
        flag: Flag::value("log-format"),
        value_name: "FORMAT",
        example: r#""json""#,
        reload: Reload::OnRestart,
        ..Key::new("live.log_format", Service, "How logs are written to standard error", setting!(live.log_format))
    },
];
