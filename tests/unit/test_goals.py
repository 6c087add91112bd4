"""The table of goals that `make bench` writes."""

from typing import Any

from bench import goals, report

NO_OP: dict[str, Any] = {
    "no_op": [
        {"tasks_per_second": 4_000},
        {"callscore_is_faster_by": 7.0},
        {"callscore_is_faster_by": 6.0},
    ]
}


def rows(results: dict[str, Any], on_kafka: bool = False) -> dict[str, tuple[str, str]]:
    return {row["measure"]: (row["goal"], row["reached"]) for row in goals.table(results, on_kafka)}


def test_a_limit_is_reached_by_what_is_equal_to_it() -> None:
    assert rows(NO_OP)["times the peer that loses nothing"] == ("at least 6", "yes")
    assert rows({"dearest_over_cheapest": 1.15})["dearest task over cheapest"] == ("at most 1.15", "yes")


def test_each_log_has_its_own_limits() -> None:
    assert rows(NO_OP)["tasks/s, no-op"] == ("at least 10,000", "no")
    assert rows(NO_OP, on_kafka=True)["tasks/s, no-op"] == ("at least 4,000", "yes")


def test_what_was_not_measured_has_no_row() -> None:
    without_peer = {"no_op": NO_OP["no_op"][:1]}
    assert list(rows(without_peer)) == ["tasks/s, no-op"]
    assert rows({}) == {}


def test_what_is_only_reported_is_neither_reached_nor_missed() -> None:
    assert rows({"bytes_per_score": [{"bytes_per_score": 700.0}]}, on_kafka=True) == {"bytes per score": ("", "")}


def test_a_report_without_goals_has_no_table() -> None:
    assert report.markdown({"goals": goals.table({}, on_kafka=False), "us_of_a_task": 1}) == "- us_of_a_task: 1\n"
