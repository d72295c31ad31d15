//! The conduct of a client: what an alert's verdict, findings and timeline rest on.

use super::kinds::Kinds;
use crate::{
    address::{Address, Endpoint},
    exchange::{Features, MediaKind, Method, MethodName},
    time::Timestamp,
    verdict::telltales::Telltale,
};

/// What a client did about the time of an alert.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conduct {
    /// From the first to the last error of the window.
    pub extent: Option<Extent>,
    /// All exchanges of the window.
    pub kinds: Kinds,
    /// Exchanges before the window, as far as they are remembered.
    pub before: Kinds,
    /// Exchanges after the window, as far as they were seen when the alert was made.
    pub after: Kinds,
    /// The window by interval and server.
    pub timeline: Vec<TimelineEntry>,
    /// Tell-tales that were requested, those of the highest rank first.
    pub telltales: Vec<TelltaleHit>,
    /// What the client got, the most telling first.
    pub found: Vec<Found>,
    /// Successes that are not listed.
    pub more_found: u64,
    /// Whether the server answers whatever is asked for with the same page.
    pub is_catch_all: bool,
    /// Signals for the verdict.
    pub signals: Signals,
    /// Other clients with errors on the same servers or from the same scanner, those with the most first.
    pub others: Vec<Other>,
    /// The same servers, for all other clients.
    pub servers: Vec<ServerHealth>,
}

/// The time in which a client caused errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first error.
    pub start: Timestamp,
    /// The last error.
    pub end: Timestamp,
    /// The client's exchanges from the first error to the last.
    pub requests: u64,
}

/// The exchanges with one server in one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When the interval begins.
    pub start: Timestamp,
    /// The server.
    pub server: Endpoint,
    /// Exchanges by kind.
    pub kinds: Kinds,
    /// Different paths of errors.
    pub distinct_paths: u64,
    /// Requests by method, the most first. [`Method::Other`] stands for methods in no list, and for those beyond a limit.
    pub methods: Vec<(Method, u64)>,
}

/// Requests of one tell-tale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelltaleHit {
    /// The class.
    pub class: Telltale,
    /// The path, masked and cut. Empty if there was no room for it.
    pub path: Vec<u8>,
    /// The status that it got, 0 for none.
    pub status: u16,
    /// The method.
    pub method: MethodName,
    /// How often.
    pub count: u64,
}

/// A success of a client on a path that it probed, or that is a tell-tale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path, masked and cut.
    pub path: Vec<u8>,
    /// The server.
    pub server: Endpoint,
    /// The status.
    pub status: u16,
    /// Body bytes, if the response announced them.
    pub bytes: Option<u64>,
    /// What its body is.
    pub media: MediaKind,
    /// The class of the request, if it is a tell-tale.
    pub class: Option<Telltale>,
    /// The method.
    pub method: MethodName,
    /// Where a redirect leads, masked and cut.
    pub redirect: Option<Vec<u8>>,
    /// What the messages carried.
    pub features: Features,
    /// How often.
    pub count: u64,
    /// When it was first seen.
    pub first: Timestamp,
}

impl Conduct {
    /// What the client got that should not be on a server at all.
    pub fn given_away(&self) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(|found| found.is_given_away())
    }
}

impl Found {
    /// The path as it may stand in a sentence, or words in its place.
    pub fn said(&self) -> String {
        said_path(&self.path).unwrap_or_else(|| "a path that cannot be shown here".into())
    }

    /// The method, as it may stand in a sentence.
    pub fn said_method(&self) -> String {
        said_path(self.method.bytes()).unwrap_or_else(|| "a method that cannot be shown here".into())
    }

    /// Returns whether credentials were accepted.
    pub fn is_log_in(&self) -> bool {
        self.features.has(Features::CREDENTIALS) && (self.features.has(Features::SESSION) || self.status < 300)
    }

    /// Returns whether the client stored a file.
    pub fn is_stored(&self) -> bool {
        self.features.has(Features::UPLOAD) && self.status < 300
    }

    /// Returns whether a client that the verdict blames did harm with it.
    pub fn matters(&self) -> bool {
        self.is_given_away() || self.is_log_in() || self.is_stored()
    }

