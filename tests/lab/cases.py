"""What is recorded: one entry a case, server by server."""

import os
import pathlib
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Callable

from lab import PROXY, SERVER, WORK, run
from servers import Apache, Haproxy, Lighttpd, Nginx, Tomcat, silent_backend

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
    truth: int = 0
    capture: dict = field(default_factory=dict)
    settings: str = ""


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


# nginx


@case("nginx-curl", "nginx under curl: 200, 206, 304, 401, 404, 405, 410, 413, 416, 418, 500, 502; HEAD, keep-alive, "
      "HTTP/1.0, an upload refused while it is being sent, and one answered after `100 Continue`.",
      Nginx, clients=["curl"])
def nginx_curl(lab, _):
    browse(lab, URL)
    curl(lab, f"{URL}/private/")
    curl(lab, "-u", "reader:wrong", f"{URL}/private/")
    curl(lab, "-u", "reader:correct", f"{URL}/private/")
    curl(lab, f"{URL}/forbidden/")
    for target in ["teapot", "broken", "gone", "old"]:
        curl(lab, f"{URL}/{target}")
    data = WORK / "upload.bin"
    data.write_bytes(b"u" * 20_000)
    curl(lab, "--data-binary", f"@{data}", f"{URL}/upload")
    curl(lab, "-H", "Expect: 100-continue", "--data-binary", f"@{data}", f"{URL}/upload")
    curl(lab, "-H", "Expect: 100-continue", "-d", "small", f"{URL}/upload")
    curl(lab, "-H", "Transfer-Encoding: chunked", "--data-binary", "@-", f"{URL}/upload")
    curl(lab, "-L", f"{URL}/old")


@case("nginx-gobuster", "A gobuster scan of nginx: more than 50 errors by one client, which is one alert.",
      Nginx, clients=["gobuster"], ordered=False)
def nginx_gobuster(lab, _):
    lab.client("gobuster", "dir", "-q", "--no-progress", "-u", URL, "-w", words(), "-t", "10", "-x", "php,bak")


@case("nginx-wrk", "wrk over keep-alive connections: every third request is an error.",
      Nginx, clients=["wrk"], ordered=False)
def nginx_wrk(lab, _):
    script = WORK / "mix.lua"
    script.write_text('local targets = {"/index.html", "/docs/guide.html", "/missing"}\nlocal n = 0\n'
                      'request = function()\n  n = n + 1\n  if n > 100 then wrk.thread:stop() end\n'
                      '  return wrk.format("GET", targets[n % 3 + 1])\nend\n')
    lab.say("mix.lua: /index.html, /docs/guide.html and /missing in turn, 100 requests a thread")
    lab.client("wrk", "-t2", "-c6", "-d1", "-s", script, URL)


@case("nginx-pipeline", "Pipelined requests, 120 in one go and 12 over several segments cut inside headers; with a HEAD, "
      "a 304 and an error among them, so a wrong idea of a body's length mispairs everything after it.", Nginx)
