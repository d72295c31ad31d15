//! From records to the inner stream.
//!
//! In: what the record layer found of each side, in the order of capture. Out: data for the inner stream; records that wait for
//! their secrets. Promises: what comes after a record that waits waits too, so that both sides stay in order.

use std::borrow::Cow;

use super::{
    Body, FATAL, MIN_OVERHEAD, MOST_ORIGINS, Tls,
    decrypt::{APPLICATION_DATA, Cause, Content, HEADER_BYTES, Opened, Piece, Record, Sender, body_length},
    facts,
    held::{Held, Unit},
    inner::{Before, Inner, Missing, Place, Start},
    is_clear,
};
use crate::{
    exchange::ExchangeSink,
    stream::{
        context::{Origin, ParserContext},
        registry::Reader,
    },
    tcp::{Chunk, ChunkContext, Direction},
};

impl Tls {
    /// Handles what the record layer of the current side found, which ends before the offset `end`. `next` is what follows in the same
    /// packet.
    pub(super) fn piece<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        piece: Piece<'_>,
        (end, next): (u64, &[u8]),
        here: Origin,
    ) {
        match piece {
            Piece::Header(header) => self.header(around, header, (next, end, here)),
            Piece::Record { header, body } => {
                let start = end
                    - self.sides[around.direction() as usize].records.read_ahead()
                    - (HEADER_BYTES + body.len()) as u64;
                let sequence = around.flow.sequence(around.direction(), start);
                let mut list = std::mem::take(&mut self.sides[around.direction() as usize].origins);
                // Nearly all records are within one packet, and need no list.
                let origins = if list.is_empty() {
                    std::slice::from_ref(&here)
                } else {
                    if list.last().is_some_and(|last| last.offset < here.offset) && list.len() < MOST_ORIGINS {
                        list.push(here);
                    }
                    &list
                };
                let (whole, origins) = (Cow::Borrowed(&*body), Cow::Borrowed(origins));
                let handed_on = std::mem::take(&mut self.sides[around.direction() as usize].body).handed_on();
                self.unit(around, &Unit::Record { header, body: whole, start: (start, sequence), handed_on, origins });
                around.shared.tls.spare.take_back(body, list);
            }
            Piece::Passed(header) => self.passed(around, header, end),
            Piece::Unreadable => {
                if self.inner.is_none() {
                    self.leave_side(around);
                } else {
                    around.shared.counters.resynchronisations += 1;
                    self.unit(around, &Unit::Missing(0));
                }
            }
        }
    }

    /// A record of the current side begins.
    fn header<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        header: [u8; HEADER_BYTES],
        next: (&[u8], u64, Origin),
    ) {
        if !around.shared.tls.expects_secrets() && !is_clear(header) {
            return self.leave_side(around);
        }
        let direction = around.direction();
        let sender = self.sender(direction);
        let body = match self.skippable(around, sender, header) {
            Some(data) if data > 0 && data <= around.inner_unneeded(direction) => {
                Body::Skipped { data, handed_on: 0, has_hole: false }
            }
            Some(data) => self.begin_record(around, (header, data), next),
            None => Body::Plain,
        };
        let is_skipped = matches!(body, Body::Skipped { .. });
        self.sides[direction as usize].body = body;
        if !is_skipped && (self.client.is_none() || around.shared.tls.wants_body(&mut self.session, sender, header)) {
            self.sides[direction as usize].records.keep_body();
        }
    }

    /// A record of the current side has passed whose body was not asked for, or is not whole.
    pub(super) fn passed<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        header: [u8; HEADER_BYTES],
        end: u64,
    ) {
        let direction = around.direction();
        let sender = self.sender(direction);
        match std::mem::take(&mut self.sides[direction as usize].body) {
            Body::Skipped { data, handed_on, has_hole } => {
                self.session.skip(sender, header);
                match handed_on {
                    0 => around.shared.counters.tls_records_skipped += 1,
                    _ => around.shared.counters.tls_records_begun += 1,
                }
                if let Some(inner) = &mut self.inner {
                    inner.passed(around, data, end, !has_hole);
                }
            }
            Body::Plain | Body::Begun { .. } => self.unit(around, &Unit::Passed { header, end }),
        }
    }

    /// Handles what the current side sent, unless something before it waits.
    pub(super) fn unit<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, unit: &Unit<'_>) {
        if let Unit::Record { header, body, .. } = unit
            && self.client.is_none()
        {
            self.client = Some(self.client_of(around, *header, body));
        }
        // What waited may have ended the connection.
        if !self.is_kept_ahead(around, unit) && !self.is_over {
            self.unit_in_order(around, unit);
        }
    }

    /// Handles what the current side sent, unless something before it waits for secrets.
    pub(super) fn unit_in_order<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, unit: &Unit<'_>) {
        let direction = around.direction();
        let goes_on = self.held.as_ref().is_none_or(|held| {
            // What waits are the client's records, and the server is about to say what becomes of them.
            self.session.awaits_answer() && self.client == Some(direction.opposite()) && !held.has_any_of(direction)
        });
        if goes_on && self.process(around, unit) {
            return self.retry(around);
        }
        let progress = self.progress(around);
        let mut held = self.held.take().unwrap_or_else(|| Box::new(Held::new(around, progress)));
        let fits = held.push(around, unit);
        let may_show_answer = self.client == Some(direction) && self.session.awaits_answer();
        if may_show_answer && let Some(waiting) = held.records_of(direction).last() {
            around.shared.tls.look_ahead(&mut self.session, waiting);
        }
        self.held = Some(held);
        if !fits {
            around.shared.counters.tls_held_refused += 1;
            self.give_up_waiting(around);
            // Nothing waits any longer, so this one does not either.
            self.process(around, unit);
        } else if may_show_answer {
            self.retry(around);
        }
    }

    /// Processes what a side sent. Returns false if it has to wait for secrets.
    fn process<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, unit: &Unit<'_>) -> bool {
        let direction = around.direction();
        match unit {
            Unit::Record { header, body, start, handed_on, origins } => {
                let sender = self.sender(direction);
                let record = Record { header: *header, body };
                let opened = around.shared.tls.open(&mut self.session, sender, record);
                let is_processed = opened.content != Content::Waiting;
                if is_processed {
                    let plaintext = std::mem::take(&mut around.shared.tls.plaintext);
                    let &(start, sequence) = start;
                    let end = start + (HEADER_BYTES + body.len()) as u64;
                    let place = Place { start, sequence, end };
                    self.opened(around, (*header, opened, *handed_on), place, origins, &plaintext);
                    around.shared.tls.plaintext = plaintext;
                }
                return is_processed;
            }
            Unit::Passed { header, end } => {
                let sender = self.sender(direction);
                self.note_unread(around, sender, *header);
                let is_data = self.session.may_send_data(sender);
                self.session.skip(sender, *header);
                match &self.inner {
                    Some(_) => {
                        self.cause.get_or_insert(Cause::Incomplete);
                        self.lose_record(around, (*header, 0), *end);
                    }
                    None => self.note_lost(direction, around.chunk.offset, is_data),
                }
            }
            Unit::Missing(bytes) => {
                self.session.gap(self.sender(direction), *bytes);
                self.cause.get_or_insert(Cause::Incomplete);
                match &mut self.inner {
                    Some(inner) => inner.lose(direction),
                    None => self.note_lost(direction, around.chunk.offset, false),
                }
            }
            Unit::Fin => {
                if let Some(inner) = &mut self.inner {
                    inner.ends(around, Chunk::Fin);
                }
            }
        }
        true
    }

    /// Handles what a record held, of which some bytes of data may have been handed on already.
    fn opened<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        (header, opened, handed_on): ([u8; HEADER_BYTES], Opened, u64),
        place: Place,
        origins: &[Origin],
        plaintext: &[u8],
    ) {
        let direction = around.direction();
        if !matches!(opened.content, Content::Data(_) | Content::Failed(_))
            && let Some(inner) = &mut self.inner
        {
            inner.without_data(direction, place, opened.lost);
        } else if self.inner.is_none() && opened.lost > 0 && !matches!(opened.content, Content::Data(_)) {
            self.note_lost(direction, place.start, true);
        }
        match opened.content {
            Content::Handshake => self.handshake(around, place.end),
            Content::Alert { level: FATAL, description } if self.inner.is_none() => {
                self.fail(around, Some((description, place.end - 1)), around.now());
            }
            Content::Data(range) => {
                let data = plaintext.get(range).unwrap_or_default();
                if self.inner.is_none() {
                    self.begin_inner(around, place.start);
                }
                let Some(inner) = &mut self.inner else { return };
                let overhead = (place.end - place.start).saturating_sub(data.len() as u64);
                around.shared.counters.tls_records_opened += 1;
                let rest = data.get(handed_on as usize..).unwrap_or_default();
                let sequence = place.sequence.wrapping_add(handed_on as u32);
                let place = Place { start: place.start + handed_on, sequence, ..place };
                inner.data(around, (place, Before { lost: opened.lost, overhead }), origins, rest);
            }
            Content::Alert { .. } | Content::Nothing | Content::Waiting => {}
            Content::Failed(cause) => {
                if self.inner.is_none() {
                    let is_data = self.session.may_send_data(self.sender(direction));
                    self.note_lost(direction, place.start, is_data);
                }
                self.failed(around, (header, handed_on), place.end, cause);
            }
        }
    }

    /// A handshake message was read.
    fn handshake<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: u64) {
        if self.session.has_client_hello() && self.client == Some(around.direction()) && !self.failure.was_begun() {
            self.failure.begin(around, end);
        }
    }

    /// A record has passed without its body, before any data was opened. It may have been data: the connection has some then that
    /// was not read.
    fn note_unread<K>(&mut self, around: &ParserContext<'_, K>, sender: Sender, header: [u8; HEADER_BYTES]) {
        if self.inner.is_none() && header[0] == APPLICATION_DATA {
            let is_whole = !around.shared.tls.wants_body(&mut self.session, sender, header);
            let cause = if is_whole { around.shared.tls.cause(&self.session) } else { Cause::Incomplete };
            self.cause.get_or_insert(cause);
        }
    }

    /// Bytes of a side were not read before any data was opened. Those of the client may be its first data; the server sends handshake
    /// messages before its own. Once secrets are not waited for, whole exchanges pass. `is_data` says whether a record is taken for data
    /// that the number of the next record does not show to be missing.
    fn note_lost(&mut self, direction: Direction, offset: u64, is_data: bool) {
        if self.client == Some(direction) || self.session.is_waiting_over() || is_data {
            self.lost_from[direction as usize].get_or_insert(offset);
        }
        self.has_lost_data[direction as usize] |= is_data;
    }

    /// The first data was decrypted: the handshake is over.
    fn begin_inner<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, start: u64) {
        if let Some(client) = self.client
            && self.session.may_have_hidden_early_data()
        {
            self.has_lost_data[client as usize] |= self.lost_from[client as usize].is_some();
        }
        let is_given_up = self.session.is_waiting_over();
        let is_first = self.session.is_at_first_data(self.sender(around.direction()));
        let starts = Direction::BOTH.map(|direction| match self.lost_from[direction as usize] {
            Some(lost) if self.has_lost_data[direction as usize] => Start { offset: lost, before: Missing::Surely },
            _ if direction == around.direction() && (is_first || !is_given_up) => {
                Start { offset: start, before: Missing::Nothing }
            }
            Some(lost) if is_given_up => Start { offset: lost, before: Missing::Surely },
            None if direction == around.direction() => Start { offset: start, before: Missing::Nothing },
            Some(lost) => Start { offset: lost, before: Missing::Perhaps },
            None => Start { offset: around.sides[direction as usize].offset, before: Missing::Nothing },
        });
        around.shared.counters.tls_read += 1;
        // What is missing of the handshake was no data.
        let is_all_there = self.lost_from.iter().all(Option::is_none);
        self.cause.take_if(|cause| *cause == Cause::Incomplete && is_all_there);
        self.failure.let_go(around);
        // What was read is counted by the rules of what was read, and by no other.
        self.follower = None;
        let mut inner = Inner::begin(starts);
        let other = around.direction().opposite();
        if around.reader(other) == Reader::Opaque {
            inner.give_up(other);
        }
        self.inner = Some(Box::new(inner));
        if self.session.is_reversed() {
            self.client = self.client.map(Direction::opposite);
        }
        let facts = self.session.take_facts().map(|facts| facts::shared(&facts));
        let is_http2 = facts.as_ref().is_some_and(|facts| *facts.next_protocol == *b"h2");
        around.rare_mut().tls = facts;
        if is_http2 {
            around.begin_inner_http2();
        }
        self.tell_late(around);
    }

    /// A record of the current side could not be opened.
    fn failed<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        (header, handed_on): ([u8; HEADER_BYTES], u64),
        end: u64,
        cause: Cause,
    ) {
        around.shared.counters.tls_records_failed += 1;
        if cause == Cause::Midstream {
            let now = around.now().time;
            around.shared.counters.tls_searches_put_off += around.shared.tls.time(now);
        }
        self.cause.get_or_insert(cause);
        match &self.inner {
            Some(_) => self.lose_record(around, (header, handed_on), end),
            None if cause.is_final() => self.leave_side(around),
            None => {}
        }
    }

    /// A record of the current side is missing in the stream inside, beside the data that was handed on already.
    fn lose_record<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        (header, handed_on): ([u8; HEADER_BYTES], u64),
        end: u64,
    ) {
        let direction = around.direction();
        let sender = self.sender(direction);
        // It is data, or so it is taken: what else a server sends later is short.
        let length = self.session.plain_length(sender, header).map(|length| length.bytes());
        let length = length.unwrap_or(body_length(header).saturating_sub(MIN_OVERHEAD));
        let is_open = self.session.is_open(sender);
        let Some(inner) = &mut self.inner else { return };
        if is_open {
            inner.passed(around, (length as u64).saturating_sub(handed_on), end, false);
        } else {
            inner.lose(direction);
        }
    }

    /// Tries again to open what waits, if secrets have come.
    pub(super) fn retry<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        if self.held.is_none() {
            return;
        }
        let progress = self.progress(around);
        let Some(held) = &mut self.held else { return };
        held.tried = around.now().time;
        if std::mem::replace(&mut held.progress, progress) != progress {
            self.release(around);
        }
    }

    /// A number that changes when what waits may be opened.
    fn progress<K>(&self, around: &ParserContext<'_, K>) -> u64 {
        around.shared.tls.progress(&self.session)
    }

    /// Processes what waits, up to the first unit that still has to wait.
    fn release<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let Some(mut held) = self.held.take() else { return };
        for waiting in self.client.iter().flat_map(|client| held.records_of(*client)) {
            if !self.session.awaits_answer() {
                break;
            }
            around.shared.tls.look_ahead(&mut self.session, waiting);
        }
        while let Some(taken) = held.pop(self.client.filter(|_| self.session.awaits_answer())) {
            let bytes = taken.unit.bytes();
            let chunk = ChunkContext { now: around.now(), ..taken.context };
            let inner = &mut around.with_chunk(&chunk);
            let is_processed = self.is_over || self.process(inner, &taken.unit);
            let is_claimed = inner.is_claimed;
            around.is_claimed |= is_claimed;
            if !is_processed {
                held.put_back(taken);
                break;
            }
            held.release(around, bytes);
        }
        self.held = Some(held).filter(|held| !held.is_empty());
    }

    /// Secrets are not waited for any longer.
    pub(super) fn give_up_waiting<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        if self.held.is_some() {
            self.session.stop_waiting();
            around.shared.counters.tls_given_up += 1;
            self.release(around);
            if let Some(mut held) = self.held.take() {
                held.clear(around);
            }
        }
    }
}
