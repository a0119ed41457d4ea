"""The stores under attack: a folder, and a bucket of a real S3 server, if tests/with-seaweedfs runs one."""

import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import memory

ENDPOINT, BUCKET = os.environ.get("TEST_S3_ENDPOINT"), os.environ.get("TEST_S3_BUCKET")


@dataclass
class Store:
    name: str
    settings: dict[str, str]
    # Given the folder of an attack: a function that stores an object, from its bytes or as a plain original of a size.
    writer: Callable[[Path], Callable[[str, bytes | int], None]]


def stores() -> list[Store]:
    folder = Store("file:", {}, file_writer)
    return [folder, Store("s3://", bucket_settings(ENDPOINT), bucket_writer)] if ENDPOINT else [folder]


def bucket_settings(endpoint: str) -> dict[str, str]:
    return {
        "S3__ENDPOINT": endpoint,
        "S3__PATH_STYLE": "true",
        "S3__REGION": "us-east-1",
        "ORIGINALS__STORE": f"s3://{BUCKET}/bounds",
        "VARIANTS__STORE": f"s3://{BUCKET}/bounds-variants",
    }


def write(path: Path, data: bytes | int):
    if isinstance(data, int):
        memory.plain_file(path, data)
    else:
        path.write_bytes(data)


def file_writer(folder: Path):
    return lambda name, data: write(folder / "originals" / name, data)


def bucket_writer(_: Path):
    return put


def put(name: str, data: bytes | int):
    """Stores an object with curl, which signs the request."""
    user = f"{os.environ['AWS_ACCESS_KEY_ID']}:{os.environ['AWS_SECRET_ACCESS_KEY']}"
    with tempfile.NamedTemporaryFile() as file:
        write(Path(file.name), data)
        command = ["curl", "-fsS", "-T", file.name, "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", user]
        subprocess.run([*command, "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", f"{ENDPOINT}/{BUCKET}/bounds/{name}"], check=True, capture_output=True)
