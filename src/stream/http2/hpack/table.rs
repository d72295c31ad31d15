//! The tables of HPACK: the static one, and the known part of the dynamic one.
//!
//! In: entries, and changes of the maximum size. Out: entries by index. Promises: for every index that a valid encoder uses, the
//! answer is right or unknown; at most [`MOST_BYTES`] are kept; inserting and answering take constant time apart from the copy of
//! a value and of a new name.
//!
//! The newest entry of the dynamic table has the index 62, and the encoder evicts only the oldest. Two facts follow:
//!
//! - Entries that were inserted after a gap have the encoder's indexes, whatever was in the table before.
//! - Entries that the encoder no longer has are behind those that it has. So it is harmless to keep too many: a valid encoder
//!   never refers to them. Wherever it is unknown whether the encoder evicted an entry, the entry is kept.

use std::{collections::VecDeque, sync::Arc};

/// The size of an entry beside its name and value (RFC 7541, section 4.1).
const ENTRY_BYTES: usize = 32;
/// The maximum size at the beginning of a connection (RFC 9113, section 6.5.2).
const FIRST_MAXIMUM: usize = 4_096;
/// The most that is kept, by the RFC's measure. It limits the entries to 2,048.
const MOST_BYTES: usize = 64 << 10;
/// The number of entries of the static table.
const STATIC_ENTRIES: usize = STATIC.len();

/// The static table (RFC 7541, appendix A). Its first entry has the index 1.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// A field. A part is `None` if it is in a table entry that was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stream) struct Field<'a> {
    pub(in crate::stream) name: Option<&'a [u8]>,
    pub(in crate::stream) value: Option<&'a [u8]>,
}

/// A field of an entry that was not seen.
const UNKNOWN: Field<'static> = Field { name: None, value: None };

/// The name of an entry. Entries share it: otherwise a block of short references to a long name would cost as much as a block of
/// long names.
#[derive(Debug, Clone)]
pub(super) enum Name {
    Unknown,
    Static(&'static str),
    Shared(Arc<[u8]>),
}

impl Name {
    /// Copies a name that is not in a table.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self::Shared(bytes.into())
    }

    /// Returns the name, or `None` if it is unknown.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Unknown => None,
            Self::Static(name) => Some(name.as_bytes()),
            Self::Shared(name) => Some(name),
        }
    }
}

/// An entry of the dynamic table.
#[derive(Debug)]
struct Entry {
    name: Name,
    value: Box<[u8]>,
}

impl Entry {
    /// The size by the RFC's measure. If the name is unknown, the size is at least this.
    fn size(&self) -> usize {
        size(&self.name, &self.value)
    }
}

fn size(name: &Name, value: &[u8]) -> usize {
    ENTRY_BYTES + name.bytes().map_or(0, <[u8]>::len) + value.len()
}

/// The known part of a dynamic table. By default, nothing is known.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The newest entry is the first.
    entries: VecDeque<Entry>,
    /// The sum of the entries' sizes, at most [`MOST_BYTES`].
    size: usize,
    /// The encoder's maximum size. `None` if it is unknown.
    maximum: Option<usize>,
    /// Whether the encoder has no entries beyond the known ones.
    is_whole: bool,
}

impl Table {
    /// The empty table at the beginning of a connection.
    pub(super) fn from_start() -> Self {
        Self { maximum: Some(FIRST_MAXIMUM), is_whole: true, ..Self::default() }
    }

    /// Sets the encoder's maximum size.
    pub(super) fn resize(&mut self, maximum: usize) {
        self.maximum = Some(maximum);
        self.evict_to(maximum.min(MOST_BYTES));
        // No entry fits.
        self.is_whole |= maximum < ENTRY_BYTES;
    }

    /// Inserts an entry.
    pub(super) fn insert(&mut self, name: Name, value: &[u8]) {
        let size = size(&name, value);
        let is_too_large = self.maximum.is_some_and(|maximum| size > maximum);
        if is_too_large || size > MOST_BYTES {
            // An entry above the encoder's maximum empties its table and is not inserted (RFC 7541, section 4.4). An entry above
            // our maximum may be in the encoder's table, so all indexes from this entry on are unknown.
            self.entries.clear();
            self.size = 0;
            self.is_whole = is_too_large;
            return;
        }
        self.evict_to(self.maximum.map_or(MOST_BYTES, |maximum| maximum.min(MOST_BYTES)) - size);
        self.entries.push_front(Entry { name, value: value.into() });
        self.size += size;
    }

    /// Returns the entry with this index, or `None` if a valid encoder does not use the index.
    #[inline]
    pub(super) fn field(&self, index: usize) -> Option<Field<'_>> {
        let place = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(place) {
            return Some(Field { name: Some(name.as_bytes()), value: Some(value.as_bytes()) });
        }
        match self.entries.get(place - STATIC_ENTRIES) {
            Some(entry) => Some(Field { name: entry.name.bytes(), value: Some(&entry.value) }),
            None => (!self.is_whole).then_some(UNKNOWN),
        }
    }

    /// Returns the name of the entry with this index, or `None` if a valid encoder does not use the index.
    pub(super) fn name(&self, index: usize) -> Option<Name> {
        let place = index.checked_sub(1)?;
        if let Some((name, _)) = STATIC.get(place) {
            return Some(Name::Static(name));
        }
        match self.entries.get(place - STATIC_ENTRIES) {
            Some(entry) => Some(entry.name.clone()),
            None => (!self.is_whole).then_some(Name::Unknown),
        }
    }

    /// Returns how many bytes the table has on the heap. A shared name counts for each of its entries.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.size
    }

    /// Drops the oldest entries until the size is at most `left`.
    fn evict_to(&mut self, left: usize) {
        while self.size > left
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
            // If the encoder's maximum is the reason, the encoder evicted this entry and all older ones, too.
            self.is_whole = self.maximum.is_some_and(|maximum| maximum <= MOST_BYTES);
        }
    }
}
