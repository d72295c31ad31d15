//! The store of secrets, which all threads share.
//!
//! In: key log text, private keys. Out: candidates for the secrets of a connection. Promises: at most [`MAX_CANDIDATES`]
//! candidates for each label of a connection, newest first, each once; at most as many secrets as the settings allow; the
//! order in which the secrets of different connections come does not matter below that limit.
//!
//! When the store is full, the connection whose first secret came earliest is dropped. Neither the time nor the look-ups of a
//! connection matter for this: a connection asks for its secrets while it begins and keeps what it derives from them, so a
//! connection that was looked up lately is not one that will be looked up again. A look-up therefore moves nothing, and threads
//! that look up do not wait for each other. It marks the connection: a search for the secrets of a connection whose client random
//! is not known comes last to connections that were captured.
//!
//! A connection takes 64 bytes, up to 14 bytes of hash table, and one allocation of 33 or 49 bytes a secret.

use std::{
    collections::VecDeque,
    hash::BuildHasher,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hashbrown::HashTable;
use zeroize::Zeroizing;

use super::super::decrypt::{Label, Logged, MAX_CANDIDATES, SEARCHED_AT_ONCE, SearchPlace, Secret, SecretSource};
use super::{
    keylog::{Key, KeyLog, KeyLogCounters, Line, MAX_LINE},
    private_key::PrivateKey,
};
use crate::counters;

/// The number of secrets that a store holds unless the settings say otherwise.
pub const DEFAULT_MAX_SECRETS: usize = 1_000_000;

/// Twice as many connections are looked at in one step of a search at most, whatever their labels are.
const LOOKED_AT_AT_ONCE: usize = 512;

/// Text that is read between two times that the store is locked.
const PIECE: usize = 16 << 10;
/// Most secrets in a piece of text and the line before it: a line with a secret has at least 64 digits of one, and a padded
/// secret of twice as many digits gives two.
const MAX_LINES: usize = (PIECE + MAX_LINE) / 64;

counters! {
    /// What became of secrets.
    pub struct StoreCounters {
        /// Secrets kept.
        kept,
        /// Secrets that were already there.
        repeated,
        /// Secrets that replaced the oldest of their label, because the connection had four of them.
        replaced,
        /// Secrets dropped because the store was full.
        expired,
        /// Connections dropped because the store was full.
        connections_expired,
    }
}

/// What was read and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretCounters {
    /// What key logs held.
    pub key_logs: KeyLogCounters,
    /// What became of secrets.
    pub store: StoreCounters,
}

/// The secrets that are known. `S` hashes client randoms, which a sender of packets chooses.
pub struct Secrets<S> {
    table: RwLock<Table<S>>,
    private_keys: Vec<PrivateKey>,
    generation: AtomicU64,
    is_expecting: AtomicBool,
}

impl<S: BuildHasher> Secrets<S> {
    /// A store without secrets that holds at most `max_secrets`.
    pub fn new(max_secrets: usize, hasher: S, private_keys: Vec<PrivateKey>) -> Self {
        let is_expecting = AtomicBool::new(!private_keys.is_empty());
        let table = RwLock::new(Table::new(max_secrets, hasher));
        Self { table, private_keys, generation: AtomicU64::new(0), is_expecting }
    }

    /// Notes that secrets may come, because a source is configured.
    pub fn expect_some(&self) {
        self.is_expecting.store(true, Ordering::Relaxed);
    }

    /// Returns whether any source is configured or any secret was ever read.
    pub fn expects_any(&self) -> bool {
        self.is_expecting.load(Ordering::Relaxed)
    }

    /// Returns whether a connection may resume the session of another: there is a private key, or a master secret of TLS 1.2 or below.
    pub fn may_resume(&self) -> bool {
        self.has_private_key() || self.shared().has_masters
    }

