//! Tests of errors that have no status, and of prefaces.

use crate::stream::testing::{CLIENT, SERVER, Talk};
use crate::{
    exchange::{Outcome, TlsFailure},
    tcp::{Chunk, Ending},
};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_complete_request_without_response() {
    let mut talk = Talk::new();
    talk.client(GET).chunk(SERVER, Chunk::Reset).wait(3).end(Ending::Reset);
    assert_eq!(talk.rows(), ["GET /a NoResponseReset"]);
    assert_eq!(talk.finished()[0].decided.unwrap().number, 2, "decided with the reset");

    let mut talk = Talk::new();
    talk.client(GET).server(OK).client(GET).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 200", "GET /a NoResponseClosed"]);

    for (seconds, outcome) in [(61, "NoResponseTimeout"), (5, "Unknown")] {
        for ending in [Ending::Idle, Ending::CaptureEnd, Ending::Evicted] {
            let mut talk = Talk::new();
            talk.client(GET).wait(seconds).end(ending);
            assert_eq!(talk.rows(), [format!("GET /a {outcome}")]);
        }
    }
}

#[test]
fn a_forged_end_ends_nothing() {
    for by in [CLIENT, SERVER] {
        // The reset comes between request and response, in a header block, or in a body.
        for cut in [0, 10, OK.len() + 9] {
            let answers = [OK, "HTTP/1.1 404 x\r\nContent-Length: 4\r\n\r\nbody"].concat();
            let mut talk = Talk::new();
            talk.client(GET).client(GET).server(&answers[..cut]).chunk(by, Chunk::Reset);
            talk.client(GET).server(&answers[cut..]).server(OK);
            talk.chunk(CLIENT, Chunk::Fin).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
            assert_eq!(talk.rows(), ["GET /a 200", "GET /a 404", "GET /a 200"], "{by:?} {cut}");
            assert!(talk.finished().iter().all(|exchange| exchange.remarks == Default::default()));
        }
    }
    let mut talk = Talk::new();
    talk.client(GET).server(OK).chunk(SERVER, Chunk::Fin).client(GET).server(OK).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 200", "GET /a 200"]);
}

#[test]
fn what_the_server_is_not_to_blame_for() {
    // The client gave up.
    let mut talk = Talk::new();
    talk.client(GET).chunk(CLIENT, Chunk::Reset).end(Ending::Reset);
    assert_eq!(talk.rows(), ["GET /a Unknown"]);
    // The request was never complete.
    let mut talk = Talk::new();
    talk.client("POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc").chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(talk.rows(), ["POST /a Unknown"]);
    // The response may be in the gap.
    let mut talk = Talk::new();
    talk.client(GET).chunk(SERVER, Chunk::Gap(100)).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a Unknown"]);
    // The server announced the end of the connection.
    let mut talk = Talk::new();
    talk.client([GET, GET].concat()).server("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    talk.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 200", "GET /a Unknown"]);
    // The server closed before the request reached it.
    let mut talk = Talk::new();
    talk.client(GET).server(OK).client(GET).acking(GET.len() as u64).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 200", "GET /a Unknown"]);
}

#[test]
fn malformed_requests() {
    for (garbage, expected) in
        [("GET HTTP/1.1\r\n\r\n", true), ("GET / HTTP/one\r\n\r\n", true), ("\u{1}\u{2}\u{3}\r\n\r\n", false)]
    {
        let mut talk = Talk::new();
        talk.client(garbage).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        assert_eq!(!talk.rows().is_empty(), expected, "{garbage:?}");
        // On a connection known to be HTTP anything else is malformed.
        let mut talk = Talk::new();
        talk.client(GET).server(OK).client(garbage).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        assert_eq!(talk.finished()[1].outcome, Outcome::MalformedRequest, "{garbage:?}");
        // The first line is reported, however it was cut.
        let mut cut = Talk::new();
        cut.client(GET).server(OK);
        garbage.bytes().for_each(|byte| _ = cut.client([byte]));
        cut.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        for talk in [&talk, &cut] {
            let exchange = &talk.finished()[1];
            assert_eq!(exchange.field(exchange.target), garbage.trim_end().as_bytes());
        }
        // If the server answers, the response counts.
        let mut talk = Talk::new();
        talk.client(garbage).server("HTTP/1.1 400 Bad\r\n\r\n").chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        assert_eq!(talk.rows(), ["  400"], "{garbage:?}");
    }
}

