"""Servers under measurement: started, waited for, their processor time and memory read, stopped."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A process on the given cores, and the processes it started."""

    def __init__(self, name, command, port, cores="0", **more):
        self.name, self.port = name, port
        self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], start_new_session=True, **more)

    def wait(self):
        for _ in range(300):
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended at once")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.1)
        sys.exit(f"{self.name} does not listen")

    def pids(self):
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*"):
                try:
                    todo += map(int, (task / "children").read_text().split())
                except OSError:
                    pass
        return found

    def cpu_ns(self):
        """What the scheduler has counted for every thread there is; those that have ended are missing."""
        return self.sum("task/*/schedstat", r"^(\d+)")

    def memory_kib(self, field="VmRSS"):
        return self.sum("status", rf"{field}:\s+(\d+)")

    def sum(self, file, pattern):
        total = 0
        for pid in self.pids():
            for path in Path(f"/proc/{pid}").glob(file):
                try:
                    total += int(re.search(pattern, path.read_text())[1])
                except (OSError, TypeError):
                    pass
        return total

    def stop(self):
        for pid in reversed(self.pids()):
            try:
                os.kill(pid, signal.SIGTERM)
            except OSError:
                pass
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()


def resized(folder, settings, cores=None):
    """The program of the environment's RESIZED, else the release binary, on a folder; and its address."""
    program = Path(os.environ.get("RESIZED", ROOT / "target" / "release" / "resized")).resolve()
    settings = {
        "SERVER__LISTEN": "127.0.0.1:0",
        "ADMIN__LISTEN": "",
        "LOG__FORMAT": "json",
        "ORIGINALS__STORE": f"file:{folder}/originals",
        "VARIANTS__STORE": f"file:{folder}/variants",
    } | settings
    process = subprocess.Popen(
        (["taskset", "-c", cores] if cores else []) + [program],
        env=os.environ | {f"RESIZED_{name}": value for name, value in settings.items()},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "listening" in line and (found := re.search(r'"address":"([^"]+)"', line)):
            threading.Thread(target=lambda: [None for _ in process.stderr], daemon=True).start()
            return process, found[1]
    sys.exit("the server does not start")


def paced(url, folder, rate, seconds, connections=16, cores="1"):
    """What hits at a fixed rate wait, in milliseconds: p50 and p99. Needs h2load (Debian: nghttp2-client)."""
    log = Path(folder) / "paced.log"
    log.unlink(missing_ok=True)
    command = ["h2load", "--h1", "-t1", f"-c{connections}", f"--rps={rate / connections}", f"-D{seconds}", f"--log-file={log}", url]
    subprocess.run(["taskset", "-c", cores, *command], capture_output=True, check=True)
    answers = [line.split() for line in log.read_text().splitlines()]
    assert answers and all(status == "200" for _, status, _ in answers), "not every hit was one"
    waits = sorted(int(wait) / 1000 for _, _, wait in answers)
    return waits[len(waits) // 2], waits[len(waits) * 99 // 100]


def peak_mb(process):
    """The most memory a process has had, in MB of 1,000,000 bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e6
