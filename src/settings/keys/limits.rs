//! `[limits]`: memory. Totals are over all shards, whatever the number of workers.

use crate::settings::{
    Settings,
    key::{Category::Limits, Key, Reload, setting},
    keys::at_least_one,
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        long: "Over it the connection goes that was quiet longest: closing before half-open, half-closed and established ones.",
        example: "1000000",
        check: |settings| at_least_one(settings.flow.max_flows),
        ..Key::new("limits.flows", Limits, "Connections followed at once", setting!(flow.max_flows))
    },
    Key {
        long: "Over it the gaps that have waited longest are declared.",
        example: "67108864",
        check: |settings| at_least_one(settings.flow.tcp.max_total_waiting_bytes),
        ..Key::new(
            "limits.reassembly_bytes",
            Limits,
            "Bytes held out of order, in all",
            setting!(flow.tcp.max_total_waiting_bytes),
        )
    },
    Key {
        example: "262144",
        check: |settings| at_least_one(settings.flow.tcp.max_total_waiting_pieces),
        ..Key::new(
            "limits.reassembly_segments",
            Limits,
            "Segments held out of order, in all",
            setting!(flow.tcp.max_total_waiting_pieces),
        )
    },
    Key {
        example: "1048576",
        check: |settings| at_least_one(settings.flow.tcp.max_in_flight_bytes),
        ..Key::new(
            "limits.flow_reassembly_bytes",
            Limits,
            "Bytes held out of order for one direction of one connection",
            setting!(flow.tcp.max_in_flight_bytes),
        )
    },
    Key {
        example: "1024",
        check: |settings| at_least_one(settings.flow.tcp.max_waiting_pieces),
        ..Key::new(
            "limits.flow_reassembly_segments",
            Limits,
            "Segments held out of order for one direction of one connection",
            setting!(flow.tcp.max_waiting_pieces),
        )
    },
    Key {
        long: "Over it the oldest datagram goes.",
        example: "16777216",
        reload: Reload::OnRestart,
        check: |settings| at_least_one(settings.decode.fragments.bytes),
        ..Key::new(
            "limits.fragment_bytes",
            Limits,
            "Bytes of IP fragments held, in all",
            setting!(decode.fragments.bytes),
        )
    },
    Key {
        example: "16384",
        reload: Reload::OnRestart,
        check: |settings| at_least_one(settings.decode.fragments.datagrams),
        ..Key::new(
            "limits.fragment_datagrams",
            Limits,
            "Fragmented datagrams held",
            setting!(decode.fragments.datagrams),
        )
    },
    Key {
        long: "Over it the datagram is left out.",
        example: "1024",
        reload: Reload::OnRestart,
        check: |settings| at_least_one(settings.decode.fragments.pieces),
        ..Key::new(
            "limits.fragment_pieces",
            Limits,
            "Fragments held of one datagram",
            setting!(decode.fragments.pieces),
        )
    },
    Key {
        example: "1024",
        check: |settings| at_least_one(settings.http.max_pipelined),
        ..Key::new(
            "limits.pending_requests",
            Limits,
            "Requests that wait for their response on one connection",
            setting!(http.max_pipelined),
        )
    },
    Key {
        long: "When there are more, those go that began first. Their responses still count, without method and URL.",
        example: "268435456",
        check: |settings| at_least_one(settings.http.max_in_flight_bytes),
        ..Key::new(
            "limits.in_flight_bytes",
            Limits,
            "Bytes of exchanges in flight, in all: requests that wait for their response, responses that go on",
            setting!(http.max_in_flight_bytes),
        )
    },
    Key {
        long: "Unfinished header blocks, and responses that came before their requests.",
        example: "67108864",
        check: |settings| at_least_one(settings.http.max_held_bytes),
        ..Key::new(
            "limits.http_bytes",
            Limits,
            "Bytes of unfinished HTTP messages held, in all",
            setting!(http.max_held_bytes),
        )
    },
    Key {
        long: "Paths, user agents, hosts and tallies by client. What finds no room is counted; counting itself goes on.",
        example: "67108864",
        ..Key::new(
            "limits.text_bytes",
            Limits,
            "Bytes of texts and other evidence that all rules hold together",
            setting!(rules.text_bytes),
        )
    },
    Key {
        example: "2000000",
        reload: Reload::OnRestart,
        check: |settings| at_least_one(settings.rules.error_spike.max_clients),
        ..Key::new(
            "limits.clients",
            Limits,
            "Clients counted in the rule's windows",
            setting!(rules.error_spike.max_clients),
        )
    },
];