    /// Reads the next bytes of a key log. Returns what was in them.
    pub fn read(&self, log: &mut KeyLog, bytes: &[u8]) -> KeyLogCounters {
        let mut found = KeyLogCounters::default();
        for piece in bytes.chunks(PIECE) {
            found.merge(&self.take(|counters, take| log.read(piece, counters, take)));
        }
        found
    }

    /// Reads the last line of a key log that has ended, if the line has no line feed. Returns what was in it.
    pub fn finish(&self, log: &mut KeyLog) -> KeyLogCounters {
        self.take(|counters, take| log.finish(counters, take))
    }

    /// Reads a whole key log.
    pub fn read_whole(&self, bytes: &[u8]) {
        let mut log = KeyLog::default();
        self.read(&mut log, bytes);
        self.finish(&mut log);
    }

    /// Returns what was counted so far.
    pub fn counters(&self) -> SecretCounters {
        self.shared().counters.clone()
    }

    /// Returns the number of connections and of secrets in the store.
    pub fn sizes(&self) -> (usize, usize) {
        let table = self.shared();
        (table.connections.len(), table.secrets)
    }

    /// Keeps the secrets that a function reads, and returns what it counted. The store is locked only after the function.
    fn take(&self, read: impl FnOnce(&mut KeyLogCounters, &mut dyn FnMut(Line))) -> KeyLogCounters {
        // The room is allocated at once, because a list that grows leaves copies of secrets behind.
        let (mut counters, mut lines) = (KeyLogCounters::default(), Vec::with_capacity(MAX_LINES));
        read(&mut counters, &mut |line| lines.push(line));
        let mut table = self.exclusive();
        table.counters.key_logs.merge(&counters);
        let mut is_new = false;
        for line in &lines {
            is_new |= table.insert(&line.key, line.secret.bytes());
        }
        drop(table);
        if is_new {
            self.expect_some();
            self.generation.fetch_add(1, Ordering::Release);
        }
        counters
    }

    fn shared(&self) -> RwLockReadGuard<'_, Table<S>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Table<S>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: BuildHasher> SecretSource for Secrets<S> {
    fn candidates(&self, label: Label, client_random: &[u8; 32], found: &mut Vec<Secret>) {
        self.shared().find(&Key::Connection(label, *client_random), found);
    }

