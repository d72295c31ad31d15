"""What a case is, and the traffic that several servers get alike. The cases are in cases_*.py."""

from dataclasses import dataclass, field
from typing import Callable

from lab import SERVER, WORK

CASES = {}
URL = f"http://{SERVER}"
WORDS = """account admin api app archive assets auth backup bin blog cache cgi-bin checkout config console contact css
dashboard data db debug dev docs download edit error export feed files forum gone help home hidden images import includes
index.html info install js lib local login logs mail manager media members news old panel phpinfo phpmyadmin plugins
private profile public report robots.txt root scripts search secret secure server-status setup shop signup sitemap.xml
sql stage static stats status store support svn system temp test theme tmp tools trace upload user vendor web webmail
wordpress wp-admin wp-login xmlrpc""".split()


@dataclass
class Case:
    name: str
    shows: str
    servers: list
    traffic: Callable
    clients: list = field(default_factory=list)
    ordered: bool = True
    truth: int | tuple = 0  # the server whose log is kept; several where the capture holds several legs
    capture: dict = field(default_factory=dict)
    settings: str = ""
    keeps: Callable = lambda folder: None  # what else is kept in the case's folder


def case(name, shows, *servers, **options):
    """Registers a traffic function under a name."""
    def register(traffic):
        CASES[name] = Case(name, shows, list(servers), traffic, **options)
        return traffic
    return register


def words():
    """The lab's own word list, as a file for scanners."""
    path = WORK / "words.txt"
    path.write_text("\n".join(WORDS) + "\n")
    return path


def curl(lab, *arguments, **options):
    return lab.client("curl", "-s", "-o", "/dev/null", *arguments, **options)


