//! IP fragments: overlaps, copies, limits and attacks.

use std::time::Duration;

use super::*;

/// Content of two TCP segments of the same length that differ in their payload.
fn two_readings(v4: bool) -> (Tcp, Vec<u8>, Vec<u8>) {
    let tcp = if v4 { Tcp::v4(&[b'a'; 100]) } else { Tcp::v6(&[b'a'; 100]) };
    let other = Tcp { payload: vec![b'b'; 100], ..tcp.clone() };
    (tcp.clone(), tcp.packet().ip().unwrap(), other.packet().ip().unwrap())
}

fn feed_all(decoder: &mut BothWays, pieces: &[Vec<u8>]) -> Vec<Seen> {
    pieces.iter().flat_map(|piece| feed(decoder, RAW, piece, piece.len(), 0)).collect()
}

fn limited(limits: FragmentLimits) -> BothWays {
    BothWays::new(DecodeSettings { fragments: limits, ..DecodeSettings::default() })
}

#[test]
fn the_first_reading_of_an_ipv4_overlap_stays() {
    let (tcp, first, second) = two_readings(true);
    let mut decoder = decoder();
    let length = first.len() - 20;
    // The second fragment covers bytes 40..64 again, and claims something else for them; then 64.. is new.
    let pieces =
        [wrap::fragment(&first, 1, 0..64), wrap::fragment(&second, 1, 40..80), wrap::fragment(&first, 1, 80..length)];
    let seen = feed_all(&mut decoder, &pieces);
    let mut payload = vec![b'a'; 100];
    payload[64 - 32..80 - 32].fill(b'b');
    assert_eq!(seen, [Seen { payload, ..Seen::expected(&tcp) }]);
    let counters = decoder.counters();
    assert_eq!(
        (counters.fragments_overlapping, counters.fragments_disagreeing, counters.datagrams_reassembled),
        (1, 1, 1)
    );
}

#[test]
fn an_ipv4_fragment_fills_all_holes_that_it_covers() {
    let (tcp, first, second) = two_readings(true);
    let length = first.len() - 20;
    let pieces = [
        wrap::fragment(&first, 1, 16..24),
        wrap::fragment(&first, 1, 48..56),
        wrap::fragment(&first, 1, 0..80),
        wrap::fragment(&first, 1, 72..length),
    ];
    let mut decoder = decoder();
    assert_eq!(feed_all(&mut decoder, &pieces), [Seen::expected(&tcp)]);
    let counters = decoder.counters();
    assert_eq!((counters.fragments_overlapping, counters.fragments_disagreeing), (2, 0));
    // Once complete, another reading is a datagram of its own, which waits in vain.
    assert_eq!(feed_all(&mut decoder, &[wrap::fragment(&second, 1, 48..56)]), []);
    assert_eq!(decoder.counters().datagrams_incomplete, 1);
}

#[test]
fn an_ipv6_overlap_ends_the_datagram() {
    let (_, first, second) = two_readings(false);
    let length = first.len() - 40;
    for (overlap, disagreeing) in [(&first, 0), (&second, 1)] {
        let mut decoder = decoder();
        let pieces = [
            wrap::fragment(&first, 1, 0..64),
            wrap::fragment(&first, 1, 0..64),
            wrap::fragment(overlap, 1, 40..80),
            wrap::fragment(&first, 1, 64..length),
            wrap::fragment(&first, 1, 0..64),
        ];
        assert_eq!(feed_all(&mut decoder, &pieces), []);
        let counters = decoder.counters();
        assert_eq!(
            (counters.fragments_repeated, counters.fragments_overlapping, counters.fragments_disagreeing),
            (1, 1, disagreeing)
        );
        assert_eq!((counters.datagrams_given_up_overlap, counters.fragments_refused), (1, 2));
    }
}

#[test]
fn copies_of_a_complete_datagram_are_no_news_and_its_identification_is_free() {
    for v4 in [true, false] {
        let (tcp, first, second) = two_readings(v4);
        let mut decoder = decoder();
        // A SPAN port copies every packet.
        let pieces: Vec<_> =
            wrap::fragments(&first, 1, &[40, 80]).into_iter().flat_map(|piece| [piece.clone(), piece]).collect();
        assert_eq!(feed_all(&mut decoder, &pieces), [Seen::expected(&tcp)]);
        let counters = decoder.counters();
        assert_eq!((counters.fragments_repeated, counters.datagrams_incomplete), (3, 0));
        let other = Tcp { payload: vec![b'b'; 100], ..tcp };
        assert_eq!(feed_all(&mut decoder, &wrap::fragments(&second, 1, &[40, 80])), [Seen::expected(&other)]);
    }
}

