"""Servers inside TLS, with the key log of their clients.

The key log is kept beside the capture: the clients write it (SSLKEYLOGFILE). It opens these recordings and nothing else.
"""

from cases import case, curl, words
from lab import SERVER, WORK, run
from servers import Nginx

KEYS = WORK / "keys.log"
LOGGED = {"SSLKEYLOGFILE": str(KEYS)}
URL = f"https://{SERVER}"
KEY_LOG = 'args = ["--tls-keylog", "pcaps/{}/keys.log"]\n'


def certificate():
    """The files of a certificate and of its key, made once."""
    key, chain = WORK / "server.key", WORK / "server.pem"
    if not chain.exists():
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", chain, "-days", "3650",
            "-subj", "/CN=www.example.test", "-addext", "subjectAltName=DNS:www.example.test")
    return chain, key


def begin_keys():
    """A new key log for the clients of a case."""
    KEYS.write_text("")
    KEYS.chmod(0o666)


def tls(protocols, more="", http2=False, **given):
    """An nginx behind TLS, whose clients begin a new key log."""
    def build(lab, **options):
        begin_keys()
        chain, key = certificate()
        server = f"ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols {protocols}; {more}"
        return Nginx(lab, listen=["443 ssl http2" if http2 else "443 ssl"], port=443, server=server, **given, **options)
    return build


def keep_keys(folder):
    (folder / "keys.log").write_text(KEYS.read_text())


def keep_key(folder):
    (folder / "server.key").write_text((WORK / "server.key").read_text())


def fetch(lab, *arguments, protocol="--http1.1", **options):
    return curl(lab, "-k", protocol, *arguments, environment=LOGGED, **options)


PYTHON = """
import http.client, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
connection = http.client.HTTPSConnection("{server}", context=context)
for word in sys.argv[1:]:
    connection.request("GET", "/" + word)
    connection.getresponse().read()
"""


def scan(lab):
    """A scan over one kept connection: more than fifty errors."""
    script = WORK / "scan.py"
    script.write_text(PYTHON.format(server=SERVER))
    lab.client("python3", script, *words().read_text().split(), environment=LOGGED)


@case("nginx-tls13", "TLS 1.3 with a key log: curl with each cipher suite, a download, a kept connection; and a scan over one "
      "connection, which is one alert.", tls("TLSv1.3"), clients=["curl"], ordered=False,
      settings=KEY_LOG.format("nginx-tls13"), keeps=keep_keys)
def nginx_tls13(lab, _):
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]:
        fetch(lab, "--tls13-ciphers", suite, f"{URL}/index.html", f"{URL}/missing", f"{URL}/large.bin", f"{URL}/teapot")
    fetch(lab, "-d", "name=value", f"{URL}/upload")
    fetch(lab, "-I", f"{URL}/about.html", f"{URL}/gone")
    scan(lab)


@case("nginx-tls12", "TLS 1.2 with a key log: AES-GCM, ChaCha20, AES-CBC, and RSA key exchange; sessions resumed by identifier and by "
      "ticket; keys written in the order of the connections.", tls("TLSv1.2", "ssl_ciphers ALL:@SECLEVEL=0;"), clients=["curl"],
      ordered=False, settings=KEY_LOG.format("nginx-tls12"), keeps=keep_keys)
def nginx_tls12(lab, _):
    for suite in ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
                  "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "AES128-SHA", "AES256-SHA256", "AES128-GCM-SHA256"]:
        fetch(lab, "--tls-max", "1.2", "--ciphers", suite, f"{URL}/index.html", f"{URL}/missing", f"{URL}/large.bin")
    for option in ["-no_ticket", ""]:
        resume(lab, option)


def resume(lab, option, target="/docs/guide.html", server=SERVER, port=443):
    """Five connections of one session; all but the first ask for the target."""
    command = (f"printf 'GET {{}} HTTP/1.0\\r\\n\\r\\n' | "
               f"openssl s_client -quiet -tls1_2 {option} -keylogfile {KEYS} -connect {server}:{port} {{}} >/dev/null 2>&1")
    session = WORK / "session.pem"
    lab.client("sh", "-c", command.format("/docs/guide.html", f"-sess_out {session}"))
    for _ in range(4):
        lab.client("sh", "-c", command.format(target, f"-sess_in {session}"))


@case("nginx-tls-rsa", "TLS 1.2 with RSA key exchange, and the server's private key in the place of a key log; the session is resumed.",
      tls("TLSv1.2", "ssl_ciphers AES128-GCM-SHA256:AES256-SHA:@SECLEVEL=0; ssl_session_cache shared:lab:1m;"), clients=["curl"],
      ordered=False, settings='args = ["--tls-key", "pcaps/nginx-tls-rsa/server.key"]\n', keeps=keep_key)
def nginx_tls_rsa(lab, _):
    for suite in ["AES128-GCM-SHA256", "AES256-SHA"]:
        fetch(lab, "--tls-max", "1.2", "--ciphers", suite, f"{URL}/index.html", f"{URL}/missing", f"{URL}/broken")
    resume(lab, "-cipher AES128-GCM-SHA256")
