"""Microsoft IIS cannot be run here: its traffic is built from its documented headers and messages.

Every packet is written by this file, through an ordinary TCP connection with handshake, acknowledgments and close. What
is IIS's own is the choice and order of header fields, the titles of its error pages and HTTP.sys' answers, all as
described in Microsoft's public documentation. The log is written from the same table.
"""

import ipaddress
import struct

CLIENT, SERVER = "192.0.2.10", "192.0.2.85"
START = 1_790_000_000_000_000_000
PAGE = "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\">\r\n<title>{title}</title>\r\n<h1>Server Error</h1>\r\n"
HTTP_SYS = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">\r\n<TITLE>{title}</TITLE>\r\n<h2>{heading}</h2>\r\n"


class Capture:
    """A pcap file with nanoseconds, one microsecond a packet and a millisecond a message."""

    def __init__(self):
        self.bytes = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
        self.now = START
        self.identification = 0

    def packet(self, source, destination, ports, sequence, acknowledgment, flags, payload=b""):
        self.now += 40_000
        self.identification = (self.identification + 1) & 0xFFFF
        ends = [ipaddress.ip_address(end).packed for end in (source, destination)]
        tcp = struct.pack(">HHIIBBHHH", *ports, sequence & 0xFFFFFFFF, acknowledgment & 0xFFFFFFFF, 0x50, flags, 64240, 0, 0)
        pseudo = ends[0] + ends[1] + struct.pack(">BBH", 0, 6, len(tcp) + len(payload))
        tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp + payload)) + tcp[18:]
        head = struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(payload), self.identification, 0x4000, 128, 6, 0) + ends[0] + ends[1]
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        frame = bytes.fromhex("020000000002" "020000000001" "0800") + head + tcp + payload
        seconds, nanos = divmod(self.now, 1_000_000_000)
        self.bytes += struct.pack("<IIII", seconds, nanos, len(frame), len(frame)) + frame

    def connection(self, port, exchanges):
        """One connection: each request in one segment, each response in as many as it needs."""
        client, server = 1000 * port, 777_000_000 + port
        there, back = (CLIENT, SERVER, (port, 80)), (SERVER, CLIENT, (80, port))
        self.packet(*there, client, 0, 0x02)
        self.packet(*back, server, client + 1, 0x12)
        client, server = client + 1, server + 1
        self.packet(*there, client, server, 0x10)
        finished = []
        for request, response in exchanges:
            self.now += 1_000_000
            self.packet(*there, client, server, 0x18, request)
            client += len(request)
            self.packet(*back, server, client, 0x10)
            self.now += 2_000_000
            for start in range(0, len(response), 1460):
                part = response[start:start + 1460]
                self.packet(*back, server, client, 0x18, part)
                server += len(part)
            self.packet(*there, client, server, 0x10)
            finished.append(self.now)
        self.packet(*back, server, client, 0x11)
        self.packet(*there, client, server + 1, 0x11)
        self.packet(*back, server + 1, client + 1, 0x10)
        return finished


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def iis(status, reason, body, *headers, body_type="text/html"):
    """A response of IIS 10 with ASP.NET's header."""
    return respond(status, reason, body, [f"Content-Type: {body_type}", *headers, "Server: Microsoft-IIS/10.0",
                                          "X-Powered-By: ASP.NET", "Date: Mon, 21 Sep 2026 14:13:20 GMT"])


def http_sys(status, reason, body):
    """A response of the kernel's HTTP.sys, which answers what never reaches IIS."""
    return respond(status, reason, body, ["Content-Type: text/html; charset=us-ascii", "Server: Microsoft-HTTPAPI/2.0",
                                          "Date: Mon, 21 Sep 2026 14:13:20 GMT", "Connection: close"])


