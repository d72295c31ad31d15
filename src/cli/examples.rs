//! Examples of every command.
//!
//! In: nothing. Out: for each command, lines to type and what they do, for `--help` and the manual page.

/// A line to type, and what it does.
pub type Example = (&'static str, &'static str);

/// The examples of each command; those of the program itself stand under an empty name.
pub const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "",
        &[
            ("wirespike replay capture.pcapng.gz", "alerts on standard output, a summary on standard error"),
            ("sudo wirespike live -i eth0", "the same from a mirror port, until stopped"),
            ("wirespike replay --help", "every option, explained"),
        ],
    ),
    (
        "replay",
        &[
            ("wirespike replay -r capture.pcap", "one file, named as for tcpdump"),
            (
                "wirespike replay /var/captures --exchanges access.json",
                "a directory as one timeline, and its access log",
            ),
            ("tcpdump -i eth0 -w - | wirespike replay -", "from a pipe"),
            (
                "wirespike replay big.pcap --since 2026-11-24T21:30:00Z --until 2026-11-24T22:00:00Z",
                "half an hour of a capture",
            ),
            ("wirespike replay big.pcap --client 192.0.2.10 --events events.json", "what one client did"),
            (
                "wirespike replay big.pcap --threshold 20 --mode streaming",
                "sooner, and with the very packet that crosses it",
            ),
            ("wirespike replay big.pcap --report report.html", "a page to attach to a ticket"),
            ("wirespike replay big.pcap --evidence packets/", "the packets behind each alert, as pcapng"),
            ("wirespike replay big.pcap --trust 198.51.100.0/24", "clients behind your own proxies"),
            ("wirespike replay big.pcap --set 'events.statuses=[\"500-599\"]'", "only faults of the servers"),
        ],
    ),
    (
        "live",
        &[
            ("wirespike live -i eth1", "alerts on standard output, logs on standard error"),
            ("wirespike live -i tap0 -i tap1 --workers 2", "both legs of a tap as one timeline"),
            (
                "wirespike live -i eth1 --config /etc/wirespike/wirespike.toml --state windows.state",
                "as a service: open windows survive a restart",
            ),
            (
                "wirespike live -i eth1 --filter 'tcp port 80 or (vlan and tcp port 80)'",
                "tagged and untagged web traffic",
            ),
            ("wirespike live -i eth1 --metrics 127.0.0.1:9177", "with Prometheus metrics"),
        ],
    ),
    (
        "show",
        &[
            ("wirespike show 7433a2c3 --alerts alerts.json", "one alert, named by the beginning of its event.id"),
            ("wirespike show 7433a2c3 --alerts alerts.json capture.pcap", "the same, and what its client did"),
            (
                "wirespike show 7433a2c3 --alerts alerts.json --packets client.pcapng capture.pcap",
                "the same, and its client's packets in a file",
            ),
            (
                "wirespike show 7433a2c3 --alerts alerts.json --tls-keylog keys.log capture.pcap",
                "what its client did inside TLS",
            ),
        ],
    ),
    ("check", &[("wirespike check --config wirespike.toml", "before a reload: says the first line that is wrong")]),
    (
        "config",
        &[
            ("wirespike config", "every key with its default"),
            ("wirespike config --config wirespike.toml --threshold 20", "what a sensor with these arguments would use"),
        ],
    ),
    (
        "rules",
        &[
            ("wirespike rules", "all rules, and which of them are loaded"),
            ("wirespike rules --config wirespike.toml", "the same under a configuration"),
        ],
    ),
    ("interfaces", &[("wirespike interfaces", "which interface the mirrored traffic arrives on")]),
    (
        "completions",
        &[("wirespike completions bash > /etc/bash_completion.d/wirespike", "completion for every new bash")],
    ),
    ("man", &[("wirespike man | man -l -", "reads the manual page without installing it")]),
];

/// The examples of a command.
pub fn of(command: &str) -> &'static [Example] {
    EXAMPLES.iter().find(|(name, _)| *name == command).map_or(&[], |(_, examples)| examples)
}

/// The examples of a command as `--help` shows them.
pub(super) fn help(command: &str) -> String {
    let mut text = "Examples:".to_owned();
    for (line, does) in of(command) {
        text.push_str(&format!("\n  {line}\n      {does}"));
    }
    if command.is_empty() {
        text.push_str(
            "\n\nExit status: 0 the run did what was asked, alerts or not; 2 it could not, and one line says why.",
        );
    }
    text
}
