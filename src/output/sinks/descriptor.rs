//! Documents into an open file, pipe or device.
//!
//! In: a batch. Out: its bytes, written. Promises: an error leaves no part of a document in a regular file; where a pipe took part
//! of a document, the rest of it follows first with the next call.

use std::{
    fs::File,
    io::{self, ErrorKind, Seek, SeekFrom, Write},
};

use super::super::{Accepted, OutputError};
use crate::document::Batch;

/// The device number of `/dev/null`, which is the same on every Linux: major 1, minor 3.
const NULL_DEVICE: u64 = libc::makedev(1, 3);

/// An open file, pipe or device that documents are written to.
#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) file: File,
    /// Whether this is a regular file that only this descriptor writes.
    is_regular: bool,
    /// Bytes of the batch's first document that have been written already.
    ahead: usize,
}

impl Descriptor {
    /// Writes behind what is there.
    pub(super) fn new(file: File) -> Self {
        Self { file, is_regular: false, ahead: 0 }
    }

    /// Writes to a regular file that nobody else writes, and takes parts of documents back after an error.
    pub(super) fn regular(file: File) -> Self {
        Self { file, is_regular: true, ahead: 0 }
    }

    /// Writes the batch. `name` is what errors call the target.
    pub(super) fn write(&mut self, batch: &mut Batch, name: &str) -> Result<Accepted, OutputError> {
        let mut written = self.ahead;
        let problem = loop {
            let Some(rest) = batch.bytes().get(written..).filter(|rest| !rest.is_empty()) else { break None };
            match self.file.write(rest) {
                Ok(0) => break Some(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        let (documents, bytes) = batch.documents_within(written);
        batch.release(documents);
        self.ahead = written - bytes;
        match problem {
            None => Ok(Accepted { documents, bytes, owed: batch.len() }),
            Some(source) => Err(self.failed(source, name)),
        }
    }

    /// Ends a line that was cut short before this file was opened.
    pub(super) fn end_line(&mut self, name: &str) -> Result<(), OutputError> {
        self.file.write_all(b"\n").map_err(|source| self.failed(source, name))
    }

    fn failed(&mut self, source: io::Error, name: &str) -> OutputError {
        let path = name.to_owned();
        if source.kind() == ErrorKind::BrokenPipe {
            return OutputError::ClosedPipe { path };
        }
        self.take_back_unfinished();
        OutputError::Write { path, source }
    }

    /// Takes the part of a document that was written out of a regular file again. Where even this fails, the next write goes on
    /// within the document.
    fn take_back_unfinished(&mut self) {
        if !self.is_regular || self.ahead == 0 {
            return;
        }
        // The length is asked for, because the file may have been emptied since (`copytruncate` of logrotate).
        let cut = || -> io::Result<u64> {
            let complete = self.file.metadata()?.len().saturating_sub(self.ahead as u64);
            self.file.set_len(complete)?;
            (&self.file).seek(SeekFrom::Start(complete))
        };
        if cut().is_ok() {
            self.ahead = 0;
        }
    }

    /// Returns whether this is `/dev/null`, which keeps nothing.
    pub(super) fn is_null(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().is_ok_and(|opened| opened.rdev() == NULL_DEVICE)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::output::testing::batch;

    #[test]
    fn a_closed_pipe_is_told_apart() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut descriptor = Descriptor::new(File::from(OwnedFd::from(writer)));
        let error = descriptor.write(&mut batch(&["line\n"]), "standard output").unwrap_err();
        assert!(error.is_closed_pipe());
        assert_eq!(error.to_string(), "the reader of standard output has gone away");
    }

    #[test]
    fn part_of_a_document_is_taken_back_and_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let read = || std::fs::read_to_string(&path).unwrap();
        let mut descriptor = Descriptor::regular(File::create(&path).unwrap());
        let mut pending = batch(&["first\n", "second\n"]);
        // As after a write that the disk took up to the middle of the second document.
        descriptor.file.write_all(b"first\nsec").unwrap();
        let (documents, bytes) = pending.documents_within(9);
        pending.release(documents);
        descriptor.ahead = 9 - bytes;
        let _error = descriptor.failed(ErrorKind::StorageFull.into(), "out");
        assert_eq!(read(), "first\n");
        pending.append(&mut batch(&["third\n"]));
        assert_eq!(descriptor.write(&mut pending, "out").unwrap(), Accepted { documents: 2, bytes: 13, owed: 0 });
        assert_eq!(read(), "first\nsecond\nthird\n");
    }

    #[test]
    fn a_pipe_that_took_part_of_a_document_gets_the_rest_of_it_first() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut descriptor = Descriptor::new(File::from(OwnedFd::from(writer)));
        let mut pending = batch(&["first\n", "second\n"]);
        descriptor.file.write_all(b"fir").unwrap();
        descriptor.ahead = 3;
        descriptor.write(&mut pending, "out").unwrap();
        drop(descriptor);
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "first\nsecond\n");
    }
}
