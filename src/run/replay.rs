//! A replay: capture files to alerts.
//!
//! In: [`Settings`] and capture paths. Out: the outputs, a summary, a [`Completion`]. Promises: everything before a break in
//! a capture is used; the same captures and settings give the same bytes, whatever the number of workers. Where sessions of TLS 1.2 may
//! be resumed, one thread reads all packets in their order.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Instant,
};

use crate::{
    address::Address,
    capture::{
        PacketBatch,
        files::{CaptureSet, FileRead, FileSettings, Filled, InputFile},
    },
    document::{Report, RunFacts},
    output::{LastOutput, OutputError, Targets},
    printable::printable,
    sensor::{
        Evaluator, SensorSettings, Totals,
        executor::{Executor, ExecutorSettings, Findings, PathCounts, WorkerLost},
    },
    service::{ServiceError, logging},
    settings::{Settings, Verbosity},
    stream::UnreadPorts,
    telemetry::summary::{Nearest, StageCounts, Summary, grouped},
};

use super::{
    Completion, RunError,
    annotator::Annotator,
    delivery::{self, Delivery},
    evidence::{self, Evidence, Interfaces, Recorder, Recording, WhenBusy},
    limits,
    progress::Progress,
    readahead, seed_of, sensor_settings,
    tls_keys::ReplayKeys,
    tls_summary, two_sides, unseen,
    warnings::{self, Counted, Warnings},
};

/// Batches of records that may wait for the output thread. A full queue holds the packets back; it loses nothing.
const QUEUE: usize = 16;

/// Runs a replay.
///
/// # Errors
///
/// What kept the run from doing what was asked at all: an input that cannot be opened, an output that cannot be written.
pub fn run(settings: &Settings, inputs: &[PathBuf]) -> Result<Completion, RunError> {
    if settings.verbosity == Verbosity::Debug {
        logging::start(settings.live.log_format, settings.verbosity.log_level());
        tracing::debug!(?settings, "the settings in force");
    }
    let start = Instant::now();
    let secrets = ReplayKeys::read(&settings.tls, settings.verbosity.is_quiet())?;
    let file_settings =
        FileSettings { read_ahead: Some(readahead::read_ahead), key_logs: true, ..FileSettings::default() };
    let mut captures = CaptureSet::open(inputs, file_settings)?;
    secrets.take(&mut captures);
    refuse_same_target(settings, &captures)?;
    let evidence = Evidence::open(settings, Interfaces::default())?;
    let seed = seed_of(settings);
    let sensor = secrets.given_to(sensor_settings(settings, seed));
    let (annotator, problem) = Annotator::open(&settings.enrich)?;
    if let Some(problem) = problem {
        eprintln!("wirespike: {}", printable(&problem));
    }
    let mut delivery = Delivery::open(&sensor, &settings.output, annotator)?;
    let mut evidence = evidence.map(|(requests, evidence)| {
        delivery.ask_for_packets(requests);
        evidence
    });
    let packets_written = evidence.as_ref().map(Evidence::counters);
    // Standard input and pipes cannot be read again.
    let recorded = evidence.take_if(|_| captures.total_bytes().is_none());
    // Opened before the captures are read, so that a wrong path is told at once.
    let statistics = settings.output.stats.as_deref().map(delivery::open_last).transpose()?;
    let report_output = settings.output.report.as_deref().map(delivery::open_last).transpose()?;
    let progress = Progress::new(captures.total_bytes(), settings.verbosity.is_quiet());
    let source = Source { captures: &mut captures, secrets: &secrets, recorded };
    let mut read = read_all(&sensor, settings.workers, source, delivery, &progress)?;
    if let Some(evidence) = evidence {
        evidence.read_again(inputs, settings.verbosity.is_quiet())?;
    }
    let packets_written = packets_written.map(|counters| counters.now());
    read.stages.extend(packets_written.iter().map(evidence::stage));
    read.stages.insert(0, StageCounts { stage: "capture", counts: captures.counters().counts() });
    let counted = Counted { stages: &read.stages, unread: &read.unread, first_disorder: read.first_disorder };
    let mut warnings = warnings::of(&sensor, &captures, &counted);
    let of_evidence = |counters| evidence::warnings(counters, &settings.output.evidence);
    warnings.lines.extend(packets_written.iter().flat_map(of_evidence));
    let report_page = report_output.zip(read.report.take());
    let summary = Summary {
        elapsed: start.elapsed(),
        with_counters: settings.verbosity >= Verbosity::Verbose,
        repeated_with: limits::is_any_reached(&read.stages).then_some(seed),
        ..sum_up(read, &captures)
    };
    if settings.verbosity >= Verbosity::Verbose {
        tell_files(&captures);
    }
    report(settings, &summary, &warnings, statistics)?;
    if let Some((output, report)) = report_page {
        write_report(settings, output, report, &captures, &summary, &warnings)?;
    }
    let is_complete = summary.problems.is_empty() && !warnings.nothing_decoded;
    Ok(if is_complete { Completion::Complete } else { Completion::Incomplete })
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
    nearest: Vec<Nearest>,
    /// Proxies that were seen on both sides, each with its errors that were left out.
    proxies: Vec<(Address, u64)>,
    /// Alerts that a label kept from being written.
    suppressed: u64,
    /// The ports of connections whose content is not read.
    unread: UnreadPorts,
    /// The number of the first packet whose stamp was not believed, or at which packet time went back.
    first_disorder: Option<u64>,
    /// The alerts of the report, if there is one.
    report: Option<Report>,
}

