//! The end-of-run summary.
//!
//! In: the counters of every stage. Out: three lines for people and what is to be noted, and every counter where that is asked for. `document` makes one JSON
//! object with every counter of it, for `--stats`.

use std::{fmt, time::Duration};

use super::Count;

/// The counters of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageCounts {
    /// The stage's name.
    pub stage: &'static str,
    /// Its counters.
    pub counts: Vec<Count>,
}

/// A client that came near an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// The client's address.
    pub client: String,
    /// Its errors in the window that had the most of them.
    pub errors: u64,
    /// The threshold. More errors make an alert.
    pub threshold: u64,
    /// The end of that window.
    pub until: String,
}

/// The numbers of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The wall-clock time that the run took.
    pub elapsed: Duration,
    /// Packets read.
    pub packets: u64,
    /// Bytes of input read.
    pub bytes: u64,
    /// Connections seen.
    pub flows: u64,
    /// Exchanges seen.
    pub exchanges: u64,
    /// Error events made.
    pub errors: u64,
    /// Alerts written.
    pub alerts: u64,
    /// All counters by stage, in the order in which a packet passes the stages.
    pub stages: Vec<StageCounts>,
    /// The counters of each interface of a live run, by the interface's name: packets delivered and packets lost.
    pub interfaces: Vec<(String, Vec<Count>)>,
    /// Whether the text for people has every counter.
    pub with_counters: bool,
    /// The clients that came nearest to an alert without one, the nearest first.
    pub nearest: Vec<Nearest>,
    /// What was there and not seen, one phrase each.
    pub unseen: Vec<String>,
    /// What is to be known of how things were counted, one line each.
    pub notes: Vec<String>,
    /// The seed that repeats the run, if a limit was reached: what was dropped then depends on the seed.
    pub repeated_with: Option<u64>,
    /// The problems of the run, one line each.
    pub problems: Vec<String>,
}

impl Summary {
    /// Creates a summary with the counters of these stages, and with the numbers of flows and exchanges that follow from
    /// them. All other fields are zero or empty.
    pub fn of(stages: Vec<StageCounts>) -> Self {
        let count = |stage: &str, names: &[&str]| {
            let own = stages.iter().filter(|counts| counts.stage == stage).flat_map(|counts| &counts.counts);
            own.filter(|count| names.contains(&count.name)).map(|count| count.value).sum()
        };
        let flows = count("flow", &["flows_opened", "flows_joined"]);
        let outcomes = ["answered", "no_response", "malformed_requests", "unknown_outcomes", "tls_failures"];
        let exchanges = count("http", &outcomes);
        Self { flows, exchanges, stages, ..Self::default() }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64().max(1e-9);
        writeln!(
            f,
            "{} packets ({}) in {:.2} s, {} packets/s",
            grouped(self.packets),
            bytes(self.bytes),
            seconds,
            grouped((self.packets as f64 / seconds) as u64)
        )?;
        write!(
            f,
            "{}, {}, {}, {}",
            counted(self.flows, "flow"),
            counted(self.exchanges, "HTTP exchange"),
            counted(self.errors, "error"),
            counted(self.alerts, "alert")
        )?;
        for (index, Nearest { client, errors, threshold, .. }) in self.nearest.iter().enumerate() {
            match index {
                0 => write!(f, "; nearest without one: {client} ({errors} errors of {})", threshold + 1)?,
                _ => write!(f, ", {client} ({errors})")?,
            }
        }
        writeln!(f)?;
        let hint = if self.with_counters { "" } else { "; -v shows every counter" };
        match self.unseen.as_slice() {
            [] => writeln!(f, "no unread TLS or HTTP/2, nothing undecoded and nothing lost{hint}")?,
            unseen => writeln!(f, "not seen: {}{hint}", unseen.join(", "))?,
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for stage in self.stages.iter().filter(|_| self.with_counters) {
            for (index, count) in stage.counts.iter().enumerate() {
                let label = if index == 0 { stage.stage } else { "" };
                writeln!(f, "  {label:<8} {:>15}  {}", grouped(count.value), count.help.trim_end_matches('.'))?;
            }
        }
        if let Some(seed) = self.repeated_with {
            writeln!(f, "a limit was reached; --set packets.hash_seed={seed} repeats this run exactly")?;
        }
        Ok(())
    }
}

/// Formats a number and the thing that it counts, in singular or plural: `1 alert`, `2 alerts`.
fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Formats a number with grouped thousands: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = number as f64;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} bytes") } else { format!("{scaled:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
#[allow(unreachable_pub, reason = "counters are public where they are declared")]
mod tests {
    use super::*;

    crate::counters! {
        /// Counters of a test.
        pub struct Sample {
            /// Frames that were odd.
            odd,
            /// Frames that were even.
            even,
        }
    }

    #[test]
    fn people_see_three_lines_and_every_counter_when_asked() {
        let mut sample = Sample { odd: 1_000, even: 0 };
        sample.merge(&Sample { odd: 234, even: 0 });
        let summary = Summary {
            packets: 1_234,
            bytes: 3 << 20,
            elapsed: Duration::from_millis(500),
            stages: vec![StageCounts { stage: "decode", counts: sample.counts() }],
            ..Summary::default()
        };
        assert_eq!(
            summary.to_string(),
            "1,234 packets (3.0 MiB) in 0.50 s, 2,468 packets/s\n0 flows, 0 HTTP exchanges, 0 errors, 0 alerts\n\
             no unread TLS or HTTP/2, nothing undecoded and nothing lost; -v shows every counter\n"
        );
        let near =
            |client: &str, errors| Nearest { client: client.into(), errors, threshold: 50, until: String::new() };
        let nearest = vec![near("192.0.2.1", 48), near("2001:db8::1", 20)];
        let text = Summary { nearest, ..summary.clone() }.to_string();
        assert!(
            text.contains("0 alerts; nearest without one: 192.0.2.1 (48 errors of 51), 2001:db8::1 (20)\n"),
            "{text}"
        );
        let unseen = vec!["3 TLS connections".to_owned(), "9 bytes in gaps of TCP streams".to_owned()];
        let summary = Summary { unseen, with_counters: true, notes: vec!["a note".to_owned()], ..summary };
        let text = summary.to_string();
        assert!(text.contains("TCP streams\na note\n  decode "), "{text}");
        assert!(text.contains("\nnot seen: 3 TLS connections, 9 bytes in gaps of TCP streams\n"), "{text}");
        assert!(text.contains("1,234  Frames that were odd") && text.contains("0  Frames that were even"), "{text}");
    }
}
