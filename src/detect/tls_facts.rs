//! What the TLS connections of a group show, as its alert names it.
//!
//! In: the facts of each connection that carried an error or a turn. Out: the different fingerprints and names among them. Promises:
//! at most [`MOST`] values of a kind, each of at most [`MOST_BYTES`] bytes: the first ones in the order of their bytes, so that the
//! order in which connections come changes nothing.

use serde::{Deserialize, Serialize};

use crate::exchange::TlsConnection;

/// The most values of a kind.
const MOST: usize = 3;
/// The most bytes of a value. A longer one is cut.
const MOST_BYTES: usize = 80;

/// Fingerprints of ClientHellos, names that clients asked for, and subjects of servers' certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// JA4 of ClientHellos.
    pub ja4: Vec<Box<[u8]>>,
    /// SNI, as sent.
    pub server_names: Vec<Box<[u8]>>,
    /// Subjects of certificates.
    pub certificates: Vec<Box<[u8]>>,
}

impl TlsFacts {
    /// Adds what a connection shows. Returns by how many bytes the heap has grown.
    #[inline]
    pub(super) fn add(&mut self, connection: &TlsConnection) -> isize {
        let TlsConnection { ja4, server_name, certificate, .. } = connection;
        let lists = self.lists().into_iter().zip([ja4.as_bytes(), server_name, certificate]);
        lists.map(|(list, value)| insert(list, value)).sum()
    }

    /// Adds the facts of another cell.
    pub(super) fn merge(&mut self, other: &Self) {
        for (list, values) in self.lists().into_iter().zip([&other.ja4, &other.server_names, &other.certificates]) {
            for value in values {
                insert(list, value);
            }
        }
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.ja4.is_empty() && self.server_names.is_empty() && self.certificates.is_empty()
    }

    /// The number of bytes held, without the rounding of the allocator.
    pub(super) fn bytes(&self) -> usize {
        [&self.ja4, &self.server_names, &self.certificates].into_iter().map(bytes_of).sum()
    }

    fn lists(&mut self) -> [&mut Vec<Box<[u8]>>; 3] {
        [&mut self.ja4, &mut self.server_names, &mut self.certificates]
    }
}

/// Adds a value to a list in order, unless it is empty or there already. Returns by how many bytes the heap has grown.
fn insert(list: &mut Vec<Box<[u8]>>, value: &[u8]) -> isize {
    let value = value.get(..MOST_BYTES).unwrap_or(value);
    let Err(at) = list.binary_search_by(|known| (**known).cmp(value)) else { return 0 };
    if value.is_empty() || at >= MOST {
        return 0;
    }
    let before = bytes_of(list);
    list.truncate(MOST - 1);
    list.insert(at, value.into());
    bytes_of(list) as isize - before as isize
}

fn bytes_of(list: &Vec<Box<[u8]>>) -> usize {
    list.capacity() * size_of::<Box<[u8]>>() + list.iter().map(|value| value.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(ja4: &str, server_name: &[u8]) -> TlsConnection {
        TlsConnection { ja4: ja4.into(), server_name: server_name.into(), ..TlsConnection::default() }
    }

    #[test]
    fn values_are_kept_once_few_of_them_and_in_any_order_the_same() {
        let connections = [("b", &b"x"[..]), ("a", b"x"), ("b", b""), ("d", b"y"), ("c", b"x")];
        let mut facts = TlsFacts::default();
        let grown: isize = connections.iter().map(|(ja4, name)| facts.add(&connection(ja4, name))).sum();
        assert_eq!(grown, facts.bytes() as isize);
        assert_eq!(facts.ja4, [b"a", b"b", b"c"].map(|value| Box::from(&value[..])));
        assert_eq!(facts.server_names, [b"x", b"y"].map(|value| Box::from(&value[..])));
        assert!(facts.certificates.is_empty());
        let (mut reversed, mut merged) = (TlsFacts::default(), TlsFacts::default());
        for (ja4, name) in connections.into_iter().rev() {
            let mut alone = TlsFacts::default();
            reversed.add(&connection(ja4, name));
            alone.add(&connection(ja4, name));
            merged.merge(&alone);
        }
        assert_eq!((&reversed, &merged), (&facts, &facts));
    }

    #[test]
    fn memory_is_bounded() {
        let mut facts = TlsFacts::default();
        for n in 0..200 {
            facts.add(&connection(&format!("{n}"), &[b'z' - n % 20; 255]));
        }
        assert!(facts.bytes() < 600, "{}", facts.bytes());
        assert_eq!(facts.server_names[0].len(), MOST_BYTES);
    }
}
