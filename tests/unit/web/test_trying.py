"""A trial that names no scorer, or what is no id, is refused."""

import pytest

from tests.unit.web.client import Client


@pytest.mark.parametrize("field", ["project_id", "call_id"])
@pytest.mark.parametrize("bad_id", [rb'"\ud800"', rb'"x\udfff"'])
def test_a_trial_with_an_id_that_is_no_text_in_utf_8_is_refused(client: Client, field: str, bad_id: bytes) -> None:
    ids = {b"project_id": b'"p"', b"call_id": b'"c"', field.encode(): bad_id}
    trial = b", ".join(b'"%s": %s' % item for item in ids.items())
    answer = client.post("/scorers/try", b'{"scorer_ref": "callscore:///scorer/x:latest", ' + trial + b"}")
    [detail] = answer.json["detail"]
    assert (answer.status, detail["loc"], detail["type"]) == (422, ["body", field], "invalid_id")


@pytest.mark.parametrize("more", [{}, {"kind": "contains"}, {"scorer_ref": "s", "params": {"text": "x"}}])
def test_a_trial_of_no_scorer_or_of_a_published_one_with_other_parameters_is_refused(
    client: Client, more: dict[str, object]
) -> None:
    body = {"project_id": "a", "call_id": "c", **more}
    answer = client.post("/scorers/try", body | ({"scorer_ref": "s"} if "kind" in more else {}))
    assert answer.status == 422
    assert "Name either scorer_ref, or kind and params" in answer.json["detail"][0]["msg"]
