"""Clients that mean harm: scans that find something, injections, guessed passwords."""

import time
import urllib.parse

from application import UPSTREAM, USERS, application
from browser import BROWSERS, Client, visitors
from cases import URL, WORDS, case, curl, words
from cases_innocent import SHOP, shop
from lab import SERVER, SITE, WORK
from probes import EXPLOITS, NESSUS
from servers import Apache, Nginx, Tomcat

SECRET_WORDS = """.env .env.bak .git/HEAD .git/config .git/index .svn/entries .hg/hgrc .htaccess .htpasswd .DS_Store
.aws/credentials .ssh/id_rsa backup.sql backup.zip backup.tar.gz database.sql dump.sql db.sqlite site.zip
wp-config.php.bak config.php~ config.inc.php web.config phpinfo.php info.php test.php adminer.php shell.php c99.php
install.php setup.php server-status""".split()


def forgotten_files(lab):
    """A site with what should not lie in a web root, and an administration page."""
    (SITE / ".env").write_text("APP_ENV=production\nDB_HOST=127.0.0.1\nDB_USER=shop\nDB_PASSWORD=example-only\n")
    (SITE / ".git").mkdir()
    (SITE / ".git/config").write_text(
        '[core]\n\trepositoryformatversion = 0\n[remote "origin"]\n\turl = git@example.test:shop.git\n')
    (SITE / "backup.sql").write_text("create table users (name text, password text);\n" +
                                     "".join(f"insert into users values ('user{n}', 'x{n * 7919}');\n" for n in range(60)))
    for path in [SITE / ".git", *(SITE / ".git").iterdir()]:
        path.chmod(0o755)
    return Nginx(lab, locations=f"location /admin {{ {UPSTREAM} }}")


@case("nginx-scan-success", "A scan by dirb that finds `/.env`, `/.git/config` and `/backup.sql` among 404s. After 20 "
      "seconds a browser at the scanner's address logs in at `/admin`: 302 with `Set-Cookie`. The browser is the lab's own "
      "script.",
      forgotten_files, clients=["dirb"])
def nginx_scan_success(lab, _):
    path = WORK / "words.txt"
    path.write_text("\n".join([*WORDS, *SECRET_WORDS]) + "\n")
    with application(lab):
        lab.client("dirb", f"{URL}/", path, "-S", "-w", "-r")
        time.sleep(20)
        lab.say("20 seconds later, a browser at 192.0.2.10: GET /admin, POST /admin (a form with user name and password), "
                "GET /admin/panel with the cookie")
        browser = Client(lab, *BROWSERS[4], site=SERVER)
        browser.get("/admin")
        browser.post("/admin", {"username": "admin", "password": USERS["admin"]})
        browser.get("/admin/panel", follow=True)
        browser.close()


@case("nginx-late-success", "A scan by gobuster, just before a multiple of ten minutes, whose words are not those that the site hides. "
      "More than a minute later, when its alert was raised, the same address fetches `/.env` and `/backup.sql` with curl.",
      forgotten_files, clients=["gobuster", "curl"])
def nginx_late_success(lab, _):
    time.sleep(max(0, 590 - time.time() % 600))
    lab.client("gobuster", "dir", "-q", "--no-progress", "-u", URL, "-w", words())
    time.sleep(80)
    curl(lab, f"{URL}/.env")
    time.sleep(2)
    curl(lab, f"{URL}/backup.sql")


@case("nginx-sqlmap", "sqlmap against an application that puts its statement together from the request: a quote is a 500. "
      "On the second page sqlmap finds the injection and reads the tables' names. Two browsers at 192.0.2.11 see no error.",
      shop, clients=["sqlmap"], ordered=False)
def nginx_sqlmap(lab, _):
    with application(lab), visitors(lab, SHOP, 15, 0.7):
        lab.say("two browsers at 192.0.2.11 read the shop for 15 seconds; meanwhile:")
        for page in ["list?sort=price", "item?id=1"]:
            lab.client("sqlmap", "-u", f"{URL}/{page}", "--batch", "--technique=BEU", "--level=2", "--tables", "--output-dir",
                       WORK / "sqlmap", environment={"HOME": str(WORK)})


def word_file(name, entries):
    path = WORK / name
    path.write_text("\n".join(entries) + "\n")
    return path


