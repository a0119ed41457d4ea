"""The list of attacks, in the short and in the long form."""

import atexit
import functools
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import memory
import pictures
import s3
import times


@dataclass
class Attack:
    name: str
    account: str
    run: Callable[[Path], tuple[str, list[str]]]


@functools.cache
def hostile() -> dict[str, bytes]:
    return pictures.hostile()


def stored(short: bool) -> tuple[Path, list[str]]:
    """A folder with 59 stored variants of 8 or 27 MiB, and their paths."""
    with STORING:
        return store(short)


# Several attacks at once need the same variants, which are made once.
STORING = threading.Lock()


@functools.cache
def store(short: bool) -> tuple[Path, list[str]]:
    folder = Path(tempfile.mkdtemp(prefix="bounds-stored-"))
    atexit.register(shutil.rmtree, folder)
    return folder, memory.store_variants(folder, 1700 if short else 3080, 59)


def all_attacks(short: bool) -> Iterator[Attack]:
    for account in memory.ACCOUNTS:
        if account.memory or not short:
            yield from memory_attacks(account, short)
    yield from picture_attacks()
    yield Attack("accept without descriptors", "default", memory.accept_without_descriptors)
    if not short:
        yield from time_attacks()


def time_attacks() -> Iterator[Attack]:
    yield Attack("200 cold variants beside four large jobs", "default", times.cold_beside_large)
    yield Attack("large jobs with the default limits", "default", times.large_jobs_end)
    if s3.ENDPOINT:
        yield Attack("the bucket stops answering", "default", times.store_stops_answering)
        yield Attack("500 uploads at 200 ms a PUT", "default", lambda folder: times.uploads(folder, 0.2, False, 500, 5))
        yield Attack("uploads to a bucket that hangs", "default", lambda folder: times.uploads(folder, 0, True, 100, 27))


def picture_attacks() -> Iterator[Attack]:
    for account in memory.ACCOUNTS:
        run = lambda folder, account=account: memory.hostile_pictures(folder, account, hostile(), 8)
        yield Attack("hostile pictures, eight at once", str(account), run)


def memory_attacks(account: memory.Account, short: bool) -> Iterator[Attack]:
    def attack(name: str, run, *arguments) -> Attack:
        return Attack(name, str(account), lambda folder: run(folder, account, *arguments))

    for how in ("fast", "stalled", "trickling"):
        yield Attack(
            f"59 clients on stored variants, {how}",
            str(account),
            lambda _, how=how: memory.read_stored(*stored(short), account, how),
        )
    size = (20 if short else 100) * memory.MIB
    for store in s3.stores():
        yield Attack(
            f"400 stalled readers, {store.name}",
            str(account),
            lambda folder, store=store: memory.stalled_originals(folder, account, 400, size, store.settings, store.writer(folder)),
        )
    yield attack("300 HTTP/2 connections x 200 streams, window 0", memory.zero_windows, 300, 200)
    yield attack("steady readers of 16 KB/s", memory.slow_readers_are_served, 20, 15 if short else 60)
