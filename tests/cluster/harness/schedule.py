"""The schedule: what happens when, and to which node. All of it follows from the seed."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of event."""

    name: str
    weight: float
    seconds: tuple[float, float] = (0.0, 0.0)  # how long it lasts, from and to
    most: float = 0.0  # how often in two minutes at most; 0 for no limit


@dataclass(frozen=True)
class Event:
    """An event of the schedule. `nodes` are its targets in order of preference: it happens to the first one it can."""

    at: float
    kind: str
    nodes: tuple[str, ...]
    seconds: float
    chance: float  # from 0 to 1, for whatever a kind has to choose
    bandwidth: int  # kB/s of the restores that begin from now on


KINDS = (
    # These make a node begin a restore.
    Kind("reinit", 5),
    Kind("reinit-force", 6),
    Kind("renew", 4),
    # These disturb it.
    Kind("patroni-stop", 2, (1, 6)),
    Kind("patroni-restart", 2),
    Kind("patroni-kill", 2, (0.5, 3)),
    Kind("patroni-kill-all", 1, (0.5, 5)),
    Kind("hook-kill", 3),
    Kind("receiver-kill", 2),
    Kind("receiver-stop", 2, (2, 8)),
    Kind("wipe", 1.5),
    Kind("state-removed", 1),
    Kind("api-stop", 1, (2, 12)),
    Kind("api-restart", 1),
    Kind("api-killed-in-create", 0.7, (10, 10)),
    Kind("sshd-restart", 1, (0.5, 4)),
    Kind("net-refuse", 1, (3, 12)),
    Kind("net-drop", 1, (3, 12)),
    Kind("net-delay", 1, (8, 20)),
    Kind("net-swallow", 1, (5, 30)),
    Kind("backup-delete", 1, most=1),
    Kind("disk-full", 1, (60, 60), most=0.4),
)

EVERY = (1.0, 3.4)  # seconds between two events
CALM = (6, 12)  # now and then, for restores that come to their end
BANDWIDTH = (3000, 12000)


def most(kind: Kind, seconds: float) -> int:
    """How often a kind may come in a schedule of this length."""
    return max(1, int(kind.most * seconds / 120)) if kind.most else 1_000_000


def make(seed: int, seconds: float, nodes: list[str]) -> list[Event]:
    """Makes the schedule. Each kind comes once at least, as long as there is time for all."""
    dice = random.Random(seed)
    times = []
    at = 4.0
    while at < seconds:
        times.append(at)
        at += dice.uniform(*(CALM if dice.random() < 0.15 else EVERY))
    kinds = list(KINDS)
    left = {kind.name: most(kind, seconds) - 1 for kind in kinds}
    while len(kinds) < len(times):
        kind = dice.choices(KINDS, [kind.weight for kind in KINDS])[0]
        if left[kind.name] > 0:
            left[kind.name] -= 1
            kinds.append(kind)
    dice.shuffle(kinds)
    events = []
    for at, kind in zip(times, kinds):
        order = tuple(dice.sample(nodes, len(nodes)))
        # A minute is too long for a short schedule.
        lasts = min(dice.uniform(*kind.seconds), seconds / 8)
        events.append(Event(round(at, 2), kind.name, order, round(lasts, 1), dice.random(), dice.randint(*BANDWIDTH)))
    return events
