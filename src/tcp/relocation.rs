//! How a connection finds its streams again when they are not where it looks for them.
//!
//! In: acknowledgments that choose between the first sequence numbers of several SYNs, and strays. Out: streams that go on
//! at another sequence number. Promises: one side's claim alone moves nothing while the stream goes on where it was. What a
//! claim put aside is not lost: later evidence finds it.
//!
//! A stream is moved to a stray when the receiver's acknowledgments confirm the stray, that is, when they point to its first
//! byte or past it. Without such an acknowledgment, it is moved when [`STRAYS_TO_FOLLOW`] strays follow each other while
//! nothing comes at the old place, when nothing came there for as long as a gap may last, or when the flow ends.

use std::collections::VecDeque;

use super::{
    Direction, FlowSegment, StreamConsumer,
    claims::{Claims, Rival, Stray},
    connection::{Bystander, Connection, GapCause, Verdict},
    half::{Half, Phase},
    pool::NONE,
    waiting::Arrival,
};

/// Number of strays that follow each other after which the stream goes on at their place.
const STRAYS_TO_FOLLOW: u8 = 4;
/// How many strays a doubted SYN counts for, when the receiver's acknowledgments are seen.
const STRAYS_OF_SYN: u8 = 1;
/// How many strays a doubted SYN counts for, when the receiver's acknowledgments are not seen. Then the next segment that
/// fits the SYN decides.
const STRAYS_OF_SYN_UNSEEN: u8 = 3;

impl Connection {
    /// Remembers a handshake with other numbers than those in use.
    pub(super) fn add_rival<S, C>(&mut self, around: &mut Bystander<'_, S, C>, rival: Rival) {
        around.shared.counters.syns_doubted += 1;
        self.claim(around, |claims| claims.add_rival(rival));
    }

    /// Returns the newest rival with a property.
    pub(super) fn rival<S, C>(&self, around: &Bystander<'_, S, C>, has: impl Fn(&Rival) -> bool) -> Option<Rival> {
        if self.waiting == NONE { None } else { around.shared.pool.claims(self.waiting).rival(has) }
    }

