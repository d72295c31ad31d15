#!/usr/bin/env python3
"""A small shop with faults: the application behind the lab's web servers.

    application.py PORT     serves on this port of the loopback

Its statements are put together from the request's text, so an injection works. Its errors are real: SQLite's, and 500s
because of them. It keeps everything in memory.
"""

import contextlib
import html
import http.server
import json
import sqlite3
import sys
import urllib.parse

PORT = 7010
UPSTREAM = f"proxy_pass http://127.0.0.1:{PORT};"
USERS = {"admin": "sunflower-1987", "editor": "correct horse"}
FILES = {"terms.txt": "The terms of the laboratory's shop.\n", "size.txt": "S, M, L\n"}


@contextlib.contextmanager
def application(lab):
    """The application runs on the server's loopback while the block runs."""
    process = lab.start("server", sys.executable, __file__, str(PORT))
    lab.wait_for_port("server", "127.0.0.1", PORT)
    try:
        yield process
    finally:
        lab.stop(process)


def database():
    shop = sqlite3.connect(":memory:", check_same_thread=False)
    shop.execute("create table item (id integer primary key, name text, price integer)")
    shop.executemany("insert into item values (?, ?, ?)", [(n, f"Lamp number {n}", 10 + n) for n in range(1, 41)])
    shop.execute("create table customer (id integer primary key, name text, city text)")
    shop.executemany("insert into customer values (?, ?, ?)", [(1, "Ada Example", "Ulm"), (2, "Bo Example", "Lund")])
    return shop


class Page(http.server.BaseHTTPRequestHandler):
    shop = database()
    server_version, sys_version = "shop", ""

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        fields = {key: values[0] for key, values in urllib.parse.parse_qs(url.query, True).items()}
        try:
            self.answer(*self.page(url.path, fields))
        except sqlite3.Error as error:
            self.answer(500, f"<h1>Internal Server Error</h1><p>sqlite3: {html.escape(str(error))}</p>")

    do_HEAD = do_GET

    def page(self, path, fields):
        """Status and body."""
        if path == "/":
            return 200, ('<h1>Lamps</h1><a href="/item?id=1">a lamp</a> <a href="/find?q=lamp">all lamps</a> '
                         '<a href="/file?name=terms.txt">terms</a> <a href="/login">log in</a> '
                         '<form action="/find"><input name="q"></form>')
        if path.startswith("/products/") or path in ["/cart", "/account", "/checkout"]:
            return 200, f"<h1>{html.escape(path[1:])}</h1>" + "<p>Made of brass, with a shade of linen.</p>" * 8
        if path == "/item":
            rows = self.shop.execute(f"select name, price from item where id = {fields.get('id', '0')}").fetchall()
            return (200, "".join(f"<p>{name}: {price}</p>" for name, price in rows)) if rows else (404, "<p>No such item.</p>")
        if path == "/list":
            rows = self.shop.execute(f"select name from item order by {fields.get('sort', 'id')} limit 5").fetchall()
            return 200, "".join(f"<p>{name}</p>" for name, in rows)
        if path == "/find":
            text = fields.get("q", "")
            rows = self.shop.execute(f"select name from item where name like '%{text}%' limit 5").fetchall()
            return 200, f"<h1>Found for {text}</h1>" + "".join(f"<p>{name}</p>" for name, in rows)
        if path == "/file":
            body = FILES.get(fields.get("name", ""))
            return (200, body) if body else (403 if ".." in fields.get("name", "") else 404, "<p>No such file.</p>")
        if path in ["/login", "/admin"]:
            return 200, f'<form method="post" action="{path}"><input name="username"><input name="password"></form>'
        if path == "/admin/panel":
            return (200, "<h1>Orders of today</h1>") if "session=" in self.headers.get("Cookie", "") else (403, "<p>No.</p>")
        if path == "/api/v1/orders":
            return 200, json.dumps([{"order": n, "total": n * 7 % 90} for n in range(10)])
        return 404, "<h1>Not Found</h1>"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("latin-1")
        fields = dict(urllib.parse.parse_qsl(body, True))
        path = urllib.parse.urlsplit(self.path).path
        if path not in ["/login", "/admin"]:
            self.answer(405, "<h1>Method Not Allowed</h1>")
        elif fields.get("password") and USERS.get(fields.get("username")) == fields["password"]:
            target = "/admin/panel" if path == "/admin" else "/account"
            self.answer(302, "", Location=target, Set_Cookie="session=5f3e9b27c1d84a60; Path=/; HttpOnly")
        else:
            self.answer(403, "<p>User name or password is wrong.</p>")

    def answer(self, status, body, **headers):
        data = body.encode()
        self.send_response(status)
        if self.path == "/" and "Cookie" not in self.headers:
            headers["Set_Cookie"] = f"visit={id(self) % 100_000_007}; Path=/"
        kind = {"{": "application/json", "[": "application/json"}.get(body[:1], "text/html; charset=utf-8")
        for name, value in {"Content-Type": kind, "Content-Length": len(data), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
