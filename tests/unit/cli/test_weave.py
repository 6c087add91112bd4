"""`callscore weave`: pulling calls from a Weave beside the service, and pushing scores to it."""

import asyncio
import signal
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from app.client.errors import Refused, Unreachable
from app.client.http import Client, Service
from app.client.weave.counts import Counts
from app.client.weave.pull import Pull
from app.client.weave.push import feedback_id, object_name
from app.client.weave.service import Weave
from app.commands import weave as commands

from .command import Command
from .fake_service import Answer, FakeService, score
from .fake_weave import FakeWeave
from .serving import serving

KEY = "a-secret-key"


@pytest.fixture
async def weave() -> AsyncIterator[FakeWeave]:
    async with serving(FakeWeave()) as fake:
        yield fake


@pytest.fixture
def beside(callscore: Command) -> Command:
    """The command, told where the service is, and the key for Weave."""
    callscore.env["WANDB_API_KEY"] = KEY
    return callscore


def pulling(weave: FakeWeave) -> tuple[str, ...]:
    return "weave", "pull", "--from", weave.url, "--project", "a/b"


def pushing(weave: FakeWeave) -> tuple[str, ...]:
    return "weave", "push", "--to", weave.url, "--project", "a/b"


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


async def test_ended_calls_are_pulled_once_without_what_weave_computes(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    weave.log("c1", display_name="shown", exception=None)
    weave.log("c2", ended_at=None)
    ended = await beside(*pulling(weave))
    assert (ended.code, ended.out, ended.err) == (0, "1 call pulled, 0 refused.\n", "")
    assert service.calls == {
        "c1": {
            "id": "c1", "project_id": "a/b", "trace_id": "c1", "op_name": "op", "display_name": "shown",
            "started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:00:01Z", "attributes": {},
            "inputs": {"q": "c1"}, "output": "of c1", "summary": {"usage": {}},
        }
    }  # fmt: skip
    assert weave.authorization == {f"Basic {b64encode(f'api:{KEY}'.encode()).decode()}"}
    weave.calls["c2"]["ended_at"] = "2026-01-02T00:00:00Z"
    ended = await beside(*pulling(weave), "--json")
    assert (ended.code, orjson.loads(ended.out)) == (0, {"pulled": 1, "refused": 0})
    assert [len(orjson.loads(batch)["batch"]) for batch in service.batches] == [1, 1]


@pytest.mark.parametrize("count", range(8))
async def test_no_call_is_lost_at_the_edge_of_a_page_though_all_end_at_the_same_time(
    service: FakeService, weave: FakeWeave, count: int
) -> None:
    for number in range(count):
        weave.log(f"c{number}")
    service.calls = {"b": {"id": "b"}, "c1": {"id": "c1"}, "d": {"id": "d"}}
    async with Client(Service(service.url)) as client, Weave(weave.url, KEY) as remote:
        pull = Pull(client, remote, "a/b", page=3)
        await pull.run()
    assert set(weave.calls) <= set(service.calls)
    assert pull.counts.moved == count - (count > 1)


async def test_passes_in_between_find_calls_that_end_and_arrive_late_and_send_none_twice(
    service: FakeService, weave: FakeWeave
) -> None:
    weave.log("runs", ended_at=None, started_at=ago(90_000))
    weave.log("new", ended_at=ago(1))
    async with Client(Service(service.url)) as client, Weave(weave.url, KEY) as remote:
        pull = Pull(client, remote, "a/b")
        await pull.run()
        assert set(service.calls) == {"new"}
        weave.calls["runs"]["ended_at"] = ago(0)
        weave.log("arrived late", ended_at=ago(3_000))
        weave.log("arrived much later", ended_at=ago(90_000))
        await pull.run()
        await pull.run()
        assert set(service.calls) == {"new", "runs", "arrived late"}
        assert len(service.batches) == 2
    async with Client(Service(service.url)) as client, Weave(weave.url, KEY) as remote:
        await Pull(client, remote, "a/b").run()
    assert set(service.calls) == set(weave.calls)


async def test_a_pull_that_was_killed_goes_on_with_what_callscore_lacks(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    for number in range(250):
        weave.log(f"c{number:03}")
    service.hold_after = 1
    process = await beside.start(*pulling(weave))
    await asyncio.wait_for(service.held.wait(), 30)
    process.send_signal(signal.SIGKILL)
    await beside.end(process)
    assert len(service.calls) == 100
    service.hold_after = None
    ended = await beside(*pulling(weave))
    assert ended.out == "150 calls pulled, 0 refused.\n"
    assert set(service.calls) == set(weave.calls)


async def test_calls_that_are_refused_are_named_and_harm_no_others(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    for number in range(5):
        weave.log(f"c{number}")
    service.refuse = {"c3"}
    ended = await beside(*pulling(weave))
    assert (ended.code, ended.out, ended.err) == (1, "4 calls pulled, 1 refused.\n", "c3: call c3 is refused\n")


async def test_since_and_expand_reach_weave(beside: Command, weave: FakeWeave) -> None:
    weave.log("c1", ended_at="2026-01-01T00:00:00Z")
    weave.log("c2", ended_at="2026-01-02T00:00:00Z")
    ended = await beside(*pulling(weave), "--since", "2026-01-02T01:00:00+01:00", "--expand", "inputs.example")
    assert ended.out == "1 call pulled, 0 refused.\n"
    [whole] = [body for body in weave.asked("/calls/stream_query") if "filter" in body]
    assert whole == {"project_id": "a/b", "filter": {"call_ids": ["c2"]}, "expand_columns": ["inputs.example"]}


async def test_an_outage_of_weave_is_waited_for_and_half_an_answer_does_not_count(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    for number in range(5):
        weave.log(f"c{number}")
    weave.first = [(429, {"Retry-After": "0"}, b""), (503, {}, b'{"reason": "maintenance"}')]
    weave.broken = 2
    ended = await beside(*pulling(weave))
    assert (ended.code, ended.out) == (0, "5 calls pulled, 0 refused.\n")
    assert "failed (503): maintenance; trying again for up to 300 s.\n" in ended.err
    assert set(service.calls) == set(weave.calls)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, {}, b""), "does not accept the key in WANDB_API_KEY."),
        ((403, {}, b'{"reason": "not yours"}'), "may not do that at {url}: not yours."),
        ((404, {}, b""), "found nothing for {path}: it answered 404. Check the URL and the project."),
        ((422, {}, f'{{"reason": "no {KEY}"}}'.encode()), "refused the request (422): no ***."),
        ((302, {"Location": "/login"}, b""), "does not answer as Weave does (302); check the URL."),
        ((200, {}, b"<html>"), "does not answer as Weave does; check the URL."),
    ],
)
async def test_every_refusal_of_weave_is_one_sentence_without_the_key(
    beside: Command, service: FakeService, weave: FakeWeave, answer: Answer, sentence: str
) -> None:
    service.scores = [score("c1")]
    for command, path in ((pulling(weave), "/calls/stream_query"), (pushing(weave), "/feedback/query")):
        weave.first = [answer]
        ended = await beside(*command)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.endswith(f"{sentence.format(url=weave.url, path=path)}\n")
        assert ended.err.count("\n") == 1
        assert KEY not in ended.err