    /// Checks whether a segment chooses a rival's numbers. The opener chooses the SYN-ACK that it acknowledges. Where the
    /// opener's acknowledgments are not seen, the other side's first data choose.
    pub(super) fn choose<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        segment: &FlowSegment<'_>,
    ) -> Verdict {
        if self.waiting == NONE || !around.shared.pool.claims(self.waiting).has_rivals() {
            return Verdict::Taken;
        }
        let window = around.shared.settings.window;
        let opposite = direction.opposite();
        let (sequence, acknowledgment) = (segment.sequence, segment.acknowledgment);
        let (own, other) = (&self.halves[direction as usize], &self.halves[opposite as usize]);
        let (base, own_offset) = (own.base(), own.offset);
        let (other_base, other_offset) = (other.base(), other.offset);
        let is_ours = |rival: &Rival| rival.opener == direction && rival.answer == Some(acknowledgment);
        if let Some(rival) = self.rival(around, |rival| is_ours(rival) && rival.first == sequence) {
            let is_in_use = base == sequence && other_base == acknowledgment;
            let goes_on = sequence == own.next && acknowledgment.wrapping_sub(other_base) <= window;
            if is_in_use && self.may_begin_again(around) {
                return Verdict::Replaces(Some((direction, rival.first)));
            }
            if is_in_use || (goes_on && own_offset > 0) {
                return Verdict::Taken;
            }
            if own_offset > 0 || other_offset > 0 {
                return Verdict::Replaces(Some((direction, rival.first)));
            }
            self.swap(around, direction, rival.first);
            self.swap(around, opposite, acknowledgment);
        } else if other_offset == 0
            && other_base != acknowledgment
            && sequence.wrapping_sub(base) <= window
            && self.rival(around, is_ours).is_some()
        {
            self.swap(around, opposite, acknowledgment);
        } else if own_offset == 0 && base != sequence && segment.wire_length > 0 {
            let is_theirs = |rival: &Rival| rival.opener == opposite && rival.answer == Some(sequence);
            if self.rival(around, is_theirs).is_some() {
                self.swap(around, direction, sequence);
            }
        }
        Verdict::Taken
    }

    /// Returns whether the same handshake again is the same connection again (a capture that is replayed), and no copy of
    /// its packets: something was carried since, and more time has passed than a capture may be out of order.
    pub(super) fn may_begin_again<S, C>(&self, around: &Bystander<'_, S, C>) -> bool {
        self.halves.iter().any(|half| half.offset > 0)
            && around.now.time.since(around.opened) >= around.shared.settings.reorder_time
    }

    /// Remembers that a SYN or SYN-ACK with the numbers in use came again, if that may begin the connection again.
    pub(super) fn add_repeated<S, C>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        first: u32,
        acknowledgment: Option<u32>,
    ) {
        if !self.may_begin_again(around) {
            return;
        }
        let opener = if acknowledgment.is_some() { direction.opposite() } else { direction };
        let rival = match acknowledgment {
            None => Some(Rival { opener, first, answer: None }),
            Some(number) => self
                .rival(around, |rival| *rival == Rival { opener, first: number, answer: None })
                .map(|syn| Rival { answer: Some(first), ..syn }),
        };
        if let Some(rival) = rival {
            self.claim(around, |claims| claims.add_rival(rival));
        }
    }

    /// Starts a direction of which nothing was delivered at another number. The old number stays a rival.
    pub(super) fn swap<S, C>(&mut self, around: &mut Bystander<'_, S, C>, direction: Direction, first: u32) {
        let half = &self.halves[direction as usize];
        if half.phase != Phase::Unseen && half.base() == first {
            return;
        }
        let opposite = &self.halves[direction.opposite() as usize];
        if half.phase != Phase::Unseen {
            let old = match around.facts.opened_by {
                Some(opener) if opener != direction => {
                    Rival { opener, first: opposite.base(), answer: Some(half.base()) }
                }
                _ => {
                    let answer = (opposite.phase == Phase::Open).then(|| opposite.base());
                    Rival { opener: direction, first: half.base(), answer }
                }
            };
            self.claim(around, |claims| claims.add_rival(old));
        }
        self.anchor_half(around, direction, first);
    }

    /// Sets the first byte of a direction of which nothing was delivered. What waits at the old place is dropped.
    fn anchor_half<S, C>(&mut self, around: &mut Bystander<'_, S, C>, direction: Direction, first: u32) {
        self.halves[direction as usize] = Half::anchored(first);
        if self.waiting != NONE {
            around.shared.pool.change(self.waiting, direction as usize, |waiting| *waiting = Default::default());
        }
    }

    /// Handles a segment that is too far from the stream's position. The segment is held until it is confirmed or
    /// contradicted.
    #[cold]
    pub(super) fn stray<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        arrival: Arrival<'_>,
        fin: bool,
    ) -> Verdict {
        around.shared.counters.out_of_window_segments += 1;
        if arrival.length == 0 {
            return Verdict::Taken;
        }
        let window = around.shared.settings.window;
        let half = &self.halves[direction as usize];
        let is_of_doubted = self.doubted_syn == Some(direction) && arrival.sequence.wrapping_sub(half.stray) <= window;
        let base = match (is_of_doubted, half.is_acknowledged) {
            (false, _) => 0,
            (true, true) => STRAYS_OF_SYN,
            (true, false) => STRAYS_OF_SYN_UNSEEN,
        };
        let is_first = half.strays == 0;
        let chain = self.claim(around, |claims| claims.hold(direction, &arrival, fin, base, is_first));
        self.halves[direction as usize].strays = chain.max(1);
        if self.confirm(around, direction) {
            return Verdict::Taken;
        }
        if chain < STRAYS_TO_FOLLOW {
            return Verdict::Taken;
        }
        around.shared.counters.resynchronised += 1;
        let next = self.halves[direction as usize].next;
        if is_of_doubted {
            return Verdict::Replaces(Some((direction, self.halves[direction as usize].stray)));
        }
        if self.is_another_connection(around, direction, next, &arrival) {
            return Verdict::Replaces(None);
        }
        around.facts.evidence.note_doubt();
        let chain = self.claim(around, |claims| claims.take_chain(direction, arrival.sequence));
        self.follow(around, direction, chain, GapCause::Acknowledged);
        Verdict::Taken
    }

    /// Returns whether a chain of strays that ends with `last` belongs to another connection: it begins before the stream's
    /// position, and its sender received nothing new meanwhile. Over more than 2 GiB, before and after look alike, but the
    /// sender of such a body's next message has received another request.
    fn is_another_connection<S, C>(
        &self,
        around: &Bystander<'_, S, C>,
        direction: Direction,
        next: u32,
        last: &Arrival<'_>,
    ) -> bool {
        let Some(first) = around.shared.pool.claims(self.waiting).first_of_chain(direction) else { return false };
        let is_before = (first.sequence.wrapping_sub(next) as i32) < 0;
        let received = last.carrier.acknowledgment.zip(first.carrier.acknowledgment);
        let is_later = received.is_some_and(|(later, earlier)| later.wrapping_sub(earlier) as i32 > 0);
        is_before && !(is_later && self.fits(around, direction, last))
    }

    /// Moves a direction to its stray, if the receiver's last acknowledgment confirms that stray. Returns whether it was
    /// moved.
    #[cold]
    pub(super) fn confirm<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
    ) -> bool {
        let Some(number) = self.halves[direction as usize].elsewhere().filter(|_| self.waiting != NONE) else {
            return false;
        };
        let claims = around.shared.pool.claims(self.waiting);
        let stray = claims.reaching(direction, number).filter(|stray| self.fits(around, direction, stray));
        let Some(first) = stray.map(|stray| stray.sequence) else { return false };
        let window = around.shared.settings.window;
        let last = claims.newest_behind(direction, first, window).unwrap_or(first);
        around.shared.counters.resynchronised += 1;
        let mut chain = self.claim(around, |claims| claims.take_chain(direction, last));
        chain.retain(|stray| last.wrapping_sub(stray.arrival().sequence) <= window);
        self.follow(around, direction, chain, GapCause::Acknowledged);
        true
    }

    /// Returns whether a stray's own acknowledgment is plausible for this connection.
    fn fits<S, C>(&self, around: &Bystander<'_, S, C>, direction: Direction, stray: &Arrival<'_>) -> bool {
        let window = around.shared.settings.window;
        let opposite = &self.halves[direction.opposite() as usize];
        let Some(number) = stray.carrier.acknowledgment else { return false };
        let is_near = |place: u32| (number.wrapping_sub(place) as i32).unsigned_abs() <= window;
        opposite.phase == Phase::Unseen || is_near(opposite.next) || opposite.elsewhere().is_some_and(is_near)
    }

    /// Goes on with a direction at its strays.
    fn follow<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        strays: VecDeque<Stray>,
        why: GapCause,
    ) {
        self.flush_side(around, direction, why);
        for stray in &strays {
            self.deliver_stray(around, direction, stray, why);
        }
        self.close_if_empty(around);
    }

    /// Delivers a stray, after the gap before it.
    fn deliver_stray<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        stray: &Stray,
        why: GapCause,
    ) {
        let window = around.shared.settings.window;
        let mut arrival = stray.arrival();
        let half = &mut self.halves[direction as usize];
        match half.phase {
            Phase::Finished => (half.phase, half.next) = (Phase::Open, half.next.wrapping_sub(1)),
            Phase::Reset => {
                half.phase = Phase::Open;
                around.shared.counters.resumed_after_reset += 1;
            }
            _ => half.phase = Phase::Open,
        }
        let behind = half.next.wrapping_sub(arrival.sequence);
        let is_repeated = behind > 0 && behind <= window;
        let elsewhere = half.elsewhere();
        half.go_elsewhere();
        if half.offset == 0 && !half.has_acknowledged_base() {
            half.next = arrival.sequence;
        } else if is_repeated {
            arrival.drop_front(behind);
        } else {
            let missing = self.missing(around, direction, arrival.sequence);
            self.deliver_gap(around, direction, missing, arrival.carrier, why);
        }
        let half = &mut self.halves[direction as usize];
        let confirmed = elsewhere.filter(|number| number.wrapping_sub(half.next) <= window);
        half.acknowledged = confirmed.unwrap_or(half.next);
        half.is_acknowledged |= confirmed.is_some();
        if arrival.length > 0 || stray.fin {
            self.established = true;
            self.deliver_or_hold(around, direction, arrival, stray.fin);
        }
    }

    /// Returns how many bytes are missing before a sequence number. Sequence numbers tell this only modulo 2³². If the
    /// consumer is in a body that ends exactly there, the length of that body tells the rest.
    fn missing<S, C: StreamConsumer<S>>(
        &self,
        around: &Bystander<'_, S, C>,
        direction: Direction,
        sequence: u32,
    ) -> u64 {
        let distance = sequence.wrapping_sub(self.halves[direction as usize].next);
        let unneeded = around.consumer.unneeded(around.state, direction);
        if unneeded > u64::from(distance) && unneeded as u32 == distance && unneeded <= MAX_BODY {
            unneeded
        } else {
            u64::from(distance)
        }
    }

    /// Decides about the strays that were held for as long as a gap may last.
    pub(super) fn decide_strays<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        for direction in Direction::BOTH {
            if self.waiting == NONE {
                return;
            }
            let settings = &around.shared.settings;
            let is_acknowledged = self.halves[direction as usize].is_acknowledged;
            let patience = if is_acknowledged { settings.gap_patience } else { settings.gap_time };
            let since = around.shared.pool.claims(self.waiting).strays_since(direction);
            if since.is_some_and(|since| around.now.time.since(since) >= patience) {
                let chain = self.take_uncontradicted(around, direction);
                self.follow(around, direction, chain, GapCause::Time);
            }
        }
    }

    /// Delivers the strays that nothing confirmed or contradicted, in the order in which they were captured, and forgets all
    /// other claims.
    pub(super) fn conclude<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>, why: GapCause) {
        if self.waiting == NONE {
            return;
        }
        let mut chains = Direction::BOTH.map(|direction| self.take_uncontradicted(around, direction));
        self.claim(around, |claims| *claims = Claims::default());
        loop {
            let stamps = chains.each_ref().map(|chain| chain.front().map(|stray| stray.arrival().carrier.stamp));
            let direction = match stamps {
                [Some(a), Some(b)] if b < a => Direction::Descending,
                [None, Some(_)] => Direction::Descending,
                [Some(_), _] => Direction::Ascending,
                [None, None] => break,
            };
            let Some(stray) = chains[direction as usize].pop_front() else { break };
            self.deliver_stray(around, direction, &stray, why);
        }
        self.close_if_empty(around);
    }

    /// Takes the strays of a direction that nothing has contradicted. All others are dropped.
    fn take_uncontradicted<S, C>(&mut self, around: &mut Bystander<'_, S, C>, direction: Direction) -> VecDeque<Stray> {
        let half = &self.halves[direction as usize];
        let is_contradicted = half.strays == 0 || matches!(half.phase, Phase::Finished | Phase::Reset);
        let claims = around.shared.pool.claims(self.waiting);
        let newest = claims.newest(direction).filter(|stray| !is_contradicted && self.fits(around, direction, stray));
        let newest = newest.map(|stray| stray.sequence);
        let mut chain = VecDeque::new();
        self.claim(around, |claims| {
            chain = claims.take_chain(direction, newest.unwrap_or_default());
        });
        if newest.is_none() { VecDeque::new() } else { chain }
    }

    /// Takes the strays of a direction, to put them into the connection that replaces this one.
    pub(crate) fn take_strays<S, C>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        last: u32,
    ) -> VecDeque<Stray> {
        if self.waiting == NONE {
            return VecDeque::new();
        }
        let mut chain = self.claim(around, |claims| claims.take_chain(direction, last));
        let window = around.shared.settings.window;
        let is_near = |stray: &Stray| last.wrapping_sub(stray.arrival().sequence) <= window;
        chain.retain(is_near);
        self.close_if_empty(around);
        chain
    }

    /// Puts a stray of the connection before into this one.
    pub(crate) fn take_over<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        stray: &Stray,
    ) {
        self.place(around, direction, stray.arrival(), stray.fin);
    }

    /// Counts a segment in window. Forgets all claims after as many such segments as the reordering tolerance allows, as the
    /// connection goes on where it was.
    pub(super) fn count_quiet<S, C>(&mut self, around: &mut Bystander<'_, S, C>) {
        if self.waiting == NONE || around.shared.pool.claims(self.waiting).is_empty() {
            return;
        }
        let is_used = self.halves.iter().all(|half| half.offset > 0) && self.doubted_syn.is_none();
        let limit = around.shared.settings.reorder_segments;
        self.claim(around, |claims| {
            if claims.count_quiet() >= limit {
                *claims = Claims::default();
            } else if is_used && claims.has_rivals() {
                claims.forget_rivals();
            }
        });
        self.close_if_empty(around);
    }

    /// Changes the claims. If the connection has no place in the pool yet, opens one.
    fn claim<S, C, T>(&mut self, around: &mut Bystander<'_, S, C>, change: impl FnOnce(&mut Claims) -> T) -> T {
        if self.waiting == NONE {
            self.waiting = around.shared.pool.open(around.flow);
        }
        around.shared.pool.change_claims(self.waiting, change)
    }
}

/// The longest body whose length is believed when it says how far a stream has gone.
const MAX_BODY: u64 = 1 << 50;
