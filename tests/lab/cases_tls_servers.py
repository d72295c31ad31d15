"""Other servers than nginx inside TLS, with the key log of their clients: HTTP/1.1 and HTTP/2, TLS 1.2 and 1.3."""

import shutil

from cases import case
from cases_tls import KEY_LOG, LOGGED, PYTHON, URL, begin_keys, certificate, fetch, keep_keys, resume
from lab import PROXY, SERVER, SITE, WORK, run
from servers import Apache, Caddy, Haproxy, Nghttpx, Nginx, Tomcat

VERSIONS = ["1.2", "1.3"]
PROTOCOLS = ["--http1.1", "--http2"]


def kept(name, shows, *servers, clients=("curl",), **options):
    """A case whose clients write a key log."""
    return case(name, shows, *servers, clients=list(clients), ordered=False, settings=KEY_LOG.format(name), keeps=keep_keys, **options)


def each_way(lab, url, *paths):
    """Each version of TLS with each protocol: a kept connection, HEAD, and a request with a body."""
    urls = [f"{url}/{path}" for path in ["index.html", "missing?page=1&q=caf%C3%A9", "docs/guide.html", *paths]]
    for version in VERSIONS:
        for protocol in PROTOCOLS:
            at = [f"--tlsv{version}", "--tls-max", version]
            fetch(lab, *at, *urls, protocol=protocol)
            fetch(lab, *at, "-I", f"{url}/index.html", f"{url}/missing-head", protocol=protocol)
            fetch(lab, *at, "-d", "name=value", f"{url}/upload", protocol=protocol)
    for protocol in PROTOCOLS:
        fetch(lab, "-r", "0-19999", f"{url}/large.bin", protocol=protocol)


def load(lab, url, *paths, at_once=3):
    """h2load by both protocols: two connections, with several requests at once on each."""
    for protocol in ["h2", "http/1.1"]:
        lab.client("h2load", "-n", "12", "-c", "2", "-m", at_once, f"--npn-list={protocol}", *[f"{url}/{path}" for path in paths],
                   environment=LOGGED)


def python(lab, server, *paths, code=PYTHON):
    script = WORK / "client.py"
    script.write_text(code.format(server=server))
    lab.client("python3", script, *paths, environment=LOGGED)


# Apache

MODULES = ["ssl", "socache_shmcb", "http2"]


def apache(lab):
    begin_keys()
    chain, key = certificate()
    return Apache(lab, port=443, modules=MODULES, more=f"""
Protocols h2 http/1.1
SSLEngine on
SSLCertificateFile {chain}
SSLCertificateKeyFile {key}
SSLCACertificateFile {chain}
SSLSessionCache shmcb:{WORK}/sessions(65536)
SSLProtocol -all +TLSv1.2 +TLSv1.3
<Location /docs/member>
    SSLVerifyClient optional
</Location>
<Location /private/>
    Require all granted
    SSLVerifyClient require
</Location>
<Location /docs/strong>
    SSLCipherSuite ECDHE-RSA-AES256-GCM-SHA384
</Location>
<Location /docs/old>
    SSLCipherSuite ECDHE-RSA-AES256-SHA384
</Location>
""")


@kept("apache-tls", "Apache inside TLS: HTTP/1.1 and HTTP/2 by TLS 1.2 and 1.3, with curl, h2load and Python; sessions resumed by "
      "identifier.", apache, clients=["curl", "nghttp2-client", "openssl"])
def apache_tls(lab, _):
    each_way(lab, URL, "admin/", "broken")
    load(lab, URL, "index.html", "missing", "gone")
    python(lab, SERVER, "index.html", "missing", "admin/", "gone")
    resume(lab, "-no_ticket")


# The certificate of the server is also the client's, and the only authority that the server knows.
MEMBER = """
import http.client, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode, context.post_handshake_auth = False, ssl.CERT_NONE, True
context.load_cert_chain("{chain}", "{key}")
connection = http.client.HTTPSConnection("{server}", context=context)
for word in sys.argv[1:]:
    connection.request("GET", "/" + word)
    connection.getresponse().read()
"""


@kept("apache-tls-renegotiation", "Apache asks for a client's certificate, or for another cipher suite, when it has read the request: by "
      "renegotiation in TLS 1.2, by a CertificateRequest after the handshake in TLS 1.3; a request with a body, resumed sessions, "
      "and a client that prefers HTTP/2, where Apache resets the stream.", apache, clients=["curl", "openssl"])
