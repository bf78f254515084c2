"""The benchmark's tables, in Markdown, and its plot, in SVG. A requirement is said to hold or not; none fails a run."""
import math
import statistics

CONTESTANTS = ("ours", "python", "floor")
NAMES = {"ours": "patroni_barman", "python": "Python's patroni_barman", "floor": "C on libcurl"}
COLORS = {"ours": "#c2410c", "python": "#2563eb", "floor": "#6b7280"}
LATE_MS = 300           # from the end of an operation to the end of the program
SIZE_MB = 2.8           # of the program, in millions of bytes
START_SHARES = {"http": 25, "https": 12}
GONE_BOUNDS = {"sigkill": 0.2, "sigterm": 0.05}    # seconds; SIGTERM: before the exit, but for the time that a look takes
RESTARTS = {
    "sigterm": "Patroni stopped in the middle of a restore, and started again",
    "sigterm-early": "the same before the first file has arrived",
    "hook-kill": "the program killed in the middle of a restore, and pg_basebackup next",
}
RESTART_BOUNDS = {"sigterm": 3, "sigterm-early": 4, "hook-kill": 1}   # seconds


def table(head, rows):
    cells = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in cells)


def verdict(text, holds):
    return f"- {text}: **{'holds' if holds else 'does not hold'}**"


def ms(value):
    return f"{value:,.2f} ms" if value < 10 else f"{value:,.0f} ms"


def mb(kb):
    return f"{kb / 1024:.1f} MB"


def seconds(length_ms):
    return f"{length_ms / 1000:g} s"


def times(value, other):
    return f"{value / other:.2f}" if value < other else f"{value / other:.1f}"


# ---- Tables -----------------------------------------------------------------------------------------------------


def start_part(start):
    rows = [[scheme, *[ms(of[c]) for c in CONTESTANTS], f"1/{of['python'] / of['ours']:.0f}",
             times(of["ours"], of["floor"])] for scheme, of in start.items()]
    lines = ["## Start", "", "From exec to the first byte of the first request (over https: inside TLS, with the "
             "system's trust store).", "", table(["", *NAMES.values(), "of Python's", "of C's"], rows), ""]
    for scheme, share in START_SHARES.items():
        of = start[scheme]
        lines += [verdict(f"{scheme}: at most 1/{share} of Python's", of["ours"] * share <= of["python"]),
                  verdict(f"{scheme}: at most that of the C client", of["ours"] <= of["floor"])]
    return lines


def recovery_part(recovery):
    notice, requests = recovery["notice"], recovery["requests"]
    rows = [[seconds(length), *[f"{ms(of[c])} ({requests[length][c]:.0f})" for c in CONTESTANTS],
             ms(recovery["longest"][length])] for length, of in notice.items()]
    lines = ["## Notice", "", "From the end of the operation to the end of the program, with the defaults of each; in "
             "brackets the requests of the whole run. Ours sees in the log of its lease when Barman's last command has ended, "
             "and asks then.", "", table(["operation", *NAMES.values(), "ours, longest"], rows), ""]
    slow = ", ".join(seconds(length) for length, late in recovery["longest"].items() if late > LATE_MS)
    lines += [verdict(f"at most {LATE_MS / 1000} s in every single run" + f" (not: {slow})" * bool(slow), not slow),
              *[verdict("at most 40 requests for an operation of 61 s", requests[61_000]["ours"] <= 40)
                for _ in range(61_000 in requests)], ""]
    cost = [[f"{scheme}, {name}", *[unit(of[c]) for c in CONTESTANTS], f"1/{of['python'] / of['ours']:.1f}",
             times(of["ours"], of["floor"])]
            for scheme in ("http", "https")
            for name, unit, of in (("CPU", ms, recovery["cpu"][scheme]), ("peak memory", mb, recovery["peak"][scheme]))]
    lines += ["## Cost", "", "Of a whole recovery, an operation of 3 s.", "",
              table(["", *NAMES.values(), "of Python's", "of C's"], cost), ""]
    lines += [verdict(f"{scheme}: peak memory at most 1/4 of Python's", of["ours"] * 4 <= of["python"])
              for scheme, of in recovery["peak"].items()]
    http, https = recovery["peak"]["http"]["ours"], recovery["peak"]["https"]["ours"]
    return [*lines, "", f"TLS and the trust store, which http does not load, cost {mb(https - http)}."]


