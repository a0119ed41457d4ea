"""Servers under measurement: started, waited for, their processor time and memory read, stopped."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


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
