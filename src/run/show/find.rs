//! One alert out of a file of alerts.
//!
//! In: an ID or its beginning, and a file with one JSON object a line; `-` is standard input. Out: the alert. Promises: at most
//! [`LONGEST_LINE`] bytes of a line are kept; a line that is no alert is passed over. Of an alert that was written more than once
//! the last is taken.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use memchr::memmem::Finder;
use serde_json::Value;

/// The fewest characters of an ID that name an alert.
const FEWEST: usize = 6;
/// The longest line that is read. No alert is nearly as long.
const LONGEST_LINE: usize = 4 << 20;
/// Bytes read at once.
const BLOCK: usize = 256 << 10;
/// The most IDs that an error names.
const MOST_NAMED: usize = 5;

/// Why an alert is not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Too little of an ID.
    #[error("'{id}' is too little of an ID: write at least {FEWEST} characters of the alert's event.id")]
    TooShort {
        /// What was typed.
        id: String,
    },
    /// The file cannot be read.
    #[error("cannot read the alerts in {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No alert has the ID.
    #[error("{path}: none of its {alerts} alerts has an event.id that begins with {id}{too_long}")]
    None {
        /// The file.
        path: String,
        /// What was typed.
        id: String,
        /// How many alerts are there.
        alerts: u64,
        /// Says that lines were too long to be read, if there were any.
        too_long: String,
    },
    /// Several alerts have IDs that begin like this.
    #[error("{path}: several alerts have an event.id that begins with {id}: {ids}; write more of it")]
    Ambiguous {
        /// The file.
        path: String,
        /// What was typed.
        id: String,
        /// The first of their IDs.
        ids: String,
    },
}

/// Returns the alert whose ID is this or begins with it.
pub(super) fn alert(id: &str, path: &Path) -> Result<Value, FindError> {
    if id.chars().count() < FEWEST {
        return Err(FindError::TooShort { id: id.to_owned() });
    }
    let is_standard = path.as_os_str() == "-";
    let name = if is_standard { "standard input".to_owned() } else { path.display().to_string() };
    let unreadable = |source| FindError::Unreadable { path: name.clone(), source };
    if is_standard {
        return among(id, &name, io::stdin().lock());
    }
    let file = File::open(path).map_err(unreadable)?;
    among(id, &name, BufReader::with_capacity(BLOCK, file))
}

fn among(id: &str, name: &str, mut lines: impl BufRead) -> Result<Value, FindError> {
    let id = id.to_ascii_lowercase();
    let (holds_id, holds_alert) = (Finder::new(id.as_bytes()), Finder::new(b"\"alert\""));
    let mut matches: Vec<(String, Value)> = Vec::new();
    let mut line = Vec::new();
    let (mut alerts, mut too_long) = (0u64, 0u64);
    loop {
        match read_line(&mut lines, &mut line) {
            Ok(Line::End) => break,
            Ok(Line::TooLong) => too_long += 1,
            Ok(Line::Whole) => {
                alerts += u64::from(holds_alert.find(&line).is_some());
                if holds_id.find(&line).is_some() {
                    keep_match(&id, &line, &mut matches);
                }
            }
            Err(source) => return Err(FindError::Unreadable { path: name.to_owned(), source }),
        }
    }
    if let Some(exact) = matches.iter().position(|(found, _)| *found == id) {
        return Ok(matches.swap_remove(exact).1);
    }
    if matches.len() > 1 {
        let mut ids: Vec<String> = matches.iter().take(MOST_NAMED).map(|(id, _)| id.clone()).collect();
        if matches.len() > MOST_NAMED {
            ids.push("and others".to_owned());
        }
        return Err(FindError::Ambiguous { path: name.to_owned(), id, ids: ids.join(", ") });
    }
    let too_long = match too_long {
        0 => String::new(),
        lines => format!("; {lines} lines are longer than {} MiB and were passed over", LONGEST_LINE >> 20),
    };
    matches.pop().map(|(_, alert)| alert).ok_or(FindError::None { path: name.to_owned(), id, alerts, too_long })
}

