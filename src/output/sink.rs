//! One output: standard output or a file.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::{fd::AsFd, unix::fs::MetadataExt},
};

use super::OutputError;

/// Bytes gathered before they are written.
const BLOCK: usize = 256 << 10;

/// The device number of `/dev/null`, which is the same on every Linux: major 1, minor 3.
const NULL_DEVICE: u64 = libc::makedev(1, 3);

/// Bytes kept at most while they cannot be written; lines beyond are dropped and counted.
pub const MAX_PENDING: usize = 16 << 20;

/// What becomes of what a file holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It is replaced: a replay starts afresh.
    Replace,
    /// It is kept and added to: a sensor goes on after a restart.
    Append,
}

/// An open output.
///
/// `0 <= written <= buffer.len()`, and `buffer[..written]` is on its way out already; it always ends in a line's end but
/// where a pipe took part of a line.
#[derive(Debug)]
pub struct Sink {
    path: String,
    file: File,
    /// For a regular file, its length up to the last line written in full.
    complete: Option<u64>,
    buffer: Vec<u8>,
    written: usize,
    dropped_lines: u64,
    /// Whether the file is `/dev/null`, which keeps nothing.
    is_null: bool,
    /// Whether the reader at the other end of a pipe has gone away. Then lines are counted instead of written.
    is_abandoned: bool,
    undelivered_lines: u64,
}

impl Sink {
    /// Opens a path for writing; `-` is standard output.
    pub fn open(path: &str, opening: Opening) -> Result<Self, OutputError> {
        let failed = |source| OutputError::Open { path: path.to_owned(), source };
        let (file, complete, unfinished) = open_file(path, opening).map_err(failed)?;
        let is_null = file.metadata().is_ok_and(|opened| opened.rdev() == NULL_DEVICE);
        let path = if path == "-" { "standard output".to_owned() } else { path.to_owned() };
        // A line that a crash cut short must not swallow the next one.
        let buffer = if unfinished { vec![b'\n'] } else { Vec::new() };
        Ok(Self {
            path,
            file,
            complete,
            buffer,
            written: 0,
            dropped_lines: 0,
            is_null,
            is_abandoned: false,
            undelivered_lines: 0,
        })
    }

    /// The buffer to append complete lines to, each with its line feed; call [`submit`](Self::submit) after.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Writes the buffer out when it has grown to a block.
    #[inline]
    pub fn submit(&mut self) -> Result<(), OutputError> {
        if self.buffer.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    /// Appends complete lines.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), OutputError> {
        self.buffer.extend_from_slice(lines);
        self.submit()
    }

