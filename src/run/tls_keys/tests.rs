//! Tests with real files and FIFOs. Nothing waits for a clock but the threads that read FIFOs.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

use super::{pipes::Patience, *};
use crate::{
    keyed_hash::KeyedState,
    stream::tls::secrets::{
        Label, SecretSource,
        testing::{line, random},
    },
};

fn new_store() -> Arc<Store> {
    Arc::new(Store::new(10_000, KeyedState::secret(), Vec::new()))
}

fn secret(number: u64) -> String {
    line("CLIENT_TRAFFIC_SECRET_0", number, &[7; 32])
}

fn has(store: &Store, number: u64) -> bool {
    let mut found = Vec::new();
    store.candidates(Label::ClientTraffic, &random(number), &mut found);
    found.len() == 1
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A folder and a follower of one path in it.
struct Bench {
    folder: TempDir,
    store: Arc<Store>,
    follower: Follower,
    notices: Vec<Notice>,
}

impl Bench {
    /// Follows a path in a new folder that `prepare` has put something into.
    fn new(name: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(&folder.path().join(name));
        let store = new_store();
        let follower = Follower::new(&[folder.path().join(name)], Arc::clone(&store)).unwrap();
        Self { folder, store, follower, notices: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn poll(&mut self) -> bool {
        self.follower.poll_once(&mut self.notices)
    }

    /// Polls once and returns whether a secret is there.
    fn has(&mut self, number: u64) -> bool {
        self.poll();
        has(&self.store, number)
    }

    fn warnings(&self) -> Vec<Warning> {
        self.notices.iter().map(|notice| notice.warning).collect()
    }

    fn lines(&self) -> u64 {
        self.store.counters().key_logs.lines
    }
}

#[test]
fn a_file_is_read_from_its_start_and_as_it_grows() {
    let mut bench = Bench::new("log", |path| append(path, &secret(1)));
    let path = bench.path("log");
    assert!(bench.store.expects_any() && bench.has(1));
    let text = secret(2);
    append(&path, &text[..50]);
    assert!(!bench.has(2));
    append(&path, &text[50..text.len() - 1]);
    assert!(!bench.has(2), "the line may go on");
    append(&path, "\n");
    assert!(bench.has(2));
    let generation = bench.store.generation();
    bench.poll();
    assert_eq!((bench.store.generation(), bench.lines()), (generation, 2));
    assert_eq!(bench.warnings(), []);
}

#[test]
fn a_truncated_file_is_read_anew() {
    let mut bench = Bench::new("log", |path| append(path, &(secret(1) + &secret(2) + "CLIENT_RANDOM ab")));
    let path = bench.path("log");
    assert!(bench.has(2));
    File::create(&path).unwrap();
    bench.poll();
    append(&path, &secret(3));
    assert!(bench.has(3));
    // A writer that was not told of the truncation goes on where it was.
    let writer = OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&writer, secret(4).as_bytes(), 90_000).unwrap();
    assert!(bench.has(4));
    writer.set_len(0).unwrap();
    append(&path, &secret(5));
    assert!(bench.has(5), "shorter than before, with a new line already");
    assert_eq!(bench.store.counters().key_logs.secrets_malformed, 0);
}

#[test]
fn a_rotated_file_is_read_to_its_end_and_then_the_new_one() {
    let mut bench = Bench::new("log", |path| append(path, &secret(1)));
    let (path, old) = (bench.path("log"), bench.path("log.1"));
    assert!(bench.has(1));
    append(&path, &secret(2)[..30]);
    fs::rename(&path, &old).unwrap();
    append(&old, &secret(2)[30..]);
    assert!(bench.has(2), "there is no new file yet");
    append(&path, &secret(3));
    assert!(bench.has(3));
    append(&old, &secret(4));
    assert!(bench.has(4), "the writer has not opened the new file yet");
    append(&old, secret(5).trim_end());
    for _ in 0..200 {
        bench.poll();
    }
    assert!(bench.has(5), "nobody finishes the last line of the old file");
    append(&old, &format!("\n{}", secret(6)));
    append(&path, &secret(7));
    assert!(bench.has(7) && !bench.has(6));
    assert_eq!(bench.follower.counters().files_gone, 1);
    fs::remove_file(&path).unwrap();
    fs::rename(&old, &path).unwrap();
    assert!(bench.has(6), "a file of that name is there again");
    assert_eq!(bench.warnings(), []);
}

#[test]
fn a_file_that_is_not_there_yet_is_awaited_with_one_notice() {
    let mut bench = Bench::new("log", |_| {});
    for _ in 0..20 {
        bench.poll();
    }
    append(&bench.path("log"), &secret(1));
    assert!(bench.has(1));
    assert_eq!(bench.warnings(), [Warning::Awaited]);
}

#[test]
fn files_of_a_directory_are_found_renamed_and_gone() {
    let mut bench = Bench::new("logs", |path| {
        fs::create_dir(path).unwrap();
        fs::create_dir(path.join("below")).unwrap();
        append(&path.join("below/log"), &secret(90));
        append(&path.join("b"), &secret(1));
    });
    let directory = bench.path("logs");
    assert!(bench.has(1));
    append(&directory.join("c"), &secret(2));
    append(&bench.path("elsewhere"), &secret(3));
    symlink(bench.path("elsewhere"), directory.join("link")).unwrap();
    mkfifo(&directory.join("fifo"), Mode::S_IRWXU).unwrap();
    for _ in 0..10 {
        bench.poll();
    }
    assert!(bench.has(2) && bench.has(3) && !bench.has(90));
    let lines = bench.lines();
    fs::rename(directory.join("c"), directory.join("d")).unwrap();
    append(&directory.join("d"), &secret(4));
    for _ in 0..10 {
        bench.poll();
    }
    assert!(bench.has(4));
    assert_eq!(bench.lines(), lines + 1, "a renamed file is not read twice");
    fs::remove_file(directory.join("d")).unwrap();
    for _ in 0..200 {
        bench.poll();
    }
    assert_eq!(bench.follower.counters().files_gone, 1);
    assert_eq!(bench.warnings(), []);
}

#[test]
fn only_so_many_files_of_a_directory_are_followed() {
    let mut bench = Bench::new("logs", |path| {
        fs::create_dir(path).unwrap();
        (0..300).for_each(|number| append(&path.join(format!("{number}")), &secret(number)));
    });
    while bench.poll() {}
    assert_eq!(bench.store.sizes().0, 256);
    assert_eq!(bench.warnings(), [Warning::TooManyFiles(256)]);
}

#[test]
fn a_fifo_is_read_from_one_writer_after_another() {
    let mut bench = Bench::new("fifo", |path| mkfifo(path, Mode::S_IRWXU).unwrap());
    let path = bench.path("fifo");
    bench.poll();
    for number in 0..3 {
        let mut writer = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        bench.poll();
        let text = secret(number);
        writer.write_all(&text.as_bytes()[..40]).unwrap();
        assert!(!bench.has(number));
        writer.write_all(text[40..].trim_end().as_bytes()).unwrap();
        drop(writer);
        bench.poll();
        assert!(bench.has(number), "its writer has finished the last line by closing it");
    }
    fs::remove_file(&path).unwrap();
    append(&path, &secret(9));
    assert!(bench.has(9), "a file in its place");
}

#[test]
fn a_round_is_bounded() {
    let text: String = (0..1_000).map(secret).collect();
    let mut bench = Bench::new("log", |path| append(path, &text.repeat(10)));
    let (mut rounds, mut bytes) = (0, 0);
    loop {
        let is_more = bench.poll();
        let read = bench.follower.counters().bytes - bytes;
        assert!(read <= 256 << 10, "{read}");
        (rounds, bytes) = (rounds + 1, bytes + read);
        if !is_more {
            break;
        }
    }
    assert!(rounds > 4 && bench.store.sizes().0 == 1_000);
}

/// The buffer of a live run stays as long as the run.
#[test]
fn nothing_of_a_key_log_stays_in_the_buffer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    append(&path, &(secret(1) + &secret(2)[..40]));
    let (store, mut buffer) = (new_store(), vec![1; 4_096]);
    let (mut file, metadata) = followed::Followed::open(&path, u64::MAX).unwrap().unwrap();
    file.read_once(&store, &mut buffer, &mut 0).unwrap();
    let (read, rest) = buffer.split_at(metadata.len() as usize);
    assert!(read.iter().all(|byte| *byte == 0) && rest.iter().all(|byte| *byte == 1));
    append(&path, &secret(2)[40..]);
    file.read_once(&store, &mut buffer, &mut 0).unwrap();
    assert!(has(&store, 1) && has(&store, 2), "half a line is kept elsewhere");
}

#[test]
fn a_live_run_doubts_a_file_whose_lines_hold_no_secrets() {
    let mut bench = Bench::new("log", |path| append(path, "# a comment\nEXPORTER_SECRET"));
    bench.poll();
    assert_eq!(bench.warnings(), [], "it may become a key log");
    append(&bench.path("log"), " 00 00\nGET / HTTP/1.1\n");
    bench.poll();
    bench.poll();
    assert_eq!(bench.warnings(), [Warning::NoSecrets]);
}

#[test]
fn a_file_that_cannot_be_read_is_reported_once() {
    let mut bench = Bench::new("log", |path| append(path, &secret(1)));
    fs::remove_file(bench.path("log")).unwrap();
    symlink("log", bench.path("log")).unwrap();
    for _ in 0..5 {
        bench.poll();
    }
    assert_eq!(bench.notices.len(), 1, "{:?}", bench.notices);
    assert!(matches!(bench.warnings()[..], [Warning::Unreadable(_)]));
    assert!(bench.follower.counters().failures > 1);
}

#[test]
fn the_thread_ends_when_it_is_told() {
    let bench = Bench::new("log", |path| append(path, &secret(1)));
    let (stop, stopped) = crossbeam_channel::bounded(1);
    let Bench { follower, store, folder: _folder, .. } = bench;
    let thread = std::thread::spawn(move || follower.run(&stopped, |_| {}));
    while !has(&store, 1) {
        std::thread::yield_now();
    }
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn paths_that_can_never_be_followed_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: PathBuf| Follower::new(&[path], new_store()).err().unwrap().to_string();
    let message = error(folder.path().join("missing/log"));
    assert!(message.contains("there is no folder") && message.contains("create it"), "{message}");
    assert!(error("/dev/null".into()).contains("not a file, directory or FIFO"));
    symlink("self", folder.path().join("self")).unwrap();
    assert!(error(folder.path().join("self")).contains("check the path"));
}

#[test]
fn key_logs_are_read_whole_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (file, directory) = (folder.path().join("file"), folder.path().join("logs"));
    fs::create_dir(&directory).unwrap();
    append(&file, secret(1).trim_end());
    append(&directory.join("b"), &line("CLIENT_TRAFFIC_SECRET_0", 2, &[2; 32]));
    append(&directory.join("a"), &line("CLIENT_TRAFFIC_SECRET_0", 2, &[1; 32]));
    append(&directory.join("c"), "no key log\n");
    append(&directory.join("d"), "");
    let store = new_store();
    let whole = read_whole(&[file, directory.clone()], &store).unwrap();
    let notices = [("c", Warning::NoSecrets), ("d", Warning::EmptyLog)];
    assert_eq!(whole.notices, notices.map(|(name, warning)| Notice::new(&directory.join(name), warning)));
    assert!(has(&store, 1));
    let mut found = Vec::new();
    store.candidates(Label::ClientTraffic, &random(2), &mut found);
    assert_eq!(found.iter().map(|secret| secret.bytes()[0]).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn key_logs_that_cannot_be_read_whole_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: PathBuf| read_whole(&[path], &new_store()).err().unwrap().to_string();
    let missing = folder.path().join("missing");
    let message = error(missing.clone());
    assert!(message.contains(&missing.display().to_string()) && message.contains("check the path"), "{message}");
    assert!(error("/dev/null".into()).contains("not a file, directory or FIFO"));
    let whole = read_whole(&[folder.path().to_owned()], &new_store()).unwrap();
    assert_eq!(whole.notices, [Notice::new(folder.path(), Warning::EmptyDirectory)]);
}

#[test]
fn fifos_are_read_while_a_replay_runs() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["written", "silent"].map(|name| folder.path().join(name));
    paths.iter().for_each(|path| mkfifo(path, Mode::S_IRWXU).unwrap());
    let store = new_store();
    let whole = read_whole(&paths, &store).unwrap();
    let readers = PipeReaders::start(whole, &store).unwrap();
    let mut writer = OpenOptions::new().write(true).open(&paths[0]).unwrap();
    writer.write_all((secret(1) + secret(2).trim_end()).as_bytes()).unwrap();
    drop(writer);
    while !has(&store, 2) {
        std::thread::yield_now();
    }
    assert!(has(&store, 1));
    let patience = Patience {
        opening: Duration::from_millis(1),
        silence: Duration::from_secs(1),
        longest: Duration::from_secs(1),
    };
    let notices = readers.wait(patience, |_| {});
    assert_eq!(notices, [Notice::new(&paths[1], Warning::NoWriter(patience.opening))]);
    // The other FIFO never has a writer. Its thread ends nevertheless.
    drop(readers);
}

