"""Cache hits compared to other servers: requests per second and CPU time per request, as medians of paired ratios.

Every server runs on core 0 and the client on core 1. Each round measures every server for one second, so that other load on the machine
affects all of them. Ratios are taken within a round, and the median over the rounds is printed. CPU time is the kernel scheduler's count
for all threads of the server, including those that write the access log.

resized runs in its default configuration: access log to a file, timeouts, conditional requests, all headers. The peers are tuned as well as
possible. If there are several configurations of a peer, the best one in each round counts.
"""

import http.client
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from servers import Server, free_port

ROUNDS = int(os.environ.get("ROUNDS", "7"))
SLICE = os.environ.get("SLICE", "1")
ONLY = os.environ.get("ONLY", "")
PLOT = os.environ.get("PLOT", "")
TARGET = os.environ.get("CARGO_TARGET_DIR", "target")
ROOT = Path(__file__).resolve().parent.parent
SERVER_CORE, CLIENT_CORE = "0", "1"
os.environ["PATH"] += ":/usr/sbin"

DONE = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""


def ours(name, settings, tls=False, cores=SERVER_CORE):
    """Starts the release binary with one serving thread and one resize thread per core."""
    port, threads = free_port(), len(cores.split(","))
    folder = work / name
    folder.mkdir()
    # Room for the idle connections, which all come from one address.
    text = f"""
memory = "4GiB"
[server]
listen = "127.0.0.1:{port}"
threads = {threads}
connections = 12000
connections_per_client = 0
[originals]
store = "file:{ROOT}/samples"
[work]
threads = {threads}
{settings}
"""
    if tls:
        text += f'[server.tls]\ncertificate = "{work}/cert.pem"\nkey = "{work}/key.pem"\n'
    (folder / "config.toml").write_text(text)
    log = open(folder / "access.log", "wb")
    command = [ROOT / TARGET / "release/resized", "--config", folder / "config.toml"]
    return Server(name, command, port, cores, stdout=log, stderr=open(folder / "events.log", "wb")).wait()


def nginx(name, body, http="", cores=SERVER_CORE):
    folder = work / name
    folder.mkdir()
    port = free_port()
    # The default user for workers, `nobody`, could not read the folder.
    (folder / "nginx.conf").write_text(f"""
user root;
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 20000; use epoll; }}
http {{
  default_type application/octet-stream;
  types {{ image/jpeg jpg; }}
  keepalive_requests 1000000000;
  keepalive_timeout 60s;
  sendfile on; tcp_nodelay on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  ssl_certificate {work}/cert.pem; ssl_certificate_key {work}/key.pem; ssl_protocols TLSv1.3;
  {http}
  {body.replace("PORT", str(port))}
}}
""")
    return Server(name, ["nginx", "-e", folder / "error.log", "-c", folder / "nginx.conf"], port, cores=cores,
                  stderr=open(folder / "err", "wb")).wait()


BUFFERED = "access_log {0}/{1}/access.log combined buffer=256k flush=1s;"
OPEN_FILES = "open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h; open_file_cache_min_uses 1;"
MOVED = "location = /moved { return 301 https://pictures.example.com/v/large.jpg/300x.jpg?v=0123456789abcdef; }"


def nginx_static(name, http, listen="listen 127.0.0.1:PORT reuseport;"):
    headers = 'add_header Cache-Control "public, max-age=86400"; add_header X-Content-Type-Options nosniff;'
    body = f"server {{ {listen} root {work}/files; {headers} {MOVED} }}"
    return nginx(name, body, http + OPEN_FILES)


def nginx_cache(name, http, listen="listen 127.0.0.1:PORT reuseport;"):
    http += f"proxy_cache_path {work}/{name}/cache keys_zone=c:10m max_size=1g inactive=1h use_temp_path=off;"
    body = f"""server {{ {listen}
      location / {{ proxy_pass http://127.0.0.1:{origin.port}; proxy_cache c; proxy_cache_valid any 1h; }} }}"""
    return nginx(name, body, http + OPEN_FILES)


