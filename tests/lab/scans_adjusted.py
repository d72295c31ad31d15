"""Recordings by which the factors of the rule encrypted_scan were chosen."""

import random
import time

from scans_lab import APACHE, APACHE2, ADJUSTED, CATCH, ECHO, ECHO2, H1, H2, SERVER, SOCKET, TLS12, TOMCAT, cases_of, curl_words, url

case = cases_of(ADJUSTED)

for port, name in [(H1, "nginx h1"), (TLS12, "nginx h1, TLS 1.2"), (CATCH, "nginx, 200 for all"), (ECHO, "nginx, path in page"),
                   (APACHE, "Apache h1"), (TOMCAT, "Tomcat h1, path in page")]:
    case(f"gobuster, {name}", True, "gobuster")(
        lambda lab, port=port: lab.client("gobuster", "dir", "-q", "--no-progress", "-k", "-u", url(port), "-w", lab.words(), "-t", "6",
                                          *(["--exclude-length", "716"] if port == CATCH else [])))
    case(f"ffuf, {name}", True, "ffuf")(
        lambda lab, port=port: lab.client("ffuf", "-s", "-k", "-u", f"{url(port)}/FUZZ", "-w", lab.words(), "-t", "4"))
for port, name in [(H2, "nginx h2"), (APACHE2, "Apache h2"), (ECHO2, "nginx h2, path in page"), (APACHE, "Apache h1"), (TOMCAT, "Tomcat h1, path in page")]:
    case(f"dirb, {name}", True, "dirb")(
        lambda lab, port=port: lab.client("dirb", url(port) + "/", lab.words(), "-S", "-w", "-r"))
for port, name in [(H2, "nginx h2"), (APACHE2, "Apache h2"), (ECHO2, "nginx h2, path in page")]:
    case(f"curl, 20 at once, {name}", True, "curl")(
        lambda lab, port=port: curl_words(lab, port, "--http2", "-Z", "--parallel-max", "20"))
for port, name in [(H1, "nginx h1"), (APACHE, "Apache h1")]:
    case(f"dirsearch, {name}", True, "dirsearch")(
        lambda lab, port=port: lab.client("dirsearch", "-u", url(port), "-w", lab.words(), "-t", "5", "--random-agent", "-q", "-o", lab.work / "dirsearch.txt"))
    case(f"a connection for each request, {name}", True, "curl")(
        lambda lab, port=port: lab.client("sh", "-c", f"for w in $(head -120 {lab.words()}); do curl -sk -o /dev/null {url(port)}/$w; done"))
case("wfuzz, nginx h1", True, "wfuzz")(
    lambda lab: lab.client("/usr/bin/wfuzz", "-w", lab.words(), "--hc", "404", "-t", "6", f"{url(H1)}/FUZZ"))
case("gobuster, 401 for all, nginx h1", True, "gobuster")(
    lambda lab: lab.client("gobuster", "dir", "-q", "--no-progress", "-k", "-u", url(H1) + "/admin/", "-w", lab.words(), "-b", "404,401"))
case("nikto's paths by curl, nginx h1", True, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(H1, [
        f"/{folder}/{word}{end}" for word in lab.words(40).read_text().split()
        for folder, end in [("cgi-bin", ".cgi?-s"), ("admin/..%2f", ".php?file=../../../../etc/passwd"), ("", ".bak"), ("test/a/b", "/")]])))
case("a slow scan, one request in two seconds, nginx h1", True, "python3")(
    lambda lab: lab.script(f"w=open({str(lab.words(60))!r}).read().split()\nh=http.client.HTTPSConnection(SERVER,{H1},context=c)\n"
                           "for x in w:\n  h.request('GET','/'+x); h.getresponse().read(); time.sleep(2)\n"))


def chromium(lab, port, *pages):
    for page in pages:
        lab.client("chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--ignore-certificate-errors-spki-list={lab.pin()}", "--disable-background-networking",
                   f"--user-data-dir={lab.work}/profile", "--virtual-time-budget=20000", "--dump-dom", f"{url(port)}/{page}")


