"""What the benchmark scripts share: where captures and programs are, and what a run of a program costs."""

import os
import re
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RELEASE = os.path.join(os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))), "release")
CAPTURES = os.environ.get("WIRESPIKE_BENCH_DIR", "/tmp/wirespike-bench")


class Cost(NamedTuple):
    """Of one run; peak memory as the kernel has it (ru_maxrss), which is never below the script's own."""

    seconds: float
    processor_seconds: float
    peak_bytes: int

    @property
    def mebibytes(self):
        return self.peak_bytes / (1 << 20)


def stop(why):
    sys.exit(f"{os.path.basename(sys.argv[0])}: {why}")


def add_binary(parser):
    """The argument that names the program to be measured; without it, cargo's or that of packaging/optimise."""
    parser.add_argument("--binary", type=binary, default=os.path.join(RELEASE, "wirespike"))


def binary(path):
    """The absolute path of a program that is there."""
    if not os.access(path, os.X_OK):
        stop(f"no program {path}: build it with packaging/optimise or cargo build --release, or name one with --binary")
    return os.path.abspath(path)


def tool(name):
    """A tool of the benchmarks, built if need be."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--example", name], cwd=ROOT, check=True)
    return os.path.join(RELEASE, "examples", name)


def instructions(command, *only):
    """Instructions of a run on one core, where no thread spins for another's work, all threads together. `only` are further
    arguments for callgrind, which say what counts. Needs valgrind."""
    with tempfile.TemporaryDirectory() as scratch:
        command = ["taskset", "--cpu-list", "0", "valgrind", "--tool=callgrind", *only,
                   f"--callgrind-out-file={scratch}/callgrind.out", *command]
        result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        stop(f"exit {result.returncode} of {' '.join(command)}\n{result.stderr}")
    return int(re.search(r"Collected : (\d+)", result.stderr).group(1))


def recorded(name):
    """One of the captures that tests/benches/captures records."""
    path = os.path.join(CAPTURES, name + ".pcap")
    if not os.path.exists(path):
        stop(f"no {path}: record it with tests/benches/captures")
    return path


def packets_of(capture):
    """How many packets a classic pcap file holds, from its record headers."""
    count = 0
    with open(capture, "rb", buffering=1 << 20) as file:
        order = "little" if file.read(24)[0] in (0xD4, 0x4D) else "big"
        while len(record := file.read(16)) == 16:
            file.seek(int.from_bytes(record[8:12], order), os.SEEK_CUR)
            count += 1
    return count


def run(command):
    """Runs a command and says what it cost; one that fails ends the script."""
    with tempfile.TemporaryFile() as complaint:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=tempfile.gettempdir(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=complaint
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            complaint.seek(0)
            stop(f"exit {process.returncode} of {' '.join(command)}\n{complaint.read().decode(errors='replace')}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