def nginx_pipeline(lab, _):
    burst = b"".join(request("GET", f"/item/{n}" if n % 4 else "/about.html") for n in range(119))
    lab.exchange(burst + request("GET", "/last", CLOSE), note="raw: 120 pipelined requests in one write")
    mixed = b"".join([
        request("HEAD", "/large.bin"), request("GET", "/a"), request("HEAD", "/nothing"),
        request("GET", "/about.html", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"), request("GET", "/b?x=HTTP/1.1"),
        request("POST", "/upload", "Content-Length: 10", body=b"0123456789"),
        request("POST", "/upload", "Transfer-Encoding: chunked", body=b"5;name=value\r\nHTTP/\r\n0\r\nTrailer: 1\r\n\r\n"),
        request("OPTIONS", "/"), request("GET", "/large.bin", "Range: bytes=10-20"), request("GET", "/empty.txt"),
        request("GET", "/gone"), request("GET", "/end", CLOSE)])
    cut = [mixed[n:n + 97] for n in range(0, len(mixed), 97)]
    lab.exchange(*cut, pause=0.002, note="raw: 12 pipelined requests of all kinds in segments of 97 bytes")


@case("nginx-odd-requests", "Requests that are unusual or wrong: absolute form, asterisk, empty and raw targets, unknown "
      "methods, no Host, bad versions, bad headers, bare line feeds, leading blank lines, a 12 KiB target, garbage, a TLS "
      "hello on the plain port, CONNECT, HTTP/0.9.", Nginx)
def nginx_odd(lab, _):
    odd_requests(lab, 80)


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


@case("nginx-timeouts", "Clients that dawdle: nginx logs 408 and closes without a word; one gives up early (499); an "
      "early error while the body never comes.",
      lambda lab: Nginx(lab, http="client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 2s;",
                        locations="location /slow { proxy_pass http://127.0.0.1:7001; proxy_read_timeout 1s; }"))
def nginx_timeouts(lab, _):
    held = []
    with silent_backend(lab, 7001, held.append):
        lab.exchange(b"GET /never-finished HTTP/1.1\r\nHost: a\r\n")
        lab.exchange(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nonly this")
        lab.exchange(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\nrefused at once")
        curl(lab, "-m", "0.4", f"{URL}/slow/gave-up")
        curl(lab, f"{URL}/slow/gateway-time-out")
        lab.exchange(request("GET", "/then-idle"), note="raw: a request, then silence until the server closes")


@case("nginx-no-response", "Complete requests that the server never answers: closed (444), reset (444 with "
      "reset_timedout_connection), a worker killed in the middle, and a response that breaks off after its header.",
      lambda lab: Nginx(lab, http="reset_timedout_connection on;", server="location /reset { return 444; }",
                        locations="location /slow { proxy_pass http://127.0.0.1:7001; }"
                                  "location /short { proxy_pass http://127.0.0.1:7002; }",
                        more=f"server {{ listen 81; root /srv/lab; reset_timedout_connection off; "
                             f"location /closed {{ return 444; }} }}"))
def nginx_no_response(lab, servers):
    held = []

    def short(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly a little")
        connection.close()

    with silent_backend(lab, 7001, held.append), silent_backend(lab, 7002, short):
        curl(lab, f"{URL}/reset")
        curl(lab, f"{URL}:81/closed")
        curl(lab, f"{URL}/short")
        curl(lab, f"{URL}/reset?second", f"{URL}/index.html")
        lab.exchange(request("GET", "/index.html") + request("GET", "/reset?third") + request("GET", "/lost"),
                     note="raw: three pipelined requests, the second of which ends the connection")
        killer = threading.Timer(0.5, kill_worker, [servers[0]])
        lab.say("kill -9 of the nginx worker while it waits for its upstream with this request:")
        killer.start()
        curl(lab, "-m", "3", f"{URL}/slow/killed")


def kill_worker(server):
    children = run("pgrep", "-P", run("cat", WORK / "server-nginx.pid").strip()).split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)


@case("nginx-silent", "A server that has stopped (SIGSTOP): requests are taken by the kernel and never answered; clients "
      "wait 2 and 4 seconds and give up. Nothing is logged.", Nginx, clients=["curl"])
def nginx_silent(lab, servers):
    curl(lab, f"{URL}/before")
    lab.say("kill -STOP of nginx")
    os.killpg(servers[0].process.pid, signal.SIGSTOP)
    servers[0].ending = signal.SIGKILL
    curl(lab, "-m", "2", f"{URL}/never")
    curl(lab, "-m", "4", f"{URL}/never-either")


def tls_server(lab):
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=www.example.test",
        "-keyout", WORK / "key.pem", "-out", WORK / "certificate.pem")
    files = f"ssl_certificate {WORK}/certificate.pem; ssl_certificate_key {WORK}/key.pem;"
    return Nginx(lab, listen=["80"], http=f"error_log {WORK}/server-error.log info; map $ssl_protocol $in_clear {{ '' 1; default 0; }}", clear_only=True,
                 more=f"""
    server {{ listen 443 ssl default_server; ssl_reject_handshake on; ssl_protocols TLSv1.2; {files} }}
    server {{ listen 443 ssl; server_name www.example.test; ssl_protocols TLSv1.2;
              ssl_ciphers ECDHE-RSA-AES256-GCM-SHA384; {files} root /srv/lab; }}
    server {{ listen 8443 ssl; server_name www.example.test; ssl_protocols TLSv1.3; {files} root /srv/lab; }}
    server {{ listen 9443 ssl; ssl_protocols TLSv1.2; ssl_verify_client on; ssl_client_certificate {WORK}/certificate.pem;
              {files} root /srv/lab; }}""")


@case("nginx-tls-alerts", "TLS handshakes that fail in clear: unknown SNI, a version and a cipher that the server does not "
      "speak, no certificate from the client's point of view (unknown authority), plain HTTP on the TLS port, and one "
      "handshake that succeeds. The access log leaves out what was encrypted, so it has only the plain request's 400.",
      tls_server, clients=["curl", "openssl"])
def nginx_tls(lab, _):
    def connect(port, *arguments):
        lab.client("openssl", "s_client", "-connect", f"{SERVER}:{port}", *arguments)
    connect(443, "-servername", "unknown.example.test", "-tls1_2")
    connect(443, "-noservername", "-tls1_2")
    connect(8443, "-servername", "www.example.test", "-tls1_2")
    connect(443, "-servername", "www.example.test", "-tls1_3")
    connect(443, "-servername", "www.example.test", "-tls1_2", "-cipher", "AES128-SHA")
    curl(lab, "--resolve", f"www.example.test:443:{SERVER}", "--tls-max", "1.2", "https://www.example.test/unknown-authority")
    curl(lab, "-k", "--resolve", f"www.example.test:443:{SERVER}", "--tls-max", "1.2", "https://www.example.test/fine")
    curl(lab, f"http://{SERVER}:443/plain-on-tls-port")


@case("nginx-ipv6", "nginx over IPv6, one client with two addresses, default and stripped `Server` header "
      "(`server_tokens off`).", lambda lab: Nginx(lab, http="server_tokens off;"), clients=["curl"],
      capture={"program": "dumpcap"})
def nginx_ipv6(lab, _):
    browse(lab, "http://[2001:db8::80]")
    curl(lab, f"{URL}/from-v4")
    curl(lab, "--interface", "192.0.2.11", f"{URL}/from-another-v4")


@case("nginx-fastopen", "TCP Fast Open: requests inside the SYN.",
      lambda lab: Nginx(lab, listen=["80 fastopen=16", "[::]:80"]), clients=["curl"])
def nginx_fastopen(lab, _):
    for host in ["server", "client"]:
        run("ip", "netns", "exec", f"lab-{host}", "sysctl", "-q", "-w", "net.ipv4.tcp_fastopen=3")
    for n in range(4):
        curl(lab, "--tcp-fastopen", f"{URL}/in-the-syn/{n}")


@case("nginx-offload", "Segments larger than any Ethernet frame, as an offloading network card hands them up.",
      Nginx, clients=["curl"])
def nginx_offload(lab, _):
    lab.limit_segments(65536)
    for host in ["client", "server", "proxy"]:
        lab.ip(host, "link", "set", "eth0", "gso_max_size", "65536", "gso_max_segs", "65535")
    curl(lab, f"{URL}/large.bin", f"{URL}/missing", f"{URL}/large.bin", f"{URL}/missing-too")
    lab.limit_segments()


@case("nginx-snaplen", "Captured with a snap length of 200 bytes: bodies are cut, and long headers too.",
      Nginx, clients=["curl"], capture={"snap_length": 200})
def nginx_snaplen(lab, _):
    curl(lab, f"{URL}/large.bin", f"{URL}/missing", f"{URL}/about.html", f"{URL}/missing-too")
    curl(lab, f"{URL}/gone")


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


@case("lighttpd-curl", "lighttpd under curl.", Lighttpd, clients=["curl"])
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


# Bodies and framing


def framing_backend(connection):
    """An upstream that answers by the target's name."""
    with connection:
        head = connection.recv(65536)
        target = head.split(b" ")[1].decode("latin-1")
        connection.sendall(ANSWERS.get(target, b"HTTP/1.0 404 Not Found\r\n\r\nno such answer"))


ANSWERS = {
    "/framing/close-delimited": b"HTTP/1.0 200 OK\r\n\r\nuntil the end\r\nHTTP/1.1 500 not a status line\r\n",
    "/framing/error-close-delimited": b"HTTP/1.0 503 Busy\r\n\r\ncome back later",
    "/framing/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"e;a=b\r\nHTTP/1.1 400 \n\r\n00a\r\n0123456789\r\n0\r\nX-Trailer: yes\r\n\r\n",
    "/framing/no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/framing/no-reason": b"HTTP/1.1 404\r\nContent-Length: 4\r\n\r\ngone",
    "/framing/odd-status": b"HTTP/1.1 599 Nobody Knows\r\nContent-Length: 0\r\n\r\n",
    "/framing/hints": b"HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\nbad",
}


@case("nginx-framing", "Bodies in every framing through nginx as a proxy: chunked with extensions and trailers, "
      "close-delimited to an HTTP/1.0 client, 204, unusual statuses; bodies that look like status lines.",
      lambda lab: Nginx(lab, locations="location /framing/ { proxy_pass http://127.0.0.1:7003; }"))
def nginx_framing(lab, _):
    with silent_backend(lab, 7003, framing_backend):
        for target in ANSWERS:
            curl(lab, f"{URL}{target}")
            curl(lab, "--http1.0", f"{URL}{target}?old-client")
            curl(lab, "--http1.0", f"{URL}{target}")
        lab.exchange(b"".join(request("GET", target) for target in ANSWERS) + request("GET", "/end", CLOSE),
                     note="raw: all of them pipelined")
