//! Answers of HTTP/2 that a server writes together: the heads of all of them in one record with the first body, then each other body
//! in a record of its own. Apache httpd does so when it has several requests to answer.
//!
//! In: turns whose answers are single records, and the length of the record that follows. Out: the same turns; those of answers that
//! were written together have the length that each of them has alone. Promises: as many turns come out as went in, in order; at most
//! [`MAX_ANSWERS`] wait, and only while such records follow each other.
//!
//! Of `n` equal answers, the first record is `n` heads longer than the others. So its surplus is a multiple of `n`. Two answers may
//! agree with that by chance; they count as written together only if the length was seen before.

use super::turns::Heard;

/// The most answers that are looked at together.
const MAX_ANSWERS: usize = 16;
/// Bytes of a head: a header of 9 bytes, and at least a status.
const HEAD_BYTES: std::ops::RangeInclusive<u32> = 10..=200;

/// The answers that may have been written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    waiting: Vec<Heard>,
    /// The length of the last answer that was alone, or of answers that were surely written together.
    usual: u32,
}

/// Returns whether a record may hold a body, after a record with the heads of several answers and one body.
pub(super) fn may_follow(first: u32, next: u32) -> bool {
    let most = HEAD_BYTES.end() * MAX_ANSWERS as u32;
    first.checked_sub(next).is_some_and(|surplus| (2 * HEAD_BYTES.start()..=most).contains(&surplus))
}

impl Batch {
    /// Takes a turn. `next` is the length of the record that follows it, if there is one.
    pub(super) fn pass(&mut self, heard: Heard, next: Option<u32>, report: &mut impl FnMut(Heard)) {
        let is_single = heard.answer_records == 1;
        let goes_on = is_single
            && self.waiting.len() + 1 < MAX_ANSWERS
            && next.is_some_and(|next| match self.waiting.is_empty() {
                true => may_follow(heard.answer_bytes, next),
                false => heard.answer_bytes == next,
            });
        if self.waiting.is_empty() && !goes_on {
            self.usual = if is_single { heard.answer_bytes } else { self.usual };
            report(heard);
            return;
        }
        self.waiting.push(heard);
        if !goes_on {
            self.settle(report);
        }
    }

    /// Reports the turns that wait.
    pub(super) fn settle(&mut self, report: &mut impl FnMut(Heard)) {
        let length = self.length_of_each();
        self.usual = length.unwrap_or(self.usual);
        for heard in self.waiting.drain(..) {
            report(Heard { answer_bytes: length.unwrap_or(heard.answer_bytes), ..heard });
        }
    }

    /// The length of each answer, if they were written together.
    fn length_of_each(&self) -> Option<u32> {
        let [first, bodies @ ..] = &self.waiting[..] else { return None };
        let body = bodies.first()?.answer_bytes;
        let count = self.waiting.len() as u32;
        let surplus = first.answer_bytes.checked_sub(body)?;
        let (head, length) = (surplus / count, body + surplus / count);
        let are_equal = bodies.iter().all(|one| (one.answer_bytes, one.answer_records) == (body, 1));
        let is_sure = count > 2 || length == self.usual;
        (are_equal && is_sure && surplus.is_multiple_of(count) && HEAD_BYTES.contains(&head)).then_some(length)
    }
}
