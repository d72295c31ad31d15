//! The tables of HPACK: the static one, and what is known of the dynamic one.
//!
//! In: entries, and changes of the maximum size. Out: entries by index. Promises: an index that is answered is answered right; at most
//! [`MOST_BYTES`] are kept, and what was dropped is unknown.
//!
//! The newest entry of the dynamic table has the lowest index, and only the oldest are ever evicted. So entries that were seen since
//! a hole have the indexes that the encoder gives them, whatever stood before them.

use std::collections::VecDeque;

/// What an entry counts beside its texts (RFC 7541, section 4.1).
const ENTRY_BYTES: usize = 32;
/// The maximum size at first (RFC 9113, section 6.5.2).
const FIRST_MAXIMUM: usize = 4_096;
/// The most that is kept, counted as the RFC does.
const MOST_BYTES: usize = 65_536;
/// While the maximum is unknown, a larger entry may have emptied the table instead of entering it. No encoder is known whose table is
/// smaller than this and has entries.
const SURELY_FITS: usize = 1_024;

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

/// A field of a table. `None` where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stream) struct Field<'a> {
    pub(in crate::stream) name: Option<&'a [u8]>,
    pub(in crate::stream) value: Option<&'a [u8]>,
}

/// The field of a name or value that nobody saw.
const UNKNOWN: Field<'static> = Field { name: None, value: None };

/// An entry of the dynamic table: its texts one behind the other.
#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    /// The length of the name; `None` if the name is not known.
    name: Option<usize>,
    /// Its size, as the RFC counts it. Where the name is not known, it is that of the value.
    size: usize,
}

/// What is known of a dynamic table.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The newest entry is the first.
    entries: VecDeque<Entry>,
    size: usize,
    /// The maximum size. `None` where it is not known.
    maximum: Option<usize>,
    /// Whether entries before the known ones may be in the encoder's table.
    has_unknown: bool,
}

impl Table {
    /// An empty table at the beginning of a connection.
    pub(super) fn empty() -> Self {
        Self { maximum: Some(FIRST_MAXIMUM), ..Self::default() }
    }

    /// Forgets everything: what was missed may have changed anything.
    pub(super) fn forget(&mut self) {
        *self = Self { has_unknown: true, ..Self::default() };
    }

    /// The encoder's maximum changes.
    pub(super) fn resize(&mut self, maximum: usize) {
        self.maximum = Some(maximum);
        self.evict(maximum.min(MOST_BYTES));
        self.has_unknown &= maximum > 0;
    }

    /// Adds an entry. Its name is `None` where it is not known.
    pub(super) fn insert(&mut self, name: Option<&[u8]>, value: &[u8]) {
        let size = ENTRY_BYTES + name.map_or(0, <[u8]>::len) + value.len();
        let maximum = match self.maximum {
            Some(maximum) if size > maximum => {
                // An entry that is too large empties the table and does not enter it (RFC 7541, section 4.4).
                self.evict(0);
                self.has_unknown = false;
                return;
            }
            // The length of an unknown name may be what makes it too large.
            Some(maximum) if name.is_some() || size + SURELY_FITS <= maximum => maximum,
            None if size <= SURELY_FITS => MOST_BYTES,
            _ => return self.forget_but_maximum(),
        };
        let room = maximum.min(MOST_BYTES);
        if size > room {
            // It is in the encoder's table, and too large to be kept here.
            return self.forget_but_maximum();
        }
        self.evict(room - size);
        let text = [name.unwrap_or_default(), value].concat().into();
        self.entries.push_front(Entry { text, name: name.map(<[u8]>::len), size });
        self.size += size;
    }

    /// The entry with an index. `None` if there is none.
    pub(super) fn get(&self, index: usize) -> Option<Field<'_>> {
        match index {
            0 => None,
            1..=61 => {
                let (name, value) = STATIC[index - 1];
                Some(Field { name: Some(name.as_bytes()), value: Some(value.as_bytes()) })
            }
            _ => match self.entries.get(index - 62) {
                Some(entry) => {
                    let (name, value) = entry.text.split_at_checked(entry.name.unwrap_or(0))?;
                    Some(Field { name: entry.name.map(|_| name), value: Some(value) })
                }
                // Where all entries are known, the encoder has no such entry.
                None => self.has_unknown.then_some(UNKNOWN),
            },
        }
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.size
    }

    fn forget_but_maximum(&mut self) {
        let maximum = self.maximum;
        self.forget();
        self.maximum = maximum;
    }

    /// Drops the oldest entries until no more than this is left. They are unknown then, and may be in the encoder's table if its
    /// maximum is larger or unknown.
    fn evict(&mut self, left: usize) {
        while self.size > left
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size;
            self.has_unknown |= self.maximum.is_none_or(|maximum| maximum > MOST_BYTES);
        }
    }
}
