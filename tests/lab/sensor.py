"""A sensor under test: `wirespike live` on a host of the lab, and what it has written so far."""

import collections
import json
import pathlib
import re
import signal
import time


def until(condition, seconds=10, every=0.02):
    """Waits until a condition holds; whether it does."""
    end = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(every)
    return holds


def is_json(line):
    try:
        json.loads(line)
    except json.JSONDecodeError:
        return False
    return True


class Sensor:
    """Its files lie in a folder of their own and outlive it, so that a next one goes on with them."""

    def __init__(self, lab, program, folder, *arguments, host="sensor", interfaces=("eth0",), alerts=None,
                 exchanges=True, before=()):
        self.lab, self.host, self.folder = lab, host, pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.was_killed = False
        self.log, self.exchanges = self.folder / "log", self.folder / "exchanges"
        self.alerts = alerts or self.folder / "alerts"
        self.command = [*before, program, "live", *[word for name in interfaces for word in ["-i", name]], "--alerts",
                        self.alerts, *(["--exchanges", self.exchanges] if exchanges else []), *arguments]
        self.start()

    def start(self):
        """Returns when every interface is open."""
        said = self.says("watching")
        self.process = self.lab.start(self.host, *self.command, output=self.log)
        if not until(lambda: self.says("watching") > said or self.process.poll() is not None, 15):
            raise RuntimeError(f"the sensor does not start:\n{self.log.read_text()}")

    def stop(self, how=signal.SIGTERM):
        """The seconds it took to end."""
        began = time.monotonic()
        self.lab.stop(self.process, how)
        return time.monotonic() - began

    def kill(self):
        self.was_killed = True
        self.stop(signal.SIGKILL)

    def signal(self, what):
        # The process of the namespace's program has become the sensor itself.
        self.process.send_signal(what)

    def says(self, text):
        """How often the log holds a text."""
        return self.log.read_text(errors="replace").count(text) if self.log.exists() else 0

    def lost(self):
        """Packets that the kernel had no room for, as the sensor says at its end."""
        return sum(map(int, re.findall(r"seen .*\bkernel_drops=(\d+)", self.log.read_text(errors="replace"))))

    def documents(self, path=None, torn=False):
        """The complete lines of an output; of alerts, where none is named. With `torn`, a line that kill -9 has cut short is left
        out: the kernel ends a write of several pages at the end of a page, and the next run begins a line of its own."""
        path = path or self.alerts
        text = path.read_text() if path.exists() else ""
        lines = text[:text.rfind("\n") + 1].splitlines()
        return [json.loads(line) for line in lines if not torn or is_json(line)]

    def lines(self, path):
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def alerts_for(self, client):
        return [alert for alert in self.documents() if alert["source"]["ip"] == client]

    def exchanges_of(self, client):
        return sum(exchange["source"]["ip"] == client for exchange in self.documents(self.exchanges, torn=self.was_killed))


def by_connection(exchanges):
    """Method, target and status of exchanges, in order, by the client's end of the connection."""
    rows = collections.defaultdict(list)
    for exchange in exchanges:
        source, http = exchange["source"], exchange["http"]
        status = http.get("response", {}).get("status_code")
        target = exchange.get("url", {}).get("original")
        rows[f"{source['ip']} {source['port']}"].append((http["request"].get("method"), target, status))
    return dict(rows)