/// Keeps an alert whose ID begins as asked for, in the place of an earlier one with the same ID.
fn keep_match(id: &str, line: &[u8], matches: &mut Vec<(String, Value)>) {
    let Ok(alert) = serde_json::from_slice::<Value>(line) else { return };
    let found = alert.pointer("/event/id").and_then(Value::as_str).map(str::to_owned);
    let is_alert = alert.pointer("/wirespike/alert").is_some_and(Value::is_object);
    let Some(found) = found.filter(|found| is_alert && found.starts_with(id)) else { return };
    let is_full = matches.len() > MOST_NAMED;
    match matches.iter_mut().find(|(earlier, _)| *earlier == found) {
        Some((_, earlier)) => *earlier = alert,
        // One more than an error names is enough to say that there are more.
        None if is_full && found != id => {}
        None => matches.push((found, alert)),
    }
}

/// What was read.
enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads the next line. Of a line that is too long nothing is kept.
fn read_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let read = lines.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', line)?;
    if read == 0 {
        return Ok(Line::End);
    }
    if read < LONGEST_LINE || line.ends_with(b"\n") {
        return Ok(Line::Whole);
    }
    line.clear();
    line.shrink_to(BLOCK);
    lines.skip_until(b'\n')?;
    Ok(Line::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, count: u32) -> String {
        format!("{{\"event\":{{\"id\":\"{id}\"}},\"wirespike\":{{\"alert\":{{\"count\":{count}}}}}}}\n")
    }

    fn found(id: &str, text: &str) -> Result<u64, String> {
        let alert = among(id, "alerts.json", text.as_bytes()).map_err(|error| error.to_string())?;
        Ok(alert["wirespike"]["alert"]["count"].as_u64().unwrap())
    }

    #[test]
    fn an_alert_is_found_by_the_beginning_of_its_id() {
        let event = "{\"event\":{\"id\":\"aabbcc77\"},\"url\":{\"path\":\"/aabbcc00\"}}\n";
        let text = [line("aabbcc00", 1), line("aabbcc99", 2), event.to_owned(), "torn {aabbcc00\n".to_owned()].concat();
        assert_eq!(found("aabbcc00", &text), Ok(1));
        assert_eq!(found("AABBCC9", &text), Ok(2));
        assert_eq!(
            found("aabbcc", &text).unwrap_err(),
            "alerts.json: several alerts have an event.id that begins with aabbcc: aabbcc00, aabbcc99; write more of it"
        );
        assert_eq!(
            found("aabbcc77", &text).unwrap_err(),
            "alerts.json: none of its 2 alerts has an event.id that begins with aabbcc77"
        );
        assert_eq!(found("aabbcc00", &[text, line("aabbcc00", 7)].concat()), Ok(7), "the last one written");
        assert_eq!(found("aabbcc", &[line("aabbcc", 1), line("aabbccdd", 2)].concat()), Ok(1), "the whole ID");
    }

    #[test]
    fn lines_that_are_too_long_are_passed_over_and_counted() {
        let long = line(&"a".repeat(LONGEST_LINE), 1);
        assert_eq!(found("bbbbbb", &[long.clone(), line("bbbbbb", 2)].concat()), Ok(2));
        let said = found("aaaaaa", &long).unwrap_err();
        assert!(said.ends_with("begins with aaaaaa; 1 lines are longer than 4 MiB and were passed over"), "{said}");
    }

    #[test]
    fn too_little_of_an_id_and_unreadable_files_are_refused() {
        let said = |id, path| alert(id, Path::new(path)).unwrap_err().to_string();
        assert!(said("aabbc", "/dev/null").contains("at least 6 characters"));
        assert!(
            said("aabbcc", "/nonexistent/alerts").starts_with("cannot read the alerts in /nonexistent/alerts: No such")
        );
        assert!(said("aabbcc", "/").starts_with("cannot read the alerts in /: Is a directory"));
        assert!(said("aabbcc", "/dev/null").contains("none of its 0 alerts"));
    }
}
