//! What an alert was inferred from: lengths and times of turns inside TLS.
//!
//! In: the turns of one client with one server. Out: an [`Inference`], which a rule puts into its alert. Promises: every figure was
//! counted or follows from counts; nothing in it was decrypted.

use crate::time::Timestamp;

/// The figures behind an inferred alert. All lengths are plain bytes, the overhead of the cipher suite taken off.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// The turns of the client with the server: requests with their answers.
    pub turns: u64,
    /// The uniform answers among them.
    pub uniform: u64,
    /// The most frequent length of a uniform answer; with a slope, the answer's length less the part that follows the request's.
    pub length: u32,
    /// How much the lengths of uniform answers differ at most.
    pub band: u32,
    /// Bytes by which a uniform answer is longer for each byte of its request: 0 for a constant page.
    pub slope: f64,
    /// Different lengths of the requests that got a uniform answer.
    pub request_lengths: u64,
    /// The shortest of these requests.
    pub shortest_request: u32,
    /// The longest of these requests.
    pub longest_request: u32,
    /// How many request lengths there would be if all were equally frequent.
    pub variety: f64,
    /// The page that has exactly this length, where it is a server's own.
    pub page: Option<&'static str>,
    /// Other clients of the server that got answers of this length in the window.
    pub other_clients: u64,
    /// The first turn.
    pub start: Timestamp,
    /// The last turn.
    pub end: Timestamp,
    /// Whether most turns are of HTTP/2, as far as lengths show.
    pub is_multiplexed: bool,
    /// Whether most ClientHellos have values of GREASE, as those of browsers with Chromium's engine have.
    pub is_browser_like: bool,
    /// Whether the suite hides lengths below 16 bytes.
    pub is_coarse: bool,
    /// How well the figures fit a scan, 0 to 1.
    pub confidence: f64,
}

impl Inference {
    /// The share of uniform answers, 0 to 1.
    pub fn share(&self) -> f64 {
        if self.turns == 0 { 0.0 } else { self.uniform as f64 / self.turns as f64 }
    }

    /// Turns a minute, from the first to the last. A stretch of less than a second counts as a second.
    pub fn turns_per_minute(&self) -> f64 {
        self.turns as f64 * 60.0 / self.end.since(self.start).as_secs_f64().max(1.0)
    }
}