def varnish():
    port = free_port()
    (work / "default.vcl").write_text(f"""
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{origin.port}"; }}
sub vcl_backend_response {{ set beresp.ttl = 1h; }}
""")
    command = ["varnishd", "-F", "-n", work / "varnish", "-a", f"127.0.0.1:{port}", "-f", work / "default.vcl",
               "-s", "malloc,256m", "-p", "thread_pools=1", "-p", "thread_pool_min=100", "-T", "none"]
    return Server("varnish", command, port, stderr=open(work / "varnish.err", "wb"), stdout=subprocess.DEVNULL).wait()


def haproxy():
    port = free_port()
    (work / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 5000
  tune.bufsize 131072
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
cache c
  total-max-size 256
  max-object-size 120000
  max-age 3600
frontend f
  bind 127.0.0.1:{port}
  http-request cache-use c
  http-response cache-store c
  default_backend b
backend b
  server s 127.0.0.1:{origin.port}
""")
    return Server("haproxy", ["haproxy", "-db", "-f", work / "haproxy.cfg"], port,
                  stderr=open(work / "haproxy.err", "wb")).wait()


def trafficserver():
    """Starts Apache Traffic Server with a separate root folder, made from the installed files."""
    port, root = free_port(), work / "ats"
    for name in ["etc", "var/log", "var/run", "cache"]:
        (root / name).mkdir(parents=True)
    shutil.copytree("/etc/trafficserver", root / "etc/trafficserver")
    runroot = {"prefix": "/usr", "exec_prefix": "/usr", "bindir": "/usr/bin", "sbindir": "/usr/sbin",
               "sysconfdir": root / "etc/trafficserver", "datadir": root / "cache", "libexecdir":
               "/usr/lib/trafficserver/modules", "libdir": "/usr/lib/trafficserver", "localstatedir": root / "var",
               "runtimedir": root / "var/run", "logdir": root / "var/log", "cachedir": root / "cache",
               "includedir": "/usr/include"}
    (root / "runroot.yaml").write_text("".join(f"{k}: {v}\n" for k, v in runroot.items()))
    etc = root / "etc/trafficserver"
    (etc / "records.config").write_text(f"""
CONFIG proxy.config.http.server_ports STRING {port}:ip-in=127.0.0.1
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.http.cache.required_headers INT 0
CONFIG proxy.config.cache.ram_cache.size INT 268435456
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 60
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.diags.output.status STRING L
""")
    (etc / "remap.config").write_text(f"map / http://127.0.0.1:{origin.port}/\n")
    (etc / "storage.config").write_text(f"{root}/cache 128M\n")
    (etc / "ip_allow.yaml").write_text("ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n")
    for plugin in ["plugin.config"]:
        (etc / plugin).write_text("")
    command = ["traffic_server", f"--run-root={root}/runroot.yaml"]
    return Server("ats", command, port, stdout=open(root / "out", "wb"), stderr=subprocess.STDOUT).wait()


def fetch(server, path, tls=False):
    context = ssl._create_unverified_context()
    make = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    connection = make("127.0.0.1", server.port, **({"context": context} if tls else {}), timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()


def width_for(server, size, name="hubble.jpg"):
    """Finds the width whose variant is closest to `size` bytes, by bisection."""
    stem, low, high = name[:-4], 16, 1600
    while high - low > 1:
        middle = (low + high) // 2
        status, body = fetch(server, f"/{stem}_{middle}x.jpg")
        if status != 200:
            sys.exit(f"{name} at {middle}: {status} {body}")
        low, high = (middle, high) if len(body) <= size else (low, middle)
    return f"/{stem}_{low}x.jpg"


def wrk(server, path, tls):
    url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}{path}"
    before = server.cpu_ns()
    out = subprocess.run(["taskset", "-c", CLIENT_CORE, "wrk", "-t1", "-c64", f"-d{SLICE}s", "-s", work / "done.lua", url],
                         capture_output=True, text=True).stdout
    cpu = server.cpu_ns() - before
    requests, duration, errors, p50, p99, p999 = map(int, re.search(r"RESULT (.*)", out)[1].split())
    if errors or not requests or ("Non-2xx" in out):
        sys.exit(f"{server.name}{path}: {out}")
    return requests / duration * 1e6, cpu / requests / 1000, p50 / 1000, p99 / 1000, p999 / 1000


def h2load(server, path, _tls):
    url, log = f"https://127.0.0.1:{server.port}{path}", work / "h2.log"
    log.unlink(missing_ok=True)
    before = server.cpu_ns()
    out = subprocess.run(["taskset", "-c", CLIENT_CORE, "h2load", "-t1", "-c16", "-m8", f"-D{SLICE}", f"--log-file={log}",
                          url], capture_output=True, text=True).stdout
    cpu = server.cpu_ns() - before
    done = int(re.search(r"(\d+) succeeded", out)[1])
    if not done or int(re.search(r"(\d+) failed", out)[1]):
        sys.exit(f"{server.name}{path}: {out}")
    times = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    at = lambda p: times[min(len(times) - 1, int(len(times) * p))] / 1000
    return done / float(SLICE), cpu / done / 1000, at(0.5), at(0.99), at(0.999)


def compare(title, our, peers, our_path, peer_path, client=wrk, tls=False):
    """Measures the servers in turn and prints a row for each peer: ratios of requests per second and of CPU time, and the values."""
    servers = [(our, our_path)] + [(server, peer_path) for group in peers.values() for server in group]
    for server, path in servers:
        for _ in range(3):
            fetch(server, path, tls)
    seen = {server.name: [] for server, _ in servers}
    for n in range(ROUNDS):
        turn = n % len(servers)
        for server, path in servers[turn:] + servers[:turn]:
            seen[server.name].append(client(server, path, tls))
    mine = seen[our.name]
    middle = lambda samples, i: statistics.median(s[i] for s in samples)
    for peer, group in peers.items():
        speed = [min(a[0] / seen[s.name][n][0] for s in group) for n, a in enumerate(mine)]
        cost = [min(seen[s.name][n][1] / a[1] for s in group) for n, a in enumerate(mine)]
        best = max((seen[s.name] for s in group), key=lambda samples: middle(samples, 0))
        row = [title, peer, statistics.median(speed), statistics.median(cost)]
        show = lambda samples: f"{middle(samples, 0):,.0f} / {middle(samples, 1):.1f} / " + " / ".join(
            f"{middle(samples, i):.2f}" for i in (2, 3, 4))
        rows.append((*row, min(speed), max(speed)))
        print(f"| {title} | {peer} | **{row[2]:.2f}** ({min(speed):.2f}-{max(speed):.2f}) | **{row[3]:.2f}** "
              f"({min(cost):.2f}-{max(cost):.2f}) | {show(mine)} | {show(best)} |", flush=True)


def idle_connections(count=10_000):
    """Measures the memory per idle connection after one response, and tests that a further request is answered."""
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    server = ours("idle", f'[variants]\nstore = "file:{work}/variants"\n')
    fetch(server, small)
    before, open_ones = server.memory_kib(), []
    for n in range(min(count, wanted - 100) - 10):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(f"HEAD {small} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        open_ones.append(s)
    for s in open_ones:
        assert s.recv(4096).startswith(b"HTTP/1.1 200"), "unexpected response"
    after = server.memory_kib()
    status = fetch(server, small)[0]
    print(f"\n{len(open_ones)} idle connections: {(after - before) / len(open_ones):.1f} KiB of resident memory each; "
          f"a further request is answered with {status}.")
    for s in open_ones:
        s.close()
    server.stop()


MISSES = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", string.format("/large_%dx%d.jpg", 200 + n % 700, 200 + math.floor(n / 700)))
end
"""


def under_load(seconds=8, rate=4000):
    """Measures hits while all cores resize: latency at a fixed rate, and the maximum rate."""
    (work / "misses.lua").write_text(MISSES)
    server = ours("load", f'[variants]\nstore = "file:{work}/load-variants"\n[rates]\ncpu_per_original = "0s"\n', cores="0,1")
    url = f"http://127.0.0.1:{server.port}{small}"
    fetch(server, small)

    def paced():
        log = work / "paced.log"
        log.unlink(missing_ok=True)
        subprocess.run(["h2load", "--h1", "-t1", "-c64", f"--rps={rate / 64}", f"-D{seconds}", f"--log-file={log}", url],
                       capture_output=True, check=True)
        times = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
        return len(times) / seconds, [times[int(len(times) * p)] / 1000 for p in (0.5, 0.99, 0.999)]

    def flat_out():
        out = subprocess.run(["wrk", "-t1", "-c64", f"-d{seconds}", url], capture_output=True, text=True).stdout
        return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])

    def misses(duration):
        return subprocess.Popen(["wrk", "-t1", "-c8", f"-d{duration}", "--timeout", "30s", "-s", work / "misses.lua",
                                 f"http://127.0.0.1:{server.port}/"], stdout=subprocess.PIPE, text=True)

    quiet_rate, quiet = paced()
    quiet_max = flat_out()
    loading = misses(2 * seconds + 4)
    time.sleep(2)
    loaded_rate, loaded = paced()
    loaded_max = flat_out()
    jobs = float(re.search(r"Requests/sec:\s+([\d.]+)", loading.communicate()[0])[1])
    show = lambda times: " / ".join(f"{t:.2f}" for t in times)
    print(f"\nHits of 10 KB while two threads resize 12 MP pictures ({jobs:.0f} per second) on both cores:\n\n"
          f"| hits | alone | while resizing | ratio |\n|---|---|---|---|\n"
          f"| at {rate:,} per second: p50 / p99 / p99.9 ms | {show(quiet)} | {show(loaded)} | p99 {loaded[1] / quiet[1]:.2f} |\n"
          f"| answered per second | {quiet_rate:,.0f} | {loaded_rate:,.0f} | {loaded_rate / quiet_rate:.2f} |\n"
          f"| maximum per second | {quiet_max:,.0f} | {loaded_max:,.0f} | {loaded_max / quiet_max:.2f} |", flush=True)
    server.stop()