@pytest.mark.parametrize(
    "url",
    ["http://trace.wandb.ai", "ftp://127.0.0.1", "https://", "https://me:secret@trace.wandb.ai", "https://a/?b=c"],
)
async def test_the_key_is_sent_only_over_https_or_to_this_machine(beside: Command, url: str) -> None:
    for command in (("pull", "--from"), ("push", "--to")):
        ended = await beside("weave", *command, url, "--project", "a/b")
        assert (ended.code, ended.out) == (2, "")


async def test_the_key_for_a_weave_of_this_machine_is_sent_through_no_proxy(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    weave.log("c1")
    async with serving(FakeWeave()) as proxy:
        beside.env["http_proxy"] = proxy.url
        assert (await beside(*pulling(weave))).out == "1 call pulled, 0 refused.\n"
    assert proxy.authorization == set()


async def test_a_missing_key_and_the_service_itself_are_errors_of_usage(
    callscore: Command, service: FakeService, weave: FakeWeave
) -> None:
    callscore.env.pop("WANDB_API_KEY", None)
    ended = await callscore(*pulling(weave))
    assert (ended.code, ended.err) == (2, f"Set WANDB_API_KEY to your key for {weave.url}.\n")
    ended = await callscore("weave", "push", "--to", service.url, "--project", "a/b")
    assert (ended.code, ended.out) == (2, "")
    assert "are the same" in ended.err


async def test_succeeded_scores_are_pushed_once_as_weaves_own_scorers_write_them(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    service.scores = [score("c1"), score("c2", output=0.5, scorer_ref="weave:///a/b/object/judge:d2")]
    assert (await beside(*pushing(weave))).out == "2 scores pushed, 0 refused.\n"
    assert (await beside(*pushing(weave))).out == "0 scores pushed, 0 refused.\n"
    assert all(request.query["status"] == "succeeded" for request in service.seen)
    common = {"project_id": "a/b", "weave_ref": "weave:///a/b/call/c1", "feedback_type": "wandb.runnable.refusal"}
    refusal, judge = weave.feedback.values()
    runnable = {"runnable_ref": "weave:///a/b/object/refusal:d1"}
    assert refusal == {"id": refusal["id"], **common, "payload": {"output": {"passed": True}}, **runnable}
    assert (judge["feedback_type"], judge["payload"]) == ("wandb.runnable.judge", {"output": 0.5})
    assert judge["runnable_ref"] == "weave:///a/b/object/judge:d2"
    assert weave.objects["refusal"]["ref_in_callscore"] == service.scores[0]["scorer_ref"]


async def test_a_new_revision_replaces_the_feedback_of_the_one_before(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    service.scores = [score("c1"), score("c2")]
    await beside(*pushing(weave))
    weave.feedback["theirs"] = {"id": "theirs", "weave_ref": "weave:///a/b/call/c1"}
    service.scores = [score("c1", revision=3, output={"passed": False}), score("c2")]
    assert (await beside(*pushing(weave))).out == "1 score pushed, 0 refused.\n"
    outputs = {row["weave_ref"]: row["payload"]["output"] for row in weave.feedback.values() if "payload" in row}
    assert outputs == {"weave:///a/b/call/c1": {"passed": False}, "weave:///a/b/call/c2": {"passed": True}}
    assert set(weave.feedback) == {"theirs", *map(feedback_id, service.scores)}


async def test_a_refused_score_keeps_no_other_from_replacing_its_feedback(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    service.scores = [score("c1")]
    await beside(*pushing(weave))
    weave.refuse = {"c2"}
    service.scores = [score("c1", revision=2), score("c2")]
    assert (await beside(*pushing(weave))).out == "1 score pushed, 1 refused.\n"
    assert set(weave.feedback) == {feedback_id(service.scores[0])}


async def test_a_call_that_weave_lists_but_does_not_return_is_asked_for_again(
    service: FakeService, weave: FakeWeave
) -> None:
    weave.log("c1", ended_at=ago(1))
    async with Client(Service(service.url)) as client, Weave(weave.url, KEY) as remote:
        pull = Pull(client, remote, "a/b")
        weave.lacks = {"c1"}
        await pull.run()
        assert service.calls == {}
        weave.lacks = set()
        await pull.run()
        assert set(service.calls) == {"c1"}


async def test_a_push_that_was_killed_before_it_was_answered_writes_nothing_twice(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    service.scores = [score(f"c{number:03}") for number in range(250)]
    weave.hold_feedback_after = 1
    process = await beside.start(*pushing(weave))
    await asyncio.wait_for(weave.held.wait(), 30)
    process.send_signal(signal.SIGKILL)
    await beside.end(process)
    weave.hold_feedback_after = None
    assert (await beside(*pushing(weave))).out == "50 scores pushed, 0 refused.\n"
    sent = [row["id"] for body in weave.asked("/feedback/batch/create") for row in body["batch"]]
    assert len(sent) == len(set(sent)) == 250


async def test_an_object_of_the_same_name_in_weave_stays_as_it_is(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    service.scores = [score("c1")]
    weave.objects["refusal"] = {"_class_name": "Prompt"}
    assert (await beside(*pushing(weave))).code == 0
    [row] = weave.feedback.values()
    assert row["runnable_ref"] == f"weave:///a/b/object/refusal:{str(service.scores[0]['scorer_ref'])[-32:]}"
    assert weave.objects == {"refusal": {"_class_name": "Prompt"}}


async def test_scores_that_weave_refuses_are_named_and_harm_no_others(
    beside: Command, service: FakeService, weave: FakeWeave
) -> None:
    service.scores = [score(f"c{number}") for number in range(5)]
    weave.refuse = {"c3"}
    ended = await beside(*pushing(weave))
    assert (ended.code, ended.out, ended.err) == (1, "4 scores pushed, 1 refused.\n", "c3: the payload is too large\n")
    service.scores = [score(f"c{number}") for number in range(100, 200)]
    weave.refuse = {f"c{number}" for number in range(100, 200)}
    assert (await beside(*pushing(weave))).err.endswith("refuses all scores: the payload is too large.\n")


async def test_since_leaves_out_older_scores(beside: Command, service: FakeService, weave: FakeWeave) -> None:
    service.scores = [score("c1"), score("c2", scored_at="2026-02-01T00:00:00Z")]
    assert (await beside(*pushing(weave), "--since", "2026-01-15T00:00:00Z")).out == "1 score pushed, 0 refused.\n"
    assert [row["weave_ref"] for row in weave.feedback.values()] == ["weave:///a/b/call/c2"]


async def test_following_goes_on_behind_an_outage_but_not_behind_a_refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "_PAUSE", 0)
    counts = Counts()
    ends = [Unreachable("Gone."), None, Refused("Busy.", 503, ""), None, Refused("No.", 403, "")]

    async def one_pass() -> None:
        if (error := ends.pop(0)) is not None:
            raise error
        counts.moved += 1

    with pytest.raises(Refused, match="No"):
        await commands._passes(one_pass, counts, "call", "pulled", follow=True, as_json=True)
    shown = [orjson.loads(line)["pulled"] for line in capsys.readouterr().out.splitlines()]
    assert shown == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "known"),
    [("refusal", "refusal"), ("is it/good: really?", "is-it-good-really"), ("größe", "größe"), ("??", "scorer")],
)
def test_names_are_those_that_weave_takes(name: str, known: str) -> None:
    assert object_name(name) == known
