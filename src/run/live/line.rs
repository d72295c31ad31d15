//! The line's own thread: batches and the clock into the packet path, and a watch over loss.
//!
//! In: the timeline of the capture threads' batches, requests of the edge. Out: batches to the packet path, commands to the output
//! thread, numbers for the metrics endpoint. Promises: never longer than a step without a look at requests; life is shown
//! only while packet time moves on.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, never};

use crate::{
    capture::live::{InterfaceCounters, wall_clock},
    cli::LiveArgs,
    flow::Gaps,
    output::Targets,
    sensor::{
        RunError, build, conclude,
        reports::Disconnected,
        workers::{PacketPath, PathCounts},
    },
    service::{
        edge::{Pulse, Request},
        metrics::Shared,
    },
    settings::Settings,
};

use super::{
    capture::Captures,
    output::Command,
    seen::Seen,
    timeline::{Next, Timeline},
};

/// Longest time without a look at requests.
const STEP: Duration = Duration::from_millis(200);
/// Time between two looks at losses and numbers.
const WATCH: Duration = Duration::from_secs(1);
/// Time between two warnings about loss.
const WARNING: Duration = Duration::from_secs(10);
/// How far the clock must be behind packet time for packet time to be set back too. Below that it stands still meanwhile.
const SET_BACK: Duration = Duration::from_secs(5);
/// Time to take in what the capture threads still have when the run is told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// The line of a live run.
pub(super) struct Line {
    settings: Settings,
    args: LiveArgs,
    captures: Captures,
    shared: Shared,
    pulse: Pulse,
    commands: Sender<Command>,
    started: Instant,
    watched: Instant,
    lost: InterfaceCounters,
    /// Losses told in the last warning, and when that was.
    warned: (InterfaceCounters, Option<Instant>),
    clock_doubted: bool,
}

/// Why the line goes on no longer.
enum End {
    Asked,
    /// The output thread or all capture threads have gone.
    Broken,
}

impl Line {
    pub(super) fn new(
        settings: Settings,
        args: LiveArgs,
        captures: Captures,
        shared: Shared,
        pulse: Pulse,
        commands: Sender<Command>,
    ) -> Self {
        Self {
            settings,
            args,
            captures,
            shared,
            pulse,
            commands,
            started: Instant::now(),
            watched: Instant::now(),
            lost: InterfaceCounters::default(),
            warned: (InterfaceCounters::default(), None),
            clock_doubted: false,
        }
    }

    /// Runs until asked to stop, then finishes what is in flight; what was seen in all, and whether every worker lasted.
    pub(super) fn run(
        mut self,
        mut path: PacketPath<'_>,
        mut timeline: Timeline,
        requests: &Receiver<Request>,
    ) -> (Seen, Result<(), RunError>) {
        // Until now nothing was seen.
        self.command(Command::Loss(wall_clock()));
        let end = self.until_stopped(&mut path, &mut timeline, requests);
        self.captures.stop();
        if let End::Asked = end {
            // Broken ends have nobody left to take it.
            let _ = drain(&mut path, &mut timeline);
        }
        let last = path.dispatcher().now().time;
        let (PathCounts { stages, gaps }, worked) = path.finish();
        self.command(Command::Finish(last));
        let seen = Seen {
            elapsed: self.started.elapsed(),
            capture: self.captures.totals(),
            interfaces: self.captures.counts(&gaps),
            stages,
            stats: self.settings.output.stats,
        };
        (seen, worked)
    }

    fn until_stopped(
        &mut self,
        path: &mut PacketPath<'_>,
        timeline: &mut Timeline,
        requests: &Receiver<Request>,
    ) -> End {
        loop {
            match requests.try_recv() {
                Ok(Request::Reload) => self.reload(path),
                Ok(Request::Stop) | Err(TryRecvError::Disconnected) => return End::Asked,
                Err(TryRecvError::Empty) => {}
            }
            match timeline.next(STEP, requests) {
                Next::Batch(mut batch) => {
                    self.watch_clock(path, timeline);
                    if path.push(&mut batch).is_err() {
                        return End::Broken;
                    }
                    self.captures.recycle(batch);
                    while let Some(spent) = timeline.spent() {
                        self.captures.recycle(spent);
                    }
                    self.pulse.line();
                }
                Next::Nothing => {}
                Next::Ended => return End::Broken,
            }
            if self.watched.elapsed() >= WATCH {
                self.watched = Instant::now();
                let counts = path.counts();
                self.watch_losses(&counts.gaps);
                self.publish(counts);
            }
        }
    }