#[test]
fn the_smallest_fragments_make_a_segment() {
    for tcp in [Tcp::v4(&[7; 1_460]), Tcp::v6(&[7; 1_440])] {
        let packet = tcp.packet().ip().unwrap();
        let cuts: Vec<_> = (0..1_500).step_by(8).collect();
        let mut pieces = wrap::fragments(&packet, 9, &cuts);
        pieces.reverse();
        assert!(pieces.len() > 180);
        assert_eq!(feed_all(&mut decoder(), &pieces), [Seen::expected(&tcp)]);
    }
}

#[test]
fn impossible_fragments_are_refused_alone() {
    let tcp = Tcp::v4(&[1; 100]);
    let packet = tcp.packet().ip().unwrap();
    let length = packet.len() - 20;
    let whole = wrap::fragments(&packet, 1, &[64]);
    let with_field = |mut piece: Vec<u8>, field: u16| {
        piece[6..8].copy_from_slice(&field.to_be_bytes());
        piece
    };
    let pieces = [
        whole[0].clone(),
        // Beyond the longest datagram.
        with_field(whole[1].clone(), 0x1fff),
        // Empty.
        wrap::ip(tcp.source.0, tcp.destination.0, 6, &[]),
        // Shorter than the unit of offsets.
        with_field(wrap::ip(tcp.source.0, tcp.destination.0, 6, &[0; 7]), 0x2000),
        whole[1].clone(),
    ];
    let mut pieces = pieces.to_vec();
    pieces[2] = with_field(pieces[2].clone(), 0x2001);
    let mut decoder = decoder();
    assert_eq!(feed_all(&mut decoder, &pieces), [Seen::expected(&tcp)]);
    assert_eq!(decoder.counters().fragments_malformed, 3);

    // Another end than the one already given, before and after it.
    let mut decoder = super::decoder();
    let contradictions = [
        wrap::fragment(&packet, 1, 64..length),
        with_field(wrap::fragment(&packet, 1, 64..length), 0x2000 | 10),
        with_field(wrap::fragment(&packet, 1, 64..72), 8),
        wrap::fragment(&packet, 1, 0..64),
    ];
    assert_eq!(feed_all(&mut decoder, &contradictions), [Seen::expected(&tcp)]);
    assert_eq!(decoder.counters().fragments_malformed, 2);
}

#[test]
fn a_snap_length_leaves_what_was_captured_up_to_the_first_hole() {
    let tcp = Tcp::v4(&[3; 400]);
    let pieces = wrap::fragments(&tcp.packet().ip().unwrap(), 1, &[200]);
    let mut decoder = decoder();
    let mut seen = Vec::new();
    for piece in pieces {
        seen.extend(feed(&mut decoder, RAW, &piece[..120], piece.len(), 0));
    }
    assert_eq!(seen, [Seen { payload: vec![3; 100 - 32], ..Seen::expected(&tcp) }]);
}

#[test]
fn datagrams_are_given_up_after_the_timeout() {
    let tcp = Tcp::v4(&[1; 100]);
    let pieces = wrap::fragments(&tcp.packet().ip().unwrap(), 1, &[64]);
    for (seconds, complete) in [(30, true), (31, false)] {
        let mut decoder = limited(FragmentLimits { timeout: Duration::from_secs(30), ..FragmentLimits::default() });
        feed(&mut decoder, RAW, &pieces[0], pieces[0].len(), 100);
        // Time that goes back ends nothing.
        feed(&mut decoder, RAW, &pieces[0], pieces[0].len(), 10);
        let seen = feed(&mut decoder, RAW, &pieces[1], pieces[1].len(), 100 + seconds);
        assert_eq!(!seen.is_empty(), complete);
        assert_eq!(decoder.counters().datagrams_timed_out, u64::from(!complete));
    }
}

