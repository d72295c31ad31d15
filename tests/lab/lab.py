"""A small network of real hosts in network namespaces.

Four namespaces: a switch (a bridge) with a client, a proxy and a server plugged into it. Nothing leaves the machine.
Packets are captured by tcpdump on the switch's side of one host's cable.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

WORK = pathlib.Path("/run/wirespike-lab")
SITE = pathlib.Path("/srv/lab")
HOSTS = {
    "client": ["192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"],
    "proxy": ["192.0.2.20/24", "2001:db8::20/64"],
    "server": ["192.0.2.80/24", "2001:db8::80/64"],
}
SERVER = "192.0.2.80"
PROXY = "192.0.2.20"
LIBC = ctypes.CDLL(None, use_errno=True)


def run(*command, check=True, **options):
    """Runs a command quietly; its output is returned, or shown in the error."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", **options)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def namespace(host):
    return f"lab-{host}"


class Lab:
    """The network, the processes in it and the commands that were run, for the case's notes."""

    def __init__(self):
        self.processes = []
        self.said = []

    def __enter__(self):
        self.remove()
        WORK.mkdir(parents=True)
        SITE.mkdir(parents=True)
        run("ip", "netns", "add", namespace("switch"))
        self.ip("switch", "link", "add", "bridge", "type", "bridge")
        self.ip("switch", "link", "set", "bridge", "up")
        for number, (host, addresses) in enumerate(HOSTS.items(), 1):
            run("ip", "netns", "add", namespace(host))
            self.ip(host, "link", "add", "eth0", "address", f"02:00:00:00:00:{number:02x}", "type", "veth",
                    "peer", "name", host, "netns", namespace("switch"))
            self.ip("switch", "link", "set", host, "master", "bridge", "up")
            for address in addresses:
                self.ip(host, "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
            self.ip(host, "link", "set", "eth0", "up")
            self.ip(host, "link", "set", "lo", "up")
        self.limit_segments()
        return self

    def __exit__(self, *_):
        self.stop_all()
        self.remove()

    def limit_segments(self, size=1500):
        """Segments as they are on a cable: the virtual cables would carry 64 KiB at once."""
        for host in HOSTS:
            self.ip(host, "link", "set", "eth0", "gso_max_size", str(size), "gso_max_segs", "1")

    def remove(self):
        for host in ["switch", "sensor", *HOSTS]:
            run("ip", "netns", "delete", namespace(host), check=False)
        for folder in [WORK, SITE]:
            shutil.rmtree(folder, ignore_errors=True)

    def ip(self, host, *arguments):
        return run("ip", "-n", namespace(host), *arguments)

    def start(self, host, *command, output=None, **options):
        """Starts a process on a host, to be ended by `stop`."""
        sink = open(output, "ab") if output else subprocess.DEVNULL
        process = subprocess.Popen(["ip", "netns", "exec", namespace(host), *map(str, command)], stdout=sink,
                                   stderr=sink, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        self.processes.append(process)
        return process

    def stop(self, process, how=signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def stop_all(self):
        for process in reversed(self.processes[:]):
            self.stop(process)

    def client(self, *command, host="client", environment=None):
        """Runs a client program; failing is part of many cases, so its exit code is not looked at."""
        self.said.append(" ".join(quote(str(word)) for word in command))
        with contextlib.suppress(subprocess.TimeoutExpired):
            return run("ip", "netns", "exec", namespace(host), *map(str, command), check=False, timeout=120,
                       stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})

    def say(self, text):
        self.said.append(text)

    def inside(self, host):
        return Inside(host)

    def connect(self, address, port, host="client", source=None, options=()):
        """A TCP connection opened by a host."""
        with self.inside(host):
            connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        for option in options:
            connection.setsockopt(*option)
        connection.settimeout(15)
        if source:
            connection.bind((source, 0))
        connection.connect((address, port))
        return connection

    def exchange(self, *parts, address=SERVER, port=80, pause=0.05, half_close=False, host="client", note=None):
        """Sends byte strings one segment each, then reads until the server closes; returns what it said."""
        self.say(note or "raw: " + " | ".join(shorten(part) for part in parts))
        received = b""
        with contextlib.closing(self.connect(address, port, host)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for part in parts:
                    connection.sendall(part)
                    time.sleep(pause)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
                while data := connection.recv(65536):
                    received += data
            except (ConnectionError, socket.timeout):
                pass
        return received

    def wait_for_port(self, host, address, port, seconds=60):
        """Waits until something listens, by looking at the host's socket table: no packet is sent."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            listening = run("ip", "netns", "exec", namespace(host), "ss", "-Hltn", f"sport = :{port}")
            if listening.strip():
                return
            time.sleep(0.05)
        raise RuntimeError(f"nothing listens on {address}:{port}")

    @contextlib.contextmanager
    def capture(self, path, port_of="server", snap_length=0, program="tcpdump", link=None):
        """Captures at the switch's end of a host's cable while the block runs."""
        interface = link or port_of
        where = port_of if link else "switch"
        if program == "dumpcap":
            path = path.with_suffix(".pcapng")
            command = ["dumpcap", "-q", "-i", interface, "-w", path, "-f", "tcp"]
        else:
            command = ["tcpdump", "-n", "-i", interface, "--time-stamp-precision=nano", "--immediate-mode", "-U", "-s", snap_length,
                       "-B", "32768", "-w", path, "tcp"]
        log = WORK / "capture.log"
        log.unlink(missing_ok=True)
        process = self.start(where, *command, output=log)
        end = time.monotonic() + 10
        while "istening on" not in (text := log.read_text()) and "File: " not in text and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.2)
        yield
        time.sleep(0.5)
        self.stop(process, signal.SIGINT)


class Inside:
    """While entered, this thread makes its sockets in a host's network namespace."""

    def __init__(self, host):
        self.host = host

    def __enter__(self):
        self.home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{namespace(self.host)}", os.O_RDONLY)
        try:
            if LIBC.setns(there, 0x40000000):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(there)

    def __exit__(self, *_):
        LIBC.setns(self.home, 0x40000000)
        os.close(self.home)


def quote(word):
    return word if word and all(c.isalnum() or c in "-_./:=%,@+" for c in word) else "'" + word.replace("'", "'\\''") + "'"


def shorten(part, limit=120):
    text = part[:limit].decode("latin-1").encode("unicode_escape").decode()
    return f"`{text}`" if len(part) <= limit else f"`{text}`… ({len(part)} bytes)"
