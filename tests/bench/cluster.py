"""What tests/cluster/run and tests/cluster/ends show of time on a real stack: many nodes at once, Patroni restarted in a
restore, and how a run ends."""
import os
import re
import subprocess

STACK = "PostgreSQL, sshd, Barman, the API and etcd"    # the title under which it says what it is made of
RESTARTS = ("sigterm", "sigterm-early", "hook-kill")
ROUNDS = 3   # of eight nodes under Patroni, with each program


def run(repo, *scenarios, program=None):
    """The lines of the scenarios, by their names; of one that fails, what it has said so far."""
    env = {**os.environ, **({"PATRONI_BARMAN": str(program)} if program else {})}
    ended = subprocess.run([repo / "tests/cluster/run", *scenarios], env=env, stdout=subprocess.PIPE, text=True)
    parts = re.split(r"^==> (.*)$", ended.stdout, flags=re.MULTILINE)
    said = dict(zip(parts[1::2], parts[2::2]))
    return {name: said.get(name, "") for name in (STACK, *scenarios)}


def number(text, pattern):
    found = re.search(pattern, text)
    return float(found[1]) if found else None


def patroni(text):
    """Of eight nodes under Patroni: when the last one streams, in s, and how the nodes were made; {} if they were not."""
    found = re.search(r"stream after ([0-9.]+) s: (\d+) calls, (\d+) failed; (\d+) creates accepted, the last after "
                      r"([0-9.]+) s; (\d+) restores, the last ended after ([0-9.]+) s; "
                      r"(\d+) nodes from the backup, (\d+) by other means", text)
    keys = ("stream", "calls", "failed", "accepted", "last_create", "restores", "last_restore", "backup", "other")
    return dict(zip(keys, map(float, found.groups()))) if found else {}


def ends(repo):
    """What outlives a run that a signal ends, by (signal, place of Barman); and how late an operation's end is noticed."""
    words = [repo / "tests/cluster/ends", "--ways", "sigkill,sigterm,notice"]
    output = subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout
    gone = {(way, place): {"gone": float(after), "writes": int(writes)} for way, place, after, writes in
            re.findall(r"^(sig\w+) +(\w+) +([0-9.]+) s, (\d+) writes", output, flags=re.MULTILINE)}
    notice = {word: {"late": float(after), "requests": int(requests), "took": int(took)} for word, after, requests, took in
              re.findall(r"^(DONE|FAILED): exit \d+, ([0-9.-]+) s after .*; (\d+) requests in (\d+) s", output,
                         flags=re.MULTILINE)}
    return {"gone": gone, "notice": notice}


def simulated(repo):
    """Seconds per node of 200, in a simulated world: virtual time, so that no load bears on it."""
    words = ["cargo", "test", "--quiet", "--lib", "all_nodes_that_start_in_one_second_are_served", "--", "--nocapture"]
    output = subprocess.run(words, cwd=repo, stdout=subprocess.PIPE, text=True, check=True).stdout
    return number(output, r"200 nodes: the last create after ([0-9.]+)s") / 200


def measure(repo, python):
    # Apart, as the first one that fails ends a run.
    said = run(repo, "eight-by-hand", "eight")
    for name in RESTARTS:
        said |= {name: run(repo, name)[name]}
    # In turn, so that other load on the machine hits both alike.
    eight = {"ours": [], "python": []}
    for _ in range(ROUNDS):
        for contestant, program in (("ours", None), ("python", python)):
            eight[contestant].append(patroni(run(repo, "eight-patroni", program=program)["eight-patroni"]))
    return {
        "by_hand": number(said["eight-by-hand"], r"by hand took ([0-9.]+) s"),
        "eight": number(said["eight"], r"restored in ([0-9.]+) s"),
        "patroni": eight,
        "restarts": {name: number(said[name], r"streams ([0-9.-]+) s later") for name in RESTARTS},
        "ends": ends(repo),
        "simulated": simulated(repo),
        "api": "the stand-in for pg-backup-api" if "stand-in" in said[STACK] else "pg-backup-api",
    }