def cluster_part(cluster):
    by_hand, eight, restarts = cluster["by_hand"], cluster["eight"], cluster["restarts"]
    rows = [["eight `barman recover` at once, by hand", late(by_hand)], ["eight at once, the programs alone", late(eight)],
            *[[f"{RESTARTS[name]}: streams so much later than the copy that counted took", late(value)]
              for name, value in restarts.items()]]
    return ["## Real clusters", "", f"Patroni, etcd, PostgreSQL, Barman, sshd and {cluster['api']} on loopback; "
            "single runs.", "", table(["", "patroni_barman"], rows), "",
            verdict("eight at once: none fails, and the last ends at most 10 s later than eight by hand",
                    None not in (eight, by_hand) and eight <= by_hand + 10), "", *eight_part(cluster["patroni"]), "",
            *ends_part(cluster["ends"])]


def ends_part(ends):
    """How runs end, beside what of the restore outlives them, from tests/cluster/ends."""
    rows = [[f"{way}, {place}", f"{of['gone']:.2f} s", of["writes"]] for (way, place), of in ends["gone"].items()]
    notice = [[f"after {word}", late(of["late"]), of["requests"], f"{of['took']} s"]
              for word, of in ends["notice"].items()]
    return ["### The end of a run", "", "From the end of the run until the last process of its restore was gone, and how often "
            "something was written after the end.", "",
            table(["the run ends by, while Barman is at", "gone after", "writes"], rows), "",
            "From the end of an operation of real Barman to the end of the program.", "",
            table(["", "exit after", "requests", "in"], notice)]


def late(value):
    return "failed" if value is None else f"{value:.2f} s"


def eight_part(patroni):
    """Runs of eight nodes under Patroni with each program, in turn."""
    counts = ("calls", "failed", "accepted", "restores", "backup", "other")
    moments = ("last_create", "last_restore", "stream")
    rows = [[f"{NAMES[contestant]}, run {n + 1}",
             *([f"{run[key]:.0f}" for key in counts] + [f"{run[key]:.1f} s" for key in moments] if run else
               ["failed", *[""] * (len(counts) + len(moments) - 1)])]
            for n in range(len(patroni["ours"])) for contestant, runs in patroni.items() for run in runs[n:n + 1]]
    ours, python = ([run for run in patroni[contestant] if run] for contestant in ("ours", "python"))
    once = all(run["failed"] == 0 and run["accepted"] == run["restores"] == run["backup"] == 8 for run in ours)
    return ["### Eight nodes at once under Patroni", "", "Barman is their only method, so that both programs have to make all "
            "nodes from the backup: Patroni calls again after a failed call.", "",
            table(["", "calls", "failed calls", "creates accepted", "restores", "nodes from the backup",
                   "nodes by other means", "last create after", "last restore ended after", "last node streams after"], rows),
            "", verdict("eight creates accepted and no failed call in each run", once and len(ours) == len(patroni["ours"])),
            verdict("the last node streams no later than with the Python program (medians)",
                    bool(ours) and (not python or median(ours) <= median(python)))]


# ---- The bounds -------------------------------------------------------------------------------------------------


def bounds(figures):
    """What is promised beside what was measured: (what, bound, measured, whether it holds)."""
    rows = []
    if "cluster" in figures:
        rows += cluster_bounds(figures["cluster"])
    if "recovery" in figures:
        recovery = figures["recovery"]
        rows += [("requests of an operation of 61 s", "40", f"{asked['ours']:.0f}", asked["ours"] <= 40)
                 for length, asked in recovery["requests"].items() if length == 61_000]
        rows += [(f"peak memory, {scheme}", "1/4 of Python's", f"1/{of['python'] / of['ours']:.1f}",
                  of["ours"] * 4 <= of["python"]) for scheme, of in recovery["peak"].items()]
    rows += [(f"start, {scheme}", f"1/{START_SHARES[scheme]} of Python's", f"1/{of['python'] / of['ours']:.0f}",
              of["ours"] * START_SHARES[scheme] <= of["python"]) for scheme, of in figures.get("start", {}).items()]
    if "size" in figures:
        total = figures["size"]["patroni_barman"]["total"] / 1e6
        rows.append(("size of the program", f"{SIZE_MB} MB", f"{total:.2f} MB", total <= SIZE_MB))
    return rows


