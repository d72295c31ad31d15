"""The web servers: their configuration, start and end.

Every access log has the same columns, so that one reader compares them all with what the sensor saw:

    TIME PEER_ADDRESS PEER_PORT STATUS BYTES_SENT CLIENT_ADDRESS "REQUEST LINE"

TIME is when the server was done with the request, in seconds since the epoch. PEER is the other end of the TCP
connection, CLIENT whom the server takes for the client. BYTES_SENT counts header and body; 0 means that the server
logged a request and answered nothing; `-` where a server cannot tell. The request line is escaped as each server does.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import threading
from datetime import datetime

from lab import SERVER, SITE, WORK, run

NGINX_FORMAT = ("'$msec $realip_remote_addr $realip_remote_port $status $bytes_sent $remote_addr \"$request\"'")
PAGES = ["index.html", "about.html", "contact.html", "login", "admin/index.html", "images/logo.txt", "docs/guide.html",
         "api/status.json", "search", "robots.txt"]


def site():
    """Files to serve, written by the lab itself."""
    shutil.rmtree(SITE, ignore_errors=True)
    for number, page in enumerate(PAGES):
        path = SITE / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<!doctype html><title>{page}</title><p>Page {number} of the laboratory's site.</p>\n")
    (SITE / "large.bin").write_bytes(bytes(n * 7 % 251 for n in range(40_000)))
    (SITE / "empty.txt").write_text("")
    (SITE / "private").mkdir()
    (SITE / "private/index.html").write_text("<p>Members only.</p>\n")
    (SITE / "forbidden").mkdir()
    (SITE / "forbidden/index.html").write_text("<p>Nobody reads this.</p>\n")
    os.chmod(SITE / "forbidden/index.html", 0)
    for path in [SITE, *SITE.rglob("*")]:
        if path.name != "index.html" or path.parent.name != "forbidden":
            os.chmod(path, 0o755 if path.is_dir() else 0o644)
    password = run("openssl", "passwd", "-apr1", "-salt", "laboratory", "correct").strip()
    (WORK / "users").write_text(f"reader:{password}\n")
    os.chmod(WORK, 0o755)


class Server:
    """A running server on a host; leaving it ends it, and its logs are complete then."""

    name = "server"
    package = None
    ending = signal.SIGTERM

    def __init__(self, lab, host="server", port=80):
        self.lab, self.host, self.port = lab, host, port
        self.access, self.errors = WORK / f"{host}-access.log", WORK / f"{host}-error.log"
        self.output = WORK / f"{host}-output.log"
        for log in [self.access, self.errors, self.output]:
            log.write_text("")
            os.chmod(log, 0o666)

    def __enter__(self):
        self.process = self.lab.start(self.host, *self.command(), output=self.output, **self.environment())
        self.lab.wait_for_port(self.host, SERVER, self.port)
        return self

    def __exit__(self, *_):
        self.lab.stop(self.process, self.ending)

    def environment(self):
        return {}

    def version(self):
        return run("dpkg-query", "-W", "-f", "${Package} ${Version}", self.package)


class Nginx(Server):
    package = "nginx"

    def __init__(self, lab, http="", server="", locations="", listen=None, more="", clear_only=False, **options):
        super().__init__(lab, **options)
        self.configuration = WORK / f"{self.host}-nginx.conf"
        listen = listen or [f"{self.port}", f"[::]:{self.port}"]
        self.configuration.write_text(f"""
