//! The line's own thread: batches and the clock into the packet path, and a watch over loss.
//!
//! In: batches of the capture threads, requests of the edge. Out: batches to the packet path, commands to the output
//! thread, numbers for the metrics endpoint. Promises: never longer than a step without a look at the clock.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use crate::{
    capture::{
        PacketBatch,
        live::{CLOCK_TOLERANCE, InterfaceCounters, wall_clock},
    },
    cli::LiveArgs,
    config::Settings,
    output::{Opening, Sink},
    pipeline::workers::PacketPath,
    telemetry::{
        metrics::Shared,
        summary::{StageCounts, Summary},
    },
};

use super::{
    capture::Captures,
    edge::{Pulse, Request},
    output::Command,
};

/// Longest time without a look at the clock.
const STEP: Duration = Duration::from_millis(200);
/// How far packet time stays behind the clock where no packets move it: longer than a packet stays in the ring.
const RING_DELAY: Duration = Duration::from_millis(250);
/// Time between two looks at losses and numbers.
const WATCH: Duration = Duration::from_secs(1);
/// Time between two warnings about loss.
const WARNING: Duration = Duration::from_secs(10);
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

    /// Runs until asked to stop, then finishes what is in flight.
    pub(super) fn run(
        mut self,
        mut path: PacketPath<'_>,
        filling: &Receiver<PacketBatch>,
        requests: &Receiver<Request>,
    ) {
        // Until now nothing was seen.
        self.command(Command::Loss(wall_clock()));
        let end = self.until_stopped(&mut path, filling, requests);
        self.captures.stop();
        let deadline = Instant::now() + DRAIN;
        while let (End::Asked, Ok(mut batch)) = (&end, filling.recv_deadline(deadline)) {
            if path.push(&mut batch).is_err() {
                break;
            }
        }
        let last = path.dispatcher().now().time;
        let stages = path.finish();
        self.command(Command::Finish(last));
        self.write_stats(stages);
    }

    fn until_stopped(
        &mut self,
        path: &mut PacketPath<'_>,
        filling: &Receiver<PacketBatch>,
        requests: &Receiver<Request>,
    ) -> End {
        loop {
            let pushed = select! {
                recv(filling) -> batch => match batch {
                    Ok(mut batch) => {
                        self.doubt_clock(&batch);
                        let pushed = path.push(&mut batch);
                        self.captures.recycle(batch);
                        pushed
                    }
                    Err(_) => return End::Broken,
                },
                recv(requests) -> request => match request {
                    Ok(Request::Reload) => {
                        self.reload(path);
                        Ok(())
                    }
                    Ok(Request::Stop) | Err(_) => return End::Asked,
                },
                default(STEP) => path.push(&mut PacketBatch {
                    reached: Some(wall_clock().minus(RING_DELAY)),
                    ..PacketBatch::default()
                }),
            };
            if pushed.is_err() {
                return End::Broken;
            }
            if self.watched.elapsed() >= WATCH {
                self.watched = Instant::now();
                self.watch_losses();
                self.publish(path);
            }
            self.pulse.line();
        }
    }

    /// Stamps far from the clock would have windows executed too early or too late.
    fn doubt_clock(&mut self, batch: &PacketBatch) {
        let Some(packet) = batch.records.last().filter(|_| !self.clock_doubted) else { return };
        let ahead = packet.stamp.time.since(wall_clock());
        if ahead > CLOCK_TOLERANCE {
            self.clock_doubted = true;
            tracing::warn!(
                ?ahead,
                "packets are stamped in the future; is the interface's clock kept in step (phc2sys)?"
            );
        }
    }

    fn watch_losses(&mut self) {
        let now = self.captures.totals();
        if losses(&now) > losses(&self.lost) {
            self.command(Command::Loss(wall_clock()));
        }
        self.lost = now;
        let (told, when) = &self.warned;
        if losses(&self.lost) > losses(told) && when.is_none_or(|when| when.elapsed() >= WARNING) {
            for (interface, counters) in self.captures.by_interface() {
                tracing::warn!(
                    interface,
                    kernel_drops = counters.kernel_drops,
                    interface_drops = counters.interface_drops,
                    vanished = counters.vanished,
                    packets = counters.packets,
                    "packets were lost: counts in alerts are a lower bound"
                );
            }
            self.warned = (self.lost.clone(), Some(Instant::now()));
        }
    }

    fn publish(&self, path: &PacketPath<'_>) {
        self.shared.update(|snapshot| {
            let counts = path.counts().into_iter().map(|stage| (stage.stage, stage.counts));
            snapshot.stages.retain(|(stage, _)| !["filter", "decode", "flow", "http"].contains(stage));
            snapshot.stages.extend(counts);
            snapshot.interfaces = self.captures.snapshots();
            snapshot.ready = self.captures.all_present();
            snapshot.healthy = self.pulse.is_healthy();
        });
    }

    fn reload(&mut self, path: &mut PacketPath<'_>) {
        match Settings::for_live(&self.args) {
            Ok(settings) => {
                path.reconfigure(&settings.events);
                self.command(Command::Reload(Box::new(settings)));
            }
            Err(error) => tracing::error!(%error, "the new configuration is refused; the old one stays"),
        }
    }

    /// A command to a thread that has gone is for nobody; the thread's own error says why.
    fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    fn write_stats(&self, mut stages: Vec<StageCounts>) {
        let Some(path) = &self.settings.output.stats else { return };
        let capture = self.captures.totals();
        stages.insert(0, StageCounts { stage: "capture", counts: capture.counts() });
        let (packets, bytes, elapsed) = (capture.packets, capture.bytes, self.started.elapsed());
        let summary = Summary { packets, bytes, elapsed, stages, ..Summary::default() };
        let written = Sink::open(&path.to_string_lossy(), Opening::Replace).and_then(|mut sink| {
            sink.write(format!("{}\n", summary.to_json()).as_bytes())?;
            sink.flush()
        });
        if let Err(error) = written {
            tracing::error!(%error, "the counters are not written");
        }
    }
}

fn losses(counters: &InterfaceCounters) -> u64 {
    counters.kernel_drops + counters.interface_drops + counters.vanished
}