def cluster_bounds(cluster):
    """Those of the real stack. What failed has no figure, and does not hold."""
    ends, restarts = cluster["ends"], cluster["restarts"]
    rows = []
    for way, most in GONE_BOUNDS.items():
        worst = max((of["gone"] for (by, _), of in ends["gone"].items() if by == way), default=None)
        rows.append((f"last writer gone after the end of a run by {way.upper()}", f"{most} s", worst, most))
    rows += [(f"exit after the end of an operation that is {word}", "0.3 s", ends["notice"].get(word, {}).get("late"),
              LATE_MS / 1000) for word in ("DONE", "FAILED")]
    rows += [(RESTARTS[name], f"{most} s beside the copy that counted", restarts[name], most)
             for name, most in RESTART_BOUNDS.items()]
    rows.append(("200 nodes at once, simulated", "1.25 s each", cluster["simulated"], 1.25))
    rows = [(what, bound, late(value), value is not None and value <= most) for what, bound, value, most in rows]
    return rows + [(f"requests of a restore of {of['took']} s that is {word}", "40", of["requests"], of["requests"] <= 40)
                   for word, of in ends["notice"].items()]


def bounds_part(figures):
    rows = [[what, bound, measured, "yes" if holds else "**no**"] for what, bound, measured, holds in bounds(figures)]
    return ["## What is promised", "", "The rest of this page has where each figure comes from.", "",
            table(["", "at most", "measured", "holds"], rows)]


def median(runs):
    return statistics.median(run["stream"] for run in runs)


def size_part(size):
    crates = sorted({crate for of in size.values() for crate in of["crates"]},
                    key=lambda crate: -max(of["crates"].get(crate, 0) for of in size.values()))
    shown = [crate for crate in crates if max(of["crates"].get(crate, 0) for of in size.values()) >= 8 << 10
             and crate != "other"]
    rows = [[crate, *[f"{of['crates'].get(crate, 0) / 1024:,.0f} KB" for of in size.values()]] for crate in shown]
    rows += [["small ones; tables, strings, unwinding", *[
        f"{(of['total'] - sum(of['crates'].get(crate, 0) for crate in shown)) / 1024:,.0f} KB"
        for of in size.values()]]]
    rows += [["**stripped**", *[f"**{of['total'] / 1024:,.0f} KB**" for of in size.values()]]]
    return ["## Size", "", "By crate, from the symbols before stripping; generic code counts for the crate that "
            "defines it.", "", table(["", *[f"`{name}`" for name in size]], rows)]


def many_part(many, duration):
    lines = ["## Many", "", f"Recoveries side by side in one process through the C ABI, a thread with 128 KB of stack "
             f"each, an operation of {duration} s, starting within 2 s; the last columns are per further recovery, and "
             "per request.", ""]
    for scheme, runs in many.items():
        lines += [*many_table(scheme, runs), ""]
    return lines + [verdict("at most eight files (those of the claim and of the lease, a socket, the directory that is being "
                            "counted) and two threads per recovery, one of them only while it sends a request",
                            all(of["threads"] <= 2 * of["count"] + 2 and of["fds"] <= 8 * of["count"] + 10
                                for runs in many.values() for of in runs))]


def many_table(scheme, runs):
    one, before, last = runs[0], runs[-2], runs[-1]

    def slope(key, low, high):
        return (high[key] - low[key]) / (high["count"] - low["count"])

    rows = [[f"{of['count']:,}", mb(of["rss_kb"]), of["threads"], of["fds"], f"{of['cpu']:.2f} s", f"{of['requests']:,}",
             "" if of is one else f"{slope('rss_kb', one, of):.0f} KB",
             "" if of is one else f"{1000 * slope('cpu', one, of):.1f} ms",
             f"{1e6 * of['cpu'] / of['requests']:,.0f} µs"] for of in runs]
    lines = [table([f"{scheme}, recoveries", "peak memory", "threads", "files, at most", "CPU", "requests", "memory each",
                    "CPU each", "CPU per request"], rows), ""]
    for key, name in (("rss_kb", "memory"), ("cpu", "CPU")):
        ratio = slope(key, before, last) / max(slope(key, one, before), 1e-9)
        lines.append(verdict(f"{scheme}: {name} grows linearly (the slope from {before['count']} to {last['count']:,} "
                             f"is {ratio:.1f} times that below; quadratic would be 10)", ratio <= 2))
    # Each recovery reads the trusted certificates by itself, as the library keeps nothing for the whole process: freed, they
    # leave their place in the arenas of malloc, 16 on two CPUs.
    most = 150 if scheme == "http" else 300
    each = slope("rss_kb", one, last)
    lines.append(verdict(f"{scheme}: at most {most} KB each ({each:.0f} KB)", each <= most))
    return lines


def markdown(figures):
    lines = ["# Benchmark", "", "Made by `tests/bench/run" + (" --full" * figures["full"]) + "`, against one scripted "
             f"server, on a machine with {figures['cpus']} CPUs, of which {figures['load']:.1f} were wanted by others "
             "at the start. Medians of interleaved rounds; only the ratios mean something elsewhere.", ""]
    if all(name in figures for name in ("start", "recovery", "many")):
        lines += ["![the figures as a plot](benchmark.svg)", ""]
    lines += [*bounds_part(figures), ""]
    parts = {"start": start_part, "recovery": recovery_part, "size": size_part,
             "many": lambda many: many_part(many, figures["seconds"]), "cluster": cluster_part}
    for name, part in parts.items():
        if name in figures:
            lines += [*part(figures[name]), ""]
    return "\n".join(lines)


