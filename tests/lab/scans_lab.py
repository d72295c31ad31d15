"""Two hosts with a cable, the servers on one of them, and the cases of encrypted_scans.

A case has a name, whether it is a scan, the programs that it needs, and its series: ADJUSTED for the recordings by which the rule's
factors were chosen, FIRST for those recorded after that, by which its second version was made, SECOND for kinds that were measured
only after the second version was fixed.
"""

import collections
import functools
import os
import pathlib
import random
import subprocess
import time

CLIENT, SERVER = "192.0.2.10", "192.0.2.80"
SPACES = {"client": "wscan-client", "server": "wscan-server"}
H1, H2, TLS12, CATCH, ECHO, ECHO2, APACHE, APACHE2, TOMCAT, SOCKET, NODE, NODE2, PYTHON, CBC, SHOP = (
    443, 8443, 4443, 9443, 9444, 9445, 8444, 8445, 8446, 8447, 8448, 8449, 8450, 4444, 8451)
ADJUSTED, FIRST, SECOND = "adjusted by", "held out, first", "held out, second"
Case = collections.namedtuple("Case", "name is_scan programs function series capture")
CASES = []


def case(name, is_scan, *programs, series, capture="tcp"):
    """Adds a case. `capture` is the filter of its capture: what it leaves out is lost to the sensor."""
    def add(function):
        CASES.append(Case(name, is_scan, programs, function, series, capture))
        return function
    return add


def cases_of(series):
    """The function that adds cases of a series."""
    return functools.partial(case, series=series)


