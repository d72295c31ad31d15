//! A live run: interfaces to alerts, for months.
//!
//! In: [`Settings`] and interface names. Out: what the sinks were asked for, as it happens. Promises: windows are executed
//! on the clock, packets or not; loss is known, logged and marked in the alerts it may have touched; on SIGTERM everything
//! in flight is finished within seconds; on SIGHUP a good configuration replaces the one in force, a bad one changes nothing.
//!
//! Overload is survived in this order. Every queue is bounded and holds its sender back: a slow disk holds the packet path,
//! the packet path holds the capture threads, and then the kernel's ring fills and drops *packets*, which the kernel
//! counts. An error event, once found, is never shed. When the load falls the ring drains, and nothing needs a restart.

mod capture;
mod line;
mod output;
mod seen;
mod timeline;
mod windows;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use crossbeam_channel::bounded;
use sd_notify::NotifyState;

use crate::{
    capture::live::{LiveOptions, LiveSource},
    cli::LiveArgs,
    output::Targets,
    sandbox::{self, Needs},
    sensor::{build, conclude::Conclusion, workers::PacketPath},
    service::{
        edge::{self, Edge, Pulse},
        logging,
        metrics::Shared,
    },
    settings::Settings,
};

use self::{capture::Captures, line::Line, output::OutputThread, timeline::Timeline, windows::Keeper};
use super::{RunError, Verdict};

/// Record batches, and commands, that may wait for the output thread; a full queue holds the packets back.
const QUEUE: usize = 32;

/// Watches interfaces until SIGTERM or SIGINT.
///
/// # Errors
///
/// What kept the run from starting, or ended it: an interface that cannot be opened, an output whose reader has gone.
pub fn run(args: LiveArgs) -> Result<Verdict, RunError> {
    let mut settings = Settings::for_live(&args)?;
    logging::start(settings.live.log_format, settings.quiet);
    settings.rule.seed = random_seed();
    settings.name_files(&mut Targets::default())?;
    let sources = open_interfaces(&settings, &args.interfaces)?;
    let listener = settings.live.metrics.map(edge::bind).transpose()?;
    let mut conclusion =
        Conclusion::open(Arc::clone(&settings.site), settings.events.clone(), settings.rule.clone(), &settings.output)?;
    conclusion.keep_trying();
    let windows = windows::restore(&settings, &mut conclusion);
    let needs = Needs { writes: written_paths(&settings), reopen_interfaces: settings.workers > 1 };
    sandbox::log(&sandbox::enter(&needs));
    Opened { settings, args, sources, listener, conclusion, windows }.run()
}

/// Everything that is open before the threads start.
struct Opened {
    settings: Settings,
    args: LiveArgs,
    sources: Vec<LiveSource>,
    listener: Option<TcpListener>,
    conclusion: Conclusion,
    windows: Keeper,
}

impl Opened {
    fn run(self) -> Result<Verdict, RunError> {
        let Self { settings, args, sources, listener, conclusion, windows } = self;
        let (shared, pulse) = (Shared::default(), Pulse::default());
        let captures =
            Captures::new(&sources, settings.live.ring_mib << 20, settings.filter.clone().unwrap_or_default());
        std::thread::scope(|scope| {
            let (edge, requests) = Edge::start(scope, listener, shared.clone(), pulse.clone())?;
            let (records, arriving) = bounded(QUEUE);
            let (commands, commanded) = bounded(QUEUE);
            let dispatcher = build::live_dispatcher(&settings, random_seed());
            let path = PacketPath::new(scope, dispatcher, &build::shard_settings(&settings), settings.workers, records);
            let output = OutputThread { conclusion, windows, pulse: pulse.clone(), shared: shared.clone() };
            let output = scope.spawn(move || output.run(&arriving, &commanded));
            let mut filling = Vec::with_capacity(sources.len());
            for (index, source) in sources.into_iter().enumerate() {
                let (captures, (filled, emptied)) = (captures.clone(), bounded(capture::QUEUE));
                filling.push(emptied);
                scope.spawn(move || captures.run(index, source, &filled));
            }
            tracing::info!(interfaces = ?args.interfaces, "watching");
            edge::notify(&[NotifyState::Ready]);
            let line = Line::new(settings, args, captures, shared, pulse, commands);
            let (seen, worked) = line.run(path, Timeline::new(filling), &requests);
            edge::notify(&[NotifyState::Stopping]);
            let concluded = output.join().map_err(|_| RunError::Crashed).flatten();
            edge.stop();
            match concluded {
                Ok(concluded) => seen.report(Some(concluded)),
                Err(error) => {
                    seen.report(None);
                    return Err(error);
                }
            }
            worked.map(|()| Verdict::Done)
        })
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

fn written_paths(settings: &Settings) -> Vec<PathBuf> {
    let output = &settings.output;
    let all = [&output.alerts, &output.events, &output.exchanges, &output.stats, &settings.live.state];
    all.into_iter().flatten().filter(|path| path.as_path() != Path::new("-")).cloned().collect()
}

/// A number that nobody outside can guess.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