    /// Writes out all that was submitted. After an error the lines are kept, up to [`MAX_PENDING`], and nothing of a line
    /// that is not complete stays in a file.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if self.is_abandoned {
            self.count_undelivered();
            return Ok(());
        }
        while self.written < self.buffer.len() {
            match self.file.write(&self.buffer[self.written..]) {
                Ok(0) => return Err(self.failed(ErrorKind::WriteZero.into())),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        if let Some(complete) = &mut self.complete {
            *complete += self.written as u64;
        }
        self.buffer.clear();
        self.written = 0;
        Ok(())
    }

    /// Complete lines that are not in the file yet.
    pub fn unwritten(&self) -> &[u8] {
        &self.buffer[self.written..]
    }

    /// Opens the path anew, to add to it, where its file was moved away or deleted: logs are rotated that way. Whether it was.
    pub fn reopen(&mut self) -> Result<bool, OutputError> {
        let is_same = |here: &Metadata, held: &Metadata| (here.dev(), here.ino()) == (held.dev(), held.ino());
        let held = self.file.metadata().ok().filter(Metadata::is_file);
        if held.is_none_or(|held| std::fs::metadata(&self.path).is_ok_and(|here| is_same(&here, &held))) {
            return Ok(false);
        }
        let mut fresh = Self::open(&self.path, Opening::Append)?;
        fresh.take_over(self);
        *self = fresh;
        Ok(true)
    }

    /// Takes over the lines that another sink, which is done with, cannot write.
    pub fn take_over(&mut self, other: &mut Self) {
        // What cannot be written there is written here.
        let _ = other.flush();
        self.buffer.extend_from_slice(other.unwritten());
        self.dropped_lines += other.dropped_lines;
        self.undelivered_lines += other.undelivered_lines;
        other.buffer.clear();
        other.written = 0;
    }

    /// The path as messages name it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Lines dropped because they could not be written for too long.
    pub fn dropped_lines(&self) -> u64 {
        self.dropped_lines
    }

    /// Lines that found no reader: it went away before they were written.
    pub fn undelivered_lines(&self) -> u64 {
        self.undelivered_lines
    }

    /// Whether what is written here can still be of use: somebody reads it, and it is not `/dev/null`.
    pub fn is_useful(&self) -> bool {
        !self.is_abandoned && !self.is_null
    }

    /// Counts what is in the buffer as not delivered. A line that a pipe took in part counts too.
    fn count_undelivered(&mut self) {
        self.undelivered_lines += memchr::memchr_iter(b'\n', self.unwritten()).count() as u64;
        self.buffer.clear();
        self.written = 0;
    }

    fn failed(&mut self, source: io::Error) -> OutputError {
        if source.kind() == ErrorKind::BrokenPipe {
            self.is_abandoned = true;
            self.count_undelivered();
            return OutputError::ClosedPipe { path: self.path.clone() };
        }
        self.take_back_unfinished_line();
        self.drop_beyond_limit();
        OutputError::Write { path: self.path.clone(), source }
    }

    /// Keeps in a file what was written up to the last line's end, and the rest for the next try.
    fn take_back_unfinished_line(&mut self) {
        let Some(complete) = self.complete else { return };
        let whole = memchr::memrchr(b'\n', &self.buffer[..self.written]).map_or(0, |at| at + 1);
        let end = complete + whole as u64;
        // Where even this fails, the next flush starts at the same place and repeats nothing.
        let cut = self.file.set_len(end).and_then(|()| self.file.seek(SeekFrom::Start(end)));
        if cut.is_ok() {
            self.complete = Some(end);
            self.buffer.drain(..whole);
            self.written = 0;
        }
    }

    fn drop_beyond_limit(&mut self) {
        if self.buffer.len() <= MAX_PENDING {
            return;
        }
        // The oldest lines tell how it began: the newest go.
        let keep =
            memchr::memrchr(b'\n', &self.buffer[..MAX_PENDING]).map_or(self.written, |at| at + 1).max(self.written);
        self.dropped_lines += memchr::memchr_iter(b'\n', &self.buffer[keep..]).count() as u64;
        self.buffer.truncate(keep);
    }
}

impl Drop for Sink {
    /// Tries to write what is left; who needs to know whether that worked calls [`flush`](Sink::flush) first.
    fn drop(&mut self) {
        let _unreported = self.flush();
    }
}

/// The file, its length if it is a regular one, and whether it ends within a line.
fn open_file(path: &str, opening: Opening) -> io::Result<(File, Option<u64>, bool)> {
    if path == "-" {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        return Ok((file, None, false));
    }
    let mut options = OpenOptions::new();
    options.create(true).write(true);
    match opening {
        Opening::Replace => options.truncate(true),
        Opening::Append => options.read(is_regular(path)).truncate(false),
    };
    let mut file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Ok((file, None, false));
    }
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if opening == Opening::Append && length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok((file, Some(length), last != [b'\n']))
}

