"""Cold requests compared to other servers: one picture under many names, each requested once at a small size.

All servers and wrk may use all cores. The servers take turns for several rounds of a few seconds, and medians are printed. resized stores
each variant durably, as in production. The peers store nothing, which saves them work.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from servers import Server, free_port

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = int(os.environ.get("SECONDS_EACH", "6"))
ONLY = os.environ.get("ONLY", "")
NAMES = 20_000
CORES = ",".join(map(str, range(os.cpu_count())))
ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "target/cold"
os.environ["PATH"] += ":/usr/sbin"

WRK = """
local n = tonumber(os.getenv("FIRST"))
request = function()
  n = n + 1
  return wrk.format("GET", string.format(os.getenv("PATTERN"), n))
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout + e.status, latency:percentile(50), latency:percentile(99)))
end
"""

SHARP = """
import { createServer } from 'node:http'
import sharp from 'sharp'
sharp.cache(false)
const [root, port] = process.argv.slice(2)
createServer(async ({ url }, response) => {
  const body = await sharp(root + url).rotate().resize(300).jpeg({ quality: 80 }).toBuffer()
  response.writeHead(200, { 'content-type': 'image/jpeg', 'content-length': body.length }).end(body)
}).listen(Number(port), '127.0.0.1')
"""


def ours(port):
    (work / "config.toml").write_text(f"""
[server]
listen = "127.0.0.1:{port}"
[admin]
listen = ""
[originals]
store = "file:{files}"
[variants]
store = "file:{work}/variants"
""")
    return [ROOT / "target/release/resized", "--config", work / "config.toml"], "/%05d_300x.jpg"


def image_filter(port):
    (work / "nginx.conf").write_text(f"""
load_module /usr/lib/nginx/modules/ngx_http_image_filter_module.so;
user root;
daemon off;
worker_processes {os.cpu_count()};
pid {work}/nginx.pid;
error_log {work}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  types {{ image/jpeg jpg; }}
  server {{
    listen 127.0.0.1:{port} reuseport;
    root {files};
    location / {{ image_filter resize 300 -; image_filter_buffer 64M; image_filter_jpeg_quality 80; }}
  }}
}}
""")
    return ["nginx", "-e", work / "nginx.log", "-c", work / "nginx.conf"], "/%05d.jpg"


def ipx(port):
    program = f"""
import {{ createServer }} from 'node:http'
import {{ createIPX, createIPXNodeServer, ipxFSStorage }} from 'ipx'
const ipx = createIPX({{ storage: ipxFSStorage({{ dir: '{files}' }}) }})
createServer(createIPXNodeServer(ipx)).listen({port}, '127.0.0.1')
"""
    (PEERS / "ipx.mjs").write_text(program)
    return ["node", PEERS / "ipx.mjs"], "/w_300/%05d.jpg"


def thumbor(port):
    (work / "thumbor.conf").write_text(f"""
LOADER = 'thumbor.loaders.file_loader'
FILE_LOADER_ROOT_PATH = '{files}'
STORAGE = 'thumbor.storages.no_storage'
ALLOW_UNSAFE_URL = True
RESPECT_ORIENTATION = True
""")
    command = [PEERS / "venv/bin/thumbor", "-c", work / "thumbor.conf", "-i", "127.0.0.1", "-p", port,
               "--processes", os.cpu_count(), "-l", "error"]
    return command, "/unsafe/300x0/%05d.jpg"


def sharp(port):
    (PEERS / "sharp.mjs").write_text(SHARP)
    return ["node", PEERS / "sharp.mjs", files, port], "/%05d.jpg"


def fetch(port, path):
    import urllib.request
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
        return response.read()


def measure(server, pattern, first):
    before = server.cpu_ns()
    environment = {**os.environ, "FIRST": str(first), "PATTERN": pattern}
    command = ["wrk", "-t1", "-c16", f"-d{SECONDS}", "--timeout", "60s", "-s", work / "wrk.lua",
               f"http://127.0.0.1:{server.port}/"]
    out = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    requests, duration, errors, p50, p99 = map(int, re.search(r"RESULT (.*)", out)[1].split())
    if errors or not requests:
        sys.exit(f"{server.name}: {out}")
    cpu = (server.cpu_ns() - before) / requests / 1e6
    return requests / duration * 1e6, p50 / 1000, p99 / 1000, cpu, requests


def main():
    picture = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "samples/large.jpg")
    files.mkdir()
    shutil.copy(picture, files / "00000.jpg")
    for n in range(1, NAMES):
        os.link(files / "00000.jpg", files / f"{n:05}.jpg")
    (work / "wrk.lua").write_text(WRK)
    makers = {"resized": ours, "nginx image_filter": image_filter, "ipx": ipx, "thumbor": thumbor, "sharp, node:http": sharp}
    chosen = {name: make for name, make in makers.items() if ONLY in name or name == "resized"}
    for name, make in chosen.items():
        port = free_port()
        command, pattern = make(port)
        log = open(work / f"{name.split()[0]}.log", "wb")
        server = Server(name, command, port, CORES, stdout=log, stderr=log)
        servers.append((server, pattern))
        server.wait()
        fetch(port, pattern % 0)
    seen, next_name = {name: [] for name in chosen}, dict.fromkeys(chosen, 1)
    for n in range(ROUNDS):
        turn = n % len(servers)
        for server, pattern in servers[turn:] + servers[:turn]:
            seen[server.name].append(measure(server, pattern, next_name[server.name]))
            # Requests in progress at the end of the round have used up names too.
            next_name[server.name] += seen[server.name][-1][-1] + 32
    middle = lambda name, i: statistics.median(sample[i] for sample in seen[name])
    print(f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} shared cores. {picture.name}, "
          f"{picture.stat().st_size / 1e6:.1f} MB, to 300 pixels; wrk -t1 -c16, {ROUNDS} rounds of {SECONDS} s.\n")
    print("| server | requests per second | p50 / p99 ms | CPU ms per request | peak memory MB | CPU, theirs / ours |\n|---|---|---|---|---|---|")
    for server, _ in servers:
        rate, p50, p99, cpu = (middle(server.name, i) for i in range(4))
        print(f"| {server.name} | {rate:.1f} | {p50:.0f} / {p99:.0f} | {cpu:.1f} | {server.memory_kib('VmHWM') / 1024:.0f} "
              f"| {cpu / middle('resized', 3):.2f} |")


work = Path(tempfile.mkdtemp(prefix="resized-cold-"))
work.chmod(0o755)
files, servers = work / "files", []
try:
    main()
finally:
    for server, _ in servers:
        server.stop()
    shutil.rmtree(work, ignore_errors=True)
