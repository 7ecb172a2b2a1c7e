"""From requests to figures: outages by hand-made visitors."""

from __future__ import annotations

from shoestring.lab.cost import Cost
from shoestring.lab.figures import figures
from shoestring.lab.holders import Sample
from shoestring.lab.measure import (
    Request,
    holder_changes,
    outage_seconds,
    served,
    two_holders_seconds,
)
from shoestring.lab.scenarios import SCENARIOS
from shoestring.lab.table import Round, median_outage, worst_outage


def every(step: float, begin: float, end: float, *, ok: bool = True, node: str = "alpha"):
    count = round((end - begin) / step)
    return [Request(begin + i * step, 0.001, ok, node, kept_alive=False) for i in range(count)]


def test_no_failed_request_is_no_outage():
    assert outage_seconds(every(0.01, 0, 5), 1.0, 5.0) == 0.0


def test_an_outage_runs_from_the_last_good_answer_to_the_next():
    requests = every(0.01, 0, 1) + every(0.01, 1, 1.5, ok=False) + every(0.01, 1.5, 5, node="beta")
    found = outage_seconds(requests, 1.0, 5.0)
    assert found is not None
    assert abs(found - 0.51) < 0.005


def test_never_back_is_none():
    requests = every(0.01, 0, 1) + every(0.01, 1, 5, ok=False)
    assert outage_seconds(requests, 1.0, 5.0) is None


def test_who_served():
    requests = every(0.01, 0, 1) + every(0.01, 1, 3, node="beta") + every(0.1, 0, 9, ok=False)
    assert served(requests) == "beta"
    assert served([]) == ""


def test_two_holders_are_counted_between_the_bounds_alone():
    samples = [Sample(0, ("alpha",)), Sample(1, ("alpha", "beta")), Sample(3, ("beta",))]
    assert two_holders_seconds(samples, 2.0, 10.0) == 1.0
    assert two_holders_seconds(samples, 5.0, 10.0) == 0.0


def test_to_and_fro_are_two_changes():
    samples = [Sample(0, ("alpha",)), Sample(2, ("beta",)), Sample(2.5, ("alpha",))]
    assert holder_changes(samples, 1.0, 10.0) == 2
    assert holder_changes(samples, 3.0, 10.0) == 0


def made(scenario: str, outage: float | None, contender: str = "shoestring", failed: int = 0):
    return Round(scenario, contender, 1, 3000, failed, outage, 0.01, "alpha", "beta", 0.0)


def test_medians_treat_never_as_the_longest():
    rounds = [made("apache-stop", None), made("apache-stop", 0.1), made("apache-stop", 0.2)]
    assert median_outage(rounds) == 0.2
    assert worst_outage(rounds) is None


def test_the_table_can_fall_short():
    slow = [made("apache-stop", 0.4), made("apache-stop", 2.7, "tutorial")]
    found = {figure.name: figure.holds for figure in figures(slow, Cost(100, 1), 20)}
    assert found["apache-stop: outage, median of 1"] is False
    assert found["apache-stop: rival / ours"] is False
    assert found["agent resident"] is False
    assert found["agent processor at rest"] is True
    assert found["lab up, warm base"] is False


def test_a_failed_request_in_a_planned_move_falls_short():
    found = figures([made("planned-move", 0.0, failed=1)], None, 0)
    assert [figure.holds for figure in found if "failed" in figure.name] == [False]


def test_a_scenario_that_was_not_run_has_no_figure():
    found = figures([made("apache-stop", 0.1)], None, 0)
    assert all(figure.name.startswith("apache-stop") for figure in found)


def test_two_holders_fall_short():
    round_ = Round("keepalived-kill", "shoestring", 1, 9, 0, 0.3, 0.1, "alpha", "beta", 0.2)
    found = {figure.name: figure.holds for figure in figures([round_], None, 0)}
    assert found["keepalived-kill: two holders"] is False


def test_the_scenarios_are_those_of_the_drill():
    assert list(SCENARIOS) == [
        "apache-stop",
        "apache-hang",
        "mariadb-stop",
        "mariadb-hang",
        "cable-cut",
        "cable-back",
        "power-cut",
        "keepalived-kill",
        "agent-kill",
        "agent-stop",
        "agent-upgrade",
        "planned-move",
        "busy-cpu",
        "node-return",
    ]