def respond(status, reason, body, headers):
    lines = [f"HTTP/1.1 {status} {reason}", *headers, f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def page(title):
    return PAGE.format(title=title)


def get(target, *headers, method="GET", host="www.example.test"):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "User-Agent: Mozilla/5.0 (compatible; laboratory)", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


NOT_FOUND = (404, "Not Found", "404 - File or directory not found.")
CONVERSATIONS = [
    [("GET", "/", 200, iis(200, "OK", "<p>IIS</p>", "Last-Modified: Tue, 01 Sep 2026 08:00:00 GMT", "Accept-Ranges: bytes",
                           'ETag: "0123abcd:0"')),
     ("GET", "/missing.aspx", 404, iis(404, "Not Found", page(NOT_FOUND[2]))),
     ("GET", "/web.config", 404, iis(404, "Not Found", page(NOT_FOUND[2])))],
    [("GET", "/admin/", 401, iis(401, "Unauthorized", page("401 - Unauthorized: Access is denied due to invalid credentials."),
                                 "WWW-Authenticate: Negotiate", "WWW-Authenticate: NTLM"))],
    [("GET", "/scripts/", 403, iis(403, "Forbidden", page("403 - Forbidden: Access is denied.")))],
    [("TRACE", "/", 405, iis(405, "Method Not Allowed", page("405 - HTTP verb used to access this page is not allowed."),
                             "Allow: GET, HEAD, OPTIONS"))],
    [("GET", "/app/report.aspx", 500, iis(500, "Internal Server Error", page("Runtime Error"), "Cache-Control: private",
                                          "X-AspNet-Version: 4.0.30319", body_type="text/html; charset=utf-8"))],
    [("GET", "/bad%path", 400, http_sys(400, "Bad Request", HTTP_SYS.format(
        title="Bad Request", heading="Bad Request - Invalid URL")))],
    [("GET", "/pool", 503, http_sys(503, "Service Unavailable", HTTP_SYS.format(
        title="Service Unavailable", heading="Service Unavailable")))],
]
SCAN = [f"/{word}.aspx" for word in """account admin api app archive auth backup bin blog cache cart checkout config console
contact customer data debug default2 demo dev download edit error export feed files forum global help hidden home import info
install item join key list local login logout logs mail main manage member menu news old order page panel ping portal print
profile query report root search secure setup shop signup status store""".split()]


def build(folder, conversations):
    """Writes the capture, the log and the notes."""
    capture, log = Capture(), []
    for number, conversation in enumerate(conversations):
        port = 50_000 + number
        capture.now += 20_000_000
        finished = capture.connection(port, [(get(target, method=method), response)
                                             for method, target, _, response in conversation])
        for (method, target, status, response), end in zip(conversation, finished):
            log.append(f'{end // 10**9}.{end // 10**6 % 1000:03} {CLIENT} {port} {status} {len(response)} {CLIENT} '
                       f'"{method} {target} HTTP/1.1"\n')
    (folder / "capture.pcap").write_bytes(capture.bytes)
    (folder / "access.log").write_text("".join(log))
    (folder / "error.log").write_text("")
    (folder / "case.toml").write_text("# How the corpus test reads this case; see tests/corpus.rs.\nordered = true\n")
    (folder / "README.md").write_text(f"""# {folder.name}

Built, not recorded: Microsoft IIS does not run on the lab's machines. `tests/lab/iis.py` writes this traffic packet by packet
from IIS' documented header fields (`Server: Microsoft-IIS/10.0`, `X-Powered-By`, HTTP.sys' `Microsoft-HTTPAPI/2.0`), the
titles of its error pages, and ordinary TCP. `access.log` is written from the same table; there is no error log.

Build again with `tests/lab/record {folder.name}`.
""")


CASES = {
    "iis-built": lambda folder: build(folder, CONVERSATIONS),
    "iis-scan-built": lambda folder: build(folder, [
        [("GET", target, 404, iis(404, "Not Found", page(NOT_FOUND[2])))] for target in SCAN]),
}
