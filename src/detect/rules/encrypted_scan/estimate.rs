//! The estimator: how many answers are uniform, and how well that fits a scan.
//!
//! In: how often each pair of lengths came. Out: an [`Estimate`]. Promises: the same pairs give the same estimate; an answer counts
//! as uniform at most once.
//!
//! A scanner works through a list of words, so its requests differ in length by a few bytes, while most answers are one page: of
//! constant length, or longer by the length of the path that it repeats. A poller repeats its request. With a browser or a client of an
//! API, requests and answers both vary in length. The lengths and times are asked several questions, for instance how many lengths the
//! requests have. Each answer is a factor, and the confidence is the product of all factors. The code that computes a factor lists its
//! values. They were chosen with recordings of scans and of innocent traffic; the README has the figures.

use serde::{Deserialize, Serialize};

use super::tally::{Pair, Tally};

/// The uniform answers of a client.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Estimate {
    pub(super) uniform: u64,
    /// Those that have exactly the most frequent length.
    pub(super) exact: u64,
    /// Those that differ from it by two bytes at most.
    pub(super) near: u64,
    /// The most frequent length, less what follows the request.
    pub(super) length: u32,
    pub(super) band: u32,
    /// The shortest uniform answer as it was sent.
    pub(super) shortest: u32,
    /// Thirds of a byte of the answer for each byte of the request.
    pub(super) slope: u32,
    pub(super) is_multiplexed: bool,
    pub(super) requests: Requests,
}

/// The lengths of the requests that got a uniform answer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Requests {
    pub(super) distinct: u64,
    pub(super) shortest: u32,
    pub(super) longest: u32,
    /// The difference between the lengths that a tenth of the requests are below and above.
    pub(super) spread: u32,
    /// Requests whose length is known.
    pub(super) known: u64,
    /// How often the rarest length came.
    pub(super) rarest: u64,
    /// How many lengths there would be if all were equally frequent: the exponential of the entropy.
    pub(super) variety: f64,
    /// How often two of the requests have one length, 0 to 1.
    pub(super) repetition: f64,
}

/// How an answer may follow its request, in thirds of a byte for each byte. HTTP/2 sends a path in about three quarters of its
/// bytes (RFC 7541, appendix B), and pages repeat it as it is.
const SLOPES: [[u32; 3]; 2] = [[0, 3, 6], [0, 4, 8]];
/// By how much uniform answers may differ: digits of a length or a date, and in HTTP/2 their coding.
const BANDS: [i64; 2] = [3, 8];
/// An answer follows its request only if that explains so many times as many answers, in tenths.
pub(super) const BETTER_BY: u64 = 12;

/// Estimates the uniform answers. `None` without any answer.
pub(super) fn estimate(tally: &Tally) -> Option<Estimate> {
    let of_protocol = |is_multiplexed| {
        let pairs: Vec<(Pair, u32)> =
            tally.pairs().iter().filter(|(pair, _)| pair.is_multiplexed() == is_multiplexed).copied().collect();
        let slopes = SLOPES[usize::from(is_multiplexed)];
        let mut best: Option<Estimate> = None;
        for slope in slopes {
            if let Some(one) = with_slope(&pairs, slope, is_multiplexed)
                && best.is_none_or(|best| one.uniform * 10 > best.uniform * BETTER_BY)
            {
                best = Some(one);
            }
        }
        best
    };
    let [http1, http2] = [false, true].map(of_protocol);
    match (http1, http2) {
        (Some(one), Some(other)) if other.uniform > one.uniform => Some(other),
        (one, other) => one.or(other),
    }
}

/// The length of an answer less the part that follows its request by this slope.
fn rest(pair: Pair, slope: u32) -> i64 {
    i64::from(pair.answer()) - i64::from(pair.request() * slope / 3)
}

