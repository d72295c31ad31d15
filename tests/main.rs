//! The one integration-test binary.
//!
//! - [`corpus`]: what the sensor says about each capture in `pcaps/` against the server's own log.
//! - [`property`]: the same captures with packets lost, reordered, repeated, cut and wrapped.
//! - [`cli`]: every exit code and error message.
//! - [`live`]: a live sensor on the loopback: logs, sandbox, metrics, signals.
//! - [`attacks`]: floods, and the exchanges between them.
//! - [`encrypted`]: scans inside TLS, inferred without keys, against the log that the program never sees.
//! - [`enrich`]: databases, lists, windows and past sightings, on a recorded scan.
//! - [`evidence`]: forged packets beside true connections, and captures on the host itself.
//! - [`evidence_files`]: the packets of alerts in files, found again in them.
//! - [`architecture`]: the shape of the source tree.
//! - [`loss`]: what the capture lacks marks alerts, nothing else does.
//! - [`pairing`]: generated connections in which a response could be given to the wrong request.
//! - [`documentation`]: the pages that users read, against what the program does.
//! - [`tls`]: TLS with secrets, as a user gives them.
//! - [`time`]: wrong stamps, files in the wrong order, and what could not be read.
//! - [`packaging`]: the packaged configuration.
//! - [`people`]: alerts as text, the command `show`, the end of a run, the report.
//! - [`verdicts`]: what alerts conclude, against the truth about the recordings and a recount.
//! - [`proxies`]: proxies whose two sides are on the wire, and headers that clients make up.
//! - [`support`]: running the program, reading logs and captures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod architecture;
mod attacks;
mod cli;
mod corpus;
mod documentation;
mod encrypted;
mod enrich;
mod evidence;
mod evidence_files;
mod live;
mod loss;
mod packaging;
mod pairing;
mod people;
mod property;
mod proxies;
mod support;
mod time;
mod tls;
mod verdicts;
