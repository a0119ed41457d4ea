"""Attacks on memory and descriptors. Each returns what it saw as (text, faults)."""

import concurrent.futures
import os
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import http2
import pictures
from server import MIB, SLACK_MIB, Server, wait_until

# An original that is served as it is: it only has to begin like a picture.
PLAIN_START = pictures.png(8, 8, 0, [])
# On a busy machine, debug builds take long for a variant. No attack on memory may fail by that.
PATIENT = {"WORK__FLIGHT_TIME": "10m", "WORK__QUEUE_TIME": "10m"}
# Without a "too large" in it, a refusal was not for memory.
PERMIT_REFUSED = b"memory"


class Account:
    """The two accounts under which every attack on memory runs."""

    def __init__(self, memory: str, mib: int):
        self.memory, self.limit_mib = memory, mib + SLACK_MIB
        self.settings = {"MEMORY": memory} if memory else {}

    def __str__(self) -> str:
        return self.memory or "default"


ACCOUNTS = [Account("272MiB", 272), Account("", 1024)]


def judged(server: Server, account: Account, text: str, faults: list[str]) -> tuple[str, list[str]]:
    """Adds the peak of resident memory and the return to normal after the attack."""
    peak = server.memory.peak_mib()
    if peak > account.limit_mib:
        faults.append(f"{peak:.0f} MiB resident, {account.limit_mib} allowed")
    status, _ = server.get("/small_20x20.png")
    if status != 200:
        faults.append(f"status {status} for an ordinary variant afterwards")
    return f"{text}; {peak:.0f} MiB resident (at most {account.limit_mib})", faults


def plain_file(path: Path, size: int):
    with path.open("wb") as file:
        file.write(PLAIN_START)
        file.truncate(size)


def prepare(folder: Path):
    (folder / "originals").mkdir(parents=True, exist_ok=True)
    (folder / "originals" / "small.png").write_bytes(pictures.noise_png(40))


# Stored variants.


def store_variants(folder: Path, side: int, count: int) -> list[str]:
    """Makes `count` variants of noise, of almost 3 x side x side bytes each, and stores them."""
    prepare(folder)
    (folder / "originals" / "noise.png").write_bytes(pictures.noise_png(side))
    paths = [f"/noise_{side - 1 - n}x.png" for n in range(count)]
    with Server(folder, MEMORY="2GiB", **PATIENT) as server:
        for stored, path in enumerate(paths):
            status, body = server.get(path)
            assert status == 200 and len(body) > 2 * side * side, (path, status, len(body))
            # A variant whose write-back does not fit into its share is not stored.
            assert wait_until(lambda: len([*(folder / "variants").rglob("*.png")]) > stored), path
    return paths


def read_stored(folder: Path, paths: list[str], account: Account, how: str) -> tuple[str, list[str]]:
    """One client for each stored variant: `fast` reads it, `stalled` reads nothing after the header, `trickling` 4 KB a second."""
    counts: Counter = Counter()
    with Server(folder, **account.settings, SERVER__WRITE_TIMEOUT="10s") as server:
        done = threading.Event()

        def read(client: int, path: str):
            try:
                connection = server.connect(client, receive_buffer=8192)
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                head = connection.recv(4096)
                counts[int(head[9:12]) if head else 0] += 1
                while how != "stalled" and not done.is_set() and connection.recv(1 << 20 if how == "fast" else 4096):
                    if how == "trickling":
                        time.sleep(1)
                if how == "stalled":
                    done.wait(60)
                connection.close()
            except OSError:
                counts[0] += 1

        threads = [threading.Thread(target=read, args=(n, path)) for n, path in enumerate(paths)]
        for thread in threads:
            thread.start()
        answered = wait_until(lambda: sum(counts.values()) >= len(paths))
        time.sleep(2)
        done.set()
        for thread in threads:
            thread.join()
        faults = [] if answered else [f"{len(paths) - sum(counts.values())} without an answer"]
        faults += [f"status {status}, {count} times" for status, count in counts.items() if status not in (200, 429, 503)]
        if not counts[200]:
            faults.append("no reader was served")
        wait_until(lambda: server.get("/small_20x20.png")[0] == 200, 30)
        return judged(server, account, f"statuses {dict(counts)}", faults)


# Readers that stop.


def stalled_originals(folder: Path, account: Account, count: int, size: int, settings: dict, put) -> tuple[str, list[str]]:
    """`count` clients ask for an original of `size` bytes and read nothing."""
    with Server(folder, **account.settings, **settings, SERVER__WRITE_TIMEOUT="10s", SERVER__IDLE_TIMEOUT="10s") as server:
        put("big.png", size)
        put("small.png", pictures.noise_png(40))
        before = server.descriptors()
        connections = []
        for client in range(count):
            connection = server.connect(client, receive_buffer=4096)
            connection.sendall(b"GET /big.png HTTP/1.1\r\nHost: x\r\n\r\n")
            connections.append(connection)
        counts: Counter = Counter()
        for connection in connections:
            try:
                head = connection.recv(200)
                counts[int(head[9:12]) if head else 0] += 1
            except OSError:
                counts[0] += 1
        ordinary, _ = server.get("/small_30x30.png")
        # The readers are still connected: the server has to end their bodies.
        freed = wait_until(lambda: server.descriptors() <= before + 20, 60)
        for connection in connections:
            connection.close()
        faults = [f"status {status}, {n} times" for status, n in counts.items() if status not in (0, 200, 429, 503)]
        if not counts[200]:
            faults.append("no reader was served")
        if ordinary != 200:
            faults.append(f"status {ordinary} for another client meanwhile")
        if not freed:
            faults.append(f"{server.descriptors() - before} descriptors still open after the deadline")
        return judged(server, account, f"statuses {dict(counts)}", faults)