/// The most answers that one page explains, if it grows with the request by this slope.
fn with_slope(pairs: &[(Pair, u32)], slope: u32, is_multiplexed: bool) -> Option<Estimate> {
    let mut rests: Vec<(i64, Pair, u64)> = pairs
        .iter()
        .filter(|(pair, _)| slope == 0 || pair.request() > 0)
        .map(|(pair, count)| (rest(*pair, slope), *pair, u64::from(*count)))
        .collect();
    rests.sort_unstable();
    let width = BANDS[usize::from(is_multiplexed)];
    let (mut start, mut sum) = (0, 0);
    let mut best = (0, 0..0);
    for end in 0..rests.len() {
        sum += rests[end].2;
        while rests[end].0 - rests[start].0 > width {
            sum -= rests[start].2;
            start += 1;
        }
        if sum > best.0 {
            best = (sum, start..end + 1);
        }
    }
    let cluster = rests.get(best.1)?;
    let band = cluster.last()?.0 - cluster.first()?.0;
    let (exact, length) = most_frequent(cluster.iter().map(|(rest, _, count)| (*rest, *count)))?;
    Some(Estimate {
        uniform: best.0,
        exact,
        near: cluster.iter().filter(|(rest, ..)| rest.abs_diff(length) <= 2).map(|(_, _, count)| count).sum(),
        length: u32::try_from(length).unwrap_or_default(),
        band: u32::try_from(band).unwrap_or_default(),
        shortest: cluster.iter().map(|(_, pair, _)| pair.answer()).min()?,
        slope,
        is_multiplexed,
        requests: Requests::of(cluster.iter().map(|(_, pair, count)| (pair.request(), *count)).collect()),
    })
}

/// The largest sum of counts of one key, and that key; the smallest of several. Equal keys follow each other.
fn most_frequent(counts: impl Iterator<Item = (i64, u64)>) -> Option<(u64, i64)> {
    let mut best: Option<(u64, i64)> = None;
    let mut current: Option<(u64, i64)> = None;
    for (key, count) in counts {
        let sum = current.filter(|(_, of)| *of == key).map_or(0, |(sum, _)| sum) + count;
        current = Some((sum, key));
        if best.is_none_or(|(most, _)| sum > most) {
            best = current;
        }
    }
    best
}

impl Estimate {
    /// Returns whether an answer is one of these uniform ones, by its length.
    pub(super) fn explains(&self, pair: Pair) -> bool {
        let rest = rest(pair, self.slope);
        pair.is_multiplexed() == self.is_multiplexed
            && (self.slope == 0 || pair.request() > 0)
            && (rest - i64::from(self.length)).abs() <= BANDS[usize::from(self.is_multiplexed)]
    }

    /// Returns whether the answers have two or three lengths side by side.
    fn has_neighbours(&self) -> bool {
        self.slope == 0 && self.exact * 5 < self.uniform * 4 && self.near * 10 >= self.uniform * 9
    }
}

impl Requests {
    /// Returns whether no length is rare.
    fn is_even(&self) -> bool {
        self.rarest >= 4 && self.rarest * self.distinct * 4 >= self.known
    }

    /// The figures of request lengths with their counts. Lengths that are not known are left out.
    fn of(mut lengths: Vec<(u32, u64)>) -> Self {
        lengths.retain(|(length, _)| *length > 0);
        lengths.sort_unstable();
        lengths.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            earlier.1 += if is_same { later.1 } else { 0 };
            is_same
        });
        let all: u64 = lengths.iter().map(|(_, count)| count).sum();
        let (Some(shortest), Some(longest)) = (lengths.first(), lengths.last()) else { return Self::default() };
        let at = |tenths: u64| {
            let mut before = 0;
            let is_reached = |&&(_, count): &&(u32, u64)| {
                before += count;
                before * 10 >= all * tenths
            };
            lengths.iter().find(is_reached).map_or(0, |(length, _)| *length)
        };
        let shares = || lengths.iter().map(|(_, count)| *count as f64 / all as f64);
        let entropy: f64 = shares().map(|share| -share * share.ln()).sum();
        Self {
            distinct: lengths.len() as u64,
            shortest: shortest.0,
            longest: longest.0,
            spread: at(9) - at(1),
            known: all,
            rarest: lengths.iter().map(|(_, count)| *count).min().unwrap_or_default(),
            variety: entropy.exp(),
            repetition: shares().map(|share| share * share).sum(),
        }
    }
}

/// The other facts from which the confidence is computed, together with the estimate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    pub(super) turns: u64,
    pub(super) turns_per_minute: f64,
    pub(super) other_clients: u64,
    pub(super) is_browser_like: bool,
    pub(super) is_coarse: bool,
    /// The share of requests whose length those before did not foretell, where lengths are coarse.
    pub(super) surprise: Option<f64>,
    /// Turns whose request is one byte longer than the one before.
    pub(super) steps: u64,
}