/// A ClientHello record with a server name and supported versions.
pub(super) fn hello(name: &str, versions: &[u16]) -> Vec<u8> {
    let number = |value: usize| (value as u16).to_be_bytes().to_vec();
    let with_length = |bytes: &[u8]| [number(bytes.len()), bytes.to_vec()].concat();
    let server_name = [vec![0], with_length(name.as_bytes())].concat();
    let versions: Vec<u8> = versions.iter().flat_map(|version| version.to_be_bytes()).collect();
    let extensions = [
        number(0),
        with_length(&with_length(&server_name)),
        number(43),
        with_length(&[&[versions.len() as u8], versions.as_slice()].concat()),
    ]
    .concat();
    let body =
        [vec![3, 3], vec![7; 32], vec![0], with_length(&[0x13, 1]), vec![1, 0], with_length(&extensions)].concat();
    let message = [vec![1, 0], with_length(&body)].concat();
    [vec![22, 3, 1], with_length(&message)].concat()
}

#[test]
fn fatal_alerts_in_clear() {
    let hello = hello("shop.example", &[0x1a1a, 0x0304, 0x0303]);
    let alert = [21, 3, 3, 0, 2, 2, 40];
    for cut in [1, 3, 5, 6, 20, hello.len()] {
        let mut talk = Talk::new();
        talk.client(&hello[..cut]);
        if cut < hello.len() {
            talk.client(&hello[cut..]);
        }
        for byte in alert {
            talk.server([byte]);
        }
        talk.end(Ending::Closed);
        let exchange = &talk.finished()[0];
        assert_eq!(exchange.outcome, Outcome::TlsAlert, "{cut}");
        assert_eq!(exchange.tls_failure, Some(TlsFailure { alert: 40, offered_version: 0x0304, by_server: true }));
        assert_eq!(*exchange.tls.as_ref().unwrap().server_name, *b"shop.example");
        assert_eq!(exchange.endpoints.unwrap().0, talk.flow.ends[0]);
        assert_eq!(talk.finished().len(), 1);
    }
}

#[test]
fn handshakes_that_go_well_or_fail_unseen() {
    let hello = hello("h", &[0x0304]);
    let server_hello = [22, 3, 3, 0, 4, 2, 0, 0, 0];
    let warning = [21, 3, 3, 0, 2, 1, 112];
    // From the ChangeCipherSpec on, records are encrypted: bytes that look like an alert are none.
    let mut talk = Talk::new();
    talk.client(&hello).server(warning).server([&server_hello[..], &[20, 3, 3, 0, 1, 1]].concat());
    talk.server([21, 3, 3, 0, 2, 2, 40])
        .client([23, 3, 3, 0, 1, 9])
        .client([21, 3, 3, 0, 2, 2, 40])
        .end(Ending::Closed);
    assert_eq!(talk.rows(), [""; 0]);
    // The client refuses the certificate.
    let mut talk = Talk::new();
    talk.client(&hello).server(server_hello).client([21, 3, 3, 0, 2, 2, 48]).end(Ending::Closed);
    assert_eq!(
        talk.finished()[0].tls_failure,
        Some(TlsFailure { alert: 48, offered_version: 0x0304, by_server: false })
    );
    // The server resets the connection without sending a byte.
    let mut talk = Talk::new();
    talk.client(&hello).chunk(SERVER, Chunk::Reset).end(Ending::Reset);
    assert_eq!(talk.finished()[0].tls_failure, Some(TlsFailure { alert: 0, offered_version: 0x0304, by_server: true }));
    // The client closes without sending anything more.
    let mut talk = Talk::new();
    talk.client(&hello).chunk(CLIENT, Chunk::Fin).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(talk.rows(), [""; 0]);
}

#[test]
fn a_proxy_preface_names_the_source() {
    let v1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n".to_vec();
    let v2 =
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(), &[192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 0, 80]].concat();
    for preface in [v1, v2] {
        let stream = [preface.as_slice(), GET.as_bytes()].concat();
        for cut in 0..stream.len() {
            let mut talk = Talk::new();
            if cut > 0 {
                talk.client(&stream[..cut]);
            }
            talk.client(&stream[cut..]).server(OK).client(GET).server(OK).end(Ending::Closed);
            assert_eq!(talk.rows(), ["GET /a 200", "GET /a 200"], "{cut}");
            for exchange in talk.finished() {
                assert_eq!(exchange.proxied_source.unwrap().to_string(), "192.0.2.1:4711");
            }
        }
    }
}
