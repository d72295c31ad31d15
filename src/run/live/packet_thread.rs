//! The packet thread of a live run: gives batches and the clock to the executor, and watches for loss.
//!
//! In: the timeline of the capture threads' batches, requests of the service thread. Out: batches to the executor, commands
//! to the output thread, numbers for the metrics endpoint. Promises: a request waits at most 200 ms, unless the executor holds
//! this thread back; the thread reports to the heartbeat only while packet time moves on.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, never};

use crate::{
    capture::{
        PacketBatch,
        live::{InterfaceCounters, wall_clock},
    },
    output::{ChangedOutputs, Outputs, Targets},
    run::{RunError, annotator::AnnotatorChange, evidence::Recorder},
    sensor::executor::{Disconnected, Executor, PathCounts, WorkerLost},
    service::{heartbeat::Heartbeat, signals::Request},
    settings::Settings,
    tcp::Gaps,
    telemetry::snapshot::SharedSnapshot,
};

use super::{
    Configuration,
    capture_threads::CaptureThreads,
    live_sensor_settings,
    output_thread::Command,
    run_report::RunReport,
    timeline::{Next, Timeline},
    unread_watch::UnreadWatch,
};

/// Longest time that the thread waits for packets before it looks at requests.
const STEP: Duration = Duration::from_millis(200);
/// Time between two looks at losses and numbers.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two warnings about loss.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);
/// When the clock is further behind packet time than this, packet time is set back too. When it is less far behind, packet
/// time stands still until the clock has caught up.
const SET_BACK: Duration = Duration::from_secs(5);
/// Longest time to take in what the capture threads still have when the run is told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// The packet thread.
pub(super) struct PacketThread {
    settings: Settings,
    configuration: Arc<Configuration>,
    /// A configuration that another thread is reading.
    loading: Option<Receiver<Result<(Settings, AnnotatorChange), RunError>>>,
    /// A configuration that is good, and waits for the capture threads to use its filter.
    accepted: Option<Accepted>,
    captures: CaptureThreads,
    watchers: Watchers,
    commands: Sender<Command>,
    /// Keeps copies of the packets, where those of alerts are written.
    recorder: Option<Recorder>,
    started: Instant,
    /// When losses and numbers were last looked at.
    watched: Instant,
    lost: InterfaceCounters,
    /// Losses told in the last warning, and when that was.
    warned: (InterfaceCounters, Option<Instant>),
    /// Whether it was logged that packets are stamped in the future.
    is_clock_doubted: bool,
}

/// Who is told how the run goes.
pub(super) struct Watchers {
    /// Where numbers go.
    pub(super) snapshot: SharedSnapshot,
    /// Where the thread reports that it works.
    pub(super) heartbeat: Heartbeat,
    /// Who warns of connections that cannot be read.
    pub(super) unread: UnreadWatch,
}

/// A configuration of which nothing can fail any more.
struct Accepted {
    settings: Settings,
    outputs: ChangedOutputs,
    annotator: AnnotatorChange,
}

/// Why the thread takes in no more packets.
enum End {
    /// A signal asked the run to stop.
    Asked,
    /// The output thread or all capture threads have gone.
    Broken,
}

impl PacketThread {
    pub(super) fn new(
        settings: Settings,
        configuration: Configuration,
        captures: CaptureThreads,
        watchers: Watchers,
        commands: Sender<Command>,
        recorder: Option<Recorder>,
    ) -> Self {
        Self {
            settings,
            configuration: Arc::new(configuration),
            loading: None,
            accepted: None,
            captures,
            watchers,
            commands,
            recorder,
            started: Instant::now(),
            watched: Instant::now(),
            lost: InterfaceCounters::default(),
            warned: (InterfaceCounters::default(), None),
            is_clock_doubted: false,
        }
    }