def run(*command, check=True, space=None, **options):
    command = [str(part) for part in command]
    if space:
        command = ["ip", "netns", "exec", SPACES[space], *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


class Lab:
    """Two hosts with a cable, and the servers on one of them."""

    def __init__(self, work):
        self.work, self.processes = pathlib.Path(work), []
        self.log = self.work / "access.log"

    def __enter__(self):
        self.remove()
        for space in SPACES.values():
            run("ip", "netns", "add", space)
        run("ip", "link", "add", "eth0", "netns", SPACES["client"], "type", "veth", "peer", "name", "eth0", "netns", SPACES["server"])
        for host, address in [("client", CLIENT), ("server", SERVER)]:
            run("ip", "address", "add", f"{address}/24", "dev", "eth0", space=host)
            run("ip", "link", "set", "eth0", "gso_max_size", "1500", "gso_max_segs", "1", space=host)
            for device in ["eth0", "lo"]:
                run("ip", "link", "set", device, "up", space=host)
        self.site()
        self.nginx()
        self.apache()
        self.tomcat()
        self.others()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=20)
        self.remove()

    @staticmethod
    def remove():
        for space in SPACES.values():
            run("ip", "netns", "delete", space, check=False)

    def start(self, host, *command, **options):
        output = open(self.work / "output.log", "ab")
        command = ["ip", "netns", "exec", SPACES[host], *map(str, command)]
        process = subprocess.Popen(command, stdout=output, stderr=output, **options)
        self.processes.append(process)
        return process

    def site(self):
        chance = random.Random(1)
        root = self.work / "site"
        for name in ["css", "js", "img"]:
            (root / name).mkdir(parents=True)
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=www.example.test",
            "-keyout", self.work / "key.pem", "-out", self.work / "cert.pem")
        assets = []
        for number in range(70):
            kind, folder, head = [("css", "css", "/*"), ("js", "js", "//"), ("svg", "img", "<svg xmlns='http://www.w3.org/2000/svg'/>")][number % 3]
            name = f"{folder}/{'asset-' * chance.randrange(1, 4)}{number}.{kind}"
            text = head + "".join(chance.choices("abcdefgh \n", k=chance.randrange(200, 9_000)))
            (root / name).write_text(text + ("*/" if kind == "css" else ""))
            assets.append((kind, name))
        for page in range(12):
            tags = {"css": "<link rel=stylesheet href=/{}>", "js": "<script src=/{}></script>", "svg": "<img src=/{}>"}
            links = "".join(tags[kind].format(name) for kind, name in assets)
            (root / f"page-{page}.html").write_text(f"<!doctype html>{links}<p>{'text ' * chance.randrange(100, 900)}")
        again = "<script>let n=+sessionStorage.n||0;if(n<6){sessionStorage.n=n+1;onload=()=>setTimeout(()=>location.reload(),500)}</script>"
        (root / "reload.html").write_text((root / "page-0.html").read_text() + again)
        (root / "large.bin").write_bytes(os.urandom(4_000_000))
        for number in range(60):
            (root / f"package-{number}-{'x' * chance.randrange(12)}.deb").write_bytes(os.urandom(chance.randrange(3_000, 90_000)))
        run("chmod", "-R", "a+rX", self.work)

    def nginx(self):
        (self.work / "nginx").mkdir()
        site = f"""root {self.work}/site; location = /api/status {{ default_type application/json; return 200 '{{"status":"ok"}}'; }}
            location /api/search {{ default_type application/json; return 200 '{{"results":[],"total":0}}'; }}
            location = /api/event {{ return 204; }}
            location /app/ {{ return 302 /login?next=$uri; }}
            location /registry/ {{ add_header ETag '"5f3c1d9ab27e4c80a6d1e9f0b3c47d21"'; return 304; }}
            location /dns-query {{ default_type application/dns-message; return 200 '{'a' * 468}'; }}
            location /tiles/ {{ default_type image/png; return 200 'an empty tile of the sea, all of one colour'; }}
            location /admin/ {{ return 401; }}
            add_header Cache-Control no-cache;"""
        echo = f"root {self.work}/site; error_page 404 = @none; location @none {{ default_type text/html; return 404 '<h1>Not found</h1><p>$uri does not exist here.</p>'; }}"
        tls = "ssl_protocols TLSv1.2 TLSv1.3;"
        listens = [(H1, "", tls, site), (H2, " http2", tls, site), (TLS12, "", "ssl_protocols TLSv1.2;", site),
                   (CATCH, "", tls, f"location / {{ default_type text/html; return 200 '<h1>Welcome</h1>{'x' * 700}'; }}"),
                   (CBC, "", "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES128-SHA;", site), (ECHO, "", tls, echo), (ECHO2, " http2", tls, echo)]
        servers = "".join(f"server {{ listen {port} ssl{kind}; {tls} {rest} }}\n" for port, kind, tls, rest in listens)
        (self.work / "nginx.conf").write_text(f"""daemon off; pid {self.work}/nginx.pid; error_log {self.work}/nginx-error.log;
            worker_processes 1; events {{}}
            http {{ include /etc/nginx/mime.types; log_format lab '$status $bytes_sent'; access_log {self.log} lab; keepalive_requests 10000;
            client_body_temp_path {self.work}/nginx; ssl_certificate {self.work}/cert.pem; ssl_certificate_key {self.work}/key.pem;
            {servers} }}""")
        self.start("server", "nginx", "-c", self.work / "nginx.conf")

    def apache(self):
        modules = "/usr/lib/apache2/modules"
        load = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so"
                         for name in ["mpm_event", "authz_core", "ssl", "http2", "mime", "dir"])
        hosts = "\n".join(f"<VirtualHost *:{port}>\nSSLEngine on\nProtocols {protocols}\nDocumentRoot {self.work}/site\n</VirtualHost>"
                          for port, protocols in [(APACHE, "http/1.1"), (APACHE2, "h2 http/1.1")])
        (self.work / "apache.conf").write_text(f"""{load}
            ServerName www.example.test
            PidFile {self.work}/apache.pid
            ErrorLog {self.work}/apache-error.log
            TypesConfig /etc/mime.types
            LogFormat "%>s %O" lab
            CustomLog {self.log} lab
            MaxKeepAliveRequests 0
            SSLCertificateFile {self.work}/cert.pem
            SSLCertificateKeyFile {self.work}/key.pem
            Listen {APACHE}
            Listen {APACHE2}
            <Directory {self.work}/site>
            Require all granted
            </Directory>
            {hosts}
            """)
        self.start("server", "apache2", "-DFOREGROUND", "-f", self.work / "apache.conf")

    def tomcat(self):
        home = pathlib.Path("/usr/share/tomcat10")
        if not home.exists():
            return
        base = self.work / "tomcat"
        for name in ["conf", "logs", "temp", "webapps/ROOT", "work"]:
            (base / name).mkdir(parents=True)
        (base / "webapps/ROOT/index.html").write_text("<p>Welcome")
        (base / "conf/web.xml").write_text((pathlib.Path("/etc/tomcat10/web.xml")).read_text())
        (base / "conf/server.xml").write_text(f"""<Server port="-1"><Service name="Catalina">
            <Connector port="{TOMCAT}" protocol="org.apache.coyote.http11.Http11NioProtocol" SSLEnabled="true" maxKeepAliveRequests="-1">
            <SSLHostConfig><Certificate certificateFile="{self.work}/cert.pem" certificateKeyFile="{self.work}/key.pem"/></SSLHostConfig>
            </Connector><Engine name="Catalina" defaultHost="localhost"><Host name="localhost" appBase="webapps">
            <Valve className="org.apache.catalina.valves.AccessLogValve" directory="{self.work}" prefix="tomcat-access" suffix=".log"
            rotatable="false" buffered="false" pattern="%s %b"/></Host></Engine></Service></Server>""")
        self.start("server", "/usr/share/tomcat10/bin/catalina.sh", "run",
                   env={**os.environ, "CATALINA_BASE": str(base), "CATALINA_HOME": str(home), "JAVA_OPTS": "-Xmx128m"})

    def assets(self):
        return sorted(str(path.relative_to(self.work / "site")) for path in (self.work / "site").glob("*/*"))

    def pin(self):
        """The hash of the certificate's key, by which Chromium trusts it; without trust it keeps nothing in its cache."""
        return run("sh", "-c", f"openssl x509 -in {self.work}/cert.pem -pubkey -noout | openssl pkey -pubin -outform der | "
                               "openssl dgst -sha256 -binary | base64").strip()

    def others(self):
        """node, whose pages are those of Express, and Python's own server."""
        script = f"""const h = require('fs'), o = {{key: h.readFileSync('{self.work}/key.pem'), cert: h.readFileSync('{self.work}/cert.pem'), allowHTTP1: true}};
            const answer = (q, a) => {{ a.writeHead(404, {{'Content-Type': 'text/html; charset=utf-8', 'X-Content-Type-Options': 'nosniff'}});
            a.end('<!DOCTYPE html><html lang="en"><head><title>Error</title></head><body><pre>Cannot GET ' + q.url + '</pre></body></html>');
            h.appendFileSync('{self.log}', '404 -\\n'); }};
            require('https').createServer(o, answer).listen({NODE}); require('http2').createSecureServer(o, answer).listen({NODE2});"""
        self.start("server", "node", "-e", script)
        self.shop()
        script = f"""import http.server, ssl
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_request(self, code='-', size='-'): open('{self.log}', 'a').write(f'{{int(code)}} -\\n')
server = http.server.ThreadingHTTPServer(('', {PYTHON}), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain('{self.work}/cert.pem', '{self.work}/key.pem')
server.socket = context.wrap_socket(server.socket, server_side=True); server.serve_forever()"""
        self.start("server", "python3", "-c", script.replace("\\\\n", "\\n"))

    def shop(self):
        """An application with an API, a chat by long polling and a check for updates, for HTTP/1.1 and HTTP/2."""
        script = f"""const fs = require('fs'), o = {{key: fs.readFileSync('{self.work}/key.pem'), cert: fs.readFileSync('{self.work}/cert.pem'), allowHTTP1: true}};
            const number = text => [...text].reduce((sum, one) => (sum * 31 + one.charCodeAt(0)) % 9973, 7);
            require('http2').createSecureServer(o, (q, a) => {{
              const n = number(q.url), send = (status, body) => {{ a.writeHead(status, {{'Content-Type': 'application/json'}}); a.end(JSON.stringify(body));
                fs.appendFileSync('{self.log}', status + ' -\\n'); }};
              if (q.url.startsWith('/poll')) setTimeout(() => send(200, {{messages: n % 5 ? [] : [{{from: 'anna', text: 'x'.repeat(n % 90)}}], next: n}}), 40);
              else if (q.url.startsWith('/update')) send(200, {{update: false}});
              else if (q.url.startsWith('/graphql')) {{ q.resume(); send(200, {{data: {{item: {{id: n, title: 't'.repeat(n % 60), tags: Array(n % 7).fill('tag')}}}}}}); }}
              else send(n % 25 ? 200 : 404, n % 25 ? {{id: n, name: q.url.slice(1), about: 'a'.repeat(n % 400), price: n / 100}} : {{error: 'not found'}});
            }}).listen({SHOP});"""
        self.start("server", "node", "-e", script)

    def repository(self):
        """A repository that git clones over plain files, one request for each object."""
        place = self.work / "site" / "project.git"
        if not place.exists():
            source = self.work / "source"
            text = "".join(f"commit refs/heads/main\ncommitter A <a@example.test> {1_700_000_000 + n} +0000\ndata 9\nchange {n:02d}\n"
                           f"M 100644 inline file-{n % 7}.txt\ndata {n * 3 + 10}\n{'x' * (n * 3 + 10)}\n" for n in range(90))
            run("git", "init", "-q", "-b", "main", source)
            run("git", "-C", source, "-c", "fastimport.unpackLimit=1000000", "fast-import", "--quiet", input=text)
            run("cp", "-r", source / ".git", place)
            run("git", "--git-dir", place, "update-server-info")
            run("chmod", "-R", "a+rX", place)
        return place

    def words(self, count=300):
        path = self.work / f"words-{count}.txt"
        names = sorted(name for name in os.listdir("/usr/bin") if name.isascii() and name.replace("-", "").isalnum())
        path.write_text("\n".join(random.Random(2).sample(names, count)) + "\n")
        return path

    def client(self, *command, check=False, **options):
        environment = {**os.environ, "HOME": str(self.work), "SSLKEYLOGFILE": str(self.work / "keys.log"),
                       "PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"}
        return run(*command, space="client", check=check, env=environment, timeout=300, **options)

    def script(self, text):
        """A Python program on the client's host."""
        head = f"import http.client,ssl,random,time,json,socket\nc=ssl._create_unverified_context()\nSERVER={SERVER!r}\nR=random.Random(3)\n"
        return self.client("python3", "-c", head + text, check=True)

    def urls(self, port, paths, name="urls.txt"):
        path = self.work / name
        path.write_text("".join(f"url = https://{SERVER}:{port}{one}\noutput = /dev/null\n" for one in paths))
        return path


def url(port):
    return f"https://{SERVER}:{port}"


def curl_words(lab, port, *more):
    return lab.client("curl", "-sk", *more, "-K", lab.urls(port, ["/" + word for word in lab.words().read_text().split()]))


def feroxbuster(lab, port, *more):
    return lab.client("feroxbuster", "-u", url(port), "-k", "-q", "-w", lab.words(), "-t", "6", "--no-state", *more)


def nikto(lab, port, *more):
    """The whole list has thousands of requests; a minute of it is enough."""
    return lab.client("timeout", "60", "nikto", "-host", SERVER, "-port", port, "-ssl", "-nolookup", "-ask", "no", "-nointeractive", *more)
