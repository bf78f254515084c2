"""The measuring part of the benchmark; tests/bench/run sets up what it needs. Only Python's standard library.

All contestants take part in every round, in turn, so that other load on the machine hits them alike; of several
rounds the median counts. Times are CLOCK_MONOTONIC, which all processes share.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import cluster
import report
import sizes

REPO = pathlib.Path(__file__).resolve().parents[2]
OUT = REPO / "target" / "bench"
TLS = REPO / "tests" / "tls"
BACKUP = "20261122T101942"
CONTESTANTS = ("ours", "python", "floor")
LENGTHS_MS = [300, 1_000, 3_000, 11_000, 31_000]
FULL_LENGTHS_MS = [61_000, 121_000]
COST_MS = 3_000         # the operation whose recovery is measured for CPU and memory
ROUNDS = 3
START_ROUNDS = {"ours": 45, "floor": 45, "python": 9}
COUNTS = (1, 10, 100)
GUARD = 300             # seconds after which something hangs


def command(contestant, url, directory):
    """What restores into a directory through the API at a URL: with each one's own defaults."""
    if contestant == "floor":
        return [OUT / "floor", url, "main", BACKUP, "ssh node", directory]
    program = OUT / "patroni_barman" if contestant == "ours" else OUT / "patroni-venv/bin/patroni_barman"
    return [program, "--api-url", url, "recover", "--barman-server", "main", "--backup-id", BACKUP,
            "--ssh-command", "ssh node", "--data-directory", directory]


def trust(scratch):
    """The environment in which the test's CA belongs to the system's trust store: its bundle and its directory."""
    bundle = scratch / "bundle.pem"
    system = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    bundle.write_bytes(system.read_bytes() + (TLS / "ca.pem").read_bytes())
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BARMAN_RECOVER_")}
    return {**plain, "SSL_CERT_FILE": str(bundle), "SSL_CERT_DIR": str(system.parent)}


class Standin:
    """A scripted server of its own, so that its journal is about one run."""

    def __init__(self, scratch, *options, tls=False):
        port_file = pathlib.Path(tempfile.mkstemp(dir=scratch, suffix=".port")[1])
        words = [OUT / "cargo/release/standin_api", "--listen", "127.0.0.1:0", "--port-file", port_file]
        if tls:
            words += ["--tls-cert", TLS / "server.pem", "--tls-key", TLS / "server.key"]
        self.process = subprocess.Popen([*words, "--server", "main", "--backup", BACKUP, *options],
                                        stdout=subprocess.DEVNULL)
        end = time.monotonic() + GUARD
        while not (port := port_file.read_text()):
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError("the scripted server does not start")
            time.sleep(0.01)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{port.strip()}"
        self.context = ssl.create_default_context(cafile=TLS / "ca.pem") if tls else None

    def get(self, path):
        request = urllib.request.Request(self.url + path, headers={"User-Agent": "bench"})
        with urllib.request.urlopen(request, timeout=GUARD, context=self.context) as reply:
            return json.load(reply)

    def clock(self):
        """CLOCK_MONOTONIC in ns at the server's zero, from the quickest of some requests."""
        sent = []
        for _ in range(8):
            before = time.monotonic_ns()
            self.get("/status")
            sent.append((before, time.monotonic_ns()))
        seen = [r for r in self.get("/_standin/journal")["requests"] if ["User-Agent", "bench"] in r["headers"]]
        (before, after), request = min(zip(sent, seen), key=lambda pair: pair[0][1] - pair[0][0])
        return (before + after) // 2 - request["at_ms"] * 1_000_000

    def stop(self):
        self.process.kill()
        self.process.wait()


def measure(words, env, **keywords):
    return subprocess.Popen([OUT / "measure", *words], env=env, stdout=subprocess.PIPE, text=True, **keywords)


# ---- Start ------------------------------------------------------------------------------------------------------


