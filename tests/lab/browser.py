"""Clients of the lab's own, for what curl does not do: browsers with cookies and referrers, and the header shapes of
programs that cannot be had here.

A shape is a client's header lines in its order. A name without a value is filled in where there is one.
"""

import contextlib
import http.client
import random
import threading
import time
import urllib.parse

from lab import SERVER

FORM = ["Content-Length", "Origin", "Content-Type"]
PAGE = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
CHROME = ["Host", "Connection: keep-alive", *FORM, "Upgrade-Insecure-Requests: 1", "User-Agent", PAGE, "Referer",
          "Accept-Encoding: gzip, deflate", "Accept-Language: en-GB,en;q=0.9", "Cookie"]
FIREFOX = ["Host", "User-Agent", PAGE, "Accept-Language: de,en-US;q=0.7,en;q=0.3", "Accept-Encoding: gzip, deflate", *FORM,
           "Connection: keep-alive", "Referer", "Cookie", "Upgrade-Insecure-Requests: 1"]
SAFARI = ["Host", "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", *FORM, "Cookie",
          "Upgrade-Insecure-Requests: 1", "User-Agent", "Accept-Language: en-us", "Referer", "Accept-Encoding: gzip, deflate",
          "Connection: keep-alive"]
WINDOWS, MAC, LINUX = "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"
PHONE = "iPhone; CPU iPhone OS 17_4 like Mac OS X"


def chrome(system, version):
    return CHROME, f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"


def firefox(system, version):
    return FIREFOX, f"Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"


def safari(system, version):
    return SAFARI, f"Mozilla/5.0 ({system}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version} Safari/605.1.15"


BROWSERS = [
    *[chrome(WINDOWS, version) for version in [119, 120, 121, 122, 123]], *[chrome(MAC, version) for version in [121, 122]],
    chrome(LINUX, 122), chrome("Linux; Android 10; K", 123), chrome("X11; CrOS x86_64 14541.0.0", 121),
    *[firefox(WINDOWS, version) for version in [115, 122, 123, 124]], firefox(LINUX, 115), firefox(LINUX, 123),
    firefox("Macintosh; Intel Mac OS X 10.15", 124), *[safari(MAC, version) for version in ["16.6", "17.3"]],
    safari(PHONE, "17.4")]


class Client:
    """One client program: its header shape, its cookies and its connection, which it keeps as long as the server does."""

    def __init__(self, lab, shape, agent, address=SERVER, port=80, host="client", source=None, site="www.example.test"):
        self.lab, self.shape, self.agent, self.site = lab, shape, agent, site
        self.where = {"address": address, "port": port, "host": host, "source": source}
        self.cookies, self.connection, self.referrer = {}, None, None

    def get(self, target, method="GET", headers=(), follow=False):
        """Sends a request and returns the status; `follow` means that a link on the page before leads here."""
        return self.send(method, target, headers, {"Referer": self.referrer if follow else None})

    def post(self, target, fields, headers=()):
        body = urllib.parse.urlencode(fields)
        named = {"Referer": self.referrer, "Origin": f"http://{self.site}", "Content-Length": str(len(body)),
                 "Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", target, headers, named, body)

    def send(self, method, target, headers, named, body=""):
        named = {"Host": self.site, "User-Agent": self.agent,
                 "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **named}
        lines = [line if ":" in line else f"{line}: {named[line]}" for line in self.shape if ":" in line or named.get(line)]
        head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, *headers])
        if self.connection is None:
            self.connection = self.lab.connect(**self.where)
        self.connection.sendall(f"{head}\r\n\r\n{body}".encode("latin-1"))
        response = http.client.HTTPResponse(self.connection, method=method)
        response.begin()
        response.read()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        if response.will_close:
            self.close()
        self.referrer = f"http://{self.site}{target}"
        return response.status

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


def visit(client, pages, seconds, pause, seed):
    """Reads pages as a person does: one after another, each followed from the one before, some of them again."""
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    target, status = "/", client.get("/")
    while time.monotonic() < end:
        time.sleep(pause * chance.uniform(0.5, 1.5))
        if status < 400 or chance.random() < 0.5:
            target = chance.choice(pages)
        status = client.get(target, follow=True)
    client.close()


@contextlib.contextmanager
def visitors(lab, pages, seconds, pause=0.5, clients=None):
    """Browsers that read pages while the block runs; it ends when they are done."""
    clients = clients or [Client(lab, *BROWSERS[3], source="192.0.2.11"), Client(lab, *BROWSERS[12], source="192.0.2.11")]
    threads = [threading.Thread(target=visit, args=(client, pages, seconds, pause, seed)) for seed, client in enumerate(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
