"""What happened when: events, and what the observer saw."""

import threading
import time


class Timeline:
    """A list of lines with their times, filled by several threads."""

    def __init__(self) -> None:
        self.began = time.time()
        self._lines: list[tuple[float, str, str]] = []
        self._lock = threading.Lock()

    def seconds(self, at: float) -> float:
        """A time as seconds since the start."""
        return at - self.began

    def note(self, source: str, text: str, at: float | None = None, show: bool = False) -> None:
        """Adds a line; `show` prints it as well."""
        at = time.time() if at is None else at
        with self._lock:
            self._lines.append((at, source, text))
        if show:
            print(f"{self.seconds(at):8.2f}  {source:<9} {text}", flush=True)

    def since(self, at: float) -> list[str]:
        """The lines since a time, in order."""
        with self._lock:
            lines = sorted(line for line in self._lines if line[0] >= at)
        return [f"{self.seconds(when):8.2f}  {source:<9} {text}" for when, source, text in lines]