/// No lengths prove a scan.
const MOST: f64 = 0.9;
/// Other clients that get the same answer make it an ordinary one.
const ORDINARY_FROM: u64 = 5;

/// Returns how well the figures fit a scan, 0 to 1.
pub(super) fn confidence(found: &Estimate, around: &Circumstances) -> f64 {
    let share = found.uniform as f64 / around.turns.max(1) as f64;
    // Lengths in no order are foretold as often as two of them are equal by chance.
    let by_chance = 1.0 - found.requests.repetition;
    let has_no_order = around.is_coarse && around.surprise.is_some_and(|share| share >= by_chance * 0.8);
    // Lengths that are known to 16 bytes only show a fraction of the variety.
    let of_blocks = if has_no_order { 3.0 } else { 2.0 };
    let variety = found.requests.variety * if around.is_coarse { of_blocks } else { 1.0 };
    let of_variety = step(variety, &[(6.0, 1.0), (5.0, 0.85), (4.0, 0.6), (3.0, 0.4), (2.0, 0.25), (1.3, 0.2)]);
    let is_page = page(found).is_some();
    let of_page = if is_page && found.requests.variety >= 1.3 { 0.8 } else { 0.0 };
    let is_short = found.shortest < if found.is_multiplexed { 40 } else { 140 };
    let factors = [
        f64::max(of_variety, of_page),
        step(share, &[(0.8, 1.0), (0.6, 0.9), (0.4, 0.75), (0.25, 0.5), (0.0, 0.25)]),
        step(-f64::from(found.requests.spread), &[(-64.0, 1.0), (-128.0, 0.8), (-256.0, 0.5), (f64::MIN, 0.3)]),
        step(around.turns_per_minute, &[(30.0, 1.0), (10.0, 0.85), (0.0, 0.7)]),
        // Too short for a head with a page: 204, 304, an acknowledgment.
        lowered_if(is_short, 0.45),
        // Answers of 304 carry validators of two or three lengths, and a page has one length.
        lowered_if(found.has_neighbours(), 0.45),
        // A monitor repeats each of its requests equally often, and a list has words of rare lengths.
        lowered_if(!is_page && !has_no_order && found.requests.is_even(), 0.4),
        // Requests that grow by one byte are a word that is typed.
        lowered_if(around.steps * 20 >= around.turns * if found.is_multiplexed { 9 } else { 10 }, 0.4),
        lowered_if(around.is_browser_like, 0.45),
        lowered_if(!is_page && around.other_clients >= ORDINARY_FROM, 0.8),
        lowered_if(around.is_coarse, 0.8),
    ];
    factors.into_iter().product::<f64>().min(MOST)
}

/// A factor that counts only if something is so.
const fn lowered_if(is_so: bool, factor: f64) -> f64 {
    if is_so { factor } else { 1.0 }
}

/// The value of the first step that a figure reaches, or 0.
fn step(figure: f64, steps: &[(f64, f64)]) -> f64 {
    steps.iter().find(|(from, _)| figure >= *from).map_or(0.0, |(_, value)| *value)
}

/// The lengths of nginx's own page for 404 or 403 in HTTP/1.1: with a version of five or six characters, without a version, with
/// the name of a distribution; each also with `Connection: close`.
const NGINX_PAGES: [u32; 8] = [289, 294, 301, 303, 306, 308, 321, 326];
/// The same in HTTP/2, where the coding of the date varies.
const NGINX_PAGES_HTTP2: std::ops::RangeInclusive<u32> = 217..=224;
/// By so much nginx pads the page for clients that name themselves as Chrome or Internet Explorer.
const NGINX_PADDING: u32 = 402;

/// Names the page that has exactly the length of the uniform answers.
pub(super) fn page(found: &Estimate) -> Option<&'static str> {
    let is_own = |length: &u32| match found.is_multiplexed {
        false => NGINX_PAGES.contains(length),
        true => NGINX_PAGES_HTTP2.contains(length),
    };
    let is_nginx = is_own(&found.length) || found.length.checked_sub(NGINX_PADDING).as_ref().is_some_and(is_own);
    (found.slope == 0 && is_nginx).then_some("nginx 404 or 403")
}
