"""Errors that nobody means: outages, dead links, crawlers, monitors, limits. The false positives of an error spike."""

import contextlib
import os
import signal
import threading
import time

from application import UPSTREAM, application
from browser import BROWSERS, Client, visitors
from cases import URL, case
from lab import SITE, WORK, run
from servers import Nginx

SHOP = ["/", "/products/3", "/products/7", "/products/12", "/products/18", "/products/21", "/cart", "/account", "/item?id=4",
        "/item?id=9", "/find?q=lamp", "/static/shop.css", "/static/shop.js", "/static/lamp.svg"]


def shop(lab, more="", **options):
    """nginx with the application behind it and some files of its own."""
    (SITE / "static").mkdir()
    (SITE / "static/shop.css").write_text("body { margin: 2em; }\n" * 20)
    (SITE / "static/shop.js").write_text("document.title = 'Lamps';\n" * 20)
    (SITE / "static/lamp.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><circle r='9'/></svg>\n")
    for path in [SITE / "static", *(SITE / "static").iterdir()]:
        path.chmod(0o755)
    return Nginx(lab, locations=f"location / {{ {UPSTREAM} }} location /static/ {{ }} {more}", **options)


@case("nginx-nat-outage", "Twenty people with a browser each behind one address (real network address translation to "
      "192.0.2.10) while the application behind nginx is dead for five seconds: 502 among many good pages. Another client, "
      "192.0.2.11, fails at the same time. The browsers are the lab's own script (`tests/lab/browser.py`).",
      shop, ordered=False)
def nginx_nat_outage(lab, _):
    lab.say("20 browsers at 10.1.0.1 to 10.1.0.20, seen as 192.0.2.10, and one at 192.0.2.11 read the shop for 16 seconds")
    lab.say("the application behind nginx is dead from the 5th to the 10th second")
    with behind_one_address(lab) as people:
        other = Client(lab, *BROWSERS[1], source="192.0.2.11")
        with application(lab) as first, visitors(lab, SHOP, 16, 0.6, [*people, other]):
            time.sleep(5)
            lab.stop(first)
            time.sleep(5)
            with application(lab):
                time.sleep(6.5)


@contextlib.contextmanager
def behind_one_address(lab):
    """Twenty browsers at addresses of their own, which the client's host translates to its first."""
    inside = [f"10.1.0.{n}" for n in range(1, 21)]

    def nft(rules):
        run("ip", "netns", "exec", "lab-client", "nft", rules)

    for address in inside:
        lab.ip("client", "address", "add", f"{address}/32", "dev", "lo")
    nft("add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; "
        "add rule ip nat out ip saddr 10.1.0.0/24 snat to 192.0.2.10")
    try:
        yield [Client(lab, *browser, source=address) for browser, address in zip(BROWSERS, inside)]
    finally:
        nft("delete table ip nat")
        for address in inside:
            lab.ip("client", "address", "delete", f"{address}/32", "dev", "lo")


def linked_site(lab):
    """300 articles that link to each other and to 70 pages that were deleted."""
    (SITE / "articles").mkdir()
    (SITE / "robots.txt").write_text("User-agent: *\nDisallow: /private/\n")
    for n in range(300):
        links = [f"/articles/{m}.html" for m in range(n * 2 + 1, n * 2 + 3) if m < 300] + [f"/articles/{n * 7 % 300}.html"]
        dead = [f"/archive/2019/{n // 4}.html"] if n % 4 == 0 and n < 280 else []
        anchors = " ".join(f'<a href="{link}">more</a>' for link in links + dead)
        (SITE / f"articles/{n}.html").write_text(f"<!doctype html><title>Article {n}</title><p>Text {n}.</p>{anchors}\n")
    (SITE / "index.html").write_text('<!doctype html><title>News</title><a href="/articles/0.html">All articles</a>\n')
    for path in [SITE / "articles", *(SITE / "articles").iterdir()]:
        path.chmod(0o755)
    return Nginx(lab)


@case("nginx-crawler", "A crawler reads robots.txt and follows every link, with a referrer each: 300 good pages and 70 "
      "that were deleted. It is wget with the agent of a search engine.", linked_site, clients=["wget"])
def nginx_crawler(lab, _):
    lab.client("wget", "-q", "--mirror", "-w", "0.05", "-P", WORK / "mirror", "-U",
               "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", f"{URL}/")


@case("nginx-broken-link", "A page that stays open in a browser asks for two paths that are gone, 120 times in two "
      "minutes, next to many good requests by the same browser and by others at 192.0.2.11. The browsers are the lab's own "
      "script.",
      shop, ordered=False)
def nginx_broken_link(lab, _):
    others = [Client(lab, *BROWSERS[n], source="192.0.2.11") for n in [3, 12]]
    reader, open_page = Client(lab, *BROWSERS[8]), Client(lab, *BROWSERS[8])
    lab.say("a browser at 192.0.2.10 reads the shop; its open page asks every second for /live/stock/7 or /live/prices.json")
    lab.say("two browsers at 192.0.2.11 read the shop")
    with application(lab), visitors(lab, SHOP, 121, 1.5, [reader, *others]):
        for n in range(120):
            open_page.referrer = "http://www.example.test/products/7"
            open_page.get(["/live/stock/7", "/live/prices.json"][n % 2], follow=True)
            time.sleep(1)
        open_page.close()


REQUESTS = ["Host", "User-Agent", "Accept-Encoding: gzip, deflate", "Accept: */*", "Connection: keep-alive"]
GO = ["Host", "User-Agent", "Accept-Encoding: gzip"]


