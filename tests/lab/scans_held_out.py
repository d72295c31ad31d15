"""Recordings of kinds by which the first version of the rule encrypted_scan was not adjusted."""

import random

from scans_lab import APACHE, APACHE2, CATCH, ECHO, ECHO2, FIRST, H1, H2, NODE, NODE2, PYTHON, SERVER, TLS12, TOMCAT, cases_of, curl_words, feroxbuster, nikto, url

case = cases_of(FIRST)

for port, name in [(NODE, "node h1, path in page"), (PYTHON, "Python's http.server")]:
    case(f"gobuster, {name}", True, "gobuster", "node")(
        lambda lab, port=port: lab.client("gobuster", "dir", "-q", "--no-progress", "-k", "-u", url(port), "-w", lab.words(200), "-t", "5"))
case("curl, 8 at once, node h2, path in page", True, "curl", "node")(
    lambda lab: curl_words(lab, NODE2, "--http2", "-Z", "--parallel-max", "8"))
case("dirb, node h2, path in page", True, "dirb", "node")(
    lambda lab: lab.client("dirb", url(NODE2) + "/", lab.words(150), "-S", "-w", "-r"))
case("HEAD requests by gobuster, nginx h1", True, "gobuster")(
    lambda lab: lab.client("gobuster", "dir", "-q", "--no-progress", "-k", "-m", "HEAD", "-u", url(H1), "-w", lab.words(200)))
case("a redirect for all, with the path, nginx h1", True, "ffuf")(
    lambda lab: lab.client("ffuf", "-s", "-k", "-u", f"{url(H1)}/app/FUZZ", "-w", lab.words(200), "-t", "4"))
case("a CBC suite, nginx h1, TLS 1.2", True, "curl")(
    lambda lab: curl_words(lab, TLS12, "--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-SHA"))
case("60 words between 60 pages, nginx h1", True, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(H1, [one for number, word in enumerate(lab.words(60).read_text().split())
                                                             for one in [f"/{word}", "/" + lab.assets()[number]]])))
case("60 numbers, nginx h1", True, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(H1, [f"/backup-{n}.zip" for n in range(60)])))
case("45 words between 25 pages (under the threshold), nginx h1", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(H1, ["/" + one for one in lab.words(45).read_text().split() + lab.assets()[:25]])))
case("look-ups of words, none found, any order, nginx h1", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(H1, [f"/api/search?q={word}" for word in lab.words(200).read_text().split()])))
case("a registry client, 150 unchanged documents (304), nginx h1", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(H1, [f"/registry/{word}" for word in lab.words(150).read_text().split()])))
case("DNS over HTTPS, answers padded, nginx h2", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "--http2", "-K", lab.urls(H2, [f"/dns-query?dns={'A' * 20}{word}.example" for word in lab.words(150).read_text().split()])))
case("an API client asks for items of varied size, nginx h2", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "--http2", "-K", lab.urls(H2, ["/" + random.Random(n).choice(lab.assets()) for n in range(300)])))
case("events over HTTP/2, 204 each, nginx h2", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "--http2", "-d", "page=/shop/item&visible=true", "-K", lab.urls(H2, ["/api/event?n=" + "x" * (n * 7 % 19) for n in range(200)])))
case("a browser without GREASE reloads (304), nginx h1", False, "python3")(
    lambda lab: lab.script(f"h=http.client.HTTPSConnection(SERVER,{H1},context=c)\nfor r in range(3):\n  for a in {lab.assets()!r}:\n"
                           "    e={'User-Agent':'Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0','Accept':'*/*'}\n"
                           "    h.request('GET','/'+a); g=h.getresponse(); g.read()\n    e['If-None-Match']=g.headers['ETag']\n"
                           "    h.request('GET','/'+a,headers=e); h.getresponse().read()\n"))

EVERY_SERVER = [(H1, "nginx h1"), (H2, "nginx h2"), (CATCH, "nginx, 200 for all"), (ECHO, "nginx, path in page"), (ECHO2, "nginx h2, path in page"),
                (APACHE, "Apache h1"), (APACHE2, "Apache h2"), (TOMCAT, "Tomcat h1, path in page")]
for port, name in EVERY_SERVER:
    case(f"feroxbuster, {name}", True, "feroxbuster")(lambda lab, port=port: feroxbuster(lab, port))
for port, name in EVERY_SERVER:
    case(f"nikto, {name}", True, "nikto")(lambda lab, port=port: nikto(lab, port))
