//! TLS handshakes that failed, as a cause of errors.
//!
//! In: a [`Summary`], which counts handshakes by what ended them. Out: [`Handshakes`]: what they show, in words, and the next steps
//! after them. Promises: a handshake that failed blames nobody by itself. Only of a client that is refused in several ways, several
//! times in each, it is said that it tries out what the server accepts.

use crate::{detect::Summary, exchange::FailedHandshake};

/// A client that is refused in so many ways, and so often in each, tries out what the server accepts.
const MANY_WAYS: usize = 3;
const MANY_TIMES: u64 = 3;

/// Why handshakes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The client does not accept the server's certificate.
    ServerCertificate,
    /// The server does not accept the client's certificate, or asks in vain for one.
    ClientCertificate,
    /// Client and server have no version, cipher suite or other parameter in common.
    Parameters,
    /// The server does not know the name that the client asks for.
    ServerName,
    /// The alert does not say it, or there was none.
    Unsaid,
}

impl Cause {
    const ALL: [Self; 5] =
        [Self::ServerCertificate, Self::ClientCertificate, Self::Parameters, Self::ServerName, Self::Unsaid];

    const fn of(failed: FailedHandshake) -> Self {
        match (failed.alert, failed.by_server) {
            (42..=46 | 48 | 113, false) => Self::ServerCertificate,
            (41..=46 | 48 | 116, true) => Self::ClientCertificate,
            (40 | 70 | 71 | 86 | 109 | 110 | 120, _) => Self::Parameters,
            (112, true) => Self::ServerName,
            _ => Self::Unsaid,
        }
    }

    /// What it shows, as the end of "shows".
    const fn said(self) -> &'static str {
        match self {
            Self::ServerCertificate => "a client that does not accept the server's certificate",
            Self::ClientCertificate => "a server that accepts no certificate of the client",
            Self::Parameters => "a client and a server that do not agree on a TLS handshake",
            Self::ServerName => "a client that asks for a name that the server does not know",
            Self::Unsaid => "TLS handshakes that fail",
        }
    }

    /// What to do about it.
    fn step(self, client: &str, server: &str) -> String {
        match self {
            Self::ServerCertificate => format!(
                "Check the certificate of {server}: its dates, its names, its chain. If it is right, {client} does not know its authority."
            ),
            Self::ClientCertificate => format!(
                "Check which certificate {client} is to show, whether it is still valid, and whether {server} knows its authority."
            ),
            Self::Parameters => format!(
                "Compare the TLS versions and cipher suites that {server} accepts with what {client} offers: the events name its \
                 highest version and its JA4."
            ),
            Self::ServerName => {
                format!("Check the names that {client} asks for, as the events give them, against those of {server}.")
            }
            Self::Unsaid => format!("Read the log of {server}: it may say why handshakes with {client} fail."),
        }
    }
}

/// The failed handshakes among the errors of an alert.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handshakes {
    /// By what ended them, the most frequent first.
    failed: Vec<(FailedHandshake, u64)>,
    /// Whether at least half of the errors are failed handshakes.
    prevail: bool,
}

impl Handshakes {
    /// The failed handshakes among so many errors.
    pub(crate) fn among(errors: u64, summary: &Summary) -> Self {
        let mut handshakes = Self { failed: summary.failed_handshakes(), prevail: false };
        let count = handshakes.count();
        handshakes.prevail = count > 0 && count * 2 >= errors;
        handshakes
    }

    /// All of them.
    pub(super) fn count(&self) -> u64 {
        self.failed.iter().map(|(_, count)| count).sum()
    }

    /// Those that the server ended.
    fn refused(&self) -> u64 {
        self.refusals().map(|(_, count)| count).sum()
    }

    fn refusals(&self) -> impl Iterator<Item = &(FailedHandshake, u64)> {
        self.failed.iter().filter(|(failed, _)| failed.by_server)
    }

    /// Returns whether at least half of the errors are failed handshakes.
    pub(crate) fn prevail(&self) -> bool {
        self.prevail
    }

    /// Returns how many handshakes the server refused and in how many ways at least, if that shows a client that tries it out.
    pub(super) fn trials(&self) -> Option<(u64, usize)> {
        let ways = self.refusals().filter(|(_, count)| *count >= MANY_TIMES).count();
        (ways >= MANY_WAYS).then(|| (self.refused(), ways))
    }

    /// Says who ended them, if there are any.
    pub(super) fn reason(&self, errors: u64) -> Option<String> {
        let (count, refused) = (self.count(), self.refused());
        let ended: Vec<String> = [("server", refused), ("client", count - refused)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(who, count)| format!("the {who} ended {count}"))
            .collect();
        let ended = ended.join(" and ");
        (count > 0).then(|| format!("{count} of {errors} errors are failed TLS handshakes, of which {ended}."))
    }

    /// Says what they show, as the end of "shows": the cause of most of them.
    pub(crate) fn said(&self) -> &'static str {
        let most = self.causes().into_iter().find(|(_, count)| count * 2 > self.count());
        most.map_or("TLS handshakes that fail for several reasons", |(cause, _)| cause.said())
    }

    /// The next steps, those about the most frequent cause first.
    pub(super) fn steps<'a>(&'a self, client: &'a str, server: &'a str) -> impl Iterator<Item = String> + 'a {
        self.causes().into_iter().map(move |(cause, _)| cause.step(client, server))
    }

    /// The causes, the most frequent first.
    fn causes(&self) -> Vec<(Cause, u64)> {
        let count = |cause: Cause| {
            self.failed.iter().filter(|(failed, _)| Cause::of(*failed) == cause).map(|(_, count)| count).sum::<u64>()
        };
        let mut causes: Vec<(Cause, u64)> = Cause::ALL.map(|cause| (cause, count(cause))).into();
        causes.retain(|(_, count)| *count > 0);
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        causes
    }
}
