//! Logs of a run: structured lines on standard error.
//!
//! In: a format and a level. Out: lines on standard error. Promises: each event is one line, and every character that a terminal
//! would act on or a reader would not see is escaped, as [`printable`] does it; a JSON line stays JSON.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
};

use tracing_subscriber::EnvFilter;

use crate::printable::{escaped_with, printable};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging from `level` on: `warn`, `info` or `debug`. `RUST_LOG` overrides the level.
pub(crate) fn start(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    let log = log.with_writer(move || Escaping { format, to: io::stderr() });
    // Fails when logging was started before, by a test for example. Then the earlier logging stays.
    let _ = match format {
        LogFormat::Text => log.with_target(false).with_ansi(false).try_init(),
        LogFormat::Json => log.json().with_target(false).try_init(),
    };
}

/// Escapes the lines that pass through it. Each call gets one whole event.
struct Escaping<W> {
    format: LogFormat,
    to: W,
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        let line = match self.format {
            LogFormat::Text => printable(line),
            LogFormat::Json => escaped_for_json(line),
        };
        // One write a line: lines of several threads stay whole.
        self.to.write_all(format!("{line}{end}").as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Escapes what is not printable in a JSON document. Such characters are only in its strings.
fn escaped_for_json(line: &str) -> Cow<'_, str> {
    escaped_with(line, |shown, character| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing into a string cannot fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printable::is_printable;

    fn written(format: LogFormat, event: &str) -> String {
        let mut log = Escaping { format, to: Vec::new() };
        log.write_all(event.as_bytes()).unwrap();
        String::from_utf8(log.to).unwrap()
    }

    #[test]
    fn what_cannot_be_seen_is_escaped_in_text() {
        for (event, line) in [
            ("INFO größe path=a b\n", "INFO größe path=a b\n"),
            ("path=gpj.\u{202e}exe\n", "path=gpj.\\u{202e}exe\n"),
            ("path=a\nINFO forged\u{1b}[2J\u{9b}\n", "path=a\\u{a}INFO forged\\u{1b}[2J\\u{9b}\n"),
        ] {
            assert_eq!(written(LogFormat::Text, event), line);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_escaped_in_json_and_read_back_the_same() {
        for name in ["größe", "gpj.\u{202e}exe", "a\u{200b}\u{feff}\u{7f}\u{9b}", "tag \u{e0041}", "two\nlines"] {
            let event = format!("{}\n", serde_json::json!({ "path": name }));
            let line = written(LogFormat::Json, &event);
            assert!(line.trim_end_matches('\n').chars().all(is_printable), "{line}");
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(read["path"], name);
        }
    }
}