def apache_tls_renegotiation(lab, _):
    for page in ["member", "strong", "old"]:
        (SITE / "docs" / page).write_text(f"Page {page}.\n")
    chain, key = certificate()
    before = ["--tls-max", "1.2"]
    with_member = ["--cert", chain, "--key", key]
    urls = [f"{URL}/index.html", f"{URL}/docs/member", f"{URL}/missing", f"{URL}/docs/guide.html"]
    fetch(lab, *before, *urls)
    fetch(lab, *before, *with_member, *urls)
    fetch(lab, *before, *with_member, "-d", "name=value", *urls)
    for suite in ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-CHACHA20-POLY1305"]:
        fetch(lab, *before, "--ciphers", f"{suite}:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-SHA384", f"{URL}/missing",
              *[f"{URL}/docs/{page}" for page in ["strong", "guide.html", "old", "member"]], f"{URL}/gone")
    fetch(lab, *before, "-r", "0-19999", f"{URL}/docs/member", f"{URL}/large.bin")
    for version in VERSIONS:
        # Without a certificate Apache would log 403 there, and send an alert of TLS alone.
        fetch(lab, f"--tlsv{version}", "--tls-max", version, *with_member, f"{URL}/missing", f"{URL}/private/", f"{URL}/gone")
    resume(lab, "-no_ticket", "/docs/member")
    resume(lab, "", "/docs/member")
    for version in VERSIONS:
        fetch(lab, f"--tlsv{version}", "--tls-max", version, *urls, protocol="--http2")
    fetch(lab, *urls)
    python(lab, SERVER, "index.html", "docs/member", "missing", "docs/guide.html",
           code=MEMBER.replace("{chain}", str(chain)).replace("{key}", str(key)))


# Apache Tomcat


def tomcat(lab):
    begin_keys()
    chain, key = certificate()
    store = WORK / "server.p12"
    run("openssl", "pkcs12", "-export", "-in", chain, "-inkey", key, "-out", store, "-passout", "pass:laboratory", "-name", "lab")
    return Tomcat(lab, port=8443, connector='SSLEnabled="true" scheme="https" secure="true"', inside=f"""
      <UpgradeProtocol className="org.apache.coyote.http2.Http2Protocol"/>
      <SSLHostConfig protocols="TLSv1.2+TLSv1.3">
        <Certificate certificateKeystoreFile="{store}" certificateKeystoreType="PKCS12" certificateKeystorePassword="laboratory"
                     type="RSA"/>
      </SSLHostConfig>
    """)


@kept("tomcat-tls", "Tomcat inside Java's own TLS: HTTP/1.1 and HTTP/2 by TLS 1.2 and 1.3; a servlet that throws, a stream in parts; "
      "sessions resumed by identifier and by ticket.", tomcat, clients=["curl", "nghttp2-client", "openssl"])
def tomcat_tls(lab, _):
    each_way(lab, f"{URL}:8443", "broken.jsp", "stream.jsp")
    load(lab, f"{URL}:8443", "index.html", "missing", "docs/guide.html")
    python(lab, f"{SERVER}:8443", "index.html", "missing", "broken.jsp")
    for option in ["-no_ticket", ""]:
        resume(lab, option, port=8443)


# HAProxy, nghttpx and Caddy


def haproxy(lab):
    begin_keys()
    both = WORK / "both.pem"
    with open(both, "wb") as sink:
        for path in certificate():
            with open(path, "rb") as source:
                shutil.copyfileobj(source, sink)
    return Haproxy(lab, port=443, bind=f"ssl crt {both} alpn h2,http/1.1", request='\\"%HM %HPO%HQ %HV\\"',
                   frontend="http-request deny if { path /denied }\n    use_backend down if { path_beg /down }",
                   backend="option forwardfor")


@kept("haproxy-tls", "HAProxy ends TLS in front of nginx, seen from outside: HTTP/1.1 and HTTP/2 by TLS 1.2 and 1.3; its own 403 and 503. "
      "The log is HAProxy's.", lambda lab: Nginx(lab), haproxy, truth=1, clients=["curl", "nghttp2-client", "openssl"],
      capture={"port_of": "client"})
def haproxy_tls(lab, _):
    each_way(lab, f"https://{PROXY}", "denied", "down/for-maintenance")
    load(lab, f"https://{PROXY}", "index.html", "missing", "denied")
    python(lab, PROXY, "index.html", "missing", "denied", "down/again")
    for option in ["-no_ticket", ""]:
        resume(lab, option, server=PROXY)


def nghttpx(lab):
    begin_keys()
    return Nghttpx(lab, *certificate())


@kept("nghttpx-tls", "nghttpx ends TLS in front of nginx, seen from outside: HTTP/1.1 and HTTP/2 by TLS 1.2 and 1.3. The log is nghttpx's.",
      lambda lab: Nginx(lab), nghttpx, truth=1, clients=["curl", "nghttp2-client", "openssl"], capture={"port_of": "client"})
def nghttpx_tls(lab, _):
    each_way(lab, f"https://{PROXY}", "teapot", "gone")
    load(lab, f"https://{PROXY}", "index.html", "missing", "gone")
    python(lab, PROXY, "index.html", "missing", "teapot", "gone")
    resume(lab, "", server=PROXY)


def caddy(lab):
    begin_keys()
    return Caddy(lab, *certificate())


@kept("caddy-tls", "Caddy, which is Go's own TLS and HTTP/2: HTTP/1.1 and HTTP/2 by TLS 1.2 and 1.3. The log is made of Caddy's, which is "
      "JSON.", caddy, clients=["curl", "nghttp2-client", "openssl"])
def caddy_tls(lab, _):
    each_way(lab, URL, "broken", "old")
    # Of requests at once, Caddy logs an answer before it is sent: not in the order on the wire.
    load(lab, URL, "index.html", "missing", "gone", at_once=1)
    python(lab, SERVER, "index.html", "missing", "gone")
    resume(lab, "")
