//! The most frequent texts, in little memory.
//!
//! In: hashes of texts, and the texts themselves where available. Out: for each text a lower bound of its count. Promises:
//! at most `N` slots, with at most 256 bytes of text each. The first half of the slots keeps the first texts, so that a scan
//! in which no text repeats still has examples. The other half follows the most frequent texts (the Space-Saving algorithm
//! of Metwally, Agrawal and El Abbadi). It copies a text only when the text repeats, so that a scan costs no copies.

use std::{borrow::Cow, collections::BTreeMap};

use super::TopEntry;
use crate::event::Site;

/// The most bytes of a text that are kept.
const TEXT_LIMIT: usize = 256;

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Slot {
    hash: u32,
    count: u32,
    /// The part of `count` that may belong to earlier texts of this slot.
    inherited: u32,
    text: Option<Box<[u8]>>,
}

/// Up to `N` texts and their counts.
#[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
#[serde(from = "Stored")]
pub(super) struct Top<const N: usize> {
    slots: Vec<Slot>,
    /// The slot that was counted last. The next text is mostly the same.
    recent: usize,
    text_bytes: usize,
    /// The slots' hashes side by side, for a fast search. In a scan, most texts are new and the search finds nothing.
    #[serde(skip)]
    hashes: Vec<u32>,
    /// A lower bound of the counts of all replaceable slots. It stays valid because counts only grow, and because a slot
    /// that is not replaceable never becomes so.
    #[serde(skip)]
    least: u32,
    /// The number of slots, counted from the first, that have their text and are never replaced. At most half of all slots.
    #[serde(skip)]
    settled: usize,
}

/// The part of a [`Top`] that is stored in a snapshot.
#[derive(serde::Deserialize)]
struct Stored {
    slots: Vec<Slot>,
    recent: usize,
    text_bytes: usize,
}

impl<const N: usize> From<Stored> for Top<N> {
    fn from(Stored { slots, recent, text_bytes }: Stored) -> Self {
        let hashes = slots.iter().map(|slot| slot.hash).collect();
        Self { slots, recent, text_bytes, hashes, least: 0, settled: 0 }
    }
}

/// The counts by text while several cells are merged, and the order in which the texts came.
pub(super) type Merged = BTreeMap<Vec<u8>, (u64, usize)>;

impl<const N: usize> Top<N> {
    /// The number of bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.hashes.capacity() * size_of::<u32>() + self.text_bytes
    }

    /// Counts a text once. `text` returns the masked and cut text, and is called only when the text is kept. Returns by how
    /// many bytes the heap has grown.
    #[inline]
    pub(super) fn add<'t>(&mut self, hash: u32, text: impl FnOnce() -> Option<Cow<'t, [u8]>>) -> isize {
        let mut grown = 0;
        let known = match self.slots.get(self.recent) {
            Some(slot) if slot.hash == hash => Some(self.recent),
            _ => self.find(hash),
        };
        let place = match known {
            Some(place) => {
                self.slots[place].count += 1;
                place
            }
            None if self.slots.len() < N => {
                let before = self.bytes();
                self.slots.push(Slot { hash, count: 1, inherited: 0, text: None });
                self.hashes.push(hash);
                grown = self.bytes() as isize - before as isize;
                self.slots.len() - 1
            }
            None => match self.replace_rarest(hash, &mut grown) {
                // A text in the second half is copied only when it is seen again.
                Some(place) if place < N / 2 => place,
                _ => return grown,
            },
        };
        self.recent = place;
        if self.slots[place].text.is_none()
            && let Some(text) = text()
        {
            let kept: Box<[u8]> = cut(&text).into();
            self.text_bytes += kept.len();
            grown += kept.len() as isize;
            self.slots[place].text = Some(kept);
        }
        grown
    }

    /// Finds the slot of a hash. `contains` compares many hashes at a time; `position` compares one by one, so it runs only
    /// after a match.
    #[inline]
    fn find(&self, hash: u32) -> Option<usize> {
        if !self.hashes.contains(&hash) {
            return None;
        }
        self.hashes.iter().position(|known| *known == hash)
    }

    /// Gives the slot with the lowest count to another text. Only slots of the second half, and slots of the first half
    /// without a text, can be replaced.
    fn replace_rarest(&mut self, hash: u32, grown: &mut isize) -> Option<usize> {
        while self.settled < N / 2 && self.slots.get(self.settled)?.text.is_some() {
            self.settled += 1;
        }
        let mut rarest: Option<(usize, u32)> = None;
        for (place, slot) in self.slots.iter().enumerate().skip(self.settled) {
            let is_replaceable = place >= N / 2 || slot.text.is_none();
            if is_replaceable && rarest.is_none_or(|(_, count)| slot.count < count) {
                rarest = Some((place, slot.count));
                if slot.count <= self.least {
                    break;
                }
            }
        }
        let (place, count) = rarest?;
        self.least = count;
        let slot = &mut self.slots[place];
        let freed = slot.text.as_ref().map_or(0, |text| text.len());
        self.text_bytes -= freed;
        *grown -= freed as isize;
        *slot = Slot { hash, count: count + 1, inherited: count, text: None };
        self.hashes[place] = hash;
        Some(place)
    }

    /// Returns how many texts were counted in all: one that takes the place of another takes its count too.
    pub(super) fn total(&self) -> u64 {
        self.slots.iter().map(|slot| u64::from(slot.count)).sum()
    }

    /// Adds the certain part of each count to `merged`.
    pub(super) fn merge_into(&self, merged: &mut Merged) {
        for slot in &self.slots {
            if let Some(text) = &slot.text {
                let place = merged.len();
                merged.entry(text.to_vec()).or_insert((0, place)).0 += u64::from(slot.count - slot.inherited);
            }
        }
    }
}