PASSWORDS = """123456 password 12345678 qwerty 123456789 12345 1234 111111 1234567 dragon 123123 baseball abc123 football monkey
letmein shadow master 696969 mustang 666666 qwertyuiop 123321 superman 1qaz2wsx welcome princess solo starwars admin""".split()


def hydra(lab, users, passwords, *target):
    """One guess after another; hydra keeps a file in its working folder."""
    lab.client("env", "-C", WORK, "hydra", "-I", "-f", "-t", "4", "-L", word_file("names.txt", users), "-P",
               word_file("passwords.txt", passwords), SERVER, *target)


@case("apache-credential-guessing", "hydra guesses names and passwords for one page with Basic authentication: 401 each, "
      "until the last password of the last name is right, which is 200. Afterwards curl reads the page with it.",
      Apache, clients=["hydra", "curl"], ordered=False)
def apache_credential_guessing(lab, _):
    hydra(lab, ["admin", "root", "webmaster", "reader"], [*PASSWORDS, "correct"], "http-get", "/private/")
    time.sleep(5)
    lab.client("curl", "-s", "-o", "/dev/null", "-u", "reader:correct", f"{URL}/private/")


@case("nginx-form-guessing", "hydra guesses passwords in a login form: 403 each, until one is right: 302 with "
      "`Set-Cookie`. It reads the form before each guess. Two browsers at 192.0.2.11 read other pages of the same site.",
      shop, clients=["hydra"], ordered=False)
def nginx_form_guessing(lab, _):
    with application(lab), visitors(lab, SHOP, 12, 0.7):
        lab.say("two browsers at 192.0.2.11 read the shop for 12 seconds; meanwhile:")
        hydra(lab, ["root", "test", "admin"], [*PASSWORDS, "sunflower", USERS["admin"]], "http-post-form",
              "/login:username=^USER^&password=^PASS^:F=wrong")


def catch_all(lab):
    """The same page for every path, but scripts are refused."""
    return Nginx(lab, locations="location ~ \\.php$ { deny all; } location ~ ^/ { rewrite ^ /index.html break; }")


@case("nginx-catch-all", "A server that answers 200 with the same page for every path and 403 for scripts, scanned by "
      "ffuf: 200 for each word, which is no finding, and 403 for each word with `.php`.", catch_all,
      clients=["ffuf"], ordered=False)
def nginx_catch_all(lab, _):
    lab.client("ffuf", "-s", "-u", f"{URL}/FUZZ", "-w", words(), "-t", "4", "-e", ".php,.bak,/", environment={"HOME": str(WORK)})


@case("nginx-wapiti", "wapiti against the same application: injections, traversal, commands and scripts in every parameter.",
      shop, clients=["wapiti"], ordered=False)
def nginx_wapiti(lab, _):
    with application(lab):
        lab.client("wapiti", "-u", f"{URL}/", "-m", "sql,xss,file,exec", "--flush-session", "--no-bugreport", "-v", "0",
                   "--store-session", WORK / "wapiti", "-f", "txt", "-o", WORK / "wapiti.txt", environment={"HOME": str(WORK)})


def probe(lab, client, targets, pause, agents=None):
    """One request for each target, each over a connection of its own."""
    for n, target in enumerate(targets):
        client.agent = agents[n % len(agents)] if agents else client.agent
        client.get(target, method="OPTIONS" if target == "/wls-wsat/CoordinatorPortType" else "GET")
        client.close()
        time.sleep(pause)


NUCLEI = ["Host", "User-Agent", "Connection: close", "Accept: */*", "Accept-Language: en", "Accept-Encoding: gzip"]
NESSUS_SHAPE = ["Host", "Accept-Charset: iso-8859-1,utf-8;q=0.9,*;q=0.1", "Accept-Language: en", "Connection: Close",
                "User-Agent", "Pragma: no-cache", "Accept: image/gif, image/x-xbitmap, image/jpeg, image/pjpeg, image/png, */*"]


@case("nginx-nuclei-like", "131 public paths of known flaws, asked for once each with a browser's agent that changes at "
      "every request, as nuclei does with `-random-agent`. nuclei cannot be had here: the lab's own script asks, with "
      "nuclei's header shape.",
      Nginx, ordered=False)
