//! Families of segments that claim a connection is elsewhere than it is: forged, corrupted, left out by a filter, replayed.

use super::*;

/// Pseudo-random numbers by seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as u32 ^ (self.0 >> 12) as u32
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }

    /// A number that is more than two windows away from another.
    fn far_from(&mut self, number: u32) -> u32 {
        number.wrapping_add(0x0300_0000).wrapping_add(self.below(0xf800_0000))
    }
}

/// What both sides say in an exchange.
fn texts(index: u32) -> (Vec<u8>, Vec<u8>) {
    (format!("GET /{index} HTTP/1.1\r\n\r\n").into(), format!("HTTP/1.1 404 {index}\r\n\r\n").into())
}

/// Sends exchanges from these sequence numbers on, and returns the numbers after them and all the text of both sides.
fn exchanges(play: &mut Play, count: u32, (mut client, mut server): (u32, u32)) -> ((u32, u32), [Vec<u8>; 2]) {
    let mut all = [vec![], vec![]];
    for index in 0..count {
        let (request, response) = texts(index);
        play.client(client, server, ACK, &request);
        client = client.wrapping_add(request.len() as u32);
        play.server(server, client, ACK, b"").server(server, client, ACK, &response);
        server = server.wrapping_add(response.len() as u32);
        play.client(client, server, ACK, b"");
        all[0].extend(request);
        all[1].extend(response);
    }
    ((client, server), all)
}

fn close(play: &mut Play, (client, server): (u32, u32)) {
    play.client(client, server, ACK | FIN, b"").server(server, client.wrapping_add(1), ACK | FIN, b"");
    play.client(client.wrapping_add(1), server.wrapping_add(1), ACK, b"");
}

#[test]
fn forged_handshake_numbers_silence_nothing() {
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let (client, server) = (dice.next(), dice.next());
        let mut play = Play::new();
        let most = 1 + dice.below(20);
        let mut forge = |play: &mut Play| {
            for _ in 0..dice.below(most) {
                match dice.below(4) {
                    0 => play.client(dice.far_from(client), 0, SYN, b""),
                    1 => play.server(dice.far_from(server), client, SYN | ACK, b""),
                    2 => play.server(dice.far_from(server), dice.far_from(client), SYN | ACK, b""),
                    _ => play.client(client, dice.far_from(server), ACK, b""),
                };
            }
        };
        forge(&mut play);
        play.client(client.wrapping_sub(1), 0, SYN, b"");
        forge(&mut play);
        play.server(server.wrapping_sub(1), client, SYN | ACK, b"");
        forge(&mut play);
        play.client(client, server, ACK, b"");
        forge(&mut play);
        let (ends, texts) = exchanges(&mut play, 4, (client, server));
        close(&mut play, ends);
        play.finish();
        assert_eq!(
            play.log.streams.each_ref().map(|stream| String::from_utf8_lossy(stream)),
            texts.each_ref().map(|text| String::from_utf8_lossy(text)),
            "seed {seed}"
        );
    }
}

#[test]
fn the_acknowledgment_chooses_among_near_numbers() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let (client, server) = (dice.next(), dice.next());
        let other = [client.wrapping_add(1 + dice.below(1 << 20)), server.wrapping_add(1 + dice.below(1 << 20))];
        let mut play = Play::new();
        let order = dice.below(6);
        let syn = |play: &mut Play, number: u32| _ = play.client(number.wrapping_sub(1), 0, SYN, b"");
        let syn_ack = |play: &mut Play, number: u32| _ = play.server(number.wrapping_sub(1), client, SYN | ACK, b"");
        match order {
            0 => [client, other[0]].map(|number| syn(&mut play, number)),
            1 => [other[0], client].map(|number| syn(&mut play, number)),
            _ => [client, client].map(|number| syn(&mut play, number)),
        };
        match order {
            2 => [server, other[1]].map(|number| syn_ack(&mut play, number)),
            3 => [other[1], server].map(|number| syn_ack(&mut play, number)),
            _ => [server, server].map(|number| syn_ack(&mut play, number)),
        };
        if dice.below(2) == 0 {
            play.client(client, server, ACK, b"");
        }
        let (ends, texts) = exchanges(&mut play, 3, (client, server));
        close(&mut play, ends);
        play.finish();
        assert_eq!(play.log.streams, texts, "seed {seed}, order {order}");
        assert_eq!((play.counters().tcp.gap_bytes, play.counters().table.ended_replaced), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_corrupted_acknowledgment_moves_nothing() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut play = if dice.below(3) == 0 { Play::new() } else { Play::opened() };
        let (mut ends, mut texts) = ((CLIENT, SERVER), [vec![], vec![]]);
        for _ in 0..4 {
            let wrong = if dice.below(2) == 0 { dice.next() } else { ends.1.wrapping_add(dice.below(1 << 20)) };
            play.client(ends.0, wrong, ACK, b"");
            let (next, more) = exchanges(&mut play, 1, ends);
            ends = next;
            texts.iter_mut().zip(more).for_each(|(text, more)| text.extend(more));
        }
        play.finish();
        assert_eq!(play.log.streams, texts, "seed {seed}");
        assert_eq!(play.counters().tcp.gap_bytes, 0, "seed {seed}");
    }
}

/// Bodies that a filter leaves out.
const BODIES: [u64; 6] = [3_000_000, 17_000_000, 30_000_000, 2_000_000_000, 3_000_000_000, 5_000_000_000];