/// Where packets and secrets come from.
struct Source<'a> {
    captures: &'a mut CaptureSet,
    secrets: &'a ReplayKeys,
    /// Evidence that is recorded while the packets pass.
    recorded: Option<Evidence>,
}

fn read_all(
    settings: &SensorSettings,
    workers: usize,
    Source { captures, secrets, recorded }: Source<'_>,
    mut delivery: Delivery,
    progress: &Progress,
) -> Result<ReadThrough, RunError> {
    let threads = ExecutorSettings { workers, queue: QUEUE };
    std::thread::scope(|scope| {
        let (mut executor, mut findings) = Executor::start(scope, settings, threads, Evaluator::new(settings))?;
        let bar = progress.clone();
        let output =
            scope.spawn(move || deliver_all(&mut findings, &mut delivery, &bar).map(|()| (findings, delivery)));

        let (mut recorder, recording) = recorded.map(|evidence| evidence.record(scope, WhenBusy::Wait, None)).unzip();

        let consumed = captures.consumed_bytes();
        let mut batch = PacketBatch::default();
        while let Filled::Packets = captures.fill(&mut batch) {
            secrets.take(captures);
            if let Some(recorder) = &mut recorder {
                recorder.take(&batch);
            }
            if executor.push(&mut batch).is_err() {
                break;
            }
            progress.update(consumed.load(Ordering::Relaxed), captures.counters().packets);
        }
        secrets.take(captures);
        let (PathCounts { mut stages, last, unread, first_disorder, .. }, worked) = executor.finish();
        recorder.into_iter().for_each(Recorder::finish);
        let (mut findings, mut delivery) = output.join().map_err(|_| WorkerLost)??;
        progress.finish();
        findings.finish(last, &mut |finding| delivery.take(finding));
        delivery.end_replay();
        delivery.flush()?;
        delivery.end_requests();
        recording.map_or(Ok(Ok(())), Recording::join)??;
        delivery.annotator().save().map_err(ServiceError::from)?;
        worked?;
        stages.extend(findings.evaluator().counts());
        stages.extend(delivery.counts());
        stages.extend(secrets.stages());
        let (totals, suppressed) = (findings.evaluator().totals(), delivery.suppressed());
        let proxies = findings.evaluator().two_sided_proxies();
        let report = delivery.take_report();
        let nearest = super::nearest(findings.evaluator());
        Ok(ReadThrough { stages, totals, nearest, proxies, suppressed, unread, first_disorder, report })
    })
}

fn deliver_all(findings: &mut Findings, delivery: &mut Delivery, progress: &Progress) -> Result<(), OutputError> {
    while findings.receive(&mut |finding| delivery.take(finding)) {
        if delivery.takes_awaited() {
            progress.aside(|| delivery.flush())?;
        } else {
            delivery.submit()?;
        }
    }
    Ok(())
}

/// Sums up what was read.
fn sum_up(read: ReadThrough, captures: &CaptureSet) -> Summary {
    let notes = [tls_summary::said(&read.stages), two_sides::said(&read.proxies, &read.stages)];
    Summary {
        packets: captures.counters().packets,
        bytes: captures.counters().bytes,
        errors: read.totals.errors,
        alerts: read.totals.alerts.saturating_sub(read.suppressed),
        nearest: read.nearest,
        unseen: unseen::of(&read.stages),
        notes: notes.into_iter().flatten().collect(),
        problems: captures.problems().iter().map(ToString::to_string).collect(),
        ..Summary::of(read.stages)
    }
}

/// Writes the page for people.
fn write_report(
    settings: &Settings,
    output: LastOutput,
    report: Report,
    captures: &CaptureSet,
    summary: &Summary,
    warnings: &Warnings,
) -> Result<(), OutputError> {
    let captures: Vec<(String, u64)> =
        captures.files().map(|file| (name_of(&file.path).into_owned(), file.packets)).collect();
    let warnings = [summary.problems.as_slice(), &warnings.lines].concat();
    let facts = RunFacts { captures: &captures, summary, warnings: &warnings };
    delivery::write_report(output, report, &facts, &settings.site)
}

/// The name of an input for people.
fn name_of(path: &Path) -> Cow<'_, str> {
    if path.as_os_str() == "-" { "standard input".into() } else { path.to_string_lossy() }
}

/// Tells people what was read, file by file.
fn tell_files(captures: &CaptureSet) {
    for FileRead { path, packets, bytes, .. } in captures.files() {
        let name = name_of(path);
        eprintln!("read {}: {} packets, {} bytes", printable(&name), grouped(*packets), grouped(*bytes));
    }
}

/// Writes the counters, and tells people what happened.
fn report(
    settings: &Settings,
    summary: &Summary,
    warnings: &Warnings,
    statistics: Option<LastOutput>,
) -> Result<(), RunError> {
    for problem in summary.problems.iter().chain(&warnings.lines) {
        eprintln!("wirespike: {}", printable(&problem.to_string()));
    }
    if !settings.verbosity.is_quiet() {
        eprint!("{summary}");
    }
    if let Some(statistics) = statistics {
        delivery::write_statistics(statistics, summary, &settings.site)?;
    }
    Ok(())
}
