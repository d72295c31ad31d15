//! Shows one alert to a person.
//!
//! In: an alert's ID, a file of alerts, and captures if there are any. Out: the alert as the text that a run writes too; below it
//! the client's exchanges within the alert's window, as lines of an access log; the client's packets in a file, if that is asked
//! for. Promises: reads the alerts line by line, so a file may be of any size; no file but the one that is named is written, and
//! no input is replaced; at most 200 exchanges are shown and all are counted; where there are fewer of them than the alert counted,
//! connections that could not be read are told on standard error.

mod exchanges;
mod find;
mod packets;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use serde_json::Value;

pub use self::{find::FindError, packets::PacketsError};

use self::exchanges::ClientExchanges;
use super::{Completion, RunError, terminal};
use crate::{
    document::AlertDocument,
    output::{OutputError, require_standard_output},
    printable::printable,
    settings::{ConfigError, Selection, Settings},
    telemetry::summary::grouped,
};

/// The most exchanges that are shown.
const MOST_LINES: usize = 200;

/// Why an alert could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The alert is not found.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The captures cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The alert's own client or window is none.
    #[error("the alert cannot be looked up in captures: {0}")]
    Alert(#[from] ConfigError),
    /// The packets cannot be cut out.
    #[error(transparent)]
    Packets(#[from] PacketsError),
    /// Standard output was closed from the start.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Write(#[from] io::Error),
}

/// Shows the alert with this ID, or whose ID begins with it.
///
/// # Errors
///
/// No such alert, several of them, or a file that cannot be read.
pub fn run(
    settings: &Settings,
    id: &str,
    alerts: &Path,
    captures: &[PathBuf],
    packets: Option<&Path>,
) -> Result<Completion, ShowError> {
    require_standard_output("the alert")?;
    packets.map_or(Ok(()), |packets| packets::check(packets, settings, alerts, captures))?;
    let alert = find::alert(id, alerts)?;
    let layout = terminal::layout(io::stdout().is_terminal());
    let mut out = io::stdout().lock();
    out.write_all(layout.alert(&alert).as_bytes())?;
    if captures.is_empty() {
        return Ok(Completion::Complete);
    }
    out.flush()?;
    show_exchanges(settings, &alert, captures, packets, &mut out)
}

/// Writes the exchanges of the alert's client.
fn show_exchanges(
    settings: &Settings,
    alert: &Value,
    captures: &[PathBuf],
    packets: Option<&Path>,
    out: &mut impl Write,
) -> Result<Completion, ShowError> {
    let alert = AlertDocument(alert);
    let (Some(client), Some([start, end])) = (alert.client(), alert.window()) else {
        writeln!(out, "\nThe alert is not about one client and one time, so it has no exchanges.")?;
        return Ok(Completion::Complete);
    };
    let selection = Selection::read(Some(start), Some(end), &[client.clone().into_owned()])?;
    let found = ClientExchanges::read(settings, selection, captures, MOST_LINES)?;
    let count = grouped(found.count);
    let exchanges = if found.count == 1 { "exchange" } else { "exchanges" };
    let window = alert.window_in_words().unwrap_or_default();
    writeln!(out, "\n{count} {exchanges} of {client} from {window}")?;
    for line in &found.lines {
        writeln!(out, "{line}")?;
    }
    let more = found.count.saturating_sub(found.lines.len() as u64);
    if more > 0 {
        writeln!(out, "{} more", grouped(more))?;
    }
    if let Some(path) = packets {
        let written = packets::cut(settings, alert, found.connections, captures, path)?;
        writeln!(out, "\n{} packets of {client} in {}", grouped(written), printable(&path.to_string_lossy()))?;
    }
    out.flush()?;
    let is_short = alert.count().is_none_or(|counted| found.count < counted);
    for problem in found.problems.iter().chain(found.unread.iter().filter(|_| is_short)) {
        eprintln!("wirespike: {}", printable(problem));
    }
    Ok(if found.problems.is_empty() { Completion::Complete } else { Completion::Incomplete })
}