/// Whether a path is a regular file or will become one. Reading is asked of nothing else: a pipe would never end.
fn is_regular(path: &str) -> bool {
    std::fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    fn file_in(folder: &tempfile::TempDir, name: &str) -> String {
        folder.path().join(name).to_str().unwrap().to_owned()
    }

    #[test]
    fn replaces_or_appends() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder, "out");
        for (opening, line, expected) in [
            (Opening::Replace, "one\n", "one\n"),
            (Opening::Append, "two\n", "one\ntwo\n"),
            (Opening::Replace, "three\n", "three\n"),
        ] {
            let mut sink = Sink::open(&path, opening).unwrap();
            sink.write(line.as_bytes()).unwrap();
            sink.flush().unwrap();
            assert_eq!(read(&path), expected);
        }
        std::fs::write(&path, "torn by a crash").unwrap();
        let mut sink = Sink::open(&path, Opening::Append).unwrap();
        sink.write(b"next\n").unwrap();
        drop(sink);
        assert_eq!(read(&path), "torn by a crash\nnext\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder, "out");
        let mut sink = Sink::open(&path, Opening::Append).unwrap();
        sink.write(b"before\n").unwrap();
        assert!(!sink.reopen().unwrap(), "nothing has changed");
        let moved = file_in(&folder, "out.1");
        std::fs::rename(&path, &moved).unwrap();
        assert!(sink.reopen().unwrap());
        sink.write(b"after\n").unwrap();
        sink.flush().unwrap();
        assert_eq!((read(&moved), read(&path)), ("before\n".into(), "after\n".into()));
        assert!(!Sink::open("/dev/null", Opening::Append).unwrap().reopen().unwrap());
    }

    #[test]
    fn lines_that_one_sink_cannot_write_are_written_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder, "out");
        let mut full = Sink::open("/dev/full", Opening::Append).unwrap();
        full.write(b"kept\n").unwrap();
        assert!(full.flush().is_err());
        let mut next = Sink::open(&path, Opening::Append).unwrap();
        next.take_over(&mut full);
        next.flush().unwrap();
        assert_eq!((read(&path), full.unwritten()), ("kept\n".into(), &b""[..]));
    }

    #[test]
    fn writes_in_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder, "out");
        let mut sink = Sink::open(&path, Opening::Replace).unwrap();
        sink.write(b"small\n").unwrap();
        assert_eq!(read(&path), "");
        sink.write(&[b"x".repeat(BLOCK), b"\n".to_vec()].concat()).unwrap();
        assert_eq!(read(&path).len(), BLOCK + 7);
    }

    #[test]
    fn errors_name_path_and_reason() {
        let error = Sink::open("/nonexistent/folder/out", Opening::Replace).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot open /nonexistent/folder/out for writing: No such file or directory (os error 2)"
        );
        let mut full = Sink::open("/dev/full", Opening::Append).unwrap();
        full.write(b"line\n").unwrap();
        let error = full.flush().unwrap_err();
        assert_eq!(error.to_string(), "cannot write to /dev/full: No space left on device (os error 28)");
        assert!(!error.is_closed_pipe());
        assert_eq!(full.buffer(), b"line\n", "kept for the next try");
    }

    #[test]
    fn a_closed_pipe_is_told_apart() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let path = "standard output".to_owned();
        let mut sink = Sink {
            path,
            file,
            complete: None,
            buffer: b"line\n".to_vec(),
            written: 0,
            dropped_lines: 0,
            is_null: false,
            is_abandoned: false,
            undelivered_lines: 0,
        };
        assert!(sink.flush().unwrap_err().is_closed_pipe());
        assert_eq!((sink.undelivered_lines(), sink.is_useful()), (1, false));
        sink.write(b"nobody\nreads\n").unwrap();
        sink.flush().unwrap();
        assert_eq!((sink.undelivered_lines(), sink.unwritten()), (3, &b""[..]), "told once, then counted");
    }

    #[test]
    fn part_of_a_line_is_taken_back_and_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder, "out");
        let mut sink = Sink::open(&path, Opening::Replace).unwrap();
        sink.write(b"first\nsecond\n").unwrap();
        // As after a write that the disk took up to the middle of the second line.
        sink.file.write_all(b"first\nsec").unwrap();
        sink.written = 9;
        let _error = sink.failed(ErrorKind::StorageFull.into());
        assert_eq!(read(&path), "first\n");
        sink.write(b"third\n").unwrap();
        sink.flush().unwrap();
        assert_eq!(read(&path), "first\nsecond\nthird\n");
    }

    #[test]
    fn what_cannot_be_written_for_long_is_dropped_and_counted() {
        let mut full = Sink::open("/dev/full", Opening::Append).unwrap();
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        while full.dropped_lines() == 0 {
            let _refused = full.write(&line);
        }
        assert!(full.buffer().len() <= MAX_PENDING);
        assert_eq!(full.buffer().last(), Some(&b'\n'));
    }
}