def nginx_nuclei_like(lab, _):
    lab.say("the paths EXPLOITS of tests/lab/probes.py, one every 20 ms")
    probe(lab, Client(lab, NUCLEI, "", site=SERVER), EXPLOITS, 0.02, [agent for _, agent in BROWSERS])


@case("nginx-maintenance-scan", "The house's own scanner, 192.0.2.11, at ten requests a second. Nessus cannot be had here: "
      "the lab's own script asks for what Nessus asks for, with its header shape. Its agent is an old Internet Explorer's, "
      "and its own at every tenth request. A browser at 192.0.2.10 reads good pages.", shop, ordered=False)
def nginx_maintenance_scan(lab, _):
    lab.say("the paths NESSUS of tests/lab/probes.py from 192.0.2.11, one every 100 ms; a browser at 192.0.2.10 reads the shop")
    explorer = "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0)"
    scanner = Client(lab, NESSUS_SHAPE, explorer, source="192.0.2.11", site=SERVER)
    with application(lab), visitors(lab, SHOP, 15, 0.8, [Client(lab, *BROWSERS[2])]):
        probe(lab, scanner, NESSUS, 0.1, [explorer] * 9 + ["Nessus SOAP v0.0.1 (Nessus.org)"])


ORDER = """<%
int quantity = Integer.parseInt(request.getParameter("quantity"));
String[] articles = {"lamp", "shade", "bulb", "cable"};
String article = articles[Integer.parseInt(request.getParameter("article"))];
java.time.LocalDate day = java.time.LocalDate.parse(request.getParameter("day"));
String street = request.getParameter("address").substring(0, 8);
out.print("<p>" + 1000 / quantity + " parts of " + article + " by " + day.plusDays(quantity) + " to " + street + "</p>");
%>
"""


def orders(lab):
    server = Tomcat(lab)
    (server.base / "webapps/ROOT/order.jsp").write_text(ORDER)
    # Without the stack traces, which are on the wire as well.
    (server.base / "conf/logging.properties").write_text(
        "handlers = java.util.logging.ConsoleHandler\n.level = INFO\n"
        "org.apache.catalina.core.ContainerBase.[Catalina].[localhost].level = OFF\n")
    return server


def faulty_orders():
    """Queries that break the application, each in another way or with another value."""
    good = {"quantity": "2", "article": "1", "day": "2026-12-01", "address": "Long Street 5"}
    bad = {"quantity": ["0", "-", "", "1e3", "NaN", "2147483648", "99999999999999999999", "0x10", "two", "1,5", "1.5",
                        " 1", "1;2", "null", "undefined", "true", "%", "''", "\u0661x", "+-1", "2147483647", "1/0",
                        "1_000", "()", "[]", "{}"],
           "article": ["4", "-1", "1000", "-2147483648", "a", "", "1.0", "lamp", "[]", "2147483647", "00x", "\x00", "0;",
                       "~", "3 3", "9" * 40],
           "day": ["", "0000-00-00", "2026-13-01", "2026-02-30", "1.12.2026", "tomorrow", "2026-12-1", "9" * 60,
                   "2026/12/01", "null", "-2026-12-01", "20261201", "2026-W49", "+1000000000-01-01", "\ufffd", "A" * 300],
           "address": ["", "x", "short", "1234567", " ", "\n", "7 signs", "\u00e4\u00f6\u00fc"]}
    broken = [{**good, name: value} for name, values in bad.items() for value in values]
    return broken + [{key: value for key, value in good.items() if key != name} for name in good] + [{}]


@case("tomcat-fault-injection", "71 bad inputs, of which 69 make an application answer 500, each for its own reason: wrong "
      "numbers, dates, lengths, missing fields. Between them it answers good inputs, and a browser at 192.0.2.11 orders "
      "without an error. The browser is the lab's own script.", orders, clients=["curl"], ordered=False)
def tomcat_fault_injection(lab, _):
    url, good = f"{URL}:8080/order.jsp?", "quantity=2&article=1&day=2026-12-01&address=Long+Street+5"
    page = "/order.jsp?quantity={}&article=0&day=2026-12-0{}&address=Short+Street+{}"
    pages = ["/", "/docs/guide.html"] + [page.format(n, n, n) for n in range(1, 8)]
    lab.client("curl", "-s", "-o", "/dev/null", url + good)
    with visitors(lab, pages, 12, 0.5, [Client(lab, *BROWSERS[3], port=8080, source="192.0.2.11")]):
        for n, fields in enumerate(faulty_orders()):
            before = [url + good] if n % 6 == 0 else []
            lab.client("curl", "-s", "-o", "/dev/null", *before, url + urllib.parse.urlencode(fields))
            time.sleep(0.1)


