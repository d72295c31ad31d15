//! Tools that name themselves.
//!
//! In: a user agent as sent, or those of an alert's errors. Out: the tool's name and version, in plain ASCII. Promises: an
//! ordinary program that speaks for few of the errors is not named.

use crate::detect::Summary;

/// The tools. First the text that the user agent contains, in lower case; then the tool's name.
const TOOLS: &[(&str, &str)] = &[
    ("gobuster", "gobuster"),
    ("fuzz faster u fool", "ffuf"),
    ("feroxbuster", "feroxbuster"),
    ("dirbuster", "DirBuster"),
    ("dirsearch", "dirsearch"),
    ("wfuzz", "Wfuzz"),
    ("nikto", "Nikto"),
    ("sqlmap", "sqlmap"),
    ("nuclei", "Nuclei"),
    ("nmap scripting engine", "Nmap"),
    ("masscan", "masscan"),
    ("zgrab", "ZGrab"),
    ("wpscan", "WPScan"),
    ("joomscan", "JoomScan"),
    ("whatweb", "WhatWeb"),
    ("acunetix", "Acunetix"),
    ("nessus", "Nessus"),
    ("openvas", "OpenVAS"),
    ("qualys", "Qualys"),
    ("netsparker", "Netsparker"),
    ("arachni", "Arachni"),
    ("w3af", "w3af"),
    ("hydra", "Hydra"),
    ("httpx", "httpx"),
    ("censysinspect", "Censys"),
    ("l9explore", "l9explore"),
    ("python-requests", "python-requests"),
    ("python-urllib", "Python urllib"),
    ("aiohttp", "aiohttp"),
    ("go-http-client", "a Go program"),
    ("libwww-perl", "libwww-perl"),
    ("curl/", "curl"),
    ("wget/", "Wget"),
];

/// The first of [`TOOLS`] that ordinary programs use as well as scanners.
const ORDINARY: &str = "python-requests";

/// A set of tools that name themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ToolSet(u64);

impl ToolSet {
    /// Adds the tool that a user agent names.
    pub(super) fn note(&mut self, user_agent: &[u8]) {
        let text = user_agent.to_ascii_lowercase();
        if let Some(number) = position(&text) {
            self.0 |= 1 << number;
        }
    }

    /// Returns whether there is no tool.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The tools of both sets.
    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether both sets have a tool in common.
    pub(super) const fn shares(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The tools that nobody uses for anything but scans.
    pub(super) fn scanners(self) -> Self {
        let ordinary = TOOLS.iter().position(|(mark, _)| *mark == ORDINARY).unwrap_or(TOOLS.len());
        Self(self.0 & ((1 << ordinary) - 1))
    }
}

/// The number of the tool that a user agent in lower case names.
fn position(user_agent: &[u8]) -> Option<usize> {
    TOOLS.iter().position(|(mark, _)| memchr::memmem::find(user_agent, mark.as_bytes()).is_some())
}

/// Returns the tool that the user agents of an alert's errors name: a scanner wherever it names itself, because it may use other names
/// too; an ordinary program if such programs are named by at least half of the user agents that are known, and at least half of the
/// errors have one. So a scan without user agents is not called by the name of another program at its address.
pub(super) fn named_by(summary: &Summary) -> Option<String> {
    let errors: u64 = summary.answers.iter().map(|(_, count)| count).sum();
    let known: u64 = summary.user_agents.iter().map(|entry| entry.count).sum();
    let mut named = Vec::new();
    for entry in &summary.user_agents {
        let mut tools = ToolSet::default();
        tools.note(&entry.text);
        if !tools.scanners().is_empty() {
            return named_in(&entry.text);
        }
        named.extend(named_in(&entry.text).map(|tool| (tool, entry.count)));
    }
    let by_programs: u64 = named.iter().map(|(_, count)| count).sum();
    let speaks_for_most = 2 * by_programs >= known && 2 * summary.with_user_agent >= errors;
    named.into_iter().next().filter(|_| speaks_for_most).map(|(tool, _)| tool)
}

/// Returns the tool that a user agent names, with the version when a version follows the name.
fn named_in(user_agent: &[u8]) -> Option<String> {
    let text = user_agent.to_ascii_lowercase();
    let (mark, name) = TOOLS[position(&text)?];
    let after = memchr::memmem::find(&text, mark.trim_end_matches('/').as_bytes())? + mark.trim_end_matches('/').len();
    let version: String = user_agent
        .get(after..)
        .and_then(|rest| rest.strip_prefix(b"/").or_else(|| rest.strip_prefix(b" v")))
        .unwrap_or_default()
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        .take(16)
        .map(|&byte| char::from(byte))
        .collect();
    Some(if version.is_empty() { name.to_owned() } else { format!("{name}/{version}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detect::TopEntry, exchange::Answer};

    #[test]
    fn an_ordinary_program_is_named_where_it_speaks_for_most_errors() {
        let named = |errors: u64, with_user_agent: u64, agents: &[(&str, u64)]| {
            let entry = |&(text, count): &(&str, u64)| TopEntry { text: text.into(), count };
            let (answers, user_agents) = (vec![(Answer::http(404), errors)], agents.iter().map(entry).collect());
            named_by(&Summary { answers, user_agents, with_user_agent, ..Summary::default() })
        };
        let (gobuster, curl, browser) = ("gobuster/3.6", "curl/7.88.1", "Mozilla/5.0");
        assert_eq!(named(60, 60, &[(gobuster, 60)]).unwrap(), "gobuster/3.6");
        assert_eq!(named(60, 60, &[(browser, 56), (curl, 2), (gobuster, 2)]).unwrap(), "gobuster/3.6");
        assert_eq!(named(60, 60, &[(browser, 30), (curl, 30)]).unwrap(), "curl/7.88.1");
        assert_eq!(named(60, 60, &[(browser, 56), (curl, 4)]), None);
        // Most requests have no user agent.
        assert_eq!(named(88, 4, &[(curl, 4)]), None);
        // Each request has a user agent of its own, and few of them are kept.
        let numbered = ["Nikto/2.1.5 (Test:1)", "Nikto/2.1.5 (Test:2)"].map(|agent| (agent, 1));
        assert_eq!(named(6_000, 6_000, &numbered).unwrap(), "Nikto/2.1.5");
        assert_eq!(named(60, 60, &[]), None);
    }

    #[test]
    fn scanners_are_told_from_ordinary_programs() {
        let set = |agents: &[&str]| {
            let mut set = ToolSet::default();
            agents.iter().for_each(|agent| set.note(agent.as_bytes()));
            set
        };
        let (scan, programs) = (set(&["gobuster/3.5", "Mozilla/5.0"]), set(&["curl/8.1", "python-requests/2"]));
        assert!(scan.shares(set(&["GoBuster/2"])) && !scan.shares(programs) && programs.shares(set(&["curl/7"])));
        assert_eq!((scan.scanners(), programs.scanners()), (scan, ToolSet::default()));
        assert_eq!(set(&["Mozilla/5.0", ""]), ToolSet::default());
        assert!(TOOLS.len() <= 64 && TOOLS.iter().any(|(mark, _)| *mark == ORDINARY));
        assert_eq!(named_in(b"x gobuster/3.5.0").as_deref(), Some("gobuster/3.5.0"));
    }
}