def request(method, target, *headers, version="HTTP/1.1", body=b""):
    lines = [f"{method} {target} {version}", "Host: www.example.test", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


CLOSE = "Connection: close"


def browse(lab, url):
    """What any server understands, one request a connection."""
    curl(lab, f"{url}/")
    curl(lab, f"{url}/missing?page=1&q=caf%C3%A9")
    curl(lab, "-I", f"{url}/index.html")
    curl(lab, "-I", f"{url}/missing-head")
    curl(lab, "-A", "laboratory/1.0", "-e", "http://www.example.test/from", f"{url}/docs/guide.html")
    curl(lab, "-r", "0-99", f"{url}/large.bin")
    curl(lab, "-r", "999999-", f"{url}/large.bin")
    curl(lab, "-z", "Fri, 01 Jan 2100 00:00:00 GMT", f"{url}/index.html")
    curl(lab, "-X", "DELETE", f"{url}/index.html")
    curl(lab, "-X", "PROPFIND", f"{url}/docs/")
    curl(lab, "--http1.0", f"{url}/index.html")
    curl(lab, f"{url}/index.html", f"{url}/one-missing", f"{url}/docs/guide.html", f"{url}/two-missing")


def odd_requests(lab, port):
    def send(*parts, **options):
        lab.exchange(*parts, port=port, **options)
    send(request("GET", "http://www.example.test/absolute?x=1", CLOSE))
    send(request("OPTIONS", "*", CLOSE))
    send(request("GET", "/with%20escape/%2e%2e/%00", CLOSE))
    send(request("GET", "/quote\"and\\slash", CLOSE))
    send(request("GET", "/raw-\xe4\xff-bytes", CLOSE))
    send(request("GET", "/question?a=b?c=d&e=%zz", CLOSE))
    send(request("GET", "/fragment#part", CLOSE))
    send(request("GET", "/space in target", CLOSE))
    send(request("GET", "relative", CLOSE))
    send(request("BREW", "/pot", CLOSE))
    send(request("PROPFIND", "/docs/", "Depth: 1", CLOSE))
    send(request("TRACE", "/", CLOSE))
    send(request("CONNECT", "www.example.test:443"))
    send(request("get", "/lower-case", CLOSE))
    send(request("GET", "/future", CLOSE, version="HTTP/3.7"))
    send(request("GET", "/minor", CLOSE, version="HTTP/1.9"))
    send(b"GET /no-host HTTP/1.1\r\nConnection: close\r\n\r\n")
    send(b"GET /two-hosts HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n")
    send(b"GET /bare-line-feeds HTTP/1.1\nHost: www.example.test\nConnection: close\n\n")
    send(b"\r\n\r\nGET /blank-lines-first HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n")
    send(b"GET /space-before-colon HTTP/1.1\r\nHost : www.example.test\r\nConnection: close\r\n\r\n")
    send(b"GET /folded HTTP/1.1\r\nHost: www.example.test\r\nX-Folded: one\r\n two\r\nConnection: close\r\n\r\n")
    send(b"GET /nul HTTP/1.1\r\nHost: www.example.test\r\nX-Nul: a\x00b\r\nConnection: close\r\n\r\n")
    send(b"GET /both-lengths HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"
         b"Connection: close\r\n\r\n0\r\n\r\n")
    send(b"POST /bad-length HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\nConnection: close\r\n\r\n")
    send(request("GET", "/" + "long" * 3_000, CLOSE))
    send(request("GET", "/large-header", "X-Large: " + "h" * 12_000, CLOSE))
    send(request("GET", "/many-headers", *[f"X-{n}: {n}" for n in range(150)], CLOSE))
    send(b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03" + bytes(range(32)) + b"\x00\x00\x04\x00\x2f\x00\x35\x01\x00")
    send(b"\x00\x01\x02garbage\r\n\r\n")
    send(b"NOT HTTP AT ALL\r\n\r\n")
    send(b"GET /old-client HTTP/1.0\r\n\r\n")
    send(b"GET /about.html\r\n")
    send(b"GET /missing-in-0.9\r\n")
    send(b"G", b"E", b"T /one-byte-a-segment HTTP/1.1\r", b"\n", b"Host: a\r\nConnection: close\r\n\r", b"\n")


def doubtful_bodies(lab):
    """Requests whose body a server may skip, or take for the next request; HEAD requests follow each of them."""
    decoy = request("GET", "/about.html")
    heads = [request("HEAD", "/large.bin"), request("HEAD", "/missing"), request("HEAD", "/contact.html")]
    end = [request("GET", "/end", CLOSE)]
    for method, target in [("POST", "/missing"), ("PUT", "/about.html"), ("POST", "/upload")]:
        asks = [f"Content-Length: {len(decoy)}"]
        expects = [*asks, "Expect: 100-continue"]
        lab.exchange(request(method, target, *expects), decoy, *heads, *end)
        lab.exchange(request(method, target, *expects, body=decoy), *heads, *end)
        lab.exchange(request(method, target, *asks), decoy, *heads, *end)
        lab.exchange(request(method, target, *asks, body=decoy) + b"".join(heads), *end)
        # The promised body never comes; the requests after it are shorter than the body.
        lab.exchange(request(method, target, "Content-Length: 1000", "Expect: 100-continue"), *heads,
                     request("GET", "/filler", "X-Filler: " + "f" * 1000), *end)
    big = decoy * 40
    lab.exchange(request("POST", "/upload", f"Content-Length: {len(big)}"), big[:1000], big[1000:], *heads, *end)
    lab.exchange(request("CONNECT", "www.example.test:80", f"Content-Length: {len(decoy)}", body=decoy), *heads, *end)
    lab.exchange(request("CONNECT", "www.example.test:80", f"Content-Length: {len(decoy)}"), decoy, *heads, *end)
    lab.exchange(request("GET", "/missing", f"Content-Length: {len(decoy)}", body=decoy), *heads, *end)
    lab.exchange(request("HEAD", "/missing", f"Content-Length: {len(decoy)}", body=decoy), *heads, *end)
    # The last chunk's empty line is missing: the next header block may be taken for a trailer.
    chunked = ["Transfer-Encoding: chunked"]
    lab.exchange(request("POST", "/missing", *chunked, body=b"3\r\nabc\r\n0\r\n"), *heads, *end)
    # More bytes than the length says.
    lab.exchange(request("POST", "/missing", "Content-Length: 3", body=b"abc}"), *heads, *end)
    lab.exchange(request("POST", "/missing", "Content-Length: 3", body=b"abcXYZ"), *heads, *end)
