"""Guessing that many sources share; and what one node holds against a source told to the other."""

from __future__ import annotations

from shoestring.core.guard import Held
from shoestring.guard.crowd import CROWD_SOURCES, DOORS_MAX, SOURCES_MAX, Crowd
from shoestring.guard.engine import Engine
from shoestring.guard.sources import Source
from tests.unit.test_guard_judge import line

LOGIN = "POST /wp-login.php HTTP/1.1"
SHOP = "POST /shop/login HTTP/1.1"


class Watch:
    """An engine, and whom it has suspected."""

    def __init__(self) -> None:
        self.suspects: dict[str, float] = {}
        self.engine = Engine(self._suspect)

    def _suspect(self, name: str, source: Source, _at: float) -> bool:
        self.suspects[name] = source.score + source.heard
        return True

    def post(self, request: str, status: int, number: int, second: int, user: str = "-") -> None:
        address = f"203.0.{number >> 8}.{number & 255}"
        text = line(request, status, address=address, second=second, user=user)
        self.engine.read(text + "\n", "combined", "access.log")


def crowd(watch: Watch, request: str, status: int, sources: int, guesses: int, **more: str) -> None:
    """Have many sources guess in turns, a second apart."""
    for guess in range(guesses):
        for number in range(sources):
            watch.post(request, status, number, guess * sources + number, **more)


def test_many_sources_that_guess_three_times_each_are_blocked():
    watch = Watch()
    crowd(watch, LOGIN, 200, 200, 3)
    assert len(watch.suspects) >= 180
    assert watch.engine.crowd.besieged() == {"/wp-login.php": 200}


def test_the_same_by_basic_authentication():
    watch = Watch()
    crowd(watch, "GET /private/ HTTP/1.1", 401, 100, 3, user="admin")
    assert len(watch.suspects) >= 90


def test_a_few_sources_that_mistype_are_no_crowd():
    watch = Watch()
    crowd(watch, LOGIN, 200, CROWD_SOURCES - 1, 3)
    assert not watch.suspects


def test_a_morning_on_which_everybody_logs_in_is_no_crowd():
    watch = Watch()
    for number in range(200):
        for _ in range(3):
            watch.post(LOGIN, 200, number, number)
        watch.post(LOGIN, 302, number, number)
    assert not watch.suspects
    assert not watch.engine.crowd.besieged()


def test_a_page_that_never_says_no_has_refused_nobody():
    """A login that answers 200 to everybody: nothing tells a guess from a welcome."""
    watch = Watch()
    crowd(watch, SHOP, 200, 100, 4)
    assert not watch.suspects


def test_a_page_that_sends_elsewhere_whom_it_lets_in_refuses_all_others():
    watch = Watch()
    watch.post(SHOP, 200, 999, 0)
    watch.post(SHOP, 302, 999, 1)
    crowd(watch, SHOP, 200, 100, 4)
    assert len(watch.suspects) >= 90
    assert "203.0.3.231" not in watch.suspects


def test_a_crowd_of_last_night_is_over():
    found = Crowd()
    for number in range(100):
        for _ in range(2):
            found.refused("/login", str(number), 0.0, certain=True)
    assert found.besieged()
    assert not found.refused("/login", "late", 4000.0, certain=True)
    assert not found.besieged()


def test_memory_is_bounded_whatever_pages_and_sources_come():
    found = Crowd()
    for number in range(SOURCES_MAX * 2):
        found.refused("/login", str(number), float(number) / 100, certain=True)
        found.refused(f"/{number}", "x", float(number) / 100, certain=True)
    assert len(found._doors) == DOORS_MAX
    assert len(found._doors["/login"]._sources) == SOURCES_MAX


def test_what_one_node_has_seen_counts_on_the_other():
    here, there = Watch(), Watch()
    attack = "GET /p?id=1%27%20UNION%20SELECT%20{},password%20FROM%20users-- HTTP/1.1"
    for number in range(2):
        here.post(attack.format(number), 404, 7, number)
    assert not here.suspects
    source = here.engine.sources.get("203.0.0.7")
    assert source is not None
    told = here.engine.to_tell(source.at, 10)
    assert [each.source for each in told] == ["203.0.0.7"]
    assert not here.engine.to_tell(source.at, 10), "once"
    for each in told:
        there.engine.hear(each, source.at)
    assert not there.suspects
    there.post(attack.format(3), 404, 7, 3)
    assert there.suspects["203.0.0.7"] >= 100


def test_what_is_heard_fades_and_is_not_told_back():
    watch = Watch()
    other = Watch()
    for number in range(2):
        other.post(f"GET /p?q=<script>alert({number}) HTTP/1.1", 404, 7, number)
    now = other.engine.sources.get("203.0.0.7").at  # type: ignore[union-attr]
    for each in other.engine.to_tell(now, 10):
        watch.engine.hear(each, now)
    source = watch.engine.sources.get("203.0.0.7")
    assert source is not None
    assert not watch.engine.to_tell(now, 10)
    before = source.heard
    source.fade(now + 600)
    assert source.heard == before / 2


def test_by_the_other_nodes_word_alone_nobody_is_judged():
    """A search engine with dead links has a score, too, and only its lines say who it is."""
    heard = Held("203.0.0.7", 150.0, 150.0, {"missing": 150.0})
    stranger, known = Watch(), Watch()
    stranger.engine.hear(heard, 1_000_000.0)
    assert not stranger.suspects
    known.post("GET /p?q=<script>alert(1) HTTP/1.1", 404, 7, 1)
    source = known.engine.sources.get("203.0.0.7")
    assert source is not None
    known.engine.hear(heard, source.at)
    assert known.suspects["203.0.0.7"] >= 100


def test_a_log_that_is_read_late_is_judged_as_if_it_had_been_read_at_once():
    """The other node is told, and heard, now; the lines were written an hour ago."""
    for heard in ([], [Held("203.0.0.7", 10.0, 10.0, {"injection": 10.0})]):
        watch = Watch()
        for number in range(3):
            assert not watch.suspects
            watch.post(
                f"GET /p?id={number}%27%20UNION%20SELECT%20a%20FROM%20b-- HTTP/1.1", 404, 7, 0
            )
            source = watch.engine.sources.get("203.0.0.7")
            assert source is not None
            late = source.at + 3600
            watch.engine.to_tell(late, 10)
            for each in heard:
                watch.engine.hear(each, late)
        assert watch.suspects["203.0.0.7"] >= 100