def plot(path):
    """Draws bars for the ratios to each peer; 1 is the peer."""
    bars = [(f"{peer}, {title}", speed, cost) for title, peer, speed, cost, *_ in rows]
    scale, left, step = 130, 250, 34
    top = max(max(speed, cost) for _, speed, cost in bars)
    width, height = int(left + top * scale + 60), 50 + step * len(bars)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="#fff"/>',
           '<text x="8" y="18" font-size="14">Cache hits: resized compared to each peer (1 = the peer; longer is better)</text>',
           f'<rect x="{left}" y="26" width="10" height="8" fill="#2b6cb0"/><text x="{left + 14}" y="34">requests per second</text>',
           f'<rect x="{left + 140}" y="26" width="10" height="8" fill="#90cdf4"/><text x="{left + 154}" y="34">requests per CPU second</text>']
    for n, (label, speed, cost) in enumerate(bars):
        y = 44 + n * step
        out.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{label}</text>')
        for dy, value, color in ((0, speed, "#2b6cb0"), (12, cost, "#90cdf4")):
            out.append(f'<rect x="{left}" y="{y + dy}" width="{value * scale:.0f}" height="11" fill="{color}"/>')
            out.append(f'<text x="{left + value * scale + 4:.0f}" y="{y + dy + 10}">{value:.2f}</text>')
    x = left + scale
    out.append(f'<line x1="{x}" y1="38" x2="{x}" y2="{height - 4}" stroke="#c53030" stroke-dasharray="4 3"/></svg>')
    Path(path).write_text("\n".join(out) + "\n")