#[test]
fn the_oldest_datagram_makes_room() {
    let mut decoder = limited(FragmentLimits { datagrams: 3, ..FragmentLimits::default() });
    let datagrams: Vec<_> = (0..4u8)
        .map(|number| {
            let tcp = Tcp::v4(&[number; 100]);
            (wrap::fragments(&tcp.packet().ip().unwrap(), number.into(), &[64]), Seen::expected(&tcp))
        })
        .collect();
    for (pieces, _) in &datagrams {
        assert_eq!(feed_all(&mut decoder, &pieces[..1]), []);
    }
    for (pieces, expected) in &datagrams[1..] {
        assert_eq!(feed_all(&mut decoder, &pieces[1..]), std::slice::from_ref(expected));
    }
    assert_eq!(feed_all(&mut decoder, &datagrams[0].0[1..]), []);
    assert_eq!((decoder.counters().datagrams_evicted, decoder.counters().datagrams_reassembled), (1, 3));
}

#[test]
fn too_many_pieces_end_the_datagram() {
    let tcp = Tcp::v4(&[1; 200]);
    let packet = tcp.packet().ip().unwrap();
    let pieces = wrap::fragments(&packet, 1, &[8, 16, 24, 32]);
    let mut decoder = limited(FragmentLimits { pieces: 4, ..FragmentLimits::default() });
    assert_eq!(feed_all(&mut decoder, &pieces), []);
    assert_eq!(feed_all(&mut decoder, &pieces[..1]), []);
    let counters = decoder.counters();
    assert_eq!((counters.datagrams_given_up_pieces, counters.fragments_refused), (1, 1));
    let mut decoder = limited(FragmentLimits { pieces: 5, ..FragmentLimits::default() });
    assert_eq!(feed_all(&mut decoder, &pieces), [Seen::expected(&tcp)]);
}

#[test]
fn a_flood_of_fragments_stays_within_the_caps_and_hides_nothing() {
    const FLOOD: u32 = 200_000;
    let limits = FragmentLimits { bytes: 1 << 20, datagrams: 2_000, ..FragmentLimits::default() };
    let mut decoder = limited(limits);
    let tcp = Tcp::v4(&[1; 100]);
    let pieces = wrap::fragments(&tcp.packet().ip().unwrap(), 77, &[64]);
    let mut junk = wrap::fragment(&Tcp::v4(&[2; 400]).packet().ip().unwrap(), 1, 0..240);
    let mut complete = 0;
    for number in 0..FLOOD {
        junk[12..16].copy_from_slice(&number.to_be_bytes());
        assert_eq!(feed(&mut decoder, RAW, &junk, junk.len(), 0), []);
        assert!(decoder.fragment_bytes_held() <= limits.bytes);
        match number % 1_000 {
            0 => complete += feed(&mut decoder, RAW, &pieces[0], pieces[0].len(), 0).len(),
            500 => complete += feed(&mut decoder, RAW, &pieces[1], pieces[1].len(), 0).len(),
            _ => {}
        }
    }
    let counters = decoder.counters();
    // The datagram is always the same one: after the first time its fragments are copies until the flood washed it
    // away.
    assert!(complete >= 100, "{complete}");
    assert_eq!(counters.datagrams_evicted + counters.datagrams_incomplete, u64::from(FLOOD));
    assert!(counters.datagrams_incomplete <= limits.datagrams as u64);
}

#[test]
fn fragments_of_different_tunnels_do_not_mix() {
    let (tcp, first, second) = two_readings(true);
    let length = first.len() - 20;
    let through = |id: u32, piece: Vec<u8>| Wrap::Vxlan(id).around(Frame::Ip(piece)).unwrap().ip().unwrap();
    let pieces = [
        through(1, wrap::fragment(&first, 1, 0..64)),
        through(2, wrap::fragment(&second, 1, 0..64)),
        through(2, wrap::fragment(&second, 1, 64..length)),
        through(1, wrap::fragment(&first, 1, 64..length)),
    ];
    let mut decoder = decoder();
    let seen: Vec<_> =
        feed_all(&mut decoder, &pieces).into_iter().map(|seen| (seen.encapsulation.tunnel_id, seen.payload)).collect();
    assert_eq!(seen, [(2, vec![b'b'; 100]), (1, tcp.payload)]);
}