# ---- Plot -------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, PANEL_W, PANEL_H = 940, 700, 360, 240


def line(x1, y1, x2, y2, color="#d1d5db", more=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" {more}/>'


def label(x, y, text, anchor="start", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{text}</text>'


def place(value, low, high, start, length):
    """On a logarithmic axis."""
    return start + length * (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))


def decades(values):
    return 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)) + 1e-9)


def curves(x0, y0, title, series, unit_x, unit_y):
    """Both axes logarithmic: series is (name, color, dash, [(x, y)])."""
    low_x, high_x = decades([x for *_, points in series for x, _ in points])
    low_y, high_y = decades([y for *_, points in series for _, y in points])
    def at(x, y):
        return place(x, low_x, high_x, x0, PANEL_W), place(y, low_y, high_y, y0 + PANEL_H, -PANEL_H)

    parts = [label(x0, y0 - 14, title, more='font-weight="bold"')]
    tick = low_x
    while tick <= high_x * 1.01:
        x, _ = at(tick, low_y)
        parts += [line(x, y0, x, y0 + PANEL_H), label(x, y0 + PANEL_H + 16, f"{tick:,g}{unit_x}", "middle")]
        tick *= 10
    tick = low_y
    while tick <= high_y * 1.01:
        _, y = at(low_x, tick)
        parts += [line(x0, y, x0 + PANEL_W, y), label(x0 - 6, y + 4, f"{tick:,g}{unit_y}", "end")]
        tick *= 10
    for n, (name, color, dash, points) in enumerate(series):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        style = f'stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" {style}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>'
                  for x, y in (at(*point) for point in points) if not dash]
        parts.append(label(x0 + PANEL_W - 6, y0 + PANEL_H - 8 - 16 * (len(series) - 1 - n), name, "end",
                           f'fill="{color}"'))
    return parts


def bars(x0, y0, title, groups, show):
    """On a logarithmic axis: groups is {name: {contestant: value}}."""
    low, high = decades([value for of in groups.values() for value in of.values()])
    parts = [label(x0, y0 - 14, title, more='font-weight="bold"')]
    step = PANEL_H / (len(groups) * 4)
    for g, (name, of) in enumerate(groups.items()):
        parts.append(label(x0 - 6, y0 + step * (4 * g + 1.7), name, "end"))
        for n, contestant in enumerate(CONTESTANTS):
            y = y0 + step * (4 * g + n)
            width = place(of[contestant], low, high, 0, PANEL_W - 70)
            parts += [f'<rect x="{x0}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{step - 3:.1f}" '
                      f'fill="{COLORS[contestant]}"/>', label(x0 + width + 5, y + step / 2 + 3, show(of[contestant]))]
    return parts


def svg(figures):
    recovery = figures["recovery"]
    notice = [(NAMES[c], COLORS[c], "", [(length / 1000, max(of[c], 1)) for length, of in recovery["notice"].items()])
              for c in CONTESTANTS]
    notice.append(("a tenth of the operation", "#111827", "4 4",
                   [(length / 1000, length / 10) for length in recovery["notice"]]))
    many = [(f"{name}, {scheme}", COLORS[color], "" if scheme == "http" else "4 4",
             [(of["count"], value(of)) for of in figures["many"][scheme]])
            for name, color, value in (
                ("memory, MB", "ours", lambda of: of["rss_kb"] / 1024),
                (f"CPU in {figures['seconds']} s, s", "python", lambda of: max(of["cpu"], 0.001)))
            for scheme in figures["many"]]
    parts = [
        *curves(80, 60, "End of the operation to end of the program", notice, " s", " ms"),
        *bars(540, 60, "Exec to first request (logarithmic)", figures["start"], ms),
        *bars(80, 400, "Peak memory of a recovery (logarithmic)", recovery["peak"], mb),
        *curves(540, 400, "Recoveries in one process", many, "", ""),
    ]
    legend = [part for n, c in enumerate(CONTESTANTS) for part in (
        f'<rect x="{80 + 250 * n}" y="676" width="12" height="12" fill="{COLORS[c]}"/>',
        label(98 + 250 * n, 686, NAMES[c]))]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" fill="#111827">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', *parts, *legend,
        "</svg>", ""])
