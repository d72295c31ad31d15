"""Apache, Apache Tomcat, lighttpd, and HAProxy in front of nginx."""

import os
import pathlib
import signal
import threading
import time

from browser import BROWSERS, Client, visitors
from cases import CLOSE, URL, browse, case, curl, doubtful_bodies, odd_requests, request, words
from lab import PROXY, WORK, run
from servers import Apache, Haproxy, Lighttpd, Nginx, Tomcat, echo, silent_backend


# Apache


@case("apache-curl", "Apache under curl: its own statuses and pages, a denied 403, 401 and 413, `100 Continue`.",
      Apache, clients=["curl"])
def apache_curl(lab, _):
    browse(lab, URL)
    for target in ["private/", "admin/", "forbidden/", "gone", "old", "broken"]:
        curl(lab, f"{URL}/{target}")
    curl(lab, "-u", "reader:correct", f"{URL}/private/")
    data = WORK / "upload.bin"
    data.write_bytes(b"u" * 20_000)
    curl(lab, "--data-binary", f"@{data}", f"{URL}/upload")
    curl(lab, "-H", "Expect: 100-continue", "--data-binary", f"@{data}", f"{URL}/upload")
    curl(lab, "-H", "Expect: 100-continue", "-d", "small", f"{URL}/index.html")


@case("apache-ffuf", "An ffuf scan of Apache with the `Server` header cut to `Apache`: one alert.",
      lambda lab: Apache(lab, tokens="Prod"), clients=["ffuf"], ordered=False)
def apache_ffuf(lab, _):
    lab.client("ffuf", "-s", "-u", f"{URL}/FUZZ", "-w", words(), "-t", "8", "-e", ".php,.old", environment={"HOME": str(WORK)})


@case("apache-odd-requests", "The unusual and wrong requests of nginx-odd-requests, answered by Apache.", Apache)
def apache_odd(lab, _):
    odd_requests(lab, 80)


@case("apache-doubtful-bodies", "The requests of nginx-doubtful-bodies, answered by Apache.", Apache, ordered=False, settings="doubtful = true\n")
def apache_doubtful_bodies(lab, _):
    doubtful_bodies(lab)


@case("apache-408", "Request time-outs that Apache does answer: 408 for an unfinished header and an unfinished body; a "
      "connection without a byte is closed in silence.", Apache)
def apache_408(lab, _):
    lab.exchange(b"GET /never-finished HTTP/1.1\r\nHost: a\r\n")
    lab.exchange(b"POST /index.html HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nonly this")
    lab.exchange(note="raw: a connection without a byte")
    curl(lab, f"{URL}/after")


@case("apache-stripped", "Apache with its `Server` header removed: told by its error pages and header order.",
      lambda lab: Apache(lab, more="Header always unset Server\nServerTokens Prod", modules=[]), clients=["curl"])
def apache_stripped(lab, _):
    browse(lab, URL)


@case("apache-killed", "An Apache child killed while it works: the request gets no answer and no access log line, and of the "
      "deaths the error log names only that of the CGI daemon.",
      lambda lab: Apache(lab, more="ScriptAlias /cgi /srv/lab/wait.cgi\nLogLevel notice"), clients=["curl"])
def apache_killed(lab, servers):
    script = pathlib.Path("/srv/lab/wait.cgi")
    script.write_text("#!/bin/sh\nsleep 3\nprintf 'Content-Type: text/plain\\n\\nlate\\n'\n")
    os.chmod(script, 0o755)
    curl(lab, f"{URL}/before")
    parent = run("cat", WORK / "apache.pid").strip()

    def kill():
        for child in run("pgrep", "-P", parent, "-u", "www-data").split():
            os.kill(int(child), signal.SIGKILL)

    lab.say("kill -9 of Apache's children while they wait for this request's CGI script:")
    threading.Timer(0.5, kill).start()
    curl(lab, "-m", "3", f"{URL}/cgi")
    time.sleep(1.5)
    curl(lab, f"{URL}/after")


@case("apache-connect", "CONNECT through Apache as a forward proxy: one that is refused (403), one to a dead port (503), one "
      "that becomes a tunnel with another protocol in it.",
      lambda lab: Apache(lab, modules=["proxy", "proxy_connect"], more="ProxyRequests On\nAllowCONNECT 7005 7006"))
def apache_connect(lab, _):
    with silent_backend(lab, 7005, echo(None)):
        lab.exchange(request("CONNECT", "127.0.0.1:22"))
        lab.exchange(request("CONNECT", "127.0.0.1:7006"))
        lab.exchange(request("CONNECT", "127.0.0.1:7005"), b"SSH-2.0-laboratory\r\n", b"\x00\x01\x02binary", half_close=True)
        curl(lab, f"{URL}/after")


