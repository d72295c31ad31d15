"""Recordings of kinds that were measured only after the second version of the rule encrypted_scan was fixed."""

import random

from scans_lab import (APACHE, APACHE2, CBC, ECHO, H1, H2, NODE2, SECOND, SERVER, SHOP, TLS12, TOMCAT, cases_of, curl_words, feroxbuster, nikto, url)

case = cases_of(SECOND)
# A packet that begins with a ServerHello.
NO_SERVER_HELLO = "tcp and not (tcp[(tcp[12] & 0xf0) >> 2] = 22 and tcp[((tcp[12] & 0xf0) >> 2) + 5] = 2)"


def gobuster(lab, port, *more, count=200):
    return lab.client("gobuster", "dir", "-q", "--no-progress", "-k", "-u", url(port), "-w", lab.words(count), "-t", "5", *more)


def httpx_client(lab, port, paths, at_once):
    """An asynchronous client of HTTP/2 that keeps so many requests under way."""
    return lab.script(f"import asyncio,httpx\nasync def main():\n  left={paths!r}\n  async with httpx.AsyncClient(http2=True,verify=False) as h:\n"
                      f"    async def work():\n      while left: await h.get('{url(port)}'+left.pop(0))\n"
                      f"    await asyncio.gather(*(work() for _ in range({at_once})))\nasyncio.run(main())\n")


def listed(lab, count=200):
    return ["/" + word for word in lab.words(count).read_text().split()]


def chromium(lab, address):
    return lab.client("chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--ignore-certificate-errors-spki-list={lab.pin()}",
                      "--disable-background-networking", f"--user-data-dir={lab.work}/profile", "--virtual-time-budget=20000", "--dump-dom", address)


for evasion, name in [("1", "its letters coded"), ("7", "letters of either case")]:
    case(f"nikto, {name}, nginx h1", True, "nikto")(lambda lab, evasion=evasion: nikto(lab, H1, "-evasion", evasion))
case("nikto, only files of interest, Apache h1", True, "nikto")(lambda lab: nikto(lab, APACHE, "-Tuning", "1"))
case("nikto, a CBC suite, nginx h1", True, "nikto")(lambda lab: nikto(lab, CBC))
case("feroxbuster, extensions and recursion, nginx h1", True, "feroxbuster")(
    lambda lab: feroxbuster(lab, H1, "-x", "php,bak", "--depth", "2"))
case("feroxbuster, extensions, Apache h1", True, "feroxbuster")(lambda lab: feroxbuster(lab, APACHE, "-x", "html,old,txt"))
case("feroxbuster, POST, Tomcat h1, path in page", True, "feroxbuster")(lambda lab: feroxbuster(lab, TOMCAT, "-m", "POST"))
case("feroxbuster, a CBC suite, nginx h1", True, "feroxbuster")(lambda lab: feroxbuster(lab, CBC))
case("gobuster, a CBC suite, nginx h1", True, "gobuster")(lambda lab: gobuster(lab, CBC))
case("ffuf, a CBC suite, nginx h1", True, "ffuf")(
    lambda lab: lab.client("ffuf", "-s", "-k", "-u", f"{url(CBC)}/FUZZ", "-w", lab.words(200), "-t", "4"))
case("ffuf, folder and file, a CBC suite, nginx h1", True, "ffuf")(
    lambda lab: lab.client("ffuf", "-s", "-k", "-u", f"{url(CBC)}/A/B", "-w", f"{lab.words(20)}:A", "-w", f"{lab.words(15)}:B", "-t", "4"))
for port, name in [(H2, "nginx h2"), (APACHE2, "Apache h2"), (NODE2, "node h2, path in page")]:
    case(f"httpx, 10 at once, {name}", True, "python3")(lambda lab, port=port: httpx_client(lab, port, listed(lab), 10))
    case(f"httpx, one after the other, {name}", True, "python3")(lambda lab, port=port: httpx_client(lab, port, listed(lab), 1))
case("wfuzz, Apache h1", True, "wfuzz")(
    lambda lab: lab.client("/usr/bin/wfuzz", "-w", lab.words(200), "--hc", "404", "-t", "6", f"{url(APACHE)}/FUZZ"))