#[test]
fn only_the_packets_that_start_messages_are_enough() {
    for body in BODIES {
        for (has_requests, has_responses, is_opened) in
            [(true, true, true), (true, true, false), (false, true, false), (true, false, false), (false, true, true)]
        {
            let mut play = if is_opened { Play::opened() } else { Play::new() };
            let (mut client, mut server) = (CLIENT, SERVER);
            let mut expected: [Vec<u8>; 2] = [vec![], vec![]];
            for index in 0..6 {
                let (request, response) = texts(index);
                if has_requests {
                    play.client(client, server, ACK, &request);
                    expected[0].extend(&request);
                }
                client = client.wrapping_add(request.len() as u32);
                if !has_responses {
                    client = client.wrapping_add(body as u32);
                }
                if has_responses {
                    play.server(server, client, ACK, &response);
                    expected[1].extend(&response);
                }
                server = server.wrapping_add(response.len() as u32);
                if has_responses {
                    server = server.wrapping_add(body as u32);
                }
            }
            play.wait(100_000).finish();
            assert_eq!(play.log.streams, expected, "{body} {has_requests} {has_responses} {is_opened}");
        }
    }
}

#[test]
fn a_gap_of_more_than_4_gib_is_as_long_as_the_body() {
    for body in [5_000_000_000u64, 12_345_678_901] {
        let mut play = Play::opened();
        play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER, CLIENT + 3, ACK, b"200");
        play.log.unneeded = body;
        let next = (SERVER + 3).wrapping_add(body as u32);
        play.client(CLIENT + 3, next, ACK, b"GET").server(next, CLIENT + 6, ACK, b"404");
        play.told(&["c0 GET", "s0 200", "c3 GET", &format!("s3 gap {body}"), &format!("s{} 404", body + 3)]);
    }
}

#[test]
fn a_stray_that_nothing_contradicts_is_told_at_the_end() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER + 50_000_000, CLIENT + 3, ACK, b"404").told(&["c0 GET"]);
    play.finish().told(&["s0 gap 50000000", "s50000000 404", "CaptureEnd"]);
}

#[test]
fn forged_strays_move_nothing_while_the_stream_goes_on() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut play = Play::opened();
        let (mut ends, mut texts) = ((CLIENT, SERVER), [vec![], vec![]]);
        for _ in 0..6 {
            for _ in 0..dice.below(4) {
                let is_client = dice.below(2) == 0;
                let (own, other) = if is_client { ends } else { (ends.1, ends.0) };
                let acknowledgment = if dice.below(2) == 0 { other } else { dice.next() };
                play.segment(is_client, dice.far_from(own), acknowledgment, ACK, b"HTTP/1.1 500 forged\r\n\r\n", 0);
            }
            let (next, more) = exchanges(&mut play, 1, ends);
            ends = next;
            texts.iter_mut().zip(more).for_each(|(text, more)| text.extend(more));
        }
        close(&mut play, ends);
        play.finish();
        assert_eq!(play.log.streams, texts, "seed {seed}");
        assert_eq!(play.counters().tcp.gap_bytes, 0, "seed {seed}");
    }
}

#[test]
fn a_stream_that_was_moved_by_forged_segments_of_both_sides_comes_back() {
    for seed in 0..100 {
        let mut dice = Dice(seed);
        let mut play = Play::opened();
        let (ends, _) = exchanges(&mut play, 2, (CLIENT, SERVER));
        let forged = dice.far_from(ends.1);
        play.client(ends.0, forged, ACK, b"").server(forged, ends.0, ACK, b"forged");
        let before = play.log.streams[1].len();
        let (ends, texts) = exchanges(&mut play, 4, ends);
        close(&mut play, ends);
        play.finish();
        let told = String::from_utf8_lossy(&play.log.streams[1][before..]).into_owned();
        assert!(told.ends_with(&*String::from_utf8_lossy(&texts[1])), "seed {seed}: {told}");
    }
}

#[test]
fn the_same_connection_again_counts_again() {
    for silence in [300, 1_000, 3_500, 60_000, 4_000_000] {
        for end in [ACK | FIN, ACK | RST] {
            let mut play = Play::new();
            let mut expected: [Vec<u8>; 2] = [vec![], vec![]];
            for _ in 0..3 {
                play.open();
                let (ends, texts) = exchanges(&mut play, 3, (CLIENT, SERVER));
                if end & FIN != 0 {
                    close(&mut play, ends);
                } else {
                    play.server(ends.1, ends.0, end, b"");
                }
                expected.iter_mut().zip(texts).for_each(|(all, text)| all.extend(text));
                play.wait(silence);
            }
            play.finish();
            assert_eq!(play.log.streams, expected, "{silence} {end}");
        }
    }
}

#[test]
fn a_part_of_the_same_connection_again_is_a_retransmission() {
    for missing in 0..3 {
        let mut play = closed();
        play.wait(1_000);
        if missing != 0 {
            play.client(CLIENT - 1, 0, SYN, b"");
        }
        if missing != 1 {
            play.server(SERVER - 1, CLIENT, SYN | ACK, b"");
        }
        if missing != 2 {
            play.client(CLIENT, SERVER, ACK, b"");
        }
        play.client(CLIENT + 1, SERVER, ACK | FIN, b"ye").wait(1_000).told(&[]);
    }
    // A copy within the reordering tolerance is no connection, even if it is whole.
    let mut play = closed();
    play.open().client(CLIENT, SERVER, ACK | FIN, b"bye").wait(1_000).told(&[]);
}