    /// Returns whether the client got something that should not be on a server at all.
    pub fn is_given_away(&self) -> bool {
        let is_read = self.method.is_one_of(&[Method::Get, Method::Post]) && (200..300).contains(&self.status);
        is_read && self.class.is_some_and(Telltale::is_sensitive)
    }
}

/// A path as it may stand in a sentence or a command: short, of printable ASCII, without quotes. `None` for any other.
pub fn said_path(path: &[u8]) -> Option<String> {
    let is_plain = |byte: &u8| matches!(byte, b'!'..=b'~') && !b"'\"`\\$".contains(byte);
    (!path.is_empty() && path.len() <= 80 && path.iter().all(is_plain))
        .then(|| String::from_utf8_lossy(path).into_owned())
}

/// Names the first of several things and counts the others: `/.env and 2 more`.
pub fn and_more(named: &str, others: usize) -> String {
    if others > 0 { format!("{named} and {others} more") } else { named.to_owned() }
}

/// Numbers from which a verdict is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Signals {
    /// Exchanges that the numbers below are about: those of the last one or two periods whose request was seen.
    pub requests: u64,
    /// Different user agents, at least.
    pub agents: u64,
    /// Different users of credentials, at least.
    pub users: u64,
    /// Different credentials, at least.
    pub credentials: u64,
    /// Exchanges with credentials.
    pub with_credentials: u64,
    /// Exchanges with `Referer`.
    pub with_referrer: u64,
    /// Exchanges with `Cookie`.
    pub with_cookie: u64,
    /// Exchanges with `Accept-Language`.
    pub with_language: u64,
    /// Exchanges that name a client behind a proxy.
    pub with_client_header: u64,
    /// Errors whose requests name a client behind a proxy. The claims below are theirs.
    pub with_claims: u64,
    /// Errors that claim to come for the server's own host.
    pub claims_local: u64,
    /// Errors that claim to come for a client that cannot be.
    pub claims_impossible: u64,
    /// Errors to which no proxy has added itself.
    pub claims_direct: u64,
    /// Different clients that were claimed, at least.
    pub claimed_clients: u64,
    /// Errors of which it is known whether they claim another client than those before.
    pub claims_told: u64,
    /// Requests that are tell-tales.
    pub telltales: u64,
    /// Different classes of tell-tales.
    pub classes: u64,
    /// Requests with a payload of injection, traversal or an exploit.
    pub payloads: u64,
    /// Those of them on which the server failed.
    pub faulty_payloads: u64,
    /// Requests with a payload of injection.
    pub injections: u64,
    /// The share of errors whose path comes after the one before in the order of bytes. A word list is mostly sorted.
    pub ascending: Option<f64>,
    /// How even the time between requests is: 0 is a clock, 1 is chance.
    pub variation: Option<f64>,
    /// The mean time between requests in seconds.
    pub mean_gap: f64,
    /// Whether `/robots.txt` was asked for with success.
    pub read_robots: bool,
    /// The tool whose habits were seen.
    pub tool: Option<&'static str>,
}

/// Another client on the same servers, or with the same scanner elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// The client.
    pub address: Address,
    /// Its errors in the window.
    pub errors: u64,
    /// Paths on which both had errors.
    pub shared_paths: u64,
    /// Whether the user agents of both name the same tool.
    pub has_same_tool: bool,
}

/// A server as the other clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerHealth {
    /// The server.
    pub server: Endpoint,
    /// Exchanges of the other clients in the window.
    pub others: Kinds,
    /// Other clients for whom the server failed in the window, at least.
    pub failing_clients: u64,
    /// Other clients in the window, at least.
    pub clients: u64,
    /// When the server first failed in the window: the beginning of the interval.
    pub failing_since: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_holds_only_plain_paths() {
        assert_eq!(said_path(b"/a/.env?x=1").as_deref(), Some("/a/.env?x=1"));
        for path in
            [&b""[..], b"/a b", b"/a\n", b"/'x'", b"/`id`", b"/$(id)", b"/a\\b", "/\u{e9}".as_bytes(), &[b'a'; 81]]
        {
            assert_eq!(said_path(path), None, "{path:?}");
        }
        assert_eq!((and_more("/a", 0), and_more("/a", 2)), ("/a".into(), "/a and 2 more".into()));
    }
}