case("dirsearch, Tomcat h1, path in page", True, "dirsearch")(
    lambda lab: lab.client("dirsearch", "-u", url(TOMCAT), "-w", lab.words(), "-t", "5", "-q", "-o", lab.work / "dirsearch.txt"))
for port, name in [(H1, "nginx h1"), (TLS12, "nginx h1, TLS 1.2"), (ECHO, "nginx, path in page")]:
    case(f"a connection for each request, every ServerHello lost, {name}", True, "curl", capture=NO_SERVER_HELLO)(
        lambda lab, port=port: lab.client("sh", "-c", f"for w in $(head -120 {lab.words()}); do curl -sk -o /dev/null {url(port)}/$w; done"))
case("dirb, the ServerHello lost, Apache h2", True, "dirb", capture=NO_SERVER_HELLO)(
    lambda lab: lab.client("dirb", url(APACHE2) + "/", lab.words(150), "-S", "-w", "-r"))

for port, name in [(SHOP, "node h2"), (APACHE2, "Apache h2")]:
    case(f"a Go client of an API, {name}", False, "go")(lambda lab, port=port: go_client(lab, port))
case("a node client of an API, node h1", False, "node")(lambda lab: lab.client("node", "-e", f"""
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = 0;
    const https = require('https'), agent = new https.Agent({{keepAlive: true, maxSockets: 3}}), words = require('fs').readFileSync('{lab.words(200)}', 'utf8').trim().split('\\n');
    for (const word of words) https.get('{url(SHOP)}/products/' + word, {{agent}}, a => a.resume());"""))
case("GraphQL: queries of any length, node h1", False, "python3")(lambda lab: lab.script(
    f"h=http.client.HTTPSConnection(SERVER,{SHOP},context=c)\nfor i in range(200):\n"
    "  h.request('POST','/graphql?n=%d'%i,json.dumps({'query':'{ item(id: %d) { id title '%i+'tags '*R.randrange(4)+'} }'})); h.getresponse().read()\n"))
case("a check for updates of 80 programs, none found, node h1", False, "python3")(lambda lab: lab.script(
    f"h=http.client.HTTPSConnection(SERVER,{SHOP},context=c)\nfor w in open({str(lab.words(80))!r}).read().split():\n"
    "  h.request('GET','/update?name=%s&version=%d.%d'%(w,R.randrange(20),R.randrange(200))); h.getresponse().read()\n"))
case("an updater: lists unchanged, 40 packages fetched, nginx h1", False, "python3")(lambda lab: lab.script(
    f"h=http.client.HTTPSConnection(SERVER,{H1},context=c)\nfor n in range(24):\n"
    "  h.request('GET','/registry/dists/stable/%s/Packages'%('main','contrib','non-free')[n%3]); h.getresponse().read()\n"
    f"for a in {sorted(path.name for path in (lab.work / 'site').glob('package-*'))[:40]!r}:\n  h.request('GET','/'+a); h.getresponse().read()\n"))
for port, name in [(APACHE2, "Apache h2"), (APACHE, "Apache h1")]:
    case(f"Chromium reloads a page six times (304), {name}", False, "chromium")(lambda lab, port=port: chromium(lab, f"{url(port)}/reload.html"))
case("Chromium shows a gallery of 120 images, nginx h2", False, "chromium")(lambda lab: gallery(lab, H2))
case("Chromium shows a gallery of 120 images, nginx h1", False, "chromium")(lambda lab: gallery(lab, H1))
for port, name in [(H2, "nginx h2"), (APACHE2, "Apache h2")]:
    case(f"httpx fetches 200 files, 10 at once, {name}", False, "python3")(
        lambda lab, port=port: httpx_client(lab, port, ["/" + random.Random(n).choice(lab.assets()) for n in range(200)], 10))
case("httpx asks an API, 10 at once, node h2", False, "python3")(
    lambda lab: httpx_client(lab, SHOP, [f"/products/{word}" for word in lab.words(200).read_text().split()], 10))