# Apache Tomcat


@case("tomcat-curl", "Apache Tomcat under curl: its error report page, a servlet that throws, chunked responses.",
      Tomcat, clients=["curl"])
def tomcat_curl(lab, _):
    browse(lab, f"{URL}:8080")
    curl(lab, f"{URL}:8080/broken.jsp")
    curl(lab, f"{URL}:8080/stream.jsp")
    curl(lab, f"{URL}:8080/WEB-INF/web.xml")
    curl(lab, "-d", "a=b", f"{URL}:8080/index.html")


@case("tomcat-dirb", "A dirb scan of Tomcat: one alert.", Tomcat, clients=["dirb"], ordered=False)
def tomcat_dirb(lab, _):
    lab.client("dirb", f"{URL}:8080/", words(), "-S", "-w", "-r")


@case("tomcat-wfuzz", "A wfuzz scan of Tomcat without its report page and with another `Server` header.",
      lambda lab: Tomcat(lab, connector='server="hidden"',
                         valves='<Valve className="org.apache.catalina.valves.ErrorReportValve" showReport="false" '
                                'showServerInfo="false"/>'), clients=["wfuzz"], ordered=False)
def tomcat_wfuzz(lab, _):
    lab.client("/usr/bin/wfuzz", "-c", "-w", words(), "-t", "6", "--hc", "404", f"{URL}:8080/FUZZ",
               environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(WORK)})


@case("tomcat-odd-requests", "The unusual and wrong requests of nginx-odd-requests, answered by Tomcat.", Tomcat)
def tomcat_odd(lab, _):
    odd_requests(lab, 8080)


# lighttpd and HAProxy


@case("lighttpd-curl", "lighttpd under curl, captured as pcapng.", Lighttpd, clients=["curl"], capture={"program": "dumpcap"})
def lighttpd_curl(lab, _):
    browse(lab, URL)
    curl(lab, f"{URL}/private/")
    curl(lab, f"{URL}/index.html~")


@case("lighttpd-odd-requests", "The unusual and wrong requests of nginx-odd-requests, answered by lighttpd.", Lighttpd)
def lighttpd_odd(lab, _):
    odd_requests(lab, 80)


def nginx_behind(protocol):
    listen = {"proxy_protocol": ["80 proxy_protocol"], "header": ["80"]}[protocol]
    source = {"proxy_protocol": "proxy_protocol", "header": "X-Forwarded-For"}[protocol]
    return lambda lab: Nginx(lab, listen=listen, http=f"set_real_ip_from {PROXY}; real_ip_header {source};")


def through_proxy(lab, _):
    """Requests to the proxy from two clients, with headers that a client forged."""
    for address in ["192.0.2.10", "192.0.2.11"]:
        curl(lab, "--interface", address, f"http://{PROXY}/index.html")
        curl(lab, "--interface", address, f"http://{PROXY}/missing-from-{address}")
    curl(lab, "-H", "X-Forwarded-For: 203.0.113.66", f"http://{PROXY}/forged-header")
    curl(lab, "-H", "X-Real-IP: 203.0.113.66", "-H", "Forwarded: for=203.0.113.66", f"http://{PROXY}/forged-others")
    curl(lab, "-6", "http://[2001:db8::20]/over-v6")
    curl(lab, f"http://{PROXY}/a", f"http://{PROXY}/b", f"http://{PROXY}/c")


TRUST = f'args = ["--trust", "{PROXY}"]\n'

for version, option in [("v1", "send-proxy"), ("v2", "send-proxy-v2 proxy-v2-options unique-id")]:
    case(f"haproxy-proxy-{version}", f"HAProxy in front of nginx with the PROXY protocol {version}, seen between the two; the "
         "log is nginx's, and the client in it is the one that HAProxy named.", nginx_behind("proxy_protocol"),
         lambda lab, option=option: Haproxy(lab, proxy_protocol=option), clients=["curl"], settings=TRUST)(through_proxy)

case("haproxy-forwarded-for", "HAProxy in front of nginx with `X-Forwarded-For`, seen between the two; the log is nginx's, "
     "which trusts the proxy.", nginx_behind("header"),
     lambda lab: Haproxy(lab, backend="option forwardfor"), clients=["curl"], settings=TRUST)(through_proxy)


@case("haproxy-front", "HAProxy seen from outside, the log is HAProxy's: nginx's answers, its own 400, 403, 408 and 503, "
      "and odd requests.", lambda lab: Nginx(lab),
      lambda lab: Haproxy(lab, frontend="http-request deny if { path /denied }\n"
                                        "    use_backend down if { path_beg /down }",
                          backend="option forwardfor"), truth=1, clients=["curl"], capture={"port_of": "client"})
