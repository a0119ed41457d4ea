"""Starts and stops the servers to measure, and reads their CPU time and memory."""

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
    """A process pinned to the given cores, with its child processes."""

    def __init__(self, name, command, port, cores="0", **more):
        self.name, self.port = name, port
        self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], start_new_session=True, **more)

    def wait(self):
        for _ in range(300):
            if self.process.poll() is not None:
                sys.exit(f"{self.name} exited at start")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.1)
        sys.exit(f"{self.name} does not listen on its port")

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
        """CPU time of all running threads by the scheduler's count, without threads that have ended."""
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
    """Starts the program in RESIZED, or the release binary, with stores in `folder`. Returns the process and its address."""
    program = Path(os.environ.get("RESIZED", ROOT / "target" / "release" / "resized")).resolve()
    settings = {
        "SERVER__LISTEN": "127.0.0.1:0",
        # All clients have one address.
        "SERVER__CONNECTIONS_PER_CLIENT": "0",
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
    sys.exit("the server did not start")


def paced(url, folder, rate, seconds, connections=16, cores="1"):
    """p50 and p99 of hits at a fixed rate, in milliseconds. Needs h2load (Debian: nghttp2-client)."""
    log = Path(folder) / "paced.log"
    log.unlink(missing_ok=True)
    command = ["h2load", "--h1", "-t1", f"-c{connections}", f"--rps={rate / connections}", f"-D{seconds}", f"--log-file={log}", url]
    subprocess.run(["taskset", "-c", cores, *command], capture_output=True, check=True)
    responses = [line.split() for line in log.read_text().splitlines()]
    assert responses and all(status == "200" for _, status, _ in responses), "not every response was 200"
    times = sorted(int(duration) / 1000 for _, _, duration in responses)
    return times[len(times) // 2], times[len(times) * 99 // 100]


def peak_mb(process):
    """Peak memory of a process, in MB of 1,000,000 bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e6