user www-data;
worker_processes 1;
daemon off;
pid {WORK}/{self.host}-nginx.pid;
error_log {self.errors};
events {{ worker_connections 512; }}
http {{
    types {{ text/html html; text/plain txt; application/json json; }}
    default_type text/plain;
    log_format lab {NGINX_FORMAT};
    access_log {self.access} lab{' if=$in_clear' if clear_only else ''};
    client_body_temp_path {WORK}/nginx-body;
    proxy_temp_path {WORK}/nginx-proxy;
    fastcgi_temp_path {WORK}/nginx-fastcgi;
    uwsgi_temp_path {WORK}/nginx-uwsgi;
    scgi_temp_path {WORK}/nginx-scgi;
    {http}
    server {{
        {''.join(f'listen {address};' for address in listen)}
        server_name www.example.test;
        root {SITE};
        {server}
        location /private/ {{ auth_basic members; auth_basic_user_file {WORK}/users; }}
        location /upload {{ client_max_body_size 1k; proxy_pass http://127.0.0.1:9; }}
        location /teapot {{ return 418 "short and stout"; }}
        location /broken {{ return 500; }}
        location /gone {{ return 410; }}
        location /old {{ return 301 /; }}
        {locations}
    }}
    {more}
}}
""")

    def command(self):
        return ["nginx", "-c", self.configuration, "-e", self.errors]


class Apache(Server):
    package = "apache2"

    def __init__(self, lab, more="", tokens="OS", modules=(), **options):
        super().__init__(lab, **options)
        self.configuration = WORK / "apache.conf"
        wanted = ["mpm_event", "authz_core", "authz_host", "authz_user", "authn_core", "authn_file", "auth_basic", "mime",
                  "dir", "alias", "reqtimeout", "headers", "cgid", *modules]
        loads = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in wanted)
        self.configuration.write_text(f"""
ServerRoot /etc/apache2
ServerName www.example.test
Listen {self.port}
PidFile {WORK}/apache.pid
DefaultRuntimeDir {WORK}
{loads}
User www-data
Group www-data
StartServers 1
ThreadsPerChild 25
ServerTokens {tokens}
ServerSignature On
TypesConfig /etc/mime.types
ErrorLog {self.errors}
LogLevel warn
LogFormat "%{{end:sec}}t.%{{end:msec_frac}}t %{{c}}a %{{remote}}p %>s %O %a \\"%r\\"" lab
CustomLog {self.access} lab
DocumentRoot {SITE}
ScriptSock {WORK}/cgid.sock
<Directory {SITE}>
    Require all granted
</Directory>
<Location /private>
    AuthType Basic
    AuthName members
    AuthUserFile {WORK}/users
    Require valid-user
</Location>
<Location /upload>
    LimitRequestBody 1024
</Location>
<Location /admin>
    Require all denied
</Location>
Redirect gone /gone
Redirect permanent /old /
Redirect 500 /broken
RequestReadTimeout header=1 body=1
{more}
""")

    def command(self):
        return ["apache2", "-f", self.configuration, "-DFOREGROUND"]


class Tomcat(Server):
    package = "tomcat10"

    def __init__(self, lab, connector="", inside="", valves="", port=8080, **options):
        super().__init__(lab, port=port, **options)
        base = self.base = WORK / "tomcat"
        shutil.rmtree(base, ignore_errors=True)
        for folder in ["conf", "logs", "temp", "work", "webapps/ROOT/docs"]:
            (base / folder).mkdir(parents=True)
        shutil.copy("/etc/tomcat10/web.xml", base / "conf/web.xml")
        root = base / "webapps/ROOT"
        (root / "index.html").write_text("<p>A servlet container's front page.</p>\n")
        (root / "docs/guide.html").write_text("<p>A guide.</p>\n")
        (root / "large.bin").write_bytes(bytes(n * 5 % 241 for n in range(30_000)))
        (root / "broken.jsp").write_text("<% if (true) throw new RuntimeException(\"broken on purpose\"); %>\n")
        (root / "stream.jsp").write_text(
            "<% for (int i = 0; i < 5; i++) { out.print(\"part \" + i + \"\\n\"); out.flush(); Thread.sleep(20); } %>\n")
        (base / "conf/server.xml").write_text(f"""<Server port="-1">
  <Service name="Catalina">
    <Connector port="{port}" protocol="HTTP/1.1" connectionTimeout="1500" {connector}>{inside}</Connector>
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="webapps" unpackWARs="false" autoDeploy="false">
        {valves}
        <Valve className="org.apache.catalina.valves.AccessLogValve" directory="logs" prefix="access" suffix=".log"
               fileDateFormat="" buffered="false"
               pattern='%{{end:sec}}t.%{{end:msec_frac}}t %a %{{remote}}p %s - %a "%r"'/>
      </Host>
    </Engine>
  </Service>
</Server>
""")

    def environment(self):
        return {"env": {**os.environ, "CATALINA_HOME": "/usr/share/tomcat10", "CATALINA_BASE": str(self.base),
                        "JAVA_OPTS": "-Xmx128m -XX:TieredStopAtLevel=1", "JAVA_HOME": java_home()}}

    def command(self):
        return ["/usr/share/tomcat10/bin/catalina.sh", "run"]

    def __exit__(self, *_):
        super().__exit__()
        self.access.write_bytes((self.base / "logs/access.log").read_bytes())
        self.errors.write_bytes(self.output.read_bytes())


class Lighttpd(Server):
    package = "lighttpd"

    def __init__(self, lab, more="", **options):
        super().__init__(lab, **options)
        self.configuration = WORK / "lighttpd.conf"
        self.configuration.write_text(f"""
server.modules = ("mod_access", "mod_auth", "mod_authn_file", "mod_accesslog", "mod_redirect")
server.document-root = "{SITE}"
server.port = {self.port}
server.username = "www-data"
server.groupname = "www-data"
server.errorlog = "{self.errors}"
accesslog.filename = "{self.access}"
accesslog.format = "%{{end:sec}}t.%{{end:msec_frac}}t %h %{{remote}}p %s %O %h \\"%r\\""
index-file.names = ("index.html")
mimetype.assign = (".html" => "text/html", ".txt" => "text/plain")
url.access-deny = ("~", ".inc")
auth.backend = "htpasswd"
auth.backend.htpasswd.userfile = "{WORK}/users"
auth.require = ("/private/" => ("method" => "basic", "realm" => "members", "require" => "valid-user"))
{more}
""")

    def command(self):
        return ["lighttpd", "-D", "-f", self.configuration]


class Haproxy(Server):
    package = "haproxy"

    def __init__(self, lab, backend="", frontend="", proxy_protocol="", more="", bind="", request="%{+Q}r", **options):
        super().__init__(lab, host="proxy", **options)
        self.configuration = WORK / "haproxy.cfg"
        self.configuration.write_text(f"""
global
    log stdout format raw daemon
    maxconn 256
defaults
    mode http
    log global
    timeout connect 1s
    timeout client 10s
    timeout server 10s
    timeout http-request 1s
    log-format "%Ts.%ms %ci %cp %ST - %ci {request}"
frontend www
    bind :{self.port} {bind}
    bind :::{self.port} {bind}
    {frontend}
    default_backend servers
backend servers
    {backend}
    server web {SERVER}:80 {proxy_protocol}
backend down
{more}
""")

    def command(self):
        return ["haproxy", "-db", "-f", self.configuration]

    def __exit__(self, *_):
        super().__exit__()
        lines = self.output.read_text().splitlines(keepends=True)
        logged = [line for line in lines if line[:1].isdigit()]
        self.access.write_text("".join(logged))
        self.errors.write_text("".join(line for line in lines if line not in logged))


class Nghttpx(Server):
    package = "nghttp2-proxy"

    def __init__(self, lab, chain, key, **options):
        super().__init__(lab, host="proxy", port=443, **options)
        self.files = [key, chain]

    def command(self):
        form = '$time_iso8601 $remote_addr $remote_port $status - $remote_addr "$method $path $protocol_version"'
        return ["nghttpx", "--conf=/dev/null", f"--frontend=*,{self.port}", f"--backend={SERVER},80", "--workers=1", "--no-ocsp",
                f"--accesslog-file={self.access}", f"--accesslog-format={form}", f"--errorlog-file={self.errors}", *self.files]

    def __exit__(self, *_):
        super().__exit__()
        lines = (line.split(" ", 1) for line in self.access.read_text().splitlines(keepends=True))
        self.access.write_text("".join(f"{datetime.fromisoformat(time).timestamp():.3f} {rest}" for time, rest in lines))


class Caddy(Server):
    package = "caddy"

    def __init__(self, lab, chain, key, **options):
        super().__init__(lab, port=443, **options)
        self.configuration = WORK / "Caddyfile"
        self.configuration.write_text(f"""
{{
    admin off
    auto_https off
    default_sni www.example.test
    servers {{
        protocols h1 h2
    }}
    log {{
        output file {self.errors}
    }}
}}
https://:{self.port} {{
    tls {chain} {key}
    root * {SITE}
    log {{
        output file {self.access}
    }}
    respond /gone 410
    respond /broken 500
    redir /old /
    reverse_proxy /upload 127.0.0.1:9
    file_server
}}
""")

    def command(self):
        return ["caddy", "run", "--config", self.configuration, "--adapter", "caddyfile"]

    def environment(self):
        return {"env": {**os.environ, "HOME": str(WORK), "XDG_DATA_HOME": str(WORK), "XDG_CONFIG_HOME": str(WORK)}}

    def __exit__(self, *_):
        super().__exit__()
        self.access.write_text("".join(map(caddy_line, self.access.read_text().splitlines())))


def caddy_line(text):
    """A line of the lab's format, of a line of Caddy's log."""
    entry = json.loads(text)
    request = entry["request"]
    address, line = request["remote_ip"], f"{request['method']} {request['uri']} {request['proto']}"
    return f'{entry["ts"]:.3f} {address} {request["remote_port"]} {entry["status"]} - {address} "{line}"\n'


def java_home():
    return str(pathlib.Path(os.path.realpath("/usr/bin/java")).parent.parent)


@contextlib.contextmanager
def silent_backend(lab, port, behaviour, host="server"):
    """Something that accepts connections on a host's loopback and does what `behaviour(connection)` says."""
    with lab.inside(host):
        listener = socket.create_server(("127.0.0.1", port))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                behaviour(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def echo(answer):
    """An upstream that answers once and then sends back whatever comes."""
    def serve(connection):
        with connection:
            if answer:
                connection.recv(65536)
                connection.sendall(answer)
            while data := connection.recv(65536):
                connection.sendall(data)
    return serve