for port, name in [(H1, "h1"), (H2, "h2")]:
    case(f"Chromium reads four pages, nginx {name}", False, "chromium")(lambda lab, port=port: chromium(lab, port, *(f"page-{page}.html" for page in range(4))))
    case(f"Chromium reloads a page six times (304), nginx {name}", False, "chromium")(lambda lab, port=port: chromium(lab, port, "reload.html"))
    case(f"autocompletion with no result, nginx {name}", False, "curl")(
        lambda lab, port=port: lab.client("curl", "-sk", "-K", lab.urls(port, [
            f"/api/search?q={word[:n]}" for word in lab.words(30).read_text().split() for n in range(1, len(word) + 1)])))
    case(f"map tiles, most of them one empty tile, nginx {name}", False, "curl")(
        lambda lab, port=port: lab.client("curl", "-sk", "-K", lab.urls(port, [
            f"/tiles/{z}/{x}/{y}.png" for z in [7, 8, 9, 10] for x in range(95, 103) for y in range(95, 103)])))
    case(f"polling one address, nginx {name}", False, "curl")(
        lambda lab, port=port: lab.client("curl", "-sk", "-K", lab.urls(port, ["/api/status"] * 300)))
case("a monitor of 12 addresses with one answer, nginx h1", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(H1, [f"/api/search/{'health-check'[:n]}" for n in range(1, 13)] * 12)))
case("events of any length, 204 each, nginx h1", False, "python3")(
    lambda lab: lab.script(f"h=http.client.HTTPSConnection(SERVER,{H1},context=c)\n"
                           "for i in range(300):\n  h.request('POST','/api/event',json.dumps({{'e':'x'*R.randrange(20,900)}})); h.getresponse().read()\n".replace("{{", "{").replace("}}", "}")))
case("events of nearly one length, 204 each, nginx h1", False, "python3")(
    lambda lab: lab.script(f"h=http.client.HTTPSConnection(SERVER,{H1},context=c)\n"
                           "for i in range(300):\n  h.request('POST','/api/event',json.dumps({'page':'/'+'p'*R.randrange(2,24),'t':i})); h.getresponse().read()\n"))
case("an API client with varied answers, nginx h1", False, "python3")(
    lambda lab: lab.script(f"h=http.client.HTTPSConnection(SERVER,{H1},context=c)\n"
                           "for i in range(300):\n  p=R.choice(['/page-%d.html'%R.randrange(12),'/api/status','/api/search?q='+'q'*R.randrange(9),'/missing-%d'%i])\n"
                           "  h.request('GET',p); h.getresponse().read()\n"))
case("downloads with ranges, nginx h1", False, "curl")(
    lambda lab: lab.client("sh", "-c", "for n in $(seq 0 90); do " + f"curl -sk -o /dev/null -r $((n*4000))-$((n*4000+3500)) {url(H1)}/large.bin; done"))
case("a package manager, 60 packages, nginx h1", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(H1, ["/" + path.name for path in sorted((lab.work / "site").glob("package-*"))])))
case("a package manager, 60 packages, Apache h2", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "--http2", "-Z", "-K", lab.urls(APACHE2, ["/" + path.name for path in sorted((lab.work / "site").glob("package-*"))])))
case("wget mirrors the site, nginx h1", False, "wget")(
    lambda lab: lab.client("wget", "-q", "-r", "-p", "--no-check-certificate", "-P", lab.work / "mirror", f"{url(H1)}/page-0.html"))
case("a load test of one page, wrk, nginx h1", False, "wrk")(
    lambda lab: lab.client("wrk", "-t1", "-c4", "-d1s", f"{url(H1)}/api/status"))
case("a load test of one page, h2load, nginx h2", False, "h2load")(
    lambda lab: lab.client("h2load", "-n", "400", "-m", "10", f"{url(H2)}/api/status"))


@case("WebSocket: messages of any length, short acknowledgments", False, "python3")
def websocket(lab):
    serve = (f"import socket,ssl\nc=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain('{lab.work}/cert.pem','{lab.work}/key.pem')\n"
             f"s=socket.create_server(('{SERVER}',{SOCKET}))\n"
             "while True:\n  a,_=s.accept(); a=c.wrap_socket(a,server_side=True); a.recv(4096)\n"
             "  a.send(b'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\\r\\n\\r\\n')\n"
             "  while a.recv(4096): a.send(b'\\x81\\x2a'+b'{\"jsonrpc\":\"2.0\",\"result\":\"ok\",\"id\":12345}')\n")
    server = lab.start("server", "python3", "-c", serve)
    time.sleep(1)
    lab.script(f"s=c.wrap_socket(socket.create_connection((SERVER,{SOCKET})))\n"
               "s.send(b'GET /chat HTTP/1.1\\r\\nHost: h\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n'); s.recv(4096)\n"
               "for i in range(300): s.send(b'\\x81'+b'm'*R.randrange(20,120)); s.recv(4096)\n")
    server.terminate()
