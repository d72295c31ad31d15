//! Tests of each tolerance in the module's list, and of the messages that are refused.

use crate::stream::testing::Talk;
use crate::{
    exchange::{FieldOrder, Remarks},
    tcp::Ending,
};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// Returns the row that a response makes after a plain request. The response is sent whole and cut at every byte.
fn answer(response: &[u8]) -> Vec<String> {
    let whole = {
        let mut talk = Talk::new();
        talk.client(GET).server(response).end(Ending::CaptureEnd);
        talk.rows()
    };
    if response.len() < 4096 {
        let mut talk = Talk::new();
        talk.client(GET);
        response.iter().for_each(|byte| _ = talk.server([*byte]));
        assert_eq!(talk.end(Ending::CaptureEnd).rows(), whole, "byte by byte: {:?}", String::from_utf8_lossy(response));
    }
    whole
}

#[test]
fn no_status_is_lost_to_an_odd_response() {
    let many = (0..5000).map(|n| format!("x-{n}: {n}\r\n")).collect::<String>();
    let long = format!("x: {}\r\n", "y".repeat(65536));
    for response in [
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\nContent-Length: 0\n\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\n\r\n",
        "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
        "http/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.2 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/2.0 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.01 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1\r404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 \r404\rNot Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1\u{b}404\u{c}Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.A 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/A.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1,1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/9.-1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1- 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/ 1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "ICY 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        " \t\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1  404\tNot Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1\t404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404-Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 N\u{e4}t F\u{f6}und\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1\u{0}404\u{0}Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1\u{0}.1 4\u{0}04 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length : 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length:\r\n 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\n folded: first\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nno colon here\r\n: no name\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nx: a\u{0}b\r\nn\u{fc}: \u{fc}\r\nContent-Length: 0\r\n\r\n",
        &format!("HTTP/1.1 404 Not Found\r\n{many}Content-Length: 0\r\n\r\n"),
        &format!("HTTP/1.1 404 Not Found\r\n{long}Content-Length: 0\r\n\r\n"),
    ] {
        assert_eq!(answer(response.as_bytes()), ["GET /a 404"], "{:.80?}", response);
        // The message after the response is found, too.
        let twice = [response, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"].concat();
        let mut talk = Talk::new();
        talk.client(GET).client("GET /b HTTP/1.1\r\n\r\n").server(twice).end(Ending::CaptureEnd);
        assert_eq!(talk.rows(), ["GET /a 404", "GET /b 500"], "{:.80?}", response);
    }
}

#[test]
fn a_status_has_three_digits() {
    for response in [
        "HTTP/!.1 404 x",
        "HTTP/1.1 4040 x",
        "HTTP/1.1 40 x",
        "HTTP/1.1 40x x",
        "HTTP/1.1 0404 x",
        "HTTP/1.1 044 x",
        "HTTP/1.1",
    ] {
        let mut talk = Talk::new();
        talk.client(GET).server([response, "\r\nContent-Length: 0\r\n\r\n"].concat());
        talk.client(GET).server("HTTP/1.1 403 No\r\n\r\n").end(Ending::CaptureEnd);
        assert_eq!(talk.rows(), ["GET /a Unknown", "GET /a 403"], "{response}");
        assert_eq!(talk.streams.counters().refused_status_lines, 1, "{response}");
    }
}

#[test]
fn requests_as_they_are_really_sent() {
    let long = format!("/{}", "t".repeat(100 << 10));
    for (request, row) in [
        ("GET /a HTTP/1.1\r\n\r\n", "GET /a 200"),
        ("PROPFIND /a HTTP/1.1\r\n\r\n", "PROPFIND /a 200"),
        ("TRACE /a HTTP/1.0\r\n\r\n", "TRACE /a 200"),
        ("DEBUG /a HTTP/1.1\r\n\r\n", "DEBUG /a 200"),
        ("gEt /a HTTP/1.1\r\n\r\n", "gEt /a 200"),
        ("BASELINE-CONTROL /a HTTP/1.1\r\n\r\n", "BASELINE-CONTROL /a 200"),
        ("FOO.BAR!#$%&'*+-^_`|~ /a HTTP/1.1\r\n\r\n", "FOO.BAR!#$%&'*+-^_`|~ /a 200"),
        ("HEADER /a HTTP/1.1\r\n\r\n", "HEADER /a 200"),
        ("ICY /a HTTP/1.1\r\n\r\n", "ICY /a 200"),
        ("GET http://h:1/a HTTP/1.1\r\n\r\n", "GET http://h:1/a 200"),
        ("OPTIONS * HTTP/1.1\r\n\r\n", "OPTIONS * 200"),
        ("CONNECT h:443 HTTP/1.1\r\n\r\n", "CONNECT h:443 200"),
        ("GET /a b  c HTTP/1.1\r\n\r\n", "GET /a b  c 200"),
        ("GET  /a  HTTP/1.1 \r\n\r\n", "GET /a 200"),
        ("GET\t/a\tHTTP/1.1\r\n\r\n", "GET /a 200"),
        ("GET /a HTTP/1.1\n\n", "GET /a 200"),
        ("GET /a http/1.1\r\n\r\n", "GET /a 200"),
        ("GET /a HTTP/1.2\r\n\r\n", "GET /a 200"),
        ("\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "GET /a 200"),
        ("GET /\u{e4}\u{0}\u{1b} HTTP/1.1\r\n\r\n", "GET /\u{e4}\u{0}\u{1b} 200"),
        ("GET /a\r\n", "GET /a 200"),
        (&format!("GET {long} HTTP/1.1\r\n\r\n"), &format!("GET {long} 200")),
    ] {
        let mut talk = Talk::new();
        talk.client(request).server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").end(Ending::CaptureEnd);
        assert_eq!(talk.rows(), [row], "{request:.80?}");
        if request.len() < 4096 {
            let mut talk = Talk::new();
            request.bytes().for_each(|byte| _ = talk.client([byte]));
            talk.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").end(Ending::CaptureEnd);
            assert_eq!(talk.rows(), [row], "byte by byte {request:.80?}");
        }
    }
}

#[test]
fn other_protocols_make_no_exchange() {
    for (client, server) in [
        ("EHLO me\r\nMAIL FROM:<a@b>\r\n", "220 mail ESMTP\r\n250 OK\r\n"),
        ("USER a\r\nPASS b\r\nRETR /x\r\n", "220 FTP\r\n331 pw\r\n"),
        ("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP x\r\n\r\n", "SIP/2.0 404 Not Found\r\n\r\n"),
        ("DESCRIBE rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n", "RTSP/1.0 404 Not Found\r\n\r\n"),
        ("NICK a\r\nJOIN #x\r\n", ":h NOTICE * :hello\r\n"),
        ("GET key\r\nSET a b\r\n", "$-1\r\n+OK\r\n"),
        ("get key\r\n", "END\r\n"),
        ("SSH-2.0-x\r\n", "SSH-2.0-y\r\n"),
        ("\u{0}\u{1}\u{2}", "\u{3}\u{4}"),
        ("a001 LOGIN x y\r\n", "* OK IMAP4\r\n"),
        ("GET /a\r\n", "binary"),
        ("REQMOD icap://h/a ICAP/1.0\r\n\r\n", "ICAP/1.0 404 x\r\n\r\n"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{0}\u{0}\u{6}\u{4}\u{0}"),
        ("HELLO", "HI"),
    ] {
        let mut talk = Talk::new();
        talk.client(client).server(server).client(client).server(server).end(Ending::Closed);
        assert_eq!(talk.rows(), [""; 0], "{client:?}");
        let mut talk = Talk::new();
        client.bytes().for_each(|byte| _ = talk.client([byte]));
        server.bytes().for_each(|byte| _ = talk.server([byte]));
        talk.end(Ending::Closed);
        assert_eq!(talk.rows(), [""; 0], "byte by byte {client:?}");
    }
}

#[test]
fn http_after_another_handshake_is_found() {
    let mut talk = Talk::new();
    talk.client([5, 1, 0]).server([5, 0]).client([5, 1, 0, 3, 1, b'h', 0, 80]).server([5, 0, 0, 1, 1, 2, 3, 4, 0, 80]);
    talk.client(GET).server("HTTP/1.1 404 x\r\n\r\n").end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404"]);
}

#[test]
fn a_head_over_the_limit_still_has_its_status() {
    let mut talk = Talk::new();
    let filler = format!("x: {}\r\n", "y".repeat(1000));
    talk.client("GET /a HTTP/1.1\r\n");
    (0..400).for_each(|_| _ = talk.client(&filler));
    talk.client("\r\n").server("HTTP/1.1 431 Too Large\r\n");
    (0..400).for_each(|_| _ = talk.server(&filler));
    talk.server("\r\n").end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 431"]);
    assert!(talk.finished()[0].remarks.has(Remarks::RESPONSE_TRUNCATED));
    assert!(talk.finished()[0].remarks.has(Remarks::REQUEST_TRUNCATED));
    assert_eq!(talk.streams.counters().heads_over_limit, 2);
}

#[test]
fn what_an_exchange_tells() {
    let mut talk = Talk::new();
    talk.client(
        "POST http://user:pw@shop.example:81/a?b HTTP/1.1\r\nHost: other\r\nUser-Agent: ua\r\nReferer: r\r\n\
         Cookie: secret\r\nAuthorization: Basic secret\r\nContent-Length: 3\r\n\r\nabc",
    );
    talk.server(
        "HTTP/1.0 503 Not Now\r\nServer: s\r\nContent-Type: t\r\nLocation: l\r\nVia: v\r\nSet-Cookie: secret\r\n\r\n",
    );
    talk.server("<html>sorry").server("</html>").end(Ending::Closed);
    let exchange = &talk.finished()[0];
    let text = |span| String::from_utf8_lossy(exchange.field(span)).into_owned();
    assert_eq!(text(exchange.host), "shop.example:81");
    assert_eq!(text(exchange.user_agent), "ua");
    assert_eq!(text(exchange.referrer), "r");
    assert_eq!(text(exchange.server), "s");
    assert_eq!(text(exchange.content_type), "t");
    assert_eq!(text(exchange.location), "l");
    assert_eq!(text(exchange.via), "v");
    assert_eq!(text(exchange.reason), "Not Now");
    assert_eq!(exchange.field_order, FieldOrder { fields: 5, content_type: 2, ..FieldOrder::default() });
    assert_eq!(text(exchange.body_start), "<html>sorry");
    assert_eq!((exchange.request_body_bytes, exchange.response_body_bytes), (3, 18));
    assert_eq!((exchange.version.major, exchange.version.minor), (1, 0));
    assert!(!String::from_utf8_lossy(&exchange.text).contains("secret"));
    let stamps = [exchange.request_start, exchange.request_end, exchange.response_start, exchange.response_end];
    assert_eq!(stamps.map(|stamp| stamp.unwrap().number), [1, 1, 2, 4]);
}

#[test]
fn a_path_names_no_host_whatever_it_holds() {
    for (target, host) in [("/a://b/", "field"), ("/http://b/", "field"), ("http://b/", "b"), ("*", "field")] {
        let mut talk = Talk::new();
        talk.client(format!("GET {target} HTTP/1.1\r\nHost: field\r\n\r\n"));
        talk.server("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").end(Ending::Closed);
        let exchange = &talk.finished()[0];
        assert_eq!(exchange.field(exchange.host), host.as_bytes(), "{target}");
    }
}

#[test]
fn a_method_is_whole_wherever_it_is_cut() {
    for cut in 1..4 {
        let mut talk = Talk::new();
        let (first, second) = "get /lower-case HTTP/1.1\r\nHost: a\r\n\r\n".split_at(cut);
        talk.client(first).client(second).server("HTTP/1.1 501 No\r\nContent-Length: 0\r\n\r\n").end(Ending::Closed);
        assert_eq!(talk.rows(), ["get /lower-case 501"]);
    }
}