#[test]
fn exposed_files_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    append(&path, &secret(1));
    let notices = |folder_mode: u32, mode: u32| {
        fs::set_permissions(folder.path(), Permissions::from_mode(folder_mode)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let whole = read_whole(std::slice::from_ref(&path), &new_store()).unwrap();
        whole.notices.len()
    };
    let cases = [
        (0o755, 0o600, 0),
        (0o755, 0o644, 1),
        (0o755, 0o602, 1),
        (0o755, 0o640, 1),
        (0o700, 0o644, 0),
        (0o710, 0o640, 1),
    ];
    for (folder_mode, mode, expected) in cases {
        assert_eq!(notices(folder_mode, mode), expected, "{folder_mode:o} {mode:o}");
    }
    let text = notice::Notice::new(&path, Warning::OthersCanReadLog).to_string();
    assert!(text.contains("chmod 600"), "{text}");
}

#[test]
fn private_keys_are_read_and_errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.pem");
    append(&path, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let mut notices = Vec::new();
    let message = read_private_keys(std::slice::from_ref(&path), &mut notices).unwrap_err().to_string();
    assert!(message.contains(&path.display().to_string()) && message.contains("is encrypted"), "{message}");
    assert_eq!(notices, [Notice::new(&path, Warning::OthersCanReadKey)]);
    let message = read_private_keys(&[folder.path().to_owned()], &mut notices).unwrap_err().to_string();
    assert!(message.contains("not a regular file"), "{message}");
    let message = read_private_keys(&[folder.path().join("missing")], &mut notices).unwrap_err().to_string();
    assert!(message.contains("check the path"), "{message}");
}

#[test]
fn the_sandbox_is_told_of_links() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (log, link) = (folder.join("log"), folder.join("link"));
    append(&log, "");
    symlink(&log, &link).unwrap();
    assert_eq!(paths_to_read(&[link.clone(), folder.join("later")]), [link, log, folder.join("later")]);
}
