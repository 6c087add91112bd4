"""Why the tasks of a scorer are not started now: its breaker is open, or its spend cap is reached, or cannot hold."""

from typing import NamedTuple

from tables import breakers, spending, unpriced


class Pause(NamedTuple):
    """`until` is when it may be over. Times are Unix seconds."""

    reason: str | None
    since: float
    until: float


def of(project_id: str, scorer_ref: str) -> Pause | None:
    """The pause of a scorer in a project; None while there is none."""
    breaker = breakers.open_state(scorer_ref)
    if breaker is not None:
        return Pause(breaker.reason, breaker.since, breaker.probe_at)
    cap = spending.reached(project_id, scorer_ref)
    if cap is not None:
        reason = f"spend_cap_reached: the {cap.usd:g} USD that this scorer may cost a day in this project are spent"
        return Pause(reason, cap.since, cap.until)
    said = unpriced.of(project_id, scorer_ref)
    if said is not None:
        return Pause(f"spend_cap_without_price: {said.reason}", said.since, said.until)
    return None
