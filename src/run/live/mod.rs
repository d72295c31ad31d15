//! A live run: interfaces to alerts, for months.
//!
//! In: [`Settings`] and interface names. Out: alerts, events and exchanges in the outputs, as they are found. Promises: windows
//! are executed on the clock, packets or not; loss is counted, logged and marked in the alerts that it may have affected; on
//! SIGTERM everything in flight is finished within seconds; on SIGHUP a good configuration replaces the one in force, a bad
//! one changes nothing.
//!
//! The threads, in the order in which a packet passes them:
//!
//! ```text
//! capture threads   one for each interface and fan-out member: copy packets out of the kernel's ring
//! packet thread     puts their batches in order of time (timeline) and gives them to the executor; watches for loss
//! workers           the executor's own
//! output thread     receives findings and writes them; saves the open windows
//! evidence thread   with --evidence: holds the latest packets, and writes those of alerts
//! service thread    signals, watchdog, metrics endpoint
//! secrets thread    with --tls-keylog: follows the key logs
//! ```
//!
//! Overload is survived in this order. Every queue is bounded and holds its sender back: a slow disk holds back the executor,
//! the executor holds back the capture threads, and then the kernel's ring fills and drops *packets*, which the kernel
//! counts. An error event, once found, is never shed. When the load falls the ring drains, and nothing needs a restart.

mod capture_threads;
mod output_thread;
mod packet_thread;
mod run_report;
mod timeline;
mod unread_watch;
mod windows_keeper;

