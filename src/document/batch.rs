//! Documents as bytes, on their way to a sink.
//!
//! In: documents, as an encoding writes them. Out: their bytes one after the other, and for each document a small [`Entry`] that
//! says what it is and where it ends. Promises: documents leave from the front, in order, and each has a number that counts on
//! over the life of the batch; no document is ever cut.
//!
//! A sink that writes to a file needs only [`bytes`](Batch::bytes). One that sends over a network reads [`iter`](Batch::iter):
//! each document's bytes with the kind, identifier, time and route that its request needs, without reading the bytes again.

use super::{Document, Identifier, Kind, Route};
use crate::{address::Address, time::Timestamp};

/// Documents as bytes. See the module's documentation.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Data streams that entries name by index. Few: the datasets of one sensor.
    streams: Vec<Stream>,
    /// The number of the first document.
    first: u64,
}

/// What is known of one document beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    time: Timestamp,
    client: Option<Address>,
    id: Identifier,
    /// Where its bytes end.
    end: usize,
    stream: u16,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
struct Stream {
    dataset: Box<str>,
    namespace: Box<str>,
}

/// One document of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded<'a> {
    /// Its number: one more than that of the document before it.
    pub number: u64,
    /// What it is.
    pub kind: Kind,
    /// Its identifier.
    pub id: Identifier,
    /// Its time.
    pub time: Timestamp,
    /// Where it belongs.
    pub route: Route<'a>,
    /// The bytes that the encoding made, with what ends them.
    pub bytes: &'a [u8],
}

impl Batch {
    /// Appends a document, whose bytes `write` appends.
    #[inline]
    pub fn push<R>(&mut self, document: &Document<'_>, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let result = write(&mut self.bytes);
        let stream = self.stream(document.route.dataset, document.route.namespace);
        self.entries.push(Entry {
            time: document.time,
            client: document.route.client,
            id: document.id,
            end: self.bytes.len(),
            stream,
            kind: document.kind(),
        });
        result
    }

    /// The bytes of all documents.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many documents there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no document.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of the first document, or of the next one where there is none. The documents before it have left.
    pub fn first_number(&self) -> u64 {
        self.first
    }

