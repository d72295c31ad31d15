//! A batch: encoded documents that wait for a sink.
//!
//! In: documents, as an encoding writes them. Out: their bytes, one document after the other, and for each document a small
//! [`Entry`] with its kind and its end. Promises: documents are removed from the front, in order. Their numbers continue
//! over the life of the batch. No document is ever cut.
//!
//! A sink that writes to a file needs only [`bytes`](Batch::bytes). A sink that sends over a network reads
//! [`iter`](Batch::iter): the bytes of each document, and the kind, identifier, time and route that its request needs. It
//! does not have to parse the bytes.

use super::{Document, Identifier, Kind, Route};
use crate::{address::Address, time::Timestamp};

/// Encoded documents. See the module's documentation.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The data streams, which entries name by index. They are few: one for each dataset of the sensor.
    streams: Vec<Stream>,
    /// The number of the first document.
    first: u64,
}

/// The facts about one document, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    time: Timestamp,
    client: Option<Address>,
    id: Identifier,
    /// The end of the document's bytes within the batch.
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
    /// The document's number. Each document has the next number.
    pub number: u64,
    /// The kind.
    pub kind: Kind,
    /// The identifier.
    pub id: Identifier,
    /// The time.
    pub time: Timestamp,
    /// The route.
    pub route: Route<'a>,
    /// The bytes that the encoding made, with the line end or other end mark.
    pub bytes: &'a [u8],
}

impl Batch {
    /// Appends a document. `write` appends its bytes.
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

    /// The number of documents.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no document.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of the first document. In an empty batch, the number of the next document to come. All documents with
    /// smaller numbers have been removed.
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

    /// Returns how many documents lie completely within the first `bytes`, and the total length of these documents.
    pub fn documents_within(&self, bytes: usize) -> (usize, usize) {
        let documents = self.entries.partition_point(|entry| entry.end <= bytes);
        (documents, self.end_of(documents))
    }

    /// Removes the first documents, because a sink has accepted them or no sink needs them.
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

    /// Drops the newest documents until at most `bytes` are left. The first document is never dropped. Returns how many were
    /// dropped.
    pub fn drop_beyond(&mut self, bytes: usize) -> usize {
        let (fitting, _) = self.documents_within(bytes);
        let keep = fitting.max(1).min(self.entries.len());
        let dropped = self.entries.len() - keep;
        self.bytes.truncate(self.end_of(keep));
        self.entries.truncate(keep);
        dropped
    }

    /// Moves the documents of another batch to the end of this batch.
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

    /// Returns the end of the first `documents` within the bytes.
    fn end_of(&self, documents: usize) -> usize {
        documents.checked_sub(1).and_then(|last| self.entries.get(last)).map_or(0, |entry| entry.end)
    }

    /// Returns the index of a data stream. It is mostly the index of the previous document.
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
                // No document refers to a stream, so the list can be cleared. Otherwise it would grow whenever the sensor's
                // namespace changes.
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
