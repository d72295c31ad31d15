//! Tools that name themselves.
//!
//! In: a user agent as sent. Out: the tool's name and version, in plain ASCII.

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

/// Returns the tool that a user agent names, with the version when a version follows the name.
pub(super) fn named_in(user_agent: &[u8]) -> Option<String> {
    let text = user_agent.to_ascii_lowercase();
    let &(mark, name) = TOOLS.iter().find(|(mark, _)| memchr::memmem::find(&text, mark.as_bytes()).is_some())?;
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