def certificate():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-keyout", work / "key.pem", "-out", work / "cert.pem"], check=True, capture_output=True)


def main():
    global origin, small
    (work / "done.lua").write_text(DONE)
    (work / "files").mkdir()
    certificate()
    store = f'[variants]\nstore = "file:{work}/variants"\n'
    stream = ours("resized", store)
    servers.append(stream)
    small, large = width_for(stream, 10_240), width_for(stream, 51_200)
    for path in (small, large):
        (work / "files" / path[1:]).write_bytes(fetch(stream, path)[1])
    public = 'public_url = "https://pictures.example.com/v"\n[answers]\nmode = "redirect"\n'
    redirect = ours("resized-301", store + public)
    origin = nginx_static("origin", "access_log off;")
    static = [nginx_static("static", "tcp_nopush on;" + BUFFERED.format(work, "static")),
              nginx_static("static-plain", "access_log off;")]
    cached = [nginx_cache("cache", BUFFERED.format(work, "cache")), nginx_cache("cache-plain", "access_log off;")]
    servers.extend([redirect, origin, *static, *cached])
    peers = {"nginx static": static, "nginx proxy_cache": cached}
    for name, start in (("varnish", varnish), ("haproxy", haproxy), ("ats", trafficserver)):
        peers[name] = [start()]
        servers.extend(peers[name])

    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())[1]
    print(f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} shared cores, {cpu}. {ROUNDS} rounds of {SLICE} s; "
          "wrk -t1 -c64, h2load -t1 -c16 -m8.\n")
    print("| response | peer | requests per second, ours / peer (range) | requests per CPU second, ours / peer (range) "
          "| ours: req/s / CPU us / p50 / p99 / p99.9 ms | peer |\n|---|---|---|---|---|---|")
    moved = "/moved"
    if ONLY in ("", "301"):
        compare("301", redirect, peers, small, moved)
    if ONLY in ("", "10k"):
        compare("10 KB", stream, peers, small, small)
    if ONLY in ("", "50k"):
        compare("50 KB", stream, peers, large, large)
    if ONLY in ("", "tls", "h2"):
        h1 = "listen 127.0.0.1:PORT ssl reuseport;"
        h2 = "listen 127.0.0.1:PORT ssl http2 reuseport;"
        tls, tls_301 = ours("resized-tls", store, tls=True), ours("resized-tls-301", store + public, tls=True)
        own = {"nginx": [nginx_static("tls-static", "access_log off;", h1), nginx_cache("tls-cache", "access_log off;", h1)]}
        own2 = {"nginx": [nginx_static("h2-static", "access_log off; http2_max_requests 1000000000;", h2),
                          nginx_cache("h2-cache", "access_log off; http2_max_requests 1000000000;", h2)]}
        servers.extend([tls, tls_301, *own["nginx"], *own2["nginx"]])
        if ONLY != "h2":
            compare("TLS 1.3, 10 KB", tls, own, small, small, tls=True)
            compare("TLS 1.3, 50 KB", tls, own, large, large, tls=True)
        compare("HTTP/2, 301", tls_301, own2, small, moved, client=h2load, tls=True)
        compare("HTTP/2, 10 KB", tls, own2, small, small, client=h2load, tls=True)
        compare("HTTP/2, 50 KB", tls, own2, large, large, client=h2load, tls=True)
    if ONLY in ("", "idle"):
        idle_connections()
    if ONLY in ("", "load"):
        under_load()
    if PLOT and rows:
        plot(PLOT)


work = Path(tempfile.mkdtemp(prefix="resized-front-"))
work.chmod(0o755)
rows, servers = [], []
try:
    main()
finally:
    for server in servers:
        server.stop()
    if not os.environ.get("KEEP"):
        shutil.rmtree(work, ignore_errors=True)