    /// Runs until it is asked to stop, then finishes what is in flight. Returns what was seen in all, and whether a worker was
    /// lost.
    pub(super) fn run(
        mut self,
        mut executor: Executor<'_>,
        mut timeline: Timeline,
        requests: &Receiver<Request>,
    ) -> (RunReport, Result<(), WorkerLost>) {
        // Packets before now were not seen.
        self.command(Command::Loss(wall_clock()));
        let end = self.until_stopped(&mut executor, &mut timeline, requests);
        self.captures.stop();
        if let End::Asked = end {
            // Draining fails only when no thread is left to take the packets.
            let _ = self.drain(&mut executor, &mut timeline);
        }
        let (PathCounts { stages, gaps, unread, last, .. }, worked) = executor.finish();
        self.recorder.take().into_iter().for_each(Recorder::finish);
        self.command(Command::Finish(last));
        let report = RunReport {
            elapsed: self.started.elapsed(),
            capture: self.captures.totals(),
            interfaces: self.captures.counts(&gaps),
            stages,
            unread,
            stats: self.settings.output.stats,
            site: self.settings.site,
        };
        (report, worked)
    }

    fn until_stopped(
        &mut self,
        executor: &mut Executor<'_>,
        timeline: &mut Timeline,
        requests: &Receiver<Request>,
    ) -> End {
        loop {
            match requests.try_recv() {
                Ok(Request::Reload) => self.load_configuration(),
                Ok(Request::Stop) | Err(TryRecvError::Disconnected) => return End::Asked,
                Err(TryRecvError::Empty) => {}
            }
            self.take_configuration(executor);
            match timeline.next(STEP, requests) {
                Next::Batch(mut batch) => {
                    self.watch_clock(executor, timeline);
                    if self.push(executor, &mut batch).is_err() {
                        return End::Broken;
                    }
                    self.captures.recycle(batch);
                    while let Some(used) = timeline.take_used() {
                        self.captures.recycle(used);
                    }
                    self.watchers.heartbeat.packet_thread();
                }
                Next::Nothing => {}
                Next::Ended => return End::Broken,
            }
            if self.watched.elapsed() >= WATCH_INTERVAL {
                self.watched = Instant::now();
                let counts = executor.counts();
                self.watch_losses(&counts.gaps);
                if let Some(warning) = self.watchers.unread.look(&counts.stages, &counts.unread, self.watched) {
                    tracing::warn!("{warning}");
                }
                self.publish(counts);
            }
        }
    }