use std::{
    fs::File,
    net::TcpListener,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use crossbeam_channel::bounded;

use crate::{
    capture::live::{LiveOptions, LiveSource},
    output::Targets,
    sandbox::{self, Needs, Plan},
    sensor::{
        Evaluator, SensorSettings,
        executor::{Executor, ExecutorSettings, WorkerLost},
    },
    service::{
        ServiceError,
        heartbeat::Heartbeat,
        logging, manager, metrics,
        state::{StateError, StateFile},
        thread::ServiceThread,
    },
    settings::{ConfigError, Settings},
    telemetry::snapshot::SharedSnapshot,
};

use self::{
    capture_threads::CaptureThreads,
    output_thread::OutputThread,
    packet_thread::{PacketThread, Watchers},
    timeline::Timeline,
    unread_watch::UnreadWatch,
    windows_keeper::WindowsKeeper,
};
use super::{
    Completion, RunError,
    annotator::Annotator,
    delivery::Delivery,
    evidence::{self, Evidence, Interfaces, Recording, WhenBusy},
    seed_of, sensor_settings,
    tls_keys::LiveKeys,
};

/// Record batches, and commands, that may wait for the output thread. A full queue holds the packets back.
const QUEUE: usize = 32;

/// What to watch, and under which configuration.
pub struct Watch {
    /// The interfaces, by name.
    pub interfaces: Vec<String>,
    /// Loads the configuration: at the start, and again when a signal asks for it.
    pub configuration: Configuration,
}

/// Loads the settings of a live run from where they are configured.
pub type Configuration = Box<dyn Fn() -> Result<Settings, ConfigError> + Send + Sync>;

/// Watches interfaces until SIGTERM or SIGINT.
///
/// # Errors
///
/// What kept the run from starting, or ended it: an interface that cannot be opened, an output whose reader has gone.
pub fn run(watch: Watch) -> Result<Completion, RunError> {
    let mut settings = (watch.configuration)()?;
    logging::start(settings.live.log_format, settings.verbosity.log_level());
    settings.events.hash_seed = seed_of(&settings);
    // The directory is there before it is known what the sensor's user may do in it, and before inputs are looked for in it.
    settings.output.evidence.directory.as_deref().map_or(Ok(()), evidence::make_directory)?;
    settings.name_files(&mut Targets::default())?;
    let secrets = LiveKeys::open(&settings.tls)?;
    let needs = needs(&settings, &secrets);
    let plan = Plan::make(settings.live.user.as_deref(), &needs)?;
    plan.take_files_back(&needs);
    let _state_lock = lock_state(&settings)?;
    let sources = open_interfaces(&settings, &watch.interfaces)?;
    let listener = settings.live.metrics.map(metrics::bind).transpose()?;
    let mut sensor = SensorSettings { tls_keys: secrets.keys(), ..live_sensor_settings(&settings) };
    let mut evaluator = Evaluator::new(&sensor);
    evaluator.remember_alerts();
    let (annotator, problem) = Annotator::open(&settings.enrich)?;
    if let Some(problem) = problem {
        tracing::warn!(problem, "past sightings begin anew");
    }
    let mut delivery = Delivery::open(&sensor, &settings.output, annotator)?;
    delivery.keep_trying();
    let evidence = Evidence::open(&settings, interfaces_of(&settings, &sources))?;
    let evidence = evidence.map(|(requests, evidence)| {
        delivery.ask_for_packets(requests);
        evidence
    });
    let windows = windows_keeper::restore(&settings, &mut evaluator, &mut delivery);
    // The restored rules hold hashes of texts: all threads make hashes as the earlier run did.
    settings.events.hash_seed = evaluator.hash_seed();
    sensor.events.hash_seed = evaluator.hash_seed();
    sandbox::log(&sandbox::enter(&needs, plan)?);
    Opened { settings, sensor, watch, sources, listener, evaluator, delivery, windows, evidence, secrets }.run()
}

/// Everything that is open before the threads start.
struct Opened {
    settings: Settings,
    sensor: SensorSettings,
    watch: Watch,
    sources: Vec<LiveSource>,
    listener: Option<TcpListener>,
    evaluator: Evaluator,
    delivery: Delivery,
    windows: WindowsKeeper,
    evidence: Option<Evidence>,
    secrets: LiveKeys,
}

impl Opened {
    fn run(self) -> Result<Completion, RunError> {
        let Self { settings, sensor, watch, sources, listener, evaluator, delivery, windows, evidence, secrets } = self;
        let packets_written = evidence.as_ref().map(Evidence::counters);
        let (snapshot, heartbeat) = (SharedSnapshot::default(), Heartbeat::default());
        let captures =
            CaptureThreads::new(&sources, settings.live.ring_mib << 20, settings.filter.clone().unwrap_or_default());
        std::thread::scope(|scope| {
            // The workers leave when the executor is dropped, so an error of a later step ends the run too.
            let threads = ExecutorSettings { workers: settings.workers, queue: QUEUE };
            let (executor, findings) = Executor::start(scope, &sensor, threads, evaluator)?;
            let record = |evidence: Evidence| evidence.record(scope, WhenBusy::LeaveOut, Some(snapshot.clone()));
            let (recorder, recording) = evidence.map(record).unzip();
            let (service, requests) = ServiceThread::start(scope, listener, snapshot.clone(), heartbeat.clone())?;
            let watchers = Watchers {
                snapshot: snapshot.clone(),
                heartbeat: heartbeat.clone(),
                unread: UnreadWatch::new(secrets.counter()),
            };
            let followed = secrets.follow(scope);
            let (commands, commanded) = bounded(QUEUE);
            let output = OutputThread { findings, delivery, windows, heartbeat, snapshot };
            let output = scope.spawn(move || output.run(&commanded));
            let mut captured = Vec::with_capacity(sources.len());
            for (index, source) in sources.into_iter().enumerate() {
                let (captures, (sender, receiver)) = (captures.clone(), bounded(capture_threads::QUEUE));
                captured.push(receiver);
                scope.spawn(move || captures.run(index, source, &sender));
            }
            tracing::info!(interfaces = ?watch.interfaces, "watching");
            manager::notify_ready();
            let packets = PacketThread::new(settings, watch.configuration, captures, watchers, commands, recorder);
            let (report, worked) = packets.run(executor, Timeline::new(captured), &requests);
            manager::notify_stopping();
            let of_secrets = followed.stop();
            let delivered = output.join().map_err(|_| RunError::from(WorkerLost)).flatten();
            // A file that cannot be written was logged.
            let _logged = recording.map_or(Ok(Ok(())), Recording::join)?;
            service.stop();
            match delivered {
                Ok(mut delivered) => {
                    delivered.stages.extend(packets_written.map(|counters| evidence::stage(&counters.now())));
                    delivered.stages.extend(of_secrets);
                    report.write(Some(delivered));
                }
                Err(error) => {
                    report.write(None);
                    return Err(error);
                }
            }
            worked?;
            Ok(Completion::Complete)
        })
    }
}

/// The part of the settings that the sensor needs. The interfaces filter the packets already. A sensor keeps the seed of its
/// hashes over reloads.
fn live_sensor_settings(settings: &Settings) -> SensorSettings {
    SensorSettings { filter: None, ..sensor_settings(settings, settings.events.hash_seed) }
}

/// Keeps other sensors from the state file, where one is configured, until the returned file is closed. A lock that cannot be
/// made is only a warning, because a state that cannot be saved is not an error either.
fn lock_state(settings: &Settings) -> Result<Option<File>, ServiceError> {
    let Some(path) = &settings.live.state else { return Ok(None) };
    match StateFile::new(path).lock() {
        Ok(file) => Ok(Some(file)),
        Err(error @ StateError::InUse { .. }) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "other sensors are not kept from the state file");
            Ok(None)
        }
    }
}