    /// The documents in order.
    pub fn iter(&self) -> impl Iterator<Item = Encoded<'_>> {
        let starts = std::iter::once(0).chain(self.entries.iter().map(|entry| entry.end));
        (self.first..).zip(self.entries.iter().zip(starts)).map(|(number, (entry, start))| {
            let stream = self.streams.get(usize::from(entry.stream));
            Encoded {
                number,
                kind: entry.kind,
                id: entry.id,
                time: entry.time,
                route: Route {
                    dataset: stream.map_or("", |stream| &stream.dataset),
                    namespace: stream.map_or("", |stream| &stream.namespace),
                    client: entry.client,
                },
                bytes: self.bytes.get(start..entry.end).unwrap_or_default(),
            }
        })
    }

    /// How many documents end within the first `bytes`, and how many bytes those have.
    pub fn documents_within(&self, bytes: usize) -> (usize, usize) {
        let documents = self.entries.partition_point(|entry| entry.end <= bytes);
        (documents, self.end_of(documents))
    }

    /// Lets the first documents go: they have been accepted, or nobody wants them.
    pub fn release(&mut self, documents: usize) {
        let documents = documents.min(self.entries.len());
        self.first += documents as u64;
        if documents == self.entries.len() {
            self.bytes.clear();
            self.entries.clear();
            return;
        }
        let end = self.end_of(documents);
        self.bytes.drain(..end);
        self.entries.drain(..documents);
        self.entries.iter_mut().for_each(|entry| entry.end -= end);
    }

    /// Drops the newest documents until no more than `bytes` are left, but never the first one. Returns how many were dropped.
    pub fn drop_beyond(&mut self, bytes: usize) -> usize {
        let (fitting, _) = self.documents_within(bytes);
        let keep = fitting.max(1).min(self.entries.len());
        let dropped = self.entries.len() - keep;
        self.bytes.truncate(self.end_of(keep));
        self.entries.truncate(keep);
        dropped
    }

    /// Moves the documents of another batch behind those of this one.
    pub fn append(&mut self, other: &mut Self) {
        let start = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        for mut entry in other.entries.drain(..) {
            let route = other.streams.get(usize::from(entry.stream));
            let (dataset, namespace) = route.map_or(("", ""), |stream| (&stream.dataset, &stream.namespace));
            entry.stream = self.stream(dataset, namespace);
            entry.end += start;
            self.entries.push(entry);
        }
    }

    /// Where the first `documents` end.
    fn end_of(&self, documents: usize) -> usize {
        documents.checked_sub(1).and_then(|last| self.entries.get(last)).map_or(0, |entry| entry.end)
    }

    /// The index of a data stream. Mostly that of the document before.
    #[inline]
    fn stream(&mut self, dataset: &str, namespace: &str) -> u16 {
        let is_same = |stream: &Stream| &*stream.dataset == dataset && &*stream.namespace == namespace;
        if let Some(last) = self.entries.last()
            && self.streams.get(usize::from(last.stream)).is_some_and(is_same)
        {
            return last.stream;
        }
        self.stream_among_all(dataset, namespace)
    }

    #[cold]
    fn stream_among_all(&mut self, dataset: &str, namespace: &str) -> u16 {
        let known =
            self.streams.iter().position(|stream| &*stream.dataset == dataset && &*stream.namespace == namespace);
        let index = known.unwrap_or_else(|| {
            if self.entries.is_empty() {
                // No document names any: a sensor whose namespace is changed again and again keeps no list of them.
                self.streams.clear();
            }
            self.streams.push(Stream { dataset: dataset.into(), namespace: namespace.into() });
            self.streams.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Value;

    fn push(batch: &mut Batch, dataset: &str, line: &str) {
        let route = Route { dataset, namespace: "default", client: None };
        let document = Document {
            id: Identifier::default(),
            time: Timestamp::EPOCH,
            route,
            value: Value::AlertLine(line.as_bytes()),
        };
        batch.push(&document, |out| out.extend_from_slice(line.as_bytes()));
    }

    fn batch(lines: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for (line, dataset) in lines.iter().zip(["nginx.error", "apache.error", "nginx.error"].iter().cycle()) {
            push(&mut batch, dataset, line);
        }
        batch
    }

    fn content(batch: &Batch) -> Vec<(u64, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        batch
            .iter()
            .map(|document| (document.number, document.route.dataset.to_owned(), text(document.bytes)))
            .collect()
    }

    #[test]
    fn documents_leave_from_the_front_and_numbers_count_on() {
        let mut batch = batch(&["one\n", "two\n", "three\n"]);
        assert_eq!(batch.documents_within(7), (1, 4));
        assert_eq!(batch.documents_within(8), (2, 8));
        batch.release(1);
        assert_eq!(
            content(&batch),
            [(1, "apache.error".into(), "two\n".into()), (2, "nginx.error".into(), "three\n".into())]
        );
        batch.release(2);
        push(&mut batch, "iis.error", "four\n");
        assert_eq!(content(&batch), [(3, "iis.error".into(), "four\n".into())]);
        batch.release(7);
        assert_eq!((batch.len(), batch.bytes(), batch.first_number()), (0, &b""[..], 4));
    }

    #[test]
    fn the_newest_documents_go_where_there_are_too_many() {
        for (most, left) in [(100, 3), (14, 3), (13, 2), (8, 2), (7, 1), (0, 1)] {
            let mut batch = batch(&["one\n", "two\n", "three\n"]);
            assert_eq!((batch.drop_beyond(most), batch.len()), (3 - left, left), "at most {most} bytes");
            assert!(batch.bytes().ends_with(b"\n"));
        }
        assert_eq!(Batch::default().drop_beyond(0), 0);
    }

    #[test]
    fn another_batch_is_moved_behind() {
        let (mut one, mut other) = (batch(&["one\n"]), batch(&["a\n", "b\n"]));
        one.append(&mut other);
        let expected = [(0, "nginx.error", "one\n"), (1, "nginx.error", "a\n"), (2, "apache.error", "b\n")];
        assert_eq!(content(&one), expected.map(|(number, dataset, line)| (number, dataset.into(), line.into())));
        assert!(other.is_empty() && other.bytes().is_empty());
    }
}
