//! A replay: capture files to alerts.
//!
//! In: [`Settings`] and capture paths. Out: what the sinks were asked for, a summary, a [`Verdict`]. Promises: everything before a break in
//! a capture is used; the same captures and settings give the same bytes, whatever the worker count.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use crossbeam_channel::{Receiver, bounded};

use crate::{
    capture::{
        PacketBatch,
        files::{CaptureSet, FileSettings, Filled, InputFile},
    },
    output::{Opening, OutputError, Sink, Targets},
    sensor::{
        build,
        conclude::{Conclusion, Totals},
        record::Records,
        workers::{PacketPath, PathCounts},
    },
    settings::Settings,
    telemetry::summary::{StageCounts, Summary},
};

use super::{RunError, Verdict, progress::Progress, readahead};

/// Record batches that may wait for the output thread; a full queue holds the packets back, it loses nothing.
const QUEUE: usize = 16;

/// Runs a replay.
///
/// # Errors
///
/// What kept the run from doing what was asked at all: an input that cannot be opened, an output that cannot be written.
pub fn run(settings: &Settings, inputs: &[PathBuf]) -> Result<Verdict, RunError> {
    let start = Instant::now();
    let mut captures =
        CaptureSet::open(inputs, FileSettings { read_ahead: Some(readahead::read_ahead), ..FileSettings::default() })?;
    refuse_same_target(settings, &captures)?;
    let conclusion =
        Conclusion::open(Arc::clone(&settings.site), settings.events.clone(), settings.rule.clone(), &settings.output)?;
    let statistics = settings.output.stats.as_deref().map(open_statistics).transpose()?;
    let progress = Progress::new(captures.total_bytes(), settings.quiet);
    let mut read = read_all(settings, &mut captures, conclusion, &progress)?;
    progress.finish();

    read.stages.insert(0, StageCounts { stage: "capture", counts: captures.counters().counts() });
    let problems: Vec<String> = captures.problems().iter().map(ToString::to_string).collect();
    let summary = Summary {
        elapsed: start.elapsed(),
        packets: captures.counters().packets,
        bytes: captures.counters().bytes,
        errors: read.totals.errors,
        alerts: read.totals.alerts,
        problems,
        ..Summary::of(read.stages)
    };
    report(settings, &summary, statistics)?;
    Ok(if summary.problems.is_empty() { Verdict::Done } else { Verdict::Incomplete })
}

/// Refuses an output that is a capture which was just opened, or another output.
fn refuse_same_target(settings: &Settings, captures: &CaptureSet) -> Result<(), OutputError> {
    let mut targets = Targets::default();
    for InputFile { path, device, inode } in captures.inputs() {
        targets.reads_open("the capture", path, *device, *inode);
    }
    settings.name_files(&mut targets)
}

/// What reading to the end gave.
struct ReadThrough {
    stages: Vec<StageCounts>,
    totals: Totals,
}

fn read_all(
    settings: &Settings,
    captures: &mut CaptureSet,
    mut conclusion: Conclusion,
    progress: &Progress,
) -> Result<ReadThrough, RunError> {
    std::thread::scope(|scope| {
        let (records, arriving) = bounded(QUEUE);
        let dispatcher = build::dispatcher(settings)?;
        let mut path = PacketPath::new(scope, dispatcher, &build::shard_settings(settings), settings.workers, records);
        let output = scope.spawn(move || conclude_all(&arriving, &mut conclusion).map(|()| conclusion));

        let consumed = captures.consumed_bytes();
        let mut batch = PacketBatch::default();
        while let Filled::Packets = captures.fill(&mut batch) {
            if path.push(&mut batch).is_err() {
                break;
            }
            progress.update(consumed.load(Ordering::Relaxed), captures.counters().packets);
        }
        let last = path.dispatcher().now().time;
        let (PathCounts { mut stages, .. }, worked) = path.finish();
        let mut conclusion = output.join().map_err(|_| RunError::Crashed)??;
        conclusion.finish(last)?;
        worked?;
        stages.extend(conclusion.counts());
        stages.push(conclusion.output_counts());
        Ok(ReadThrough { stages, totals: conclusion.totals() })
    })
}

fn conclude_all(arriving: &Receiver<Records>, conclusion: &mut Conclusion) -> Result<(), OutputError> {
    arriving.iter().try_for_each(|records| conclusion.take(records))
}

/// Opens the file for the counters. It is opened before the captures are read, so that a wrong path is told at once.
fn open_statistics(path: &Path) -> Result<Sink, OutputError> {
    Sink::open(&path.to_string_lossy(), Opening::Replace)
}

/// Writes the counters and tells people what happened.
fn report(settings: &Settings, summary: &Summary, statistics: Option<Sink>) -> Result<(), RunError> {
    for problem in &summary.problems {
        eprintln!("wirespike: {problem}");
    }
    if !settings.quiet {
        eprint!("{summary}");
    }
    if let Some(mut sink) = statistics {
        sink.write(format!("{}\n", summary.to_json()).as_bytes())?;
        sink.flush()?;
    }
    Ok(())
}
