//! Reads the key logs that are FIFOs while a replay runs.
//!
//! In: open FIFOs. Out: their secrets, as they come; notices about FIFOs that gave none. Promises: the replay waits for a writer only
//! within the bounds of [`Patience`], and says so; each thread ends at the end of its FIFO, or within [`INTERVAL`] after the readers
//! are dropped.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::{
    Notice, Store, Warning, Whole,
    followed::{Followed, Progress},
};

/// Time between two looks into a FIFO that has nothing to read.
const INTERVAL: Duration = Duration::from_millis(20);

/// Bytes to read at once. A pipe holds no more.
const BLOCK: usize = 64 << 10;

/// How long a replay waits for FIFOs before it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How long for a writer. After this time people are told what the replay waits for.
    pub(super) opening: Duration,
    /// How long for more bytes of a writer that has written some.
    pub(super) silence: Duration,
    /// How long in all, for a writer that has the FIFO open.
    pub(super) longest: Duration,
}

impl Patience {
    /// A shell's process substitution (`<(zcat keys.gz)`) ends within these times, so its secrets are there before the packets.
    pub(super) const OF_REPLAY: Self =
        Self { opening: Duration::from_secs(1), silence: Duration::from_secs(3), longest: Duration::from_secs(60) };
}

/// How far reading a FIFO came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No writer was noticed.
    Unopened,
    /// A writer has it open and has written nothing yet.
    Silent,
    /// A writer has written, most recently at this time, and has not closed it.
    Giving(Instant),
    /// It was closed, or cannot be read. The notice is `None` if it had secrets.
    Ended(Option<Warning>),
}

impl Stage {
    /// Returns whether the replay waits for the FIFO `elapsed` after it began to wait.
    fn is_awaited(self, patience: Patience, elapsed: Duration) -> bool {
        match self {
            Self::Unopened => elapsed < patience.opening,
            Self::Silent => elapsed < patience.longest,
            Self::Giving(last) => elapsed < patience.longest && last.elapsed() < patience.silence,
            Self::Ended(_) => false,
        }
    }

    /// What people should know when the replay begins.
    fn warning(self, patience: Patience) -> Option<Warning> {
        match self {
            Self::Unopened => Some(Warning::NoWriter(patience.opening)),
            Self::Silent => Some(Warning::NothingInTime(patience.longest)),
            Self::Giving(last) if last.elapsed() < patience.silence => Some(Warning::NotWholeInTime(patience.longest)),
            Self::Giving(_) => None,
            Self::Ended(warning) => warning,
        }
    }
}

/// A thread that reads a FIFO.
struct Reader {
    path: PathBuf,
    stage: Arc<Mutex<Stage>>,
    thread: JoinHandle<()>,
}

impl Reader {
    fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads that read FIFOs. Dropping it ends them.
#[derive(Default)]
pub(super) struct PipeReaders {
    stop: Arc<AtomicBool>,
    readers: Vec<Reader>,
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
            let (path, stage) = (pipe.path.clone(), Arc::new(Mutex::new(Stage::Unopened)));
            let told = Arc::clone(&stage);
            let read = move || read_to_end(&mut pipe, &store, &stop, &told);
            let thread = thread::Builder::new().name("tls-keys".into()).spawn(read)?;
            readers.readers.push(Reader { path, stage, thread });
        }
        Ok(readers)
    }

    /// Waits for the FIFOs. Calls `tell` with the path of each FIFO whose writer takes long, once. Returns what people should know of
    /// the FIFOs when the replay begins.
    pub(super) fn wait(&self, patience: Patience, mut tell: impl FnMut(&Path)) -> Vec<Notice> {
        let started = Instant::now();
        let mut is_told = false;
        loop {
            let elapsed = started.elapsed();
            let awaited = || self.readers.iter().filter(|reader| reader.stage().is_awaited(patience, elapsed));
            if awaited().next().is_none() {
                break;
            }
            if elapsed >= patience.opening && !is_told {
                is_told = true;
                awaited().for_each(|reader| tell(&reader.path));
            }
            thread::sleep(INTERVAL / 4);
        }
        let notice = |reader: &Reader| Some(Notice::new(&reader.path, reader.stage().warning(patience)?));
        self.readers.iter().filter_map(notice).collect()
    }
}

impl Drop for PipeReaders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that ended in a defect has told of it already.
        self.readers.drain(..).for_each(|reader| drop(reader.thread.join()));
    }
}

fn read_to_end(pipe: &mut Followed, store: &Store, stop: &AtomicBool, stage: &Mutex<Stage>) {
    let mut buffer = Zeroizing::new(vec![0; BLOCK]);
    let mut bytes = 0;
    let set = |new: Stage| *stage.lock().unwrap_or_else(PoisonError::into_inner) = new;
    while !stop.load(Ordering::Relaxed) {
        match pipe.read_once(store, &mut buffer, &mut bytes) {
            Ok(Progress::More) => set(Stage::Giving(Instant::now())),
            Ok(Progress::UpToDate) => {
                if bytes == 0 && pipe.has_writer() {
                    set(Stage::Silent);
                }
                thread::sleep(INTERVAL);
            }
            Ok(Progress::Closed) => {
                set(Stage::Ended((!pipe.has_secrets()).then_some(Warning::NoSecrets)));
                return;
            }
            Err(error) => {
                set(Stage::Ended(Some(Warning::UnreadableFifo(error.kind()))));
                return;
            }
        }
    }
    pipe.finish(store);
}
