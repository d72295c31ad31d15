//! The servers' access logs.
//!
//! In: lines of the one format that `tests/lab/servers.py` gives every server. Out: [`Entry`]s: bytes as they were on the
//! wire, whatever escapes the server used, and what the log cannot tell marked as such.

/// One line of an access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `address port` of the connection's other end.
    pub(crate) peer: String,
    /// Whom the server takes for the client.
    pub(crate) client: String,
    pub(crate) status: u16,
    /// Whether a response with a status line went on the wire at all.
    pub(crate) answered: bool,
    /// Method and target; `None` where the server could not parse the request and so logs no such thing.
    pub(crate) request: Option<(String, String)>,
}

/// Reads a whole log.
pub(crate) fn entries(log: &[u8]) -> Vec<Entry> {
    log.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(entry).collect()
}

fn entry(line: &[u8]) -> Entry {
    let complaint = || format!("not a line of the lab's log format: {}", String::from_utf8_lossy(line));
    let mut columns = line.splitn(7, |&byte| byte == b' ');
    let mut next = || columns.next().unwrap_or_else(|| panic!("{}", complaint()));
    let mut text = || String::from_utf8(next().to_vec()).unwrap();
    let (_time, address, port, status, sent, client) = (text(), text(), text(), text(), text(), text());
    let quoted = columns.next().and_then(|column| column.strip_prefix(b"\"")?.strip_suffix(b"\""));
    let request = unescaped(quoted.unwrap_or_else(|| panic!("{}", complaint())));
    let status = status.parse().unwrap();
    // A line that was refused for its length is logged without its end.
    let cut = status == 414;
    // A response in HTTP/0.9 is a body and nothing else.
    let without_status_line = is_simple(&request) && !cut;
    Entry {
        peer: format!("{} {port}", plain_address(&address)),
        client: plain_address(&client),
        status,
        answered: sent != "0" && !without_status_line,
        request: method_and_target(&request).filter(|_| !cut),
    }
}

/// An address in its shortest form; IPv4 also where it is mapped into IPv6.
fn plain_address(text: &str) -> String {
    text.parse::<std::net::IpAddr>().unwrap_or_else(|_| panic!("not an address: {text}")).to_canonical().to_string()
}

/// A request of HTTP/0.9: `GET` and a target.
fn is_simple(request: &[u8]) -> bool {
    request.strip_prefix(b"GET /").is_some_and(|rest| !rest.trim_ascii_end().contains(&b' '))
}

fn method_and_target(request: &[u8]) -> Option<(String, String)> {
    let space = request.iter().position(|&byte| byte == b' ')?;
    let (method, rest) = (&request[..space], &request[space + 1..]);
    let end = rest.windows(6).rposition(|window| window == b" HTTP/");
    let target = &rest[..end.unwrap_or(rest.len())];
    let unparsed =
        target.is_empty() || target == b"-" || target.ends_with(b"null") || (end.is_none() && !is_simple(request));
    let is_token = !method.is_empty() && method.iter().all(u8::is_ascii_alphabetic);
    (is_token && !unparsed).then(|| (shown(method), shown(target.trim_ascii_end())))
}

/// Bytes as the sensor shows them: what is not UTF-8 as `\xhh`.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// The bytes behind `\xHH`, `\"`, `\\` and the escapes of C.
fn unescaped(quoted: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = quoted;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let Some((&kind, after)) = rest.split_first() else { break };
        rest = after;
        match kind {
            b'x' if rest.len() >= 2 => {
                let (digits, after) = rest.split_at(2);
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
                rest = after;
            }
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'v' => bytes.push(0x0b),
            b'f' => bytes.push(0x0c),
            b'b' => bytes.push(0x08),
            b'a' => bytes.push(0x07),
            other => bytes.push(other),
        }
    }
    bytes
}

#[test]
fn reads_what_each_server_writes() {
    let read = |line: &str| entries(line.as_bytes()).remove(0);
    let plain = read(r#"1.5 192.0.2.10 4000 404 303 192.0.2.10 "GET /a b?x=HTTP/1.1 HTTP/1.1""#);
    assert_eq!((plain.peer.as_str(), plain.status, plain.answered), ("192.0.2.10 4000", 404, true));
    assert_eq!(plain.request, Some(("GET".into(), "/a b?x=HTTP/1.1".into())));
    let escaped = read(r#"1.5 2001:db8:0:0:0:0:0:1 4000 404 - ::ffff:192.0.2.1 "GET /\x22\xE4\\n HTTP/1.1""#);
    assert_eq!((escaped.peer.as_str(), escaped.client.as_str()), ("2001:db8::1 4000", "192.0.2.1"));
    assert_eq!(escaped.request, Some(("GET".into(), "/\"\\xe4\\n".into())));
    for (request, answered) in
        [("-", true), ("GET  HTTP/1.1", true), ("GET - HTTP/1.1", true), ("<BADREQ>", true), ("NOT HTTP null", true)]
    {
        let entry = read(&format!("1.5 192.0.2.1 1 400 300 192.0.2.1 \"{request}\""));
        assert_eq!((entry.request, entry.answered), (None, answered), "{request}");
    }
    assert!(!read(r#"1.5 192.0.2.1 1 200 80 192.0.2.1 "GET /simple""#).answered);
    let cut = read(r#"1.5 192.0.2.1 1 414 80 192.0.2.1 "GET /too-long-to-be-logged-wh""#);
    assert_eq!((cut.answered, cut.request), (true, None));
    assert!(!read(r#"1.5 192.0.2.1 1 499 0 192.0.2.1 "GET / HTTP/1.1""#).answered);
}
