"""Passwords guessed by many sources, each of which guesses too seldom to be noticed. Pure.

What gives such a crowd away is the place: many sources that were refused there more than once
within the hour, and hardly anybody who was let in. On a morning when a thousand people log in, some
mistype twice as well; but nearly all of them get in.
"""

from __future__ import annotations

from collections import OrderedDict

WINDOW_SECONDS = 3600.0
CROWD_SOURCES = 20
GUESSES_MAX = 3
REFUSED_FOR_EACH_WELCOMED = 4.0
DOORS_MAX = 32
SOURCES_MAX = 5000


class _Door:
    """One login page: who was refused there within the hour, and how many were let in."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.refused = self.welcomed = 0.0
        self.repeated = 0
        self.lets_in = False
        self._sources: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def fade(self, now: float) -> None:
        passed = now - self.at
        if passed > 0:
            share = 0.5 ** (passed / WINDOW_SECONDS)
            self.refused, self.welcomed, self.at = self.refused * share, self.welcomed * share, now

    def refuse(self, source: str, now: float) -> int:
        self.fade(now)
        self.refused += 1
        count = self._sources.pop(source, (0, now))[0] + 1
        self.repeated += count == 2
        self._sources[source] = count, now
        while self._is_over(now):
            _, (times, _) = self._sources.popitem(last=False)
            self.repeated -= times >= 2
        return count

    def _is_over(self, now: float) -> bool:
        oldest = next(iter(self._sources.values()))[1]
        return now - oldest > WINDOW_SECONDS or len(self._sources) > SOURCES_MAX

    @property
    def is_besieged(self) -> bool:
        enough = self.refused >= REFUSED_FOR_EACH_WELCOMED * self.welcomed
        return self.repeated >= CROWD_SOURCES and enough


class Crowd:
    """All login pages at which somebody was refused lately; the oldest are forgotten."""

    def __init__(self) -> None:
        self._doors: OrderedDict[str, _Door] = OrderedDict()

    def refused(self, path: str, source: str, now: float, *, certain: bool) -> bool:
        """Note a refused password; tell whether it is one too many at a page where many guess.

        certain: the answer says so. A form that is shown again after it was sent has been refused
        only if the page is known to send those elsewhere whom it lets in.
        """
        door = self._door(path, now)
        count = door.refuse(source, now)
        return count >= GUESSES_MAX and door.is_besieged and (certain or door.lets_in)

    def welcomed(self, path: str, now: float) -> None:
        """Note that somebody was let in."""
        if path in self._doors:
            door = self._door(path, now)
            door.fade(now)
            door.welcomed += 1
            door.lets_in = True

    def besieged(self) -> dict[str, int]:
        """Return the pages at which many guess, with the number of sources refused repeatedly."""
        return {path: door.repeated for path, door in self._doors.items() if door.is_besieged}

    def _door(self, path: str, now: float) -> _Door:
        door = self._doors.get(path)
        if door is None:
            door = self._doors[path] = _Door(now)
            if len(self._doors) > DOORS_MAX:
                self._doors.popitem(last=False)
        self._doors.move_to_end(path)
        return door
