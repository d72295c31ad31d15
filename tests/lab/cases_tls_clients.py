"""Clients inside TLS other than curl, and what a client does with the keys of a connection, with the key log of each."""

import os

from cases import WORDS
from cases_tls import KEYS, LOGGED, URL, tls
from cases_tls_servers import kept
from lab import SERVER, SITE, WORK, run

PROGRAMS = os.path.join(os.path.dirname(__file__), "programs")
HOME = {**LOGGED, "HOME": str(WORK), "XDG_CONFIG_HOME": str(WORK), "XDG_CACHE_HOME": str(WORK)}
PICTURES = "".join(f'<img src="/images/{word}.png?of=gallery">' for word in WORDS[:12])
GALLERY = f'<!doctype html><title>gallery</title><link rel="stylesheet" href="/style.css"><script src="/teapot"></script>{PICTURES}\n'

HTTPX = """
import httpx, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.keylog_filename, context.maximum_version = sys.argv[1], ssl.TLSVersion.TLSv1_2
with httpx.Client(http2=True, verify=context) as client:
    for url in sys.argv[2:]:
        client.get(url)
    client.post(sys.argv[2] + "upload", content=b"u" * 900)
"""


def built(name):
    """A program in Go of the folder programs."""
    program = WORK / name
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
    run("go", "build", "-o", program, f"{PROGRAMS}/{name}.go", env=environment)
    return program


@kept("nginx-tls-clients", "nginx by HTTP/2 inside TLS, with clients of other libraries than curl: Chromium, which asks for all "
      "pictures of a page at once, h2load, and Go by HTTP/2 and HTTP/1.1, all by TLS 1.3; Python's httpx by TLS 1.2.",
      tls("TLSv1.2 TLSv1.3", http2=True), clients=["chromium", "nghttp2-client", "python3-httpx", "golang-go"])
def nginx_tls_clients(lab, _):
    (SITE / "gallery.html").write_text(GALLERY)
    urls = [f"{URL}/{path}" for path in ["", "missing", "docs/guide.html", "gone", "large.bin"]]
    lab.client("chromium", "--headless", "--no-sandbox", "--ignore-certificate-errors", "--disable-gpu", "--virtual-time-budget=3000",
               f"--user-data-dir={WORK}/chromium", "--dump-dom", f"{URL}/gallery.html", environment=HOME)
    lab.client("h2load", "-n", "12", "-c", "2", "-m", "4", *urls[:4], environment=LOGGED)
    script = WORK / "client.py"
    script.write_text(HTTPX)
    lab.client("/usr/bin/python3", script, KEYS, *urls)
    program = built("fetch")
    lab.client(program, "h2", *urls, environment=LOGGED)
    lab.client(program, "http/1.1", *urls[:4], environment=LOGGED)


@kept("nginx-tls-grpc", "gRPC of Go inside TLS, through nginx: calls and streams of messages, a call whose answer is an error in trailers "
      "alone (the status of HTTP is 200), and 502 when the service is gone.",
      tls("TLSv1.2 TLSv1.3", http2=True, locations="location /grpc.health.v1.Health/ { grpc_pass grpc://127.0.0.1:50051; }"),
      clients=["golang-google-grpc-dev"])
def nginx_tls_grpc(lab, _):
    program = built("grpc_health")
    service = lab.start("server", program, "serve", "127.0.0.1:50051")
    lab.wait_for_port("server", "127.0.0.1", 50051)
    lab.client(program, "ask", f"{SERVER}:443", "watched", "unknown", "watched", environment=LOGGED)
    lab.stop(service)
    lab.say("the service is stopped; nginx answers 502:")
    lab.client(program, "ask", f"{SERVER}:443", "watched", environment=LOGGED)


def request(target, *headers):
    return "\\r\\n".join([f"GET {target} HTTP/1.1", "Host: www.example.test", *headers, "", ""])


def interactive(lab, suite, *lines):
    """Feeds openssl s_client. What it reads at once is a request, or a command: K asks the server for new keys too, k does not.
    The pauses are for the server's answers, and keep the reads apart."""
    feed = "; ".join(f"printf '{line}'; sleep 0.15" for line in lines)
    options = f"-ciphersuites {suite} -keylogfile {KEYS} -connect {SERVER}:443"
    lab.client("sh", "-c", f"({feed}) | openssl s_client {options} >/dev/null 2>&1")


@kept("nginx-tls-key-update", "OpenSSL's s_client changes the keys of a TLS 1.3 connection between its requests: its own (k), or both sides' "
      "(K), once, several times, and before the first request.", tls("TLSv1.3"), clients=["openssl"])
def nginx_tls_key_update(lab, _):
    last = request("/about.html", "Connection: close")
    interactive(lab, "TLS_AES_128_GCM_SHA256", request("/index.html"), "K\\n", request("/missing"), "k\\n", request("/docs/guide.html"),
                "K\\n", request("/gone"), last)
    interactive(lab, "TLS_AES_256_GCM_SHA384", "K\\n", request("/missing"), "K\\n", "K\\n", "k\\n", request("/large.bin"), "k\\n",
                "k\\n", request("/teapot"), last)
    interactive(lab, "TLS_CHACHA20_POLY1305_SHA256", "k\\n", request("/missing"), request("/large.bin"), "K\\n", last)