def webdav(lab):
    (SITE / "dav").mkdir()
    (SITE / "dav").chmod(0o777)
    return Nginx(lab, locations="location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; dav_access user:rw all:r; location "
                                "~ \\.(php|jsp|aspx?|cgi|pl|cfm|shtml|jhtml)$ { limit_except GET { deny all; } } }")


@case("nginx-webdav", "A client tries the verbs of WebDAV and others on many folders, as davtest does: PROPFIND, MKCOL, "
      "PUT, MOVE, COPY, DELETE, LOCK, SEARCH, TRACE, TRACK, DEBUG. In `/dav/` some work: an upload is 201, a script is "
      "refused, and a text is moved to another name.", webdav, clients=["curl"])
def nginx_webdav(lab, _):
    def ask(method, target, *arguments):
        lab.client("curl", "-s", "-o", "/dev/null", "-X", method, *arguments, f"{URL}{target}")
    upload = WORK / "upload.txt"
    upload.write_text("<?php echo 7 * 6; ?>\n" * 10)
    for folder in ["/", "/dav/", "/webdav/", "/uploads/", "/images/", "/docs/", "/files/", "/public/"]:
        for method in ["OPTIONS", "PROPFIND", "SEARCH", "LOCK", "TRACE", "TRACK", "DEBUG"]:
            ask(method, folder, *(["-H", "Depth: 1"] if method == "PROPFIND" else []))
        ask("MKCOL", f"{folder}DavTestDir_k3/")
        ask("PUT", f"{folder}davtest_k3.txt", "-T", upload)
    for extension in ["php", "jsp", "asp", "aspx", "cgi", "pl", "cfm", "shtml", "jhtml", "html"]:
        ask("PUT", f"/dav/DavTestDir_k3/davtest_k3.{extension}", "-T", upload)
    ask("MOVE", "/dav/davtest_k3.txt", "-H", f"Destination: {URL}/dav/DavTestDir_k3/shell.phtml")
    ask("COPY", "/dav/DavTestDir_k3/shell.phtml", "-H", f"Destination: {URL}/dav/copy.phtml")
    ask("GET", "/dav/copy.phtml")
    ask("DELETE", "/dav/DavTestDir_k3/davtest_k3.html")


@case("nginx-spraying", "One password is tried with 120 user names in a login form, a guess every 100 ms, with a browser's "
      "agent and header shape: 403 each, and 302 with `Set-Cookie` for one in the middle; the account's page follows. The "
      "client is the lab's own script.", shop, ordered=False)
def nginx_spraying(lab, _):
    guess = "correct horse"
    names = [f"{first}.{last}" for first in "anna ben carl dora emil fay".split() for last in
             "adams baker clark davis evans fisher green hill irving jones king lewis moore nash owens price quinn reed shaw "
             "todd".split()]
    names.insert(70, "editor")
    client = Client(lab, *BROWSERS[5])
    lab.say("POST /login with 121 user names and one password, 100 ms between; after the one that is right, "
            "GET /account and /admin/panel")
    with application(lab), visitors(lab, SHOP, 14, 0.7):
        for name in names:
            if client.post("/login", {"username": name, "password": guess}) == 302:
                client.get("/account", follow=True)
                client.get("/admin/panel", follow=True)
                client.cookies.clear()
            time.sleep(0.1)
        client.close()


@case("nginx-dirsearch", "dirsearch with an agent that changes at every request. It finds `/.env`, `/.git/config` and "
      "`/backup.sql`; nobody comes back for more.", forgotten_files, clients=["dirsearch"], ordered=False)
def nginx_dirsearch(lab, _):
    path = word_file("words.txt", [*WORDS, *SECRET_WORDS])
    with application(lab):
        lab.client("dirsearch", "-u", f"{URL}/", "-w", path, "-t", "5", "--random-agent", "-q", "-o", WORK / "dirsearch.txt",
                   environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(WORK)})