@case("nginx-rate-limited", "A program reads an interface page by page, faster than nginx lets it (`limit_req`): 429, then "
      "it waits and asks again. Another program, at 192.0.2.11, is slow enough. Both are the lab's own script with the "
      "header shape of python-requests.",
      lambda lab: shop(lab, f"location /api/ {{ limit_req zone=calls burst=5 nodelay; limit_req_status 429; "
                            f"add_header Retry-After 1 always; {UPSTREAM} }}",
                       http="limit_req_zone $binary_remote_addr zone=calls:1m rate=10r/s;"), ordered=False)
def nginx_rate_limited(lab, _):
    lab.say("orders-sync at 192.0.2.10 reads /api/v1/orders?page=1 to 160; on 429 it asks again after 50 ms")
    lab.say("orders-report at 192.0.2.11 reads /api/v1/orders?page=1 to 30, two a second")
    sync = Client(lab, REQUESTS, "orders-sync/2.3 python-requests/2.31.0", site="api.example.test")
    report = Client(lab, REQUESTS, "orders-report/1.0 python-requests/2.31.0", site="api.example.test", source="192.0.2.11")

    def report_slowly():
        for page in range(1, 31):
            report.get(f"/api/v1/orders?page={page}")
            time.sleep(0.5)

    with application(lab):
        slow = threading.Thread(target=report_slowly)
        slow.start()
        for page in range(1, 161):
            while sync.get(f"/api/v1/orders?page={page}") == 429:
                time.sleep(0.05)
        slow.join()


@case("nginx-monitoring", "A monitor asks for the same failing page every half second: 80 × 503. Another monitor, at "
      "192.0.2.20, and a browser, at 192.0.2.11, see that the site works. All are the lab's own script; the monitors have "
      "the header shapes of Prometheus' blackbox exporter and of UptimeRobot.",
      lambda lab: shop(lab, 'location = /health/ready { default_type application/json; return 503 \'{"search":"down"}\'; }'),
      ordered=False)
def nginx_monitoring(lab, _):
    exporter = Client(lab, GO, "Blackbox Exporter/0.24.0")
    robot = Client(lab, ["Host", "Connection: close", "User-Agent", "Accept: */*"], host="proxy",
                   agent="Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)")
    lab.say("a monitor at 192.0.2.10: GET /health/ready every 0.5 s; a monitor at 192.0.2.20: HEAD / every 5 s")
    lab.say("a browser at 192.0.2.11 reads the shop")
    with application(lab), visitors(lab, SHOP, 40, 1, [Client(lab, *BROWSERS[3], source="192.0.2.11")]):
        start = time.monotonic()
        for n in range(80):
            if n % 10 == 0:
                robot.get("/", method="HEAD")
            exporter.get("/health/ready")
            time.sleep(max(0, start + (n + 1) / 2 - time.monotonic()))
        exporter.close()


@case("nginx-office", "Twenty people with a browser each behind one address (real network address translation to "
      "192.0.2.10), on a site with some dead links and a missing icon: 404s in all browsers, none has many. The browsers "
      "are the lab's own script.",
      shop, ordered=False)
def nginx_office(lab, _):
    dead = ["/favicon.ico", "/apple-touch-icon.png", "/offers/spring.html", "/static/old.css"]
    lab.say("20 browsers at 10.1.0.1 to 10.1.0.20, seen as 192.0.2.10, read the shop for 20 seconds")
    with behind_one_address(lab) as people, application(lab), visitors(lab, SHOP * 3 + dead, 20, 0.8, people):
        pass


@case("nginx-outage", "The application behind nginx hangs, then dies: 504 and 502 for everyone. One client, a program that "
      "asks every 100 ms, has more than 50 errors; two browsers at 192.0.2.11 and one at 192.0.2.20 have a few each. All "
      "are the lab's own script.",
      lambda lab: shop(lab, server="proxy_read_timeout 1s;"), ordered=False)
def nginx_outage(lab, _):
    program = Client(lab, REQUESTS, "stock-display/1.4 python-requests/2.31.0")
    people = [Client(lab, *BROWSERS[n], source="192.0.2.11") for n in [3, 12]] + [Client(lab, *BROWSERS[6], host="proxy")]

    def ask():
        for n in range(150):
            program.get(f"/item?id={n % 9 + 1}")
            time.sleep(0.1)

    lab.say("a program at 192.0.2.10: GET /item?id=1 to 9, 150 times, 100 ms after each answer; three browsers read the shop")
    lab.say("the application is stopped (SIGSTOP) from the 4th second, killed at the 8th, and new at the 14th")
    with application(lab) as first, visitors(lab, SHOP, 20, 0.6, people):
        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(4)
        os.killpg(first.pid, signal.SIGSTOP)
        time.sleep(4)
        lab.stop(first, signal.SIGKILL)
        time.sleep(6)
        with application(lab):
            asking.join()
            time.sleep(3)


@case("nginx-stale-client", "A program of an old version asks for an interface that was taken away: 410 for three paths, "
      "again and again, beside good answers for others. It is the lab's own script with the header shape of OkHttp.",
      lambda lab: shop(lab, "location /api/v0/ { return 410; }"), ordered=False)
def nginx_stale_client(lab, _):
    old = Client(lab, ["Host", "Connection: Keep-Alive", "Accept-Encoding: gzip", "User-Agent"], "ShopApp/3.1 okhttp/4.9.3")
    lab.say("ShopApp at 192.0.2.10: /api/v0/session, /api/v0/basket, /api/v0/news and /api/v1/orders in turn, "
            "30 times, a round a second")
    with application(lab), visitors(lab, SHOP, 30, 1):
        for _round in range(30):
            for target in ["/api/v0/session", "/api/v0/basket", "/api/v0/news", "/api/v1/orders"]:
                old.get(target)
            time.sleep(1)
        old.close()