    /// Sets packet time back where the clock was set back, and warns when packets are stamped in the future.
    fn watch_clock(&mut self, executor: &mut Executor<'_>, timeline: &Timeline) {
        let now = wall_clock();
        if executor.now().time.since(now) > SET_BACK {
            executor.turn_back(now);
        }
        if let Some(ahead) = timeline.ahead_of_clock().filter(|_| !self.is_clock_doubted) {
            self.is_clock_doubted = true;
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
        if losses(&self.lost) > losses(told) && when.is_none_or(|when| when.elapsed() >= WARNING_INTERVAL) {
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

    fn publish(&self, PathCounts { stages, gaps, .. }: PathCounts) {
        self.watchers.snapshot.update(|snapshot| {
            let counts = stages.into_iter().map(|stage| (stage.stage, stage.counts));
            snapshot.stages.retain(|(stage, _)| !["filter", "decode", "flow", "http"].contains(stage));
            snapshot.stages.extend(counts);
            snapshot.interfaces = self.captures.snapshots(&gaps);
            snapshot.ready = self.captures.all_present();
        });
    }

    /// Has the configuration read on a thread of its own, because packets must not wait for a disk. A later request replaces
    /// one whose configuration is not there yet.
    fn load_configuration(&mut self) {
        let (configuration, (sender, receiver)) = (Arc::clone(&self.configuration), bounded(1));
        let load = move || {
            // The receiver is gone when a later request came.
            let loaded = configuration().map_err(RunError::from).and_then(|settings| {
                let annotator = AnnotatorChange::load(&settings.enrich)?;
                Ok((settings, annotator))
            });
            let _ = sender.send(loaded);
        };
        match thread::Builder::new().name("configuration".into()).spawn(load) {
            Ok(_) => self.loading = Some(receiver),
            Err(error) => tracing::error!(%error, "the configuration cannot be read; the old one stays"),
        }
    }

    /// Takes over the configuration once it has been read and the capture threads use its filter.
    fn take_configuration(&mut self, executor: &mut Executor<'_>) {
        if let Some(accepted) = self.accepted.take_if(|_| self.captures.use_newest_filter()) {
            self.put_in_force(accepted, executor);
        }
        if self.accepted.is_some() {
            return;
        }
        let Some(Ok(loaded)) = self.loading.as_ref().map(Receiver::try_recv) else { return };
        self.loading = None;
        match loaded.and_then(|(settings, annotator)| self.accept(settings, annotator)) {
            Ok(accepted) => self.accepted = Some(accepted),
            Err(error) => tracing::error!(%error, "the new configuration is refused; the old one stays"),
        }
    }

    /// Does all steps that can fail before the first step that changes something: a configuration is used whole or not at all.
    fn accept(&mut self, mut settings: Settings, annotator: AnnotatorChange) -> Result<Accepted, RunError> {
        let fixed = settings.keep_fixed(&self.settings);
        let filter = settings.filter.clone().unwrap_or_default();
        if settings.filter != self.settings.filter {
            // The filter in force is not compiled again: a name of a host in it can no longer be resolved.
            self.captures.check_filter(&filter)?;
        }
        settings.name_files(&mut Targets::default())?;
        let outputs = Outputs::open_changed(&self.settings.output, &settings.output)?;
        if !fixed.is_empty() {
            tracing::warn!(keys = fixed.join(", "), "these settings change only at a restart");
        }
        if settings.filter != self.settings.filter {
            self.captures.use_filter(filter);
            // The kernel lets no packet through while filters are exchanged, which is between now and `put_in_force`.
            self.command(Command::Loss(wall_clock()));
        }
        Ok(Accepted { settings, outputs, annotator })
    }

    fn put_in_force(&mut self, accepted: Accepted, executor: &mut Executor<'_>) {
        let Accepted { settings, outputs, annotator } = accepted;
        if settings.filter != self.settings.filter {
            self.command(Command::Loss(wall_clock()));
        }
        let sensor = live_sensor_settings(&settings);
        executor.reconfigure(&sensor);
        let now = executor.now().time;
        self.command(Command::Reload(Box::new(sensor), Box::new(outputs), Box::new(annotator), now));
        self.settings = settings;
    }

    /// Gives a batch to the executor, and a copy to the recorder if there is one.
    fn push(&mut self, executor: &mut Executor<'_>, batch: &mut PacketBatch) -> Result<(), Disconnected> {
        if let Some(recorder) = &mut self.recorder {
            recorder.take(batch);
        }
        executor.push(batch)
    }

    /// Takes in what the capture threads still have after they were told to stop.
    fn drain(&mut self, executor: &mut Executor<'_>, timeline: &mut Timeline) -> Result<(), Disconnected> {
        let deadline = Instant::now() + DRAIN;
        loop {
            match timeline.next(deadline.saturating_duration_since(Instant::now()), &never::<()>()) {
                Next::Batch(mut batch) => self.push(executor, &mut batch)?,
                Next::Ended => return Ok(()),
                Next::Nothing => break,
            }
        }
        while let Some(mut batch) = timeline.next_of_rest() {
            self.push(executor, &mut batch)?;
        }
        Ok(())
    }

    /// Sends a command to the output thread. If that thread has gone, the command is dropped: the thread's own error ends the
    /// run.
    fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

fn losses(counters: &InterfaceCounters) -> u64 {
    counters.kernel_drops + counters.interface_drops + counters.vanished
}