/// Returns the texts with the largest counts. Texts with equal counts are in the order in which they came.
pub(super) fn ranked(merged: Merged, limit: usize) -> Vec<TopEntry> {
    let mut ranked: Vec<_> = merged.into_iter().collect();
    ranked.sort_by_key(|(_, (count, place))| (std::cmp::Reverse(*count), *place));
    ranked.into_iter().take(limit).map(|(text, (count, _))| TopEntry { text, count }).collect()
}

/// Masks a text, then cuts it to the length that is kept.
pub(crate) fn shown<'t>(text: &'t [u8], site: &Site) -> Cow<'t, [u8]> {
    match site.masked(text) {
        Cow::Borrowed(text) => Cow::Borrowed(cut(text)),
        Cow::Owned(mut text) => {
            text.truncate(TEXT_LIMIT);
            Cow::Owned(text)
        }
    }
}

/// Cuts a text to the length that is kept.
pub(super) fn cut(text: &[u8]) -> &[u8] {
    text.get(..TEXT_LIMIT).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted<const N: usize>(texts: impl Iterator<Item = (u32, String)>) -> Vec<(String, u64)> {
        let mut top = Top::<N>::default();
        let mut added = 0;
        for (hash, text) in texts {
            top.add(hash, || Some(text.as_bytes().into()));
            added += 1;
        }
        assert!(top.slots.len() <= N);
        let held: usize = top.slots.iter().flat_map(|slot| &slot.text).map(|text| text.len()).sum();
        assert_eq!(held, top.text_bytes);
        assert_eq!(top.total(), added);
        let mut merged = Merged::new();
        top.merge_into(&mut merged);
        ranked(merged, N).into_iter().map(|entry| (String::from_utf8(entry.text).unwrap(), entry.count)).collect()
    }

    #[test]
    fn what_was_stored_goes_on_as_it_would_have() {
        let mut top = Top::<8>::default();
        let scan = |range: std::ops::Range<u32>| range.map(|step| if step % 3 == 0 { 7 } else { step });
        let add = |top: &mut Top<8>, hash: u32| top.add(hash, || Some(format!("/{hash}").into_bytes().into()));
        for hash in scan(0..100) {
            add(&mut top, hash);
        }
        let mut restored: Top<8> = serde_json::from_str(&serde_json::to_string(&top).unwrap()).unwrap();
        for hash in scan(100..200) {
            add(&mut top, hash);
            add(&mut restored, hash);
        }
        assert_eq!(serde_json::to_value(&top).unwrap(), serde_json::to_value(&restored).unwrap());
    }

    proptest::proptest! {
        #[test]
        fn the_slot_that_is_replaced_is_the_first_of_the_rarest(hashes in proptest::collection::vec(0u32..24, 0..400)) {
            let mut top = Top::<8>::default();
            for hash in hashes {
                let before = top.slots.clone();
                top.add(hash, || (hash % 5 != 0).then_some(b"/text"[..].into()));
                let is_known = before.iter().any(|slot| slot.hash == hash);
                if before.len() == 8 && !is_known {
                    let rarest = before.iter().enumerate().filter(|(place, slot)| *place >= 4 || slot.text.is_none());
                    let (place, slot) = rarest.min_by_key(|(_, slot)| slot.count).unwrap();
                    proptest::prop_assert_eq!((top.slots[place].hash, top.slots[place].count), (hash, slot.count + 1));
                }
                proptest::prop_assert!(top.slots.iter().map(|slot| slot.hash).eq(top.hashes.iter().copied()));
            }
        }
    }

    #[test]
    fn few_texts_are_counted_exactly() {
        let texts = [1, 2, 1, 3, 1, 2].into_iter().map(|hash| (hash, format!("/{hash}")));
        assert_eq!(counted::<8>(texts), [("/1".into(), 3), ("/2".into(), 2), ("/3".into(), 1)]);
    }

    #[test]
    fn a_scan_leaves_examples_and_what_repeats_is_found() {
        let scan = (0..1_000u32).map(|path| (path, format!("/{path}")));
        let mut texts: Vec<_> = scan.collect();
        texts.extend((0..500).map(|_| (7_777, "/login".to_owned())));
        let found = counted::<8>(texts.into_iter());
        assert_eq!(found[0], ("/login".into(), 500));
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found[1..].iter().all(|(text, count)| text.len() == 2 && *count == 1), "{found:?}");
    }

    #[test]
    fn texts_never_seen_leave_no_hole_among_the_examples() {
        let mut top = Top::<8>::default();
        let mut grown: isize = (0..6).map(|hash| top.add(hash, || None)).sum();
        grown += (10..1_000u32).map(|hash| top.add(hash, || Some(hash.to_string().into_bytes().into()))).sum::<isize>();
        assert_eq!(grown as usize, top.bytes());
        let mut merged = Merged::new();
        top.merge_into(&mut merged);
        assert!(merged.len() >= 4, "{merged:?}");
    }

    #[test]
    fn texts_are_cut_and_masked() {
        let mut top = Top::<2>::default();
        let site = Site::default();
        top.add(1, || Some(shown(&[b'x'; 1_000], &site)));
        top.add(2, || Some(shown(b"/a;token=secret", &site)));
        let mut merged = Merged::new();
        top.merge_into(&mut merged);
        let texts: Vec<_> = ranked(merged, 2).into_iter().map(|entry| entry.text).collect();
        assert_eq!(texts, [vec![b'x'; TEXT_LIMIT], b"/a;token=***".to_vec()]);
    }
}
