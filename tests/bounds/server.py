"""A server under attack: its process, its memory, and requests to it."""

import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("RESIZED", ROOT / "target" / "release" / "resized")).resolve()
MIB = 1 << 20
# Memory that the account does not cover: code, stacks, and what the allocator keeps.
SLACK_MIB = 64
START_S = STOP_S = 120


class Server:
    """A running server. Use it in a `with` statement."""

    def __init__(self, folder: Path, **settings: str):
        (folder / "originals").mkdir(parents=True, exist_ok=True)
        defaults = {
            "SERVER__LISTEN": "127.0.0.1:0",
            "ADMIN__LISTEN": "127.0.0.1:0",
            "LOG__FORMAT": "json",
            "LOG__ACCESS": "false",
            "ORIGINALS__STORE": f"file:{folder}/originals",
            "VARIANTS__STORE": f"file:{folder}/variants",
            "RATES__CPU_PER_ORIGINAL": "0s",
        }
        environment = os.environ | {f"RESIZED_{name}": value for name, value in (defaults | settings).items()}
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([PROGRAM], env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.address, self.admin = self._addresses()
        self.lines: list[dict] = []
        threading.Thread(target=self._read_log, daemon=True).start()
        self.memory = MemoryWatch(self.process.pid)

    def _addresses(self) -> tuple[tuple[str, int], str]:
        found: dict[str, str] = {}
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            for name in "admin listening", "listening":
                if f'"message":"{name}"' in line:
                    found[name] = re.search(r'"address":"([^"]+)"', line)[1]
            if len(found) == 2:
                host, port = found["listening"].rsplit(":", 1)
                return (host, int(port)), found["admin listening"]
        raise StartError("".join(lines))

    def _read_log(self):
        for line in self.process.stderr:
            if line.startswith("{"):
                self.lines.append(json.loads(line))

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.memory.stop.set()

    def get(self, path: str, method: str = "GET", body: bytes | None = None, timeout: float = 600, **headers: str) -> tuple[int, bytes]:
        """A request on a new connection. Status 0 means that the connection ended before a complete response."""
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def connect(self, client: int = 1, receive_buffer: int | None = None) -> socket.socket:
        """A connection from the loopback address 127.0.x.y of `client`."""
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.bind((f"127.0.{client // 250 + 1}.{client % 250 + 1}", 0))
        connection.settimeout(60)
        connection.connect(self.address)
        return connection

    def metric(self, name: str, labels: str = "") -> float:
        text = urllib.request.urlopen(f"http://{self.admin}/metrics").read().decode()
        rows = re.findall(rf"^{re.escape(name)}(\{{[^}}]*\}})? (\S+)", text, re.M)
        return sum(float(value) for found, value in rows if labels in found)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class StartError(Exception):
    """The server ended before it listened; the text is its log."""


class MemoryWatch(threading.Thread):
    """Samples the resident memory of a process and of its children."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.peak, self.children_peak, self.stop = pid, 0, 0, threading.Event()
        self.start()

    def run(self):
        while not self.stop.wait(0.02):
            try:
                own = self._resident(self.pid)
                children = sum(self._resident(child) for child in self._children())
            except (OSError, TypeError):
                continue
            self.peak = max(self.peak, own + children)
            self.children_peak = max(self.children_peak, children)

    def _children(self) -> list[int]:
        files = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(child) for file in files for child in file.read_text().split()]

    @staticmethod
    def _resident(pid: int) -> int:
        try:
            return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024
        except (FileNotFoundError, TypeError):
            return 0

    def peak_mib(self) -> float:
        """The highest sum of resident memory. Of the server alone, the kernel counts the exact peak."""
        try:
            exact = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1]) * 1024
        except (OSError, TypeError):
            exact = 0
        return max(self.peak, exact) / MIB


def wait_until(condition, seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
