//! Connections that were there and were not read: TLS without its secrets, HTTP/2 without its beginning.
//!
//! In: the counters of all stages, and the server ports of such connections. Out: one line for each kind: how many of how many, to
//! which ports, why, and what to do. Promises: a replay, a live run and `show` say the same of the same counters.

use std::path::PathBuf;

use crate::{
    stream::{PortCounts, UnreadPorts},
    telemetry::summary::{StageCounts, grouped},
};

use super::{
    tls_summary,
    warnings::{Counters, MOST_NAMED, names},
};

/// What is known of the connections that were not read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unread<'a> {
    /// The counters of all stages.
    pub(super) stages: &'a [StageCounts],
    /// The server ports of the connections.
    pub(super) ports: &'a UnreadPorts,
}

impl Unread<'_> {
    /// A line for each kind of which there is any.
    pub(super) fn all(&self) -> Vec<String> {
        let tls = (self.tls() > 0).then(|| self.tls_line(&[]));
        let http2 = (self.http2() > 0).then(|| self.http2_line(&[]));
        tls.into_iter().chain(http2).collect()
    }

    /// A line for TLS where it is most of what there is, and for HTTP/2 where there is nothing else; also where there are files that
    /// hold nothing else: of TLS, and of HTTP/2.
    pub(super) fn where_much(&self, [only_tls, only_http2]: [&[PathBuf]; 2]) -> Vec<String> {
        let tls = (self.is_mostly_tls() || self.tls() > 0 && !only_tls.is_empty()).then(|| self.tls_line(only_tls));
        let is_all_http2 = self.of(&["responses"]) == 0 || !only_http2.is_empty();
        let http2 = (self.http2() > 0 && is_all_http2).then(|| self.http2_line(only_http2));
        tls.into_iter().chain(http2).collect()
    }

    /// Returns whether unread TLS is at least half of all connections, or there is no HTTP beside it.
    fn is_mostly_tls(&self) -> bool {
        self.tls() > 0 && (self.of(&["requests", "responses"]) == 0 || self.tls() * 2 >= self.connections())
    }

    /// TLS connections that were not read.
    pub(super) fn tls(&self) -> u64 {
        self.of(&["tls_unread"])
    }

    fn http2(&self) -> u64 {
        self.of(&["http2_unread"])
    }

    fn of(&self, names: &[&str]) -> u64 {
        Counters(self.stages).of("http", names)
    }

    /// All connections.
    pub(super) fn connections(&self) -> u64 {
        Counters(self.stages).of("flow", &["flows_opened", "flows_joined"])
    }

    fn tls_line(&self, only: &[PathBuf]) -> String {
        let tls = self.tls();
        let has_secrets = Counters(self.stages).has_secrets();
        let ports = ports(&self.ports.tls);
        let why = if has_secrets {
            let causes = tls_summary::said(self.stages).map_or_else(String::new, |causes| format!(" ({causes})"));
            format!("TLS that the secrets given do not open{ports}{causes}")
        } else {
            format!("TLS{ports}, whose content cannot be read without their secrets")
        };
        let what_to_do = match self.of(&tls_summary::LACKS_SECRETS) {
            _ if !has_secrets => {
                "give them with --tls-keylog, or --tls-key for servers with an RSA key exchange, or capture"
            }
            0 => "no further secrets help; capture whole connections, or",
            _ => "add the key logs of their clients or servers, or capture",
        };
        format!(
            "{} of {} connections {} {why}{}; {what_to_do} where the traffic is in clear, for instance between the proxy that ends TLS \
             and the servers",
            grouped(tls),
            grouped(self.connections().max(tls)),
            if tls == 1 { "is" } else { "are" },
            alone_in(only, "no HTTP in clear"),
        )
    }

    fn http2_line(&self, only: &[PathBuf]) -> String {
        let http2 = self.http2();
        let none = if self.of(&["responses"]) == 0 { ", and there are no other responses" } else { "" };
        format!(
            "{} of {} connections speak HTTP/2{}, of which nothing could be read{none}{}; capture both directions of the traffic, from \
             the beginning of its connections",
            grouped(http2),
            grouped(self.connections().max(http2)),
            ports(&self.ports.http2),
            alone_in(only, "nothing else"),
        )
    }
}

/// The ports with the most connections: ` (to port 443: 1,200, 8443: 4)`.
fn ports(counts: &PortCounts) -> String {
    let (top, others) = counts.top(MOST_NAMED);
    let mut listed: Vec<String> = top.iter().map(|(port, count)| format!("{port}: {}", grouped(*count))).collect();
    if others > 0 {
        listed.push(format!("others: {}", grouped(others)));
    }
    if listed.is_empty() { String::new() } else { format!(" (to port {})", listed.join(", ")) }
}

/// Says of which files this is all there is.
fn alone_in(only: &[PathBuf], lacking: &str) -> String {
    if only.is_empty() { String::new() } else { format!(" (there is {lacking} in {})", names(only)) }
}