    fn number_of(&self, client_random: &[u8; 32]) -> Option<u32> {
        let table = self.shared();
        table.place_of(client_random).map(|place| table.number_at(place))
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn decrypt_premaster(&self, encrypted: &[u8], found: &mut Vec<Secret>) {
        if let Some(&first) = encrypted.first_chunk() {
            self.shared().find(&Key::Premaster(first), found);
        }
        found.extend(self.private_keys.iter().filter_map(|key| key.decrypt_premaster(encrypted)));
    }

    fn may_decrypt_premasters(&self) -> bool {
        self.has_private_key() || self.shared().has_premasters
    }

    fn has_private_key(&self) -> bool {
        !self.private_keys.is_empty()
    }

    fn begin_search(&self, place: &mut SearchPlace, near: u32) {
        let table = self.shared();
        place.begin(table.number_at(table.connections.len()), near);
    }

    fn search(&self, labels: &[Label], place: &mut SearchPlace, found: &mut Vec<Logged>) -> bool {
        let table = self.shared();
        for _ in 0..LOOKED_AT_AT_ONCE {
            let Some(numbers) = place.next() else { return false };
            numbers.filter_map(|number| table.numbered(number)).for_each(|held| held.logged(labels, found));
            if found.len() >= SEARCHED_AT_ONCE {
                break;
            }
        }
        true
    }
}

/// The tag of premaster secrets. Their names are no client randoms.
const PREMASTER: u8 = 6;

/// The number of a label, from 0 to 5.
const fn tag_of(label: Label) -> u8 {
    label as u8
}

impl Key {
    /// The name of the connection in the table, and the tag of the secret. No client random ends in 24 zeros by chance, so the
    /// name of a premaster secret is not the name of a connection.
    fn parts(&self) -> ([u8; 32], u8) {
        match self {
            Self::Connection(label, random) => (*random, tag_of(*label)),
            Self::Premaster(first) => {
                let mut name = [0; 32];
                name.iter_mut().zip(first).for_each(|(byte, &first)| *byte = first);
                (name, PREMASTER)
            }
        }
    }
}

/// Connections in the order in which their first secrets came.
struct Table<S> {
    hasher: S,
    max_secrets: usize,
    /// The places of connections in the order of arrival, as the low 32 bits of their number.
    index: HashTable<u32>,
    connections: VecDeque<Connection>,
    /// The number of the connection at the front: that of connections dropped so far.
    dropped: u32,
    /// The secrets of all connections.
    secrets: usize,
    /// Whether a key log ever had a premaster secret.
    has_premasters: bool,
    /// Whether a key log ever had a master secret (TLS 1.2 and below).
    has_masters: bool,
    counters: SecretCounters,
}

/// The secrets of one connection.
struct Connection {
    /// The client random, or the name of a premaster secret.
    name: [u8; 32],
    /// For each secret, oldest first, a byte with its tag and whether it has 48 bytes, and then its 32 or 48 bytes.
    secrets: Zeroizing<Box<[u8]>>,
}

/// The bit of a tag that says that the secret has 48 bytes.
const IS_LONG: u8 = 0x80;

impl<S: BuildHasher> Table<S> {
    fn new(max_secrets: usize, hasher: S) -> Self {
        Self {
            hasher,
            // A connection's number has 32 bits.
            max_secrets: max_secrets.clamp(MAX_CANDIDATES, i32::MAX as usize),
            index: HashTable::new(),
            connections: VecDeque::new(),
            dropped: 0,
            secrets: 0,
            has_premasters: false,
            has_masters: false,
            counters: SecretCounters::default(),
        }
    }

    fn find(&self, key: &Key, found: &mut Vec<Secret>) {
        let (name, tag) = key.parts();
        if let Some(place) = self.place_of(&name)
            && let Some(held) = self.connections.get(place)
        {
            found.extend(held.of(tag));
        }
    }

    /// The number of the connection at a place.
    fn number_at(&self, place: usize) -> u32 {
        self.dropped.wrapping_add(place as u32)
    }

    /// The connection with a number, if it was not dropped.
    fn numbered(&self, number: u32) -> Option<&Connection> {
        self.connections.get(number.wrapping_sub(self.dropped) as usize)
    }

    /// Returns the place of a connection in `connections`.
    fn place_of(&self, name: &[u8; 32]) -> Option<usize> {
        let hash = self.hasher.hash_one(*name);
        let place = |number: u32| number.wrapping_sub(self.dropped) as usize;
        let is_it = |number: &u32| self.connections.get(place(*number)).is_some_and(|held| held.name == *name);
        self.index.find(hash, is_it).map(|&number| place(number))
    }

    /// Keeps a secret of 32 or 48 bytes. Returns whether it was not there before.
    fn insert(&mut self, key: &Key, secret: &[u8]) -> bool {
        let (name, tag) = key.parts();
        self.has_premasters |= tag == PREMASTER;
        self.has_masters |= tag == tag_of(Label::ClientRandom);
        let place = self.place_of(&name);
        let Some(held) = place.and_then(|place| self.connections.get_mut(place)) else {
            let secrets = Zeroizing::new(tagged(tag, secret).collect());
            self.begin(Connection { name, secrets });
            return true;
        };
        let counters = &mut self.counters.store;
        match held.add(tag, secret) {
            Added::Repeated => {
                counters.repeated += 1;
                return false;
            }
            Added::Replaced => counters.replaced += 1,
            Added::New => self.secrets += 1,
        }
        counters.kept += 1;
        self.drop_beyond_limit();
        true
    }