    /// Time must neither run ahead of the clock nor stand still where the clock was set back.
    fn watch_clock(&mut self, path: &mut PacketPath<'_>, timeline: &Timeline) {
        let now = wall_clock();
        if path.dispatcher().now().time.since(now) > SET_BACK {
            path.turn_back(now);
        }
        if let Some(ahead) = timeline.ahead().filter(|_| !self.clock_doubted) {
            self.clock_doubted = true;
            tracing::warn!(
                ?ahead,
                "packets are stamped in the future, which is taken as now; is the interface's clock kept in step (phc2sys), or was \
                 the system's set back?"
            );
        }
    }

    fn watch_losses(&mut self, gaps: &Gaps) {
        let now = self.captures.totals();
        if losses(&now) > losses(&self.lost) {
            self.command(Command::Loss(wall_clock()));
        }
        self.lost = now;
        let (told, when) = &self.warned;
        if losses(&self.lost) > losses(told) && when.is_none_or(|when| when.elapsed() >= WARNING) {
            for (number, (interface, counters)) in self.captures.by_interface().into_iter().enumerate() {
                tracing::warn!(
                    interface,
                    kernel_drops = counters.kernel_drops,
                    interface_drops = counters.interface_drops,
                    vanished = counters.vanished,
                    tcp_gaps = gaps.of(number).tcp_gaps,
                    packets = counters.packets,
                    "packets were lost: counts in alerts are a lower bound"
                );
            }
            self.warned = (self.lost.clone(), Some(Instant::now()));
        }
    }

    fn publish(&self, PathCounts { stages, gaps }: PathCounts) {
        self.shared.update(|snapshot| {
            let counts = stages.into_iter().map(|stage| (stage.stage, stage.counts));
            snapshot.stages.retain(|(stage, _)| !["filter", "decode", "flow", "http"].contains(stage));
            snapshot.stages.extend(counts);
            snapshot.interfaces = self.captures.snapshots(&gaps);
            snapshot.ready = self.captures.all_present();
            snapshot.healthy = self.pulse.is_healthy();
        });
    }

    fn reload(&mut self, path: &mut PacketPath<'_>) {
        if let Err(error) = self.try_reload(path) {
            tracing::error!(%error, "the new configuration is refused; the old one stays");
        }
    }

    /// Everything that can be refused comes first, so that a configuration is taken over whole or not at all.
    fn try_reload(&mut self, path: &mut PacketPath<'_>) -> Result<(), RunError> {
        let mut settings = Settings::for_live(&self.args)?;
        let fixed = settings.keep_fixed(&self.settings);
        let filter = settings.filter.clone().unwrap_or_default();
        self.captures.check_filter(&filter)?;
        settings.name_files(&mut Targets::default())?;
        let sinks = conclude::open_changed(&self.settings.output, &settings.output)?;
        if !fixed.is_empty() {
            tracing::warn!(keys = fixed.join(", "), "these settings change only at a restart");
        }
        if settings.filter != self.settings.filter {
            self.captures.use_filter(filter);
            // The kernel lets no packet through while filters are exchanged.
            self.command(Command::Loss(wall_clock()));
        }
        path.reconfigure(&settings.decode, build::shard_settings(&settings));
        let now = path.dispatcher().now().time;
        self.command(Command::Reload(Box::new(settings.clone()), Box::new(sinks), now));
        self.settings = settings;
        Ok(())
    }

    /// A command to a thread that has gone is for nobody; the thread's own error says why.
    fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

/// Takes in what the capture threads still have when they are told to stop.
fn drain(path: &mut PacketPath<'_>, timeline: &mut Timeline) -> Result<(), Disconnected> {
    let deadline = Instant::now() + DRAIN;
    loop {
        match timeline.next(deadline.saturating_duration_since(Instant::now()), &never::<()>()) {
            Next::Batch(mut batch) => path.push(&mut batch)?,
            Next::Ended => return Ok(()),
            Next::Nothing => break,
        }
    }
    while let Some(mut batch) = timeline.rest() {
        path.push(&mut batch)?;
    }
    Ok(())
}

fn losses(counters: &InterfaceCounters) -> u64 {
    counters.kernel_drops + counters.interface_drops + counters.vanished
}
