//! Gaps, midstream and one-sided captures, and responses before their requests: a pair may be unknown, but is never wrong.

use crate::stream::testing::{CLIENT, SERVER, Talk};
use crate::{
    exchange::{Exchange, Remarks},
    tcp::{Chunk, Direction, Ending},
};

fn get(target: &str) -> String {
    format!("GET /{target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn answer(status: u16) -> String {
    format!("HTTP/1.1 {status} x\r\nContent-Length: 4\r\n\r\nbody")
}

#[test]
fn a_hole_in_a_body_of_known_length_costs_nothing() {
    let mut talk = Talk::new();
    talk.client(get("a"))
        .server("HTTP/1.1 404 x\r\nContent-Length: 10000\r\n\r\nstart")
        .chunk(SERVER, Chunk::Gap(9000));
    talk.server("y".repeat(995)).client(get("b")).server(answer(500)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404", "GET /b 500"]);
    assert_eq!(talk.finished()[0].response_body_bytes, 10000);
    assert!(talk.finished()[0].remarks.has(Remarks::BODY_GAP));
}

#[test]
fn a_hole_hides_a_response_only_where_one_is_missing() {
    let big = "HTTP/1.1 404 x\r\nContent-Length: 500\r\n\r\nx";
    let plain = "HTTP/1.1 404 x\r\nServer: y\r\nX-C";
    let chunked = "HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc";
    for (requests, sent, lost, hidden) in [
        (1, big, 499, 0),
        (1, big, 700, 0),
        (2, big, 499, 0),
        (2, big, 700, 1),
        (1, plain, 100, 0),
        (2, plain, 100, 1),
        (1, chunked, 100, 0),
        (2, chunked, 100, 1),
        (1, "HTTP/1.1 4", 100, 1),
        (1, "", 100, 1),
        (0, "HTTP/1.1 4", 100, 1),
        (0, "HTTP/1.1 404 x", 100, 0),
        (0, "SSH-2.0-x", 100, 0),
    ] {
        let mut talk = Talk::new();
        (0..requests).for_each(|_| {
            talk.client(get("a"));
        });
        if !sent.is_empty() {
            talk.server(sent);
        }
        talk.chunk(SERVER, Chunk::Gap(lost));
        assert_eq!(talk.streams.sink().response_gaps.min(1), hidden, "{requests} {sent} {lost}");
    }
}

#[test]
fn bytes_nobody_kept_are_no_hole() {
    let mut talk = Talk::new();
    talk.client(get("a")).server("HTTP/1.1 404 x\r\nContent-Length: 100\r\n\r\n?").chunk(SERVER, Chunk::Skipped(99));
    talk.client(get("b")).server(answer(500)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404", "GET /b 500"]);
    assert!(!talk.finished()[0].remarks.has(Remarks::BODY_GAP));
}

#[test]
fn a_hole_in_a_chunk_costs_nothing_and_in_framing_one_message_at_most() {
    let mut talk = Talk::new();
    talk.client(get("a")).server("HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n");
    talk.chunk(SERVER, Chunk::Gap(0x100))
        .server("\r\n0\r\n\r\n")
        .client(get("b"))
        .server(answer(500))
        .end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404", "GET /b 500"]);

    let mut talk = Talk::new();
    talk.client(get("a")).server("HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    talk.chunk(SERVER, Chunk::Gap(50)).client(get("b")).server(answer(500)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404", "GET /b 500"]);
}

#[test]
fn a_hole_in_a_head_leaves_its_status() {
    let mut talk = Talk::new();
    talk.client(get("a")).server("HTTP/1.1 404 Not Found\r\nServer: x\r\nX-Cut").chunk(SERVER, Chunk::Gap(100));
    talk.server("rest of the body").client(get("b")).server(answer(500)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404", "GET /b 500"]);
    assert!(talk.finished()[0].remarks.has(Remarks::RESPONSE_TRUNCATED));

    for cut in ["HTTP/1.1 404", "HTTP/1.1 404 Not Fo"] {
        let mut talk = Talk::new();
        talk.client(get("a")).server(cut).chunk(SERVER, Chunk::Gap(1000)).server("rest").end(Ending::Closed);
        assert_eq!(talk.rows(), ["GET /a 404"]);
    }

    let mut talk = Talk::new();
    talk.client("GET /a HTTP/1.1\r\nHost: h\r\nX-Cut")
        .chunk(CLIENT, Chunk::Gap(100))
        .server(answer(404))
        .end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404"]);
    assert!(talk.finished()[0].remarks.has(Remarks::REQUEST_TRUNCATED));
}

/// A packet of which only the first bytes were captured.
fn snapped(talk: &mut Talk, side: Direction, packet: &str, kept: usize) {
    talk.chunk(side, Chunk::Data(&packet.as_bytes()[..kept.min(packet.len())]));
    if kept < packet.len() {
        talk.chunk(side, Chunk::Snapped((packet.len() - kept) as u64));
    }
}

const LONG: &str = "GET /catalogue/of/everything HTTP/1.1\r\nHost: shop.example\r\n\r\n";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Length: 60\r\n\r\n";

#[test]
fn a_snap_length_leaves_the_pairs() {
    for (kept, target) in [
        (9, "/cata"),
        (27, "/catalogue/of/everythin"),
        (28, "/catalogue/of/everything"),
        (29, "/catalogue/of/everything"),
        (32, "/catalogue/of/everything"),
        (36, "/catalogue/of/everything"),
        (38, "/catalogue/of/everything"),
        (50, "/catalogue/of/everything"),
    ] {
        let mut talk = Talk::new();
        for _ in 0..3 {
            snapped(&mut talk, CLIENT, LONG, kept);
            snapped(&mut talk, SERVER, NOT_FOUND, 20);
            snapped(&mut talk, SERVER, &"body ".repeat(12), 20);
        }
        let expected = format!("GET {target} 404");
        assert_eq!(talk.end(Ending::Closed).rows(), [&*expected; 3], "{kept}");
        let is_cut = |exchange: &Exchange| exchange.remarks.has(Remarks::FIELD_TRUNCATED);
        assert!(talk.finished().iter().all(|exchange| is_cut(exchange) == (kept < 29)), "{kept}");
        let is_odd = |exchange: &Exchange| exchange.remarks.has(Remarks::MALFORMED_HEADERS);
        assert!(!talk.finished().iter().any(is_odd), "a cut head is not malformed");
    }
}

#[test]
fn the_body_of_a_snapped_request_is_no_request() {
    let post = "POST /form HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 40\r\n\r\n";
    let mut talk = Talk::new();
    for request in [post, LONG] {
        snapped(&mut talk, CLIENT, request, 30);
        if request == post {
            snapped(&mut talk, CLIENT, "name=value&password=secret&more=of-the-form", 20);
        }
        snapped(&mut talk, SERVER, NOT_FOUND, 20);
    }
    assert_eq!(talk.end(Ending::Closed).rows(), ["POST /form 404", "GET /catalogue/of/everything 404"]);
}

/// Behind the captured bytes of a packet, there was a second request.
#[test]
fn an_answer_that_nobody_asked_for_shows_what_the_snap_length_hides() {
    let two = format!("{LONG}{}", get("hidden"));
    let mut talk = Talk::new();
    snapped(&mut talk, CLIENT, &two, 40);
    snapped(&mut talk, SERVER, NOT_FOUND, 20);
    snapped(&mut talk, SERVER, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", 20);
    snapped(&mut talk, CLIENT, &two.replace("everything", "something"), 40);
    snapped(&mut talk, SERVER, NOT_FOUND, 20);
    let rows = talk.end(Ending::Closed).rows();
    assert_eq!(rows[..2], ["GET /catalogue/of/everything 404", "  500"]);
    assert!(rows.contains(&"  404".into()), "{rows:?}");
}

/// The bytes before a request are missing. They may be the first letters of its method, which the server refuses.
#[test]
fn a_refused_method_may_begin_in_the_packet_before() {
    for (status, is_paired) in [("400 Bad Request", false), ("501 Not Implemented", false), ("403 Forbidden", true)] {
        let mut talk = Talk::new();
        snapped(&mut talk, CLIENT, &format!("{LONG}XYZ"), 40);
        snapped(&mut talk, SERVER, NOT_FOUND, 20);
        snapped(&mut talk, CLIENT, LONG, 40);
        snapped(&mut talk, SERVER, &format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"), 20);
        let expected = format!("GET /catalogue/of/everything {}", &status[..3]);
        assert_eq!(talk.end(Ending::Closed).rows().contains(&expected), is_paired, "{status}");
    }
}

#[test]
fn a_lost_response_does_not_shift_the_pairs() {
    let mut talk = Talk::new();
    talk.client(get("a")).chunk(SERVER, Chunk::Gap(60)).client(get("b")).server(answer(500)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a Unknown", "GET /b 500"]);
}

#[test]
fn a_lost_request_does_not_shift_the_pairs() {
    let mut talk = Talk::new();
    talk.chunk(CLIENT, Chunk::Gap(40)).server(answer(404)).client(get("b")).server(answer(500)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["  404", "GET /b 500"]);

    // The response to the request in the gap is captured after the next request, and acknowledges only the request in the
    // gap.
    let mut talk = Talk::new();
    talk.chunk(CLIENT, Chunk::Gap(40)).client(get("b")).acking(40).server(answer(404)).server(answer(500));
    talk.end(Ending::Closed);
    assert!(!talk.rows().contains(&"GET /b 404".into()), "{:?}", talk.rows());
}

#[test]
fn after_a_loss_nothing_is_guessed_of_pipelined_requests() {
    let mut talk = Talk::new();
    talk.client(get("a") + &get("b") + &get("c")).chunk(SERVER, Chunk::Gap(50)).server(answer(404)).server(answer(500));
    talk.end(Ending::Closed);
    let rows = talk.rows();
    assert!(rows.contains(&"  404".into()) && rows.contains(&"  500".into()), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.ends_with("Unknown")).count(), 3, "{rows:?}");
}

/// The end of a body looks like the first bytes of a request, and a request follows.
#[test]
fn after_a_loss_the_end_of_a_body_is_not_joined_with_the_next_request() {
    for body in ["GET /", "POST /x", "GET /a HTTP/1.1\r\nHost: h\r\nReferer: /"] {
        let request = get("next");
        for cut in 1..request.len() {
            let mut talk = Talk::new();
            talk.client(get("a")).server(answer(200)).chunk(CLIENT, Chunk::Gap(90)).client(body);
            talk.client(&request[..cut]).client(&request[cut..]).server(answer(404)).end(Ending::Closed);
            let rows = talk.rows();
            let is_right = |row: &String| ["GET /a 200", "GET /next 404", "  404"].contains(&row.as_str());
            let answered: Vec<_> = rows.iter().filter(|row| !row.ends_with("Unknown")).collect();
            assert!(answered.len() == 2 && answered.into_iter().all(is_right), "{body:?} {cut} {rows:?}");
        }
    }
}

#[test]
fn responses_alone_count() {
    let mut talk = Talk::new();
    talk.flow.opened_by = None;
    talk.server(answer(404)).server(answer(500)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["  404", "  500"]);
    // The client's bytes are acknowledged but never captured: the response is held for a while, but not lost.
    let mut talk = Talk::new();
    talk.acking(100).server(answer(404));
    assert_eq!(talk.rows(), [""; 0]);
    talk.wait(2).acking(200).server(answer(500));
    assert_eq!(talk.rows(), ["  404", "  500"]);
    talk.acking(300).server(answer(501));
    assert_eq!(talk.rows().len(), 3, "a one-sided capture is waited for once");
    talk.end(Ending::Closed);
    // If the response may answer HEAD, no body is awaited.
    let mut talk = Talk::new();
    talk.flow.opened_by = None;
    talk.server("HTTP/1.1 404 x\r\nContent-Length: 4\r\n\r\n").server(answer(500)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["  404", "  500"]);
}

#[test]
fn a_response_before_its_request_waits_for_it() {
    let request = get("a");
    let mut talk = Talk::new();
    talk.acking(request.len() as u64).server(&answer(404)[..30]).server(&answer(404)[30..]);
    assert_eq!(talk.rows(), [""; 0]);
    talk.client(&request[..10]).client(&request[10..]);
    assert_eq!(talk.rows(), ["GET /a 404"]);
    assert_eq!(talk.finished()[0].response_start.unwrap().number, 1);
    let next = talk.sent[0] + request.len() as u64;
    talk.acking(next).server(answer(500)).client(get("b"));
    talk.end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404", "GET /b 500"]);
    assert_eq!(talk.streams.counters().requests_unseen, 0);
}

#[test]
fn a_whole_connection_of_responses_before_its_requests_waits_for_them() {
    let request = get("a");
    let asked = request.len() as u64;
    let mut talk = Talk::new();
    talk.acking(asked).server(answer(404)).acking(2 * asked).server(answer(500));
    talk.acking(2 * asked).chunk(SERVER, Chunk::Fin);
    assert_eq!(talk.rows(), [""; 0]);
    talk.client(&request).client(get("b")).chunk(CLIENT, Chunk::Fin).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404", "GET /b 500"]);
    assert_eq!(talk.streams.counters().requests_unseen, 0);
}

#[test]
fn what_is_held_is_let_go_by_time_with_its_end() {
    let mut talk = Talk::new();
    talk.acking(100).server(answer(404)).acking(100).chunk(SERVER, Chunk::Fin);
    assert_eq!(talk.rows(), [""; 0]);
    talk.wait(9);
    assert_eq!(talk.rows(), [""; 0]);
    talk.wait(2);
    assert_eq!(talk.rows(), ["  404"]);
    talk.end(Ending::Idle);
    assert_eq!(talk.rows(), ["  404"]);
}

#[test]
fn held_responses_are_bounded() {
    let settings = crate::stream::StreamSettings { max_early_bytes: 1000, ..Default::default() };
    let mut talk = Talk::with(settings);
    for status in 400..440 {
        talk.acking(1 << 20).server(answer(status));
        assert!(talk.streams.held_bytes() <= 1000);
    }
    talk.end(Ending::CaptureEnd);
    assert_eq!(talk.rows().len(), 40);
    assert_eq!(talk.streams.counters().overtaking_given_up, 1);
}

#[test]
fn midstream_in_a_body_finds_the_next_messages() {
    let mut talk = Talk::new();
    talk.flow.opened_by = None;
    talk.server("the middle of a body").server(" and its end");
    talk.client(get("a")).server(answer(404)).client(get("b")).server(answer(500)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404", "GET /b 500"]);
    assert!(talk.finished()[0].remarks.has(Remarks::MIDSTREAM));
}

/// The first packets of a connection are missing, and some letters of a method with them. A request of which nothing is missing is read
/// there, whatever its method.
#[test]
fn a_method_without_its_first_letters_is_no_method() {
    let request = |method: &str| format!("{method} /a HTTP/1.1\r\nHost: h\r\n\r\n");
    for (method, row) in [
        ("ET", "  404"),
        ("T", "  404"),
        ("EAD", "  404"),
        ("PATCH", "PATCH /a 404"),
        ("LINK", "LINK /a 404"),
        ("BREW", "BREW /a 404"),
    ] {
        for cut in [1, 3, 9, request(method).len()] {
            for is_joined in [true, false] {
                let mut talk = Talk::new();
                if is_joined {
                    talk.flow.opened_by = None;
                }
                let request = request(method);
                talk.client(&request[..cut]).client(&request[cut..]);
                talk.server(answer(404)).client(get("b")).server(answer(500)).end(Ending::Closed);
                let first = if is_joined { row.to_owned() } else { format!("{method} /a 404") };
                assert_eq!(talk.rows(), [first, "GET /b 500".to_owned()], "cut at {cut}, joined {is_joined}");
            }
        }
    }
}

#[test]
fn a_last_response_to_an_unseen_request_is_all_body() {
    for (field, expected) in [("Connection: close\r\n", &["  200"][..]), ("", &["  200", "  400"])] {
        let mut talk = Talk::new();
        talk.flow.opened_by = None;
        talk.server(format!("HTTP/1.1 200 OK\r\n{field}\r\nHTTP/1.1 400 in a body\r\n\r\n")).end(Ending::Closed);
        assert_eq!(talk.rows(), expected, "{field}");
    }
}

/// The connection's beginning was not captured, and the first answer is lost. The next one has a body, so that it does not answer HEAD:
/// it answers the later request, not one before the capture.
#[test]
fn an_answer_that_does_not_fit_the_oldest_request_may_fit_a_later_one() {
    for method in ["HEAD", "GET"] {
        let mut talk = Talk::new();
        talk.flow.opened_by = None;
        talk.client(format!("{method} /a HTTP/1.1\r\nHost: h\r\n\r\n")).chunk(SERVER, Chunk::Gap(172));
        for (target, status) in [("b", 401), ("c", 402), ("d", 403)] {
            talk.client(get(target)).server(answer(status));
        }
        talk.end(Ending::Closed);
        let first = format!("{method} /a Unknown");
        assert_eq!(talk.rows(), [&first, "GET /b 401", "GET /c 402", "GET /d 403"]);
    }
}