    fn begin(&mut self, connection: Connection) {
        let number = self.dropped.wrapping_add(self.connections.len() as u32);
        let hash = self.hasher.hash_one(connection.name);
        self.connections.push_back(connection);
        let (hasher, connections, dropped) = (&self.hasher, &self.connections, self.dropped);
        self.index.insert_unique(hash, number, |number| {
            let held = connections.get(number.wrapping_sub(dropped) as usize);
            hasher.hash_one(held.map_or([0; 32], |held| held.name))
        });
        self.secrets += 1;
        self.counters.store.kept += 1;
        self.drop_beyond_limit();
    }

    fn drop_beyond_limit(&mut self) {
        while self.secrets > self.max_secrets {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.connections.pop_front() else { return };
        let (hash, number) = (self.hasher.hash_one(oldest.name), self.dropped);
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == number) {
            entry.remove();
        }
        self.dropped = self.dropped.wrapping_add(1);
        let secrets = oldest.stored().count();
        self.secrets -= secrets;
        self.counters.store.expired += secrets as u64;
        self.counters.store.connections_expired += 1;
    }
}

/// What became of a secret of a known connection.
enum Added {
    New,
    Replaced,
    Repeated,
}

impl Connection {
    /// The secrets, oldest first, each with its tag and its place.
    fn stored(&self) -> impl DoubleEndedIterator<Item = (u8, &[u8], usize)> {
        // There are at most four secrets of each of seven tags.
        let mut places = [(0u8, 0usize); 7 * MAX_CANDIDATES];
        let (mut at, mut count) = (0, 0);
        while let (Some(&tag), Some(place)) = (self.secrets.get(at), places.get_mut(count)) {
            *place = (tag, at);
            (at, count) = (at + 1 + length_of(tag), count + 1);
        }
        places
            .into_iter()
            .take(count)
            .filter_map(|(tag, at)| Some((tag & !IS_LONG, self.secrets.get(at + 1..at + 1 + length_of(tag))?, at)))
    }

    /// Adds the secrets under any of these labels.
    fn logged(&self, labels: &[Label], found: &mut Vec<Logged>) {
        for &label in labels {
            let secrets = self.of(tag_of(label));
            found.extend(secrets.map(|secret| Logged { client_random: self.name, label, secret }));
        }
    }

    /// The secrets under a tag, newest first.
    fn of(&self, tag: u8) -> impl Iterator<Item = Secret> {
        self.stored().rev().filter(move |stored| stored.0 == tag).filter_map(|(_, bytes, _)| Secret::new(bytes))
    }

    /// Adds a secret as the newest.
    fn add(&mut self, tag: u8, secret: &[u8]) -> Added {
        let same_tag = || self.stored().filter(|stored| stored.0 == tag);
        if same_tag().any(|(_, bytes, _)| bytes == secret) {
            return Added::Repeated;
        }
        let replaced = same_tag().next().filter(|_| same_tag().count() == MAX_CANDIDATES);
        let (start, end) = replaced.map_or((0, 0), |(_, bytes, at)| (at, at + 1 + bytes.len()));
        let is_full = replaced.is_some();
        let (before, after) = (self.secrets.get(..start), self.secrets.get(end..));
        let kept = before.unwrap_or_default().iter().chain(after.unwrap_or_default()).copied();
        // The length is known, so the bytes are written once and no copy is left behind.
        let mut bytes = Vec::with_capacity(self.secrets.len() - (end - start) + 1 + secret.len());
        bytes.extend(kept.chain(tagged(tag, secret)));
        self.secrets = Zeroizing::new(bytes.into_boxed_slice());
        if is_full { Added::Replaced } else { Added::New }
    }
}

/// The bytes of a secret of 32 or 48 bytes in its connection.
fn tagged(tag: u8, secret: &[u8]) -> impl Iterator<Item = u8> {
    let flag = if secret.len() > 32 { IS_LONG } else { 0 };
    std::iter::once(tag | flag).chain(secret.iter().copied())
}

const fn length_of(tag: u8) -> usize {
    if tag & IS_LONG == 0 { 32 } else { 48 }
}