case("a chat by long polling, node h1", False, "python3")(lambda lab: lab.script(
    f"h=http.client.HTTPSConnection(SERVER,{SHOP},context=c)\nfor i in range(200):\n  h.request('GET','/poll?since=%d'%(i*37)); h.getresponse().read()\n"))
case("metrics pushed, 204 each, nginx h1", False, "python3")(lambda lab: lab.script(
    f"h=http.client.HTTPSConnection(SERVER,{H1},context=c)\nfor i in range(120):\n"
    "  h.request('POST','/api/event',R.randbytes(R.randrange(1800,4200)),{'Content-Encoding':'snappy','Content-Type':'application/x-protobuf'}); h.getresponse().read()\n"))
case("git clones over plain files, nginx h1", False, "git")(
    lambda lab: (lab.repository(), lab.client("git", "-c", "http.sslVerify=false", "clone", "-q", f"{url(H1)}/project.git", lab.work / "clone-1")))
case("git clones over plain files, Apache h2", False, "git")(
    lambda lab: (lab.repository(), lab.client("git", "-c", "http.sslVerify=false", "clone", "-q", f"{url(APACHE2)}/project.git", lab.work / "clone-2")))
case("a monitor of 12 addresses with one answer, a CBC suite, nginx h1", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(CBC, [f"/api/search/{'health-check'[:n]}" for n in range(1, 13)] * 12)))
case("a monitor of two addresses in turn, a CBC suite, nginx h1", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(CBC, ["/api/search", "/api/search/with-a-longer-path"] * 80)))
case("autocompletion with no result, a CBC suite, nginx h1", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(CBC, [
        f"/api/search?q={word[:n]}" for word in lab.words(30).read_text().split() for n in range(1, len(word) + 1)])))
case("events of any length, 204 each, a CBC suite, nginx h1", False, "python3")(lambda lab: lab.script(
    f"h=http.client.HTTPSConnection(SERVER,{CBC},context=c)\nfor i in range(200):\n"
    "  h.request('POST','/api/event',json.dumps({'e':'x'*R.randrange(20,90)})); h.getresponse().read()\n"))
case("a client fetches files, a CBC suite, nginx h1", False, "curl")(
    lambda lab: lab.client("curl", "-sk", "-K", lab.urls(CBC, ["/" + random.Random(n).choice(lab.assets()) for n in range(200)])))


def gallery(lab, port):
    """A page with images of a camera, each of its own length."""
    chance = random.Random(5)
    for number in range(120):
        image = lab.work / "site" / f"IMG_{2_000 + number}.svg"
        image.write_text(f"<svg xmlns='http://www.w3.org/2000/svg'><!--{'x' * chance.randrange(2_000, 30_000)}--></svg>")
    page = "".join(f"<img src=/IMG_{2_000 + number}.svg>" for number in range(120))
    (lab.work / "site" / "gallery.html").write_text(f"<!doctype html>{page}")
    return chromium(lab, f"{url(port)}/gallery.html")


def go_client(lab, port):
    """A client with the usual settings of Go: HTTP/2, several requests at once."""
    source = lab.work / "client.go"
    source.write_text("""package main
import ("bufio"; "crypto/tls"; "io"; "net/http"; "os"; "sync")
func main() {
    transport := http.DefaultTransport.(*http.Transport).Clone()
    transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
    client, words, all := &http.Client{Transport: transport}, make(chan string), sync.WaitGroup{}
    for worker := 0; worker < 4; worker++ {
        all.Add(1)
        go func() {
            defer all.Done()
            for word := range words {
                if answer, err := client.Get(os.Args[1] + word); err == nil { io.Copy(io.Discard, answer.Body); answer.Body.Close() }
            }
        }()
    }
    lines := bufio.NewScanner(os.Stdin)
    for lines.Scan() { words <- lines.Text() }
    close(words)
    all.Wait()
}
""")
    paths = [f"users/{word}" for word in lab.words(200).read_text().split()] if port == SHOP else [random.Random(n).choice(lab.assets()) for n in range(200)]
    return lab.client("go", "run", source, url(port) + "/", check=True, input="\n".join(paths) + "\n")
