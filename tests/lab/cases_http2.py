"""HTTP/2 in clear: by prior knowledge, and by Upgrade from HTTP/1."""

from cases import URL, case, curl
from lab import WORK
from servers import Apache, Nginx

PRIOR = "--http2-prior-knowledge"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, PRIORITY, SETTINGS, PING, GOAWAY, CONTINUATION = 1, 2, 4, 6, 7, 9
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY = 1, 4, 8, 32


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name, value, enters=False):
    """A literal of HPACK, without Huffman code; it enters the table on request."""
    texts = (bytes([len(text)]) + text.encode() for text in (name, value))
    return bytes([0x40 if enters else 0]) + b"".join(texts)


def block(path, method="GET", enters=False, more=b""):
    pseudo = field(":method", method) + field(":scheme", "http") + field(":authority", "www.example.test")
    return pseudo + field(":path", path, enters) + more


def get(stream, *arguments, **options):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, block(*arguments, **options))


@case("nginx-http2", "HTTP/2 by prior knowledge: 200, 206, 401, 404, 405, 410, 413, 418, 502, HEAD, a body of 20 KiB; one connection "
      "with many streams, fields that enter the table of HPACK and are used again, padding, priority, CONTINUATION.",
      lambda lab: Nginx(lab, listen=["80 http2"]), clients=["curl"], ordered=False)
def nginx_http2(lab, _):
    curl(lab, PRIOR, f"{URL}/")
    curl(lab, PRIOR, "-I", f"{URL}/")
    curl(lab, PRIOR, "-r", "0-9", f"{URL}/")
    curl(lab, PRIOR, "-u", "reader:wrong", f"{URL}/private/")
    curl(lab, PRIOR, "-X", "DELETE", f"{URL}/")
    data = WORK / "upload.bin"
    data.write_bytes(b"u" * 20_000)
    curl(lab, PRIOR, "--data-binary", f"@{data}", f"{URL}/upload")
    curl(lab, PRIOR, "-d", "small", f"{URL}/upload")
    whole = block("/teapot?in-three-frames")
    padded = bytes([3]) + (0).to_bytes(4, "big") + b"\x0f" + whole[:5] + bytes(3)
    lab.exchange(PREFACE + frame(SETTINGS, 0, 0),
                 get(1, "/missing", enters=True, more=field("user-agent", "the lab/1", enters=True)) + get(3, "/gone"),
                 # The path and the agent of the first request, by their places in the table.
                 frame(HEADERS, END_STREAM | END_HEADERS, 5, block("", "HEAD")[:-len(field(":path", ""))] + b"\xbf\xbe"),
                 frame(HEADERS, END_STREAM | PADDED | WITH_PRIORITY, 7, padded)
                 + frame(CONTINUATION, 0, 7, whole[5:30]) + frame(CONTINUATION, END_HEADERS, 7, whole[30:]),
                 frame(PRIORITY, 0, 9, bytes(4) + b"\x10") + frame(PING, 0, 0, bytes(8)) + get(11, "/old"),
                 frame(GOAWAY, 0, 0, bytes(8)), note="raw: five requests on the streams 1, 3, 5, 7 and 11 of one connection")


@case("apache-h2c", "HTTP/2 by Upgrade: the 101, then the answer to the same request on stream 1; beside requests that Apache does not upgrade, "
      "HTTP/1, and prior knowledge on the same port.",
      lambda lab: Apache(lab, more="Protocols h2c http/1.1", modules=["http2"]), clients=["curl"],
      ordered=False)
def apache_h2c(lab, _):
    for target in ["", "missing", "admin/", "gone"]:
        curl(lab, "--http2", f"{URL}/{target}")
    curl(lab, "--http2", "-I", f"{URL}/missing")
    curl(lab, "--http2", "-u", "reader:wrong", f"{URL}/private/")
    curl(lab, "--http2", "-d", "a=b", f"{URL}/missing")
    curl(lab, "--http1.1", f"{URL}/missing")
    curl(lab, PRIOR, f"{URL}/missing")
