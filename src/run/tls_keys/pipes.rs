//! Reads the key logs that are FIFOs while a replay runs.
//!
//! In: open FIFOs. Out: their secrets, as they come. Promises: the replay does not wait for a writer; each thread ends at the
//! end of its FIFO, or within [`INTERVAL`] after the readers are dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::{
    Store, Whole,
    followed::{Followed, Progress},
};

/// Time between two looks into a FIFO that has nothing to read.
const INTERVAL: Duration = Duration::from_millis(20);

/// Bytes to read at once. A pipe holds no more.
const BLOCK: usize = 64 << 10;

/// The threads that read FIFOs. Dropping it ends them.
#[derive(Default)]
pub(super) struct PipeReaders {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl PipeReaders {
    /// Starts a thread for each FIFO that was found.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub(super) fn start(whole: Whole, store: &Arc<Store>) -> std::io::Result<Self> {
        let mut readers = Self::default();
        for mut pipe in whole.pipes {
            let (store, stop) = (Arc::clone(store), Arc::clone(&readers.stop));
            let read = move || read_to_end(&mut pipe, &store, &stop);
            readers.threads.push(thread::Builder::new().name("tls-keys".into()).spawn(read)?);
        }
        Ok(readers)
    }

    /// Waits until all FIFOs have ended, at most for `limit`. A shell's process substitution (`<(zcat keys.gz)`) ends in this
    /// time, so that its secrets are there before the packets.
    pub(super) fn wait(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while Instant::now() < end && !self.threads.iter().all(JoinHandle::is_finished) {
            thread::sleep(INTERVAL / 4);
        }
    }
}

impl Drop for PipeReaders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that ended in a defect has told of it already.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn read_to_end(pipe: &mut Followed, store: &Store, stop: &AtomicBool) {
    let mut buffer = Zeroizing::new(vec![0; BLOCK]);
    let mut bytes = 0;
    while !stop.load(Ordering::Relaxed) {
        match pipe.read_once(store, &mut buffer, &mut bytes) {
            Ok(Progress::More) => {}
            Ok(Progress::UpToDate) => thread::sleep(INTERVAL),
            Ok(Progress::Closed) | Err(_) => return,
        }
    }
    pipe.finish(store);
}