fn open_interfaces(settings: &Settings, interfaces: &[String]) -> Result<Vec<LiveSource>, RunError> {
    let options = LiveOptions {
        promiscuous: settings.live.promiscuous,
        snap_length: settings.live.snap_length,
        ring_bytes: settings.live.ring_mib << 20,
        filter: settings.filter.clone().unwrap_or_default(),
        stamps: settings.live.stamps,
        ..LiveOptions::default()
    };
    let numbers = Arc::new(AtomicU64::new(0));
    let mut distinct: Vec<&String> = Vec::new();
    for interface in interfaces {
        if !distinct.contains(&interface) {
            distinct.push(interface);
        }
    }
    let mut sources = Vec::new();
    for (number, interface) in (0..).zip(distinct) {
        let options = LiveOptions { number, ..options.clone() };
        sources.extend(LiveSource::open_group(interface, &options, &numbers, settings.workers)?);
    }
    Ok(sources)
}

/// What is known of the interfaces, for the files of packets.
fn interfaces_of(settings: &Settings, sources: &[LiveSource]) -> Interfaces {
    let mut names: Vec<String> = Vec::new();
    for source in sources {
        // The members of a fan-out group follow each other.
        if names.last().is_none_or(|last| last != source.interface()) {
            names.push(source.interface().to_owned());
        }
    }
    Interfaces { names, snap_length: settings.live.snap_length }
}

/// What the sensor does after the start, for which it keeps the right.
fn needs(settings: &Settings, secrets: &LiveKeys) -> Needs {
    let states = [&settings.live.state, &settings.enrich.sightings];
    let states = states.into_iter().flatten().map(StateFile::new);
    let of_state = states.flat_map(|state| [state.path().to_owned(), state.temporary(), state.lock_path()]);
    // Any file in the directory stands for all of them.
    let of_evidence = settings.output.evidence.directory.iter().map(|directory| directory.join("packets.pcapng"));
    Needs {
        writes: settings.output.files().map(Path::to_owned).chain(of_state).chain(of_evidence).collect(),
        reads: settings.config_file.iter().chain(settings.enrich.files()).cloned().chain(secrets.paths()).collect(),
        keeps_secrets: secrets.expects_any(),
        tells_manager: manager::is_told(),
        reopen_interfaces: settings.workers > 1,
    }
}
