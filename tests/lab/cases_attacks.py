"""Clients that mean harm: scans that find something, injections, guessed passwords."""

import time

from application import UPSTREAM, USERS, application
from browser import BROWSERS, Client, visitors
from cases import URL, WORDS, case, words
from cases_innocent import SHOP, shop
from lab import SERVER, SITE, WORK, run
from servers import Apache, Nginx

SECRET_WORDS = """.env .env.bak .git/HEAD .git/config .git/index .svn/entries .hg/hgrc .htaccess .htpasswd .DS_Store .aws/credentials
.ssh/id_rsa backup.sql backup.zip backup.tar.gz database.sql dump.sql db.sqlite site.zip wp-config.php.bak config.php~ config.inc.php
web.config phpinfo.php info.php test.php adminer.php shell.php c99.php install.php setup.php server-status""".split()


def forgotten_files(lab):
    """A site with what should not lie in a web root, and an administration page."""
    (SITE / ".env").write_text("APP_ENV=production\nDB_HOST=127.0.0.1\nDB_USER=shop\nDB_PASSWORD=example-only\n")
    (SITE / ".git").mkdir()
    (SITE / ".git/config").write_text('[core]\n\trepositoryformatversion = 0\n[remote "origin"]\n\turl = git@example.test:shop.git\n')
    (SITE / "backup.sql").write_text("create table users (name text, password text);\n" +
                                     "".join(f"insert into users values ('user{n}', 'x{n * 7919}');\n" for n in range(60)))
    for path in [SITE / ".git", *(SITE / ".git").iterdir()]:
        path.chmod(0o755)
    return Nginx(lab, locations=f"location /admin {{ {UPSTREAM} }}")


@case("nginx-scan-success", "A scan by dirb that finds `/.env`, `/.git/config` and `/backup.sql` among 404s. After 20 seconds a "
      "browser at the scanner's address logs in at `/admin`: 302 with `Set-Cookie`. The browser is the lab's own script.",
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


@case("nginx-form-guessing", "hydra guesses passwords in a login form: 403 each, until one is right: 302 with `Set-Cookie`. It "
      "reads the form before each guess. Two browsers at 192.0.2.11 read other pages of the same site.",
      shop, clients=["hydra"], ordered=False)
def nginx_form_guessing(lab, _):
    with application(lab), visitors(lab, SHOP, 12, 0.7):
        lab.say("two browsers at 192.0.2.11 read the shop for 12 seconds; meanwhile:")
        hydra(lab, ["root", "test", "admin"], [*PASSWORDS, "sunflower", USERS["admin"]], "http-post-form",
              "/login:username=^USER^&password=^PASS^:F=wrong")


def catch_all(lab):
    """The same page for every path, but scripts are refused."""
    return Nginx(lab, locations="location ~ \\.php$ { deny all; } location ~ ^/ { rewrite ^ /index.html break; }")


@case("nginx-catch-all", "A server that answers 200 with the same page for every path and 403 for scripts, scanned by ffuf: 200 "
      "for each word, which is no finding, and 403 for each word with `.php`.", catch_all, clients=["ffuf"], ordered=False)
def nginx_catch_all(lab, _):
    lab.client("ffuf", "-s", "-u", f"{URL}/FUZZ", "-w", words(), "-t", "4", "-e", ".php,.bak,/", environment={"HOME": str(WORK)})