def zero_windows(folder: Path, account: Account, connections: int, streams: int) -> tuple[str, list[str]]:
    """HTTP/2 connections whose streams have a window of 0."""
    prepare(folder)
    plain_file(folder / "originals" / "plain.png", 20 * MIB)
    with Server(folder, **account.settings, SERVER__WRITE_TIMEOUT="10s", SERVER__IDLE_TIMEOUT="10s") as server:
        before = server.descriptors()
        opened, refused = [], 0
        for client in range(connections):
            try:
                connection = server.connect(client)
                http2.open_stalled_streams(connection, ["/plain.png"] * streams)
                opened.append(connection)
            except OSError:
                refused += 1
        ordinary = {server.get("/small_25x25.png")[0] for _ in range(3)}
        # Streams have a deadline: the server ends them although the connections stay open.
        freed = wait_until(lambda: server.descriptors() <= before + 20 + len(opened), 60)
        closed = wait_until(lambda: server.descriptors() <= before + 20, 60)
        for connection in opened:
            connection.close()
        faults = [] if ordinary == {200} else [f"statuses {ordinary} for another client meanwhile"]
        if not freed:
            faults.append(f"{server.descriptors() - before} descriptors still open after the deadline")
        if not closed:
            faults.append("idle connections stay open")
        return judged(server, account, f"{len(opened)} connections, {refused} refused", faults)


def slow_readers_are_served(folder: Path, account: Account, readers: int, seconds: int) -> tuple[str, list[str]]:
    """Steady readers at 16 KB/s are not cut off."""
    prepare(folder)
    plain_file(folder / "originals" / "plain.png", 20 * MIB)
    with Server(folder, **account.settings, SERVER__WRITE_TIMEOUT="5s", SERVER__IDLE_TIMEOUT="5s") as server:
        cut = []

        def read(client: int):
            connection = server.connect(client, receive_buffer=8192)
            connection.sendall(b"GET /plain.png HTTP/1.1\r\nHost: x\r\n\r\n")
            end, count = time.monotonic() + seconds, 0
            begin = time.monotonic()
            while time.monotonic() < end:
                try:
                    received = len(connection.recv(4096))
                except OSError:
                    received = 0
                count += received
                if not received:
                    cut.append(count)
                    return
                time.sleep(max(0.0, begin + count / 16384 - time.monotonic()))
            connection.close()

        threads = [threading.Thread(target=read, args=(client,)) for client in range(readers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        faults = [f"{len(cut)} of {readers} were cut off, the first after {cut[0]} bytes"] if cut else []
        return judged(server, account, f"{readers} readers for {seconds} s", faults)


# Pictures.


def hostile_pictures(folder: Path, account: Account, files: dict[str, bytes], at_once: int) -> tuple[str, list[str]]:
    """Each picture `at_once` times at once, as different sizes of different originals."""
    prepare(folder)
    faults, seen = [], []
    with Server(folder, FORMATS__SVG="true", **account.settings, **PATIENT) as server:
        for name, data in files.items():
            stem, extension = name.split(".")
            for n in range(at_once):
                (folder / "originals" / f"{stem}-{n}.{extension}").write_bytes(data)
            with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
                answers = list(pool.map(server.get, [f"/{stem}-{n}_{n + 1}x.{extension}" for n in range(at_once)]))
            counts = Counter(status for status, _ in answers)
            seen.append(f"{name} {dict(counts)}")
            faults += [f"{name}: status {status}" for status in counts if status not in (200, 422, 503)]
            by_permit = [body for status, body in answers if status in (422, 503) and PERMIT_REFUSED in body]
            if not account.memory and by_permit:
                faults.append(f"{name}: refused for its permit: {by_permit[0].decode(errors='replace')[:300]}")
        return judged(server, account, ", ".join(seen), faults)


# Descriptors.


def accept_without_descriptors(folder: Path) -> tuple[str, list[str]]:
    """Opens so many connections that the server has no descriptor left for some of them."""
    prepare(folder)
    with Server(folder, SERVER__IDLE_TIMEOUT="5s") as server:
        soft, hard = (int(value) for value in limits(server.process.pid))
        faults = [] if soft == hard else [f"soft limit {soft} below the hard limit {hard}"]
        allowed = server.descriptors() + 20
        os.system(f"prlimit --pid {server.process.pid} --nofile={allowed}:{hard}")
        connections = [socket.create_connection(server.address) for _ in range(100)]
        if not wait_until(lambda: server.descriptors() >= allowed, 30):
            faults.append(f"{allowed - server.descriptors()} descriptors were left")
        for connection in connections:
            connection.close()
        os.system(f"prlimit --pid {server.process.pid} --nofile={hard}:{hard}")
        if not wait_until(lambda: server.get("/small_20x20.png", timeout=5)[0] == 200, 60):
            faults.append("no answers after descriptors were free again")
        return f"soft limit {soft}, hard limit {hard}", faults


def limits(pid: int) -> list[str]:
    line = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max open files"))
    return line.split()[3:5]
