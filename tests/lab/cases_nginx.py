"""nginx, alone and in front of upstreams of the lab's own."""

import os
import signal
import threading

from cases import CLOSE, URL, browse, case, curl, doubtful_bodies, odd_requests, request, words
from lab import SERVER, WORK, run
from servers import Nginx, echo, silent_backend


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


@case("nginx-doubtful-bodies", "Requests whose body nginx may skip or take for the next request: refused before the body came, "
      "`Expect: 100-continue`, CONNECT and GET with a body, a last chunk without its empty line, more bytes than the length "
      "says. The bodies look like requests, and HEAD requests follow.", Nginx, ordered=False, settings="doubtful = true\n")
def nginx_doubtful_bodies(lab, _):
    doubtful_bodies(lab)


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


@case("nginx-malformed", "Requests that nginx cannot parse, where its configuration answers a 400 with nothing (444): no "
      "target, an impossible version, and garbage on a connection that had an exchange before.",
      lambda lab: Nginx(lab, http=f"error_log {WORK}/server-error.log info;",
                        server="error_page 400 /drop; location = /drop { internal; return 444; }"))
def nginx_malformed(lab, _):
    lab.exchange(b"GET HTTP/1.1\r\nHost: a\r\n\r\n")
    lab.exchange(b"GET /version HTTP/x.y\r\nHost: a\r\n\r\n")
    lab.exchange(request("GET", "/index.html"), b"\x00\x01 garbage\r\n\r\n", pause=0.05)
    curl(lab, f"{URL}/missing")


@case("nginx-silent", "A server that has stopped (SIGSTOP): requests are taken by the kernel and never answered; clients "
      "wait 2 and 4 seconds and give up. Nothing is logged. The sensor is told to wait 3.", Nginx, clients=["curl"],
      settings='args = ["--set", "timeouts.response=\"3s\""]\n')
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
      "(`server_tokens off`).", lambda lab: Nginx(lab, http="server_tokens off;"), clients=["curl"])
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


# Connections that become something else


@case("nginx-upgrade", "`101 Switching Protocols` through nginx; what follows looks like HTTP in both directions and is not.",
      lambda lab: Nginx(lab, locations="""location /socket { proxy_pass http://127.0.0.1:7004; proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }"""))
def nginx_upgrade(lab, _):
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    with silent_backend(lab, 7004, echo(answer)):
        lab.exchange(request("GET", "/socket", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                             "Sec-WebSocket-Key: bGFib3JhdG9yeSBrZXkgMQ=="),
                     b"\x81\x85abcd\x00\x01\x02\x03\x04", b"\x82\x20HTTP/1.1 500 Not A Response\r\n\r\n", half_close=True)
        curl(lab, f"{URL}/after")