def haproxy_front(lab, _):
    browse(lab, f"http://{PROXY}")
    curl(lab, f"http://{PROXY}/denied")
    curl(lab, f"http://{PROXY}/down/for-maintenance")
    lab.exchange(b"GET /never-finished HTTP/1.1\r\nHost: a\r\n", address=PROXY)
    lab.exchange(b"NOT HTTP AT ALL\r\n\r\n", address=PROXY)
    lab.exchange(b"\x00\x01\x02garbage\r\n\r\n", address=PROXY)
    lab.exchange(request("CONNECT", "www.example.test:443"), address=PROXY)


def hints(connection):
    with connection:
        target = connection.recv(65536).split(b" ")[1]
        status = b"404 Not Found" if target.endswith(b"missing") else b"200 OK"
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        time.sleep(0.05)
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </more.css>; rel=preload\r\n\r\nHTTP/1.1 " + status +
                           b"\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhints")


@case("haproxy-hints", "Two `103 Early Hints` before each final response, through HAProxy.",
      lambda lab: Nginx(lab),
      lambda lab: Haproxy(lab, frontend="use_backend hints if { path_beg /hints }",
                          more="backend hints\n    server hints 127.0.0.1:7007"), truth=1, clients=["curl"],
      capture={"port_of": "client"})
def haproxy_hints(lab, _):
    with silent_backend(lab, 7007, hints, host="proxy"):
        for target in ["hints/fine", "hints/missing", "missing"]:
            curl(lab, f"http://{PROXY}/{target}")
        lab.exchange(request("GET", "/hints/fine") + request("HEAD", "/hints/missing") + request("GET", "/last", CLOSE),
                     address=PROXY)


@case("haproxy-two-legs", "A scan by gobuster through HAProxy, captured at the proxy: each exchange is on the wire twice, as "
      "client -> HAProxy and as HAProxy -> nginx, there with `X-Forwarded-For`. The log holds the lines of both servers by time; "
      "nginx trusts nobody's header. A browser at 192.0.2.11 reads good pages. The browser is the lab's own script.",
      lambda lab: Nginx(lab, listen=["80"]), lambda lab: Haproxy(lab, backend="option forwardfor"), truth=(0, 1),
      clients=["gobuster"], ordered=False, capture={"port_of": "proxy"}, settings='two_legs_of = "192.0.2.20"\n')
def haproxy_two_legs(lab, _):
    browser = Client(lab, *BROWSERS[6], address=PROXY, source="192.0.2.11")
    lab.say("a browser at 192.0.2.11 reads good pages for 6 seconds; meanwhile:")
    with visitors(lab, PAGES_READ, 6, 0.4, [browser]):
        lab.client("gobuster", "dir", "-q", "--no-progress", "-u", f"http://{PROXY}", "-w", words(), "-t", "4")


PAGES_READ = ["/index.html", "/about.html", "/contact.html", "/docs/guide.html", "/images/logo.txt", "/api/status.json"]
DEAD_LINKS = ["/offers/spring.html", "/news/2019.html", "/images/team.jpg", "/docs/guide.pdf", "/contact"]


@case("haproxy-untrusted", "Between HAProxy and nginx, with an `X-Forwarded-For` in every request that nobody is told to trust. "
      "Thirty browsers follow links, of which about one in ten is dead: no client has 50 errors, the proxy has. The browsers "
      "are the lab's own script.",
      lambda lab: Nginx(lab, listen=["80"]), lambda lab: Haproxy(lab, backend="option forwardfor"), ordered=False)
def haproxy_untrusted(lab, _):
    addresses = [f"192.0.2.{n}" for n in range(101, 131)]
    for address in addresses:
        lab.ip("client", "address", "add", f"{address}/24", "dev", "eth0")
    people = [Client(lab, *BROWSERS[n % len(BROWSERS)], address=PROXY, source=address) for n, address in enumerate(addresses)]
    lab.say("30 browsers at 192.0.2.101 to 192.0.2.130 read the site through the proxy for 20 seconds")
    try:
        with visitors(lab, PAGES_READ * 15 + DEAD_LINKS, 20, 0.6, people):
            pass
    finally:
        for address in addresses:
            lab.ip("client", "address", "delete", f"{address}/24", "dev", "eth0")


@case("nginx-stripped", "nginx behind HAProxy that takes the `Server` header away: told by its error pages.",
      lambda lab: Nginx(lab), lambda lab: Haproxy(lab, backend="http-response del-header Server"), truth=1,
      clients=["curl"], capture={"port_of": "client"})
def nginx_stripped(lab, _):
    browse(lab, f"http://{PROXY}")