def first_byte(contestant, env, scratch, context):
    """ms from exec to the first byte of the first request; over https, inside TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD)
        scheme = "https" if context else "http"
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        process = measure(command(contestant, url, scratch / "start" / "data"), env)
        connection = listener.accept()[0]
        with connection:
            if context:
                connection = context.wrap_socket(connection, server_side=True)
            connection.recv(1)
            came = time.monotonic_ns()
            process.kill()
        started = int(process.communicate()[0].split()[0])
    return (came - started) / 1e6


def start(env, scratch):
    (scratch / "start").mkdir()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    result = {}
    for scheme in ("http", "https"):
        times = {contestant: [] for contestant in CONTESTANTS}
        for n in range(max(START_ROUNDS.values())):
            for contestant in CONTESTANTS:
                every = max(START_ROUNDS.values()) // START_ROUNDS[contestant]
                if n % every == 0:
                    times[contestant].append(
                        first_byte(contestant, env, scratch, context if scheme == "https" else None))
        result[scheme] = {contestant: statistics.median(ms) for contestant, ms in times.items()}
    return result


# ---- Whole recoveries -------------------------------------------------------------------------------------------


def recovery(contestant, scheme, length_ms, env, scratch):
    standin = Standin(scratch, "--duration-ms", str(length_ms), "--fill", "--unique-ids", tls=scheme == "https")
    try:
        zero = standin.clock()
        directory = pathlib.Path(tempfile.mkdtemp(dir=scratch)) / "data"
        output = measure(command(contestant, standin.url, directory), env).communicate(timeout=GUARD)[0]
        exited, user, system, peak_kb, status = map(int, output.split()[1:])
        journal = standin.get("/_standin/journal")
    finally:
        standin.stop()
    if status != 0:
        raise RuntimeError(f"{contestant} ended with {status}")
    operation, = journal["operations"]
    requests = [r for r in journal["requests"] if ["User-Agent", "bench"] not in r["headers"]]
    return {
        "contestant": contestant, "scheme": scheme, "length_ms": length_ms,
        "notice_ms": (exited - zero) / 1e6 - operation["ended_ms"], "requests": len(requests),
        "cpu_ms": (user + system) / 1e3, "peak_kb": peak_kb,
    }


def recoveries(lengths, env, scratch):
    """All at once, as they mostly wait; each begins a little after the one before."""
    runs = [(contestant, "http", length) for length in reversed(lengths) for _ in range(ROUNDS)
            for contestant in CONTESTANTS]
    runs += [(contestant, "https", COST_MS) for _ in range(ROUNDS) for contestant in CONTESTANTS]
    results, errors = [], []

    def one(run):
        try:
            results.append(recovery(*run, env, scratch))
        except Exception as error:
            errors.append(f"{run}: {error!r}")

    threads = [threading.Thread(target=one, args=[run]) for run in runs]
    for thread in threads:
        thread.start()
        time.sleep(0.4)
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError("; ".join(errors))

    def median(key, contestant, scheme, length):
        return statistics.median(r[key] for r in results if (r["contestant"], r["scheme"], r["length_ms"])
                                 == (contestant, scheme, length))

    return {
        "notice": {length: {c: median("notice_ms", c, "http", length) for c in CONTESTANTS} for length in lengths},
        "longest": {length: max(r["notice_ms"] for r in results if r["length_ms"] == length
                                and r["contestant"] == "ours") for length in lengths},
        "requests": {length: {c: median("requests", c, "http", length) for c in CONTESTANTS} for length in lengths},
        "cpu": {s: {c: median("cpu_ms", c, s, COST_MS) for c in CONTESTANTS} for s in ("http", "https")},
        "peak": {s: {c: median("peak_kb", c, s, COST_MS) for c in CONTESTANTS} for s in ("http", "https")},
    }


# ---- Many in one process ----------------------------------------------------------------------------------------


def many(scheme, seconds, env, scratch):
    scratch = scratch / scheme
    scratch.mkdir()

    def begin(count):
        standin = Standin(scratch, "--duration-ms", str(seconds * 1000), "--fill", "--unique-ids", tls=scheme == "https")
        running.callback(standin.stop)
        process = subprocess.Popen([OUT / "many", str(count), standin.url, "main", BACKUP, scratch], env=env,
                                   stdout=subprocess.PIPE, text=True)
        running.callback(process.wait)
        running.callback(process.kill)   # before the wait
        return standin, process

    def end(standin, process):
        result = json.loads(process.communicate(timeout=GUARD)[0])
        result["requests"] = len(standin.get("/_standin/journal")["requests"])
        if result["failed"]:
            raise RuntimeError(f"{result['failed']} of {result['count']} recoveries failed")
        return result

    with contextlib.ExitStack() as running:   # ends them all, also when one fails
        return [end(*pair) for pair in [begin(count) for count in COUNTS]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only")
    options = parser.parse_args()
    parts = (options.only or "size,start,recovery,many" + ",cluster" * options.full).split(",")
    # The stand-in counts no requests, and notices the end of an operation later.
    if "cluster" in parts and not shutil.which(os.environ.get("PG_BACKUP_API") or "pg-backup-api"):
        parser.error("the real stack needs pg-backup-api: set PG_BACKUP_API to its path")
    lengths = LENGTHS_MS + FULL_LENGTHS_MS * options.full
    seconds = 60 if options.full else 20
    figures = {"load": os.getloadavg()[0], "cpus": os.cpu_count(), "seconds": seconds, "full": options.full}
    with tempfile.TemporaryDirectory(prefix="barman-recover.", dir="/tmp") as scratch:
        scratch = pathlib.Path(scratch)
        env = trust(scratch)
        measures = {
            "size": lambda: sizes.measure(OUT),
            "start": lambda: start(env, scratch),
            "recovery": lambda: recoveries(lengths, env, scratch),
            "many": lambda: {scheme: many(scheme, seconds, env, scratch) for scheme in ("http", "https")},
            "cluster": lambda: cluster.measure(REPO, OUT / "patroni-venv/bin/patroni_barman"),
        }
        for name, run in measures.items():
            if name in parts:
                print(f"measuring: {name}", file=sys.stderr, flush=True)
                figures[name] = run()
    text = report.markdown(figures)
    print(text)
    if not options.only:
        (REPO / "docs").mkdir(exist_ok=True)
        (REPO / "docs/benchmark.md").write_text(text)
        (REPO / "docs/benchmark.svg").write_text(report.svg(figures))
        print("written: docs/benchmark.md, docs/benchmark.svg")


if __name__ == "__main__":
    main()
