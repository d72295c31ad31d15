//! Reads a stream ahead on a thread of its own, so that decompression and decoding use two cores.
//!
//! In: any reader. Out: a reader of the same bytes and the same error. The thread reads at most [`BLOCKS`] blocks of [`BLOCK`]
//! bytes ahead. When the reader is dropped, the thread ends after its current read.

use std::{
    io::{self, ErrorKind, Read},
    thread,
};

use crossbeam_channel::{Receiver, Sender, bounded};

/// Bytes in a block.
const BLOCK: usize = 256 * 1024;
/// Most blocks read ahead.
const BLOCKS: usize = 8;

/// Reads `input` ahead on a thread of its own. If the system gives no thread, `input` itself is returned.
pub(super) fn read_ahead(input: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
    let (to_reader, full) = bounded(BLOCKS);
    let (give_back, empty) = bounded(BLOCKS);
    // The input goes to the thread by channel, so that it is still here when the thread cannot be started.
    let (hand_over, input_for_thread) = bounded(1);
    let started = thread::Builder::new().name("decompress".into()).spawn(move || {
        if let Ok(input) = input_for_thread.recv() {
            read_blocks(input, &to_reader, &empty);
        }
    });
    if started.is_err() {
        return input;
    }
    match hand_over.send(input) {
        Ok(()) => Box::new(Ahead { full, give_back, block: Vec::new(), at: 0, ended: false }),
        Err(refused) => refused.into_inner(),
    }
}

/// The receiving end of the thread.
struct Ahead {
    full: Receiver<io::Result<Vec<u8>>>,
    give_back: Sender<Vec<u8>>,
    /// The unread bytes are `block[at..]`.
    block: Vec<u8>,
    at: usize,
    /// The input has ended or failed.
    ended: bool,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.at == self.block.len() && !self.ended {
            let next = match self.full.recv() {
                Ok(next) => next,
                // The thread sends an empty block when the input ends. If it has gone without one, it has failed.
                Err(_) => Err(io::Error::other("the reading thread has failed")),
            };
            self.ended = !matches!(&next, Ok(block) if !block.is_empty());
            let used = std::mem::replace(&mut self.block, next?);
            self.at = 0;
            // If the channel is full, there are enough blocks, and this one is freed.
            let _ = self.give_back.try_send(used);
        }
        let read = self.block.get(self.at..).unwrap_or_default().read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

/// Sends blocks until the input ends or fails, or the reader is dropped. An empty block marks the end.
fn read_blocks(mut input: Box<dyn Read + Send>, to_reader: &Sender<io::Result<Vec<u8>>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut block = empty.try_recv().unwrap_or_default();
        block.resize(BLOCK, 0);
        let (filled, result) = fill(&mut *input, &mut block, to_reader);
        block.truncate(filled);
        let ended = filled == 0 || result.is_err();
        if (filled > 0 || result.is_ok()) && to_reader.send(Ok(block)).is_err() {
            return;
        }
        if let Err(error) = result {
            // Sending fails only when the reader was dropped.
            let _ = to_reader.send(Err(error));
        }
        if ended {
            return;
        }
    }
}

/// Fills the block until it is full, the input ends, or the reader waits for bytes.
fn fill(
    input: &mut (dyn Read + Send),
    block: &mut [u8],
    to_reader: &Sender<io::Result<Vec<u8>>>,
) -> (usize, io::Result<()>) {
    let mut filled = 0;
    while let Some(free) = block.get_mut(filled..).filter(|free| !free.is_empty()) {
        match input.read(free) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return (filled, Err(error)),
        }
        if to_reader.is_empty() {
            break;
        }
    }
    (filled, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Chunks(Vec<io::Result<Vec<u8>>>);

    impl Read for Chunks {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let mut chunk = self.0.remove(0)?;
            let read = chunk.len().min(buffer.len());
            buffer[..read].copy_from_slice(&chunk[..read]);
            if read < chunk.len() {
                self.0.insert(0, Ok(chunk.split_off(read)));
            }
            Ok(read)
        }
    }

    #[test]
    fn same_bytes_then_same_error() {
        let chunks: Vec<Vec<u8>> = (0..500u32).map(|n| vec![n as u8; n as usize * 7 % 5_000 + 1]).collect();
        let expected = chunks.concat();
        let mut script: Vec<io::Result<Vec<u8>>> = chunks.into_iter().map(Ok).collect();
        script.push(Err(io::Error::new(ErrorKind::InvalidData, "broken here")));
        let mut ahead = read_ahead(Box::new(Chunks(script)));
        let mut got = Vec::new();
        let error = ahead.read_to_end(&mut got).unwrap_err();
        assert_eq!(error.to_string(), "broken here");
        assert_eq!(got, expected);
        assert_eq!(ahead.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn a_reader_that_is_dropped_ends_the_thread() {
        struct Endless(#[expect(dead_code)] crossbeam_channel::Sender<()>);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer.fill(1);
                Ok(buffer.len())
            }
        }
        let (held, ended) = bounded(1);
        drop(read_ahead(Box::new(Endless(held))));
        let waited = ended.recv_timeout(std::time::Duration::from_secs(60));
        assert_eq!(waited, Err(crossbeam_channel::RecvTimeoutError::Disconnected));
    }
}
