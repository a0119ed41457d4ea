"""Runs the clients; see `run`. Prints a line for each passed test and stops at the first failure."""

import base64
import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.httpsession import URLLib3Session
from standardwebhooks import Webhook

ROOT = Path(__file__).resolve().parents[2]
CAT = ROOT / "samples" / "cat.jpg"
PROGRAM = os.environ.get("RESIZED", ROOT / "target" / "debug" / "resized")
TOKEN, UPLOAD_SECRET = secrets.token_hex(32), secrets.token_hex(32)
HOOK_SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
BUCKET = os.environ["TEST_S3_BUCKET"]
events: dict[str, dict] = {}
rejected: list[str] = []


class Api(BaseHTTPRequestHandler):
    """Accepts the events whose signature the Standard Webhooks library accepts."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = Webhook(HOOK_SECRET).verify(body, dict(self.headers))
            events[self.headers["webhook-id"]] = event["data"]
            self.send_response(204)
        except Exception as error:  # any error is reported
            rejected.append(repr(error))
            self.send_response(401)
        self.end_headers()

    def log_message(self, *_):
        pass


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(hook: int, port: int, page: int) -> subprocess.Popen:
    settings = {
        "SERVER__LISTEN": f"127.0.0.1:{port}",
        "ADMIN__LISTEN": "",
        "ORIGINALS__STORE": f"s3://{BUCKET}/clients/originals",
        "VARIANTS__STORE": f"s3://{BUCKET}/clients/variants",
        "S3__ENDPOINT": os.environ["TEST_S3_ENDPOINT"],
        "S3__REGION": "us-east-1",
        "S3__PATH_STYLE": "true",
        "UPLOAD__ENABLED": "true",
        "UPLOAD__TOKEN": TOKEN,
        "UPLOAD__SECRET": UPLOAD_SECRET,
        "UPLOAD__BASE_URL": f"http://127.0.0.1:{port}",
        "UPLOAD__FIELDS": '["title"]',
        "UPLOAD__ALLOW_ORIGINS": f'["http://127.0.0.1:{page}"]',
        "NOTIFY__URL": f"http://127.0.0.1:{hook}/hook",
        "NOTIFY__SECRET": HOOK_SECRET,
    }
    environment = os.environ | {f"RESIZED_{name}": value for name, value in settings.items()}
    log = open(ROOT / "target" / "clients" / "resized.log", "w")
    server = subprocess.Popen([PROGRAM], env=environment, stdout=log, stderr=log, cwd=ROOT / "target" / "clients")
    for _ in range(300):
        assert server.poll() is None, "resized has exited; see target/clients/resized.log"
        try:
            urlopen(f"http://127.0.0.1:{port}/nothing.jpg")
        except URLError as error:
            if hasattr(error, "code"):
                return server
        time.sleep(0.1)
    raise SystemExit("resized does not respond")


def curl(*arguments: str) -> dict:
    command = ["curl", "--silent", "--show-error", "--fail-with-body", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout else {}


def check_upload(name: str, response: dict) -> None:
    """Checks the response, the event that the API received, and the stored original."""
    assert response["notified"] and not rejected, (response, rejected)
    event = events.pop(response["id"])
    expected = {field: value for field, value in response.items() if field not in ("id", "notified")}
    assert event == expected, (event, response)
    assert response["sha256"] == hashlib.sha256(CAT.read_bytes()).hexdigest(), response
    with urlopen(response["url"]) as original:
        assert original.read() == CAT.read_bytes()
    print(f"ok  {name}", flush=True)


def check_programs(base: str) -> None:
    token = ["-H", f"Authorization: Bearer {TOKEN}"]
    check_upload("curl, picture as the body", curl(*token, "--data-binary", f"@{CAT}", f"{base}/upload"))
    check_upload("curl, explicit key", curl(*token, "-T", str(CAT), f"{base}/upload/cats/tom.jpg"))
    response = curl(*token, "-F", "title=A cat", "-F", f"file=@{CAT}", "-F", "more=x", f"{base}/upload")
    assert response["fields"] == {"title": "A cat"}, response
    check_upload("curl, form", response)

    request = json.dumps({"content_type": "image/jpeg", "bytes": CAT.stat().st_size})
    signed = curl(*token, "--data", request, f"{base}/upload/sign")
    curl("-T", str(CAT), "-H", "Content-Type: image/jpeg", signed["url"])
    check_upload("curl, presigned upload", curl("-X", "POST", signed["complete"]))

    request = json.dumps({"key": "cats/boto.jpg", "content_type": "image/jpeg", "bytes": CAT.stat().st_size})
    signed = curl(*token, "--data", request, f"{base}/upload/sign")
    headers = signed["headers"] | {"content-length": str(CAT.stat().st_size)}
    put = AWSPreparedRequest("PUT", signed["url"], headers, CAT.read_bytes(), False)
    assert URLLib3Session().send(put).status_code == 200
    check_upload("boto3's HTTP client, presigned upload", curl("-X", "POST", signed["complete"]))
    s3 = boto3.client("s3", endpoint_url=os.environ["TEST_S3_ENDPOINT"], region_name="us-east-1")
    stored = s3.get_object(Bucket=BUCKET, Key="clients/originals/cats/boto.jpg")
    assert stored["Body"].read() == CAT.read_bytes() and stored["ContentType"] == "image/jpeg", stored
    left = s3.list_objects_v2(Bucket=BUCKET, Prefix="clients/originals/.resized-incoming/").get("Contents", [])
    assert not left, left
    print("ok  boto3 finds the original with its type, and no leftover objects", flush=True)


def check_browsers(base: str, page: int) -> None:
    s3 = boto3.client("s3", endpoint_url=os.environ["TEST_S3_ENDPOINT"], region_name="us-east-1")
    rule = {"AllowedOrigins": [f"http://127.0.0.1:{page}"], "AllowedMethods": ["PUT"], "AllowedHeaders": ["*"], "ExposeHeaders": ["ETag"]}
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [rule]})
    environment = os.environ | {"BASE": base, "PAGE_PORT": str(page), "TOKEN": TOKEN, "CAT": str(CAT)}
    script = ROOT / "target" / "clients" / "browsers.mjs"
    node = subprocess.Popen(["node", script], env=environment, stdout=subprocess.PIPE, text=True)
    for line in node.stdout:
        check_upload(*json.loads(line))
    assert node.wait(timeout=60) == 0, "browsers.mjs"


def check_pages() -> None:
    environment = os.environ | {"ROOT": str(ROOT), "PROGRAM": str(PROGRAM)}
    subprocess.run(["node", ROOT / "target" / "clients" / "pages.mjs"], env=environment, check=True, timeout=300)


def main() -> None:
    api = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    port, page = free_port(), free_port()
    server = start(api.server_port, port, page)
    try:
        check_programs(f"http://127.0.0.1:{port}")
        if "--browsers" in sys.argv:
            check_browsers(f"http://127.0.0.1:{port}", page)
            check_pages()
        assert not events and not rejected, (events, rejected)
        print("ok  the Standard Webhooks library for Python accepted every signature", flush=True)
    finally:
        server.terminate()
        server.wait()


main()
