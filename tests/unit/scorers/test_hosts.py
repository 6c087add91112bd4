"""Async scorers run in hosts: what one does to its process reaches neither the service nor another package."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.scorers import (
    BoundScorer,
    InvalidOutput,
    NoJudgement,
    Registry,
    Report,
    Runner,
    ScorerDied,
    ScorerRaised,
    ScorerTimeout,
    ScorerVersionUnavailable,
)
from app.scorers.coroutines import MAX_ABANDONED
from app.scorers.errors import BystanderDied
from app.scorers.failures import Failure
from tests.unit.scorers.timed import run_within

CALL = {"id": "c1", "op_name": "ask", "inputs": {"question": []}, "output": "four", "attributes": {}}
GENEROUS = 60.0

Bind = Callable[..., BoundScorer]
Go = Callable[..., Any]


def test_an_async_scorer_runs_beside_the_service_and_those_of_a_package_share_a_process(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            pids = [int(await run_within(runner, bind("where"), CALL, GENEROUS)) for _ in range(2)]
            assert await run_within(runner, bind("async_length"), CALL, GENEROUS) == b'{"score":4}'
            assert pids[0] == pids[1] != os.getpid()
        with pytest.raises(ProcessLookupError):
            os.kill(pids[0], 0)

    assert bind("where").mode == "async"
    go(scenario())


def test_nothing_lies_in_the_temporary_folder_of_who_is_killed_unless_a_worker_process_ran(
    go: Go, bind: Bind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def scenario() -> None:
        async with Runner() as runner:
            await run_within(runner, bind("async_length"), CALL, GENEROUS)
            assert list(tmp_path.iterdir()) == []
            await run_within(runner, bind("text_length"), CALL, GENEROUS)
            assert len(list(tmp_path.iterdir())) == 1
        assert list(tmp_path.iterdir()) == []

    go(scenario())


def test_an_async_scorer_is_cancelled_at_its_timeout(go: Go, bind: Bind, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(ScorerTimeout, match=r"longer than its time-out of 0.01 s"):
                await run_within(
                    runner, bind("says_that_it_was_cancelled"), CALL | {"output": str(tmp_path / "a")}, 0.01
                )
            await _until((tmp_path / "a.cancelled").exists)  # a moment later: nobody waits for how a scorer takes it

    go(scenario())


def test_a_cancelled_caller_is_free_at_once_and_its_scorer_is_cancelled(go: Go, bind: Bind, tmp_path: Path) -> None:
    async def scenario() -> None:
        started = tmp_path / "a"
        async with Runner() as runner:
            run = run_within(runner, bind("says_that_it_was_cancelled"), CALL | {"output": str(started)}, GENEROUS)
            caller = asyncio.create_task(run)
            await _until(started.exists)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            await _until((tmp_path / "a.cancelled").exists)

    go(scenario())


@pytest.mark.parametrize("kind", ["blocks_for_ever", "computes_for_ever"])
def test_a_scorer_that_blocks_its_host_is_timed_out_named_and_the_only_one_that_has_failed(
    go: Go, bind: Bind, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.scorers.host_process.MOST_SILENT", 3.0)
    blocks = bind(kind)

    async def scenario() -> None:
        async with Runner() as runner:
            first = int(await run_within(runner, bind("where"), CALL, GENEROUS))
            neighbours = [
                asyncio.create_task(run_within(runner, bind("never_answers"), CALL, seconds))
                for seconds in (GENEROUS, 1.0)
            ]
            with pytest.raises(ScorerTimeout, match="hung"):
                await run_within(runner, blocks, CALL, 0.1)
            for neighbour in neighbours:
                with pytest.raises(BystanderDied, match=f"a run of {blocks.ref} did not await") as cut_off:
                    await neighbour
                assert (cut_off.value.type, cut_off.value.failure) == ("scorer_died", Failure.POSTPONED)
            assert int(await run_within(runner, bind("where"), CALL, GENEROUS)) != first

    go(scenario())
    [said] = [record.getMessage() for record in caplog.records if record.name == "app.scorers.host_process"]
    assert said.startswith(f"{blocks.ref} did not await for 3 s")
    assert f"in {kind}" in said
    assert "in _" not in said  # of ours


def test_where_it_is_not_known_whose_run_blocks_all_have_failed_and_are_told_where_it_was(
    go: Go, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.scorers.host_process.MOST_SILENT", 3.0)

    async def scenario() -> None:
        async with Runner() as runner:
            neighbour = asyncio.create_task(run_within(runner, bind("never_answers"), CALL, GENEROUS))
            with pytest.raises(ScorerTimeout, match="hung"):
                await run_within(runner, bind("has_what_blocks_begun"), CALL, 0.1)
            with pytest.raises(ScorerDied, match=r"did not await for 3 s, at File .* in _blocks") as died:
                await neighbour
            assert died.value.failure is Failure.TRANSIENT

    go(scenario())


def test_too_many_runs_that_ignore_their_cancellation_end_their_host_and_fail_no_other_run(go: Go, bind: Bind) -> None:
    ignores = bind("ignores_cancellation")

    async def scenario() -> None:
        async with Runner() as runner:
            first = int(await run_within(runner, bind("where"), CALL, GENEROUS))
            beside = asyncio.create_task(run_within(runner, bind("never_answers"), CALL, GENEROUS))
            outcomes = await asyncio.gather(
                *(run_within(runner, ignores, CALL, 0.01) for _ in range(MAX_ABANDONED)), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [ScorerTimeout] * MAX_ABANDONED
            with pytest.raises(BystanderDied, match=f"{MAX_ABANDONED} runs of {ignores.ref} ignored") as cut_off:
                await beside
            assert cut_off.value.failure is Failure.POSTPONED
            assert int(await run_within(runner, bind("where"), CALL, GENEROUS)) != first

    go(scenario())


def test_a_host_that_is_blocked_is_not_taken_for_one_that_loads_what_it_has_yet_to_read(
    go: Go, bind: Bind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.scorers.host_process.MOST_SILENT", 3.0)

    async def scenario() -> None:
        async with Runner() as runner:
            blocks = run_within(runner, bind("blocks_for_ever"), CALL | {"output": str(tmp_path / "a")}, GENEROUS)
            blocked = asyncio.create_task(blocks)
            await _until((tmp_path / "a").exists)
            with pytest.raises(ScorerDied, match="did not await"):
                await run_within(runner, bind("where"), CALL, GENEROUS)  # which its host would have to load
            with pytest.raises(ScorerDied, match=r"^It did not await for 3 s, at File .* in blocks_for_ever"):
                await blocked

    go(scenario())


def test_a_scorer_that_ends_its_host_harms_no_other_package(
    go: Go, bind: Bind, write_module: Callable[[str, str], None]
) -> None:
    write_module("other_package", "from app.scorers import scorer\nimport asyncio\n" + OTHER)
    other = Registry.load(["other_package"]).bind("waits", "waits", {})

    async def scenario() -> None:
        async with Runner() as runner:
            waits = asyncio.create_task(run_within(runner, other, CALL, GENEROUS))
            with pytest.raises(ScorerDied, match=r"^Its process ended with exit code 7"):
                await run_within(runner, bind("async_exits"), CALL, GENEROUS)
            assert await waits == b'"waited"'
            assert await run_within(runner, bind("async_length"), CALL, GENEROUS) == b'{"score":4}'

    go(scenario())


OTHER = """
@scorer
async def waits(output):
    await asyncio.sleep(0.5)
    return "waited"
"""


def test_what_a_scorer_raises_and_returns_comes_as_it_was(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(InvalidOutput, match=r"\$ is nan"):
                await run_within(runner, bind("async_nan"), CALL, GENEROUS)
            with pytest.raises(ScorerRaised) as raised:
                await run_within(runner, bind("async_system_exit"), CALL, GENEROUS)
            assert raised.value.type == "SystemExit"
            with pytest.raises(NoJudgement) as odd:  # its class can be made by nobody else
                await run_within(runner, bind("raises_an_odd_error"), CALL, GENEROUS)
            said = odd.value
            assert (said.type, str(said), said.failure) == ("odd", "nothing to say", Failure.THROTTLED)
            assert (said.retry_after, said.raw) == (3.0, "raw")
            with pytest.raises(NoJudgement, match="nothing to say"):
                await run_within(runner, bind("raises_what_holds_an_odd_object"), CALL, GENEROUS)
            for kind in ("reports_what_cannot_be_sent", "reports_no_lineage", "reports_a_cost_without_end"):
                with pytest.raises(NoJudgement) as unsent:
                    await asyncio.wait_for(run_within(runner, bind(kind), CALL, GENEROUS), 10)
                assert (unsent.value.type, unsent.value.failure) == ("invalid_report", Failure.TERMINAL)
            assert await run_within(runner, bind("async_length"), CALL, GENEROUS) == b'{"score":4}'

    go(scenario())


def test_an_async_scorer_cannot_change_the_call_for_others(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            for _ in range(2):
                assert await run_within(runner, bind("changes_its_input"), CALL, GENEROUS) == b"1"

    go(scenario())


def test_a_run_that_is_over_may_ask_nobody_and_ends(go: Go, bind: Bind, tmp_path: Path) -> None:
    async def scenario() -> None:
        asked: list[Any] = []
        file = tmp_path / "ended"
        async with Runner() as runner:
            with pytest.raises(ScorerTimeout):
                await run_within(
                    runner, bind("asks_when_it_is_over"), CALL | {"output": str(file)}, 0.01, Report(), asked.append
                )
            await asyncio.wait_for(_until(file.exists), 10)
        assert asked == []

    go(scenario())


def test_what_was_asked_before_its_host_was_killed_is_known(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        asked = 0

        def asking(may_ask: Callable[[], None]) -> None:
            nonlocal asked
            asked += 1
            may_ask()

        async with Runner() as runner:
            told = Report()
            with pytest.raises(ScorerDied):
                await run_within(runner, bind("asks_twice"), CALL, GENEROUS, told, asking)
        assert (asked, told.lineage) == (2, {"model": "m"})
        assert (told.requests, told.input_tokens, told.output_tokens, told.unanswered) == (1, 3, 4, 1)

    go(scenario())


@pytest.mark.parametrize("kind", ["asks_twice", "AsksAlways"])
def test_nobody_is_asked_before_that_is_allowed(go: Go, bind: Bind, kind: str) -> None:
    async def scenario() -> None:
        wanted: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
        told = Report()
        async with Runner() as runner:
            run = asyncio.create_task(run_within(runner, bind(kind), CALL, GENEROUS, told, wanted.put_nowait))
            may_ask = await wanted.get()
            # Another run begins and ends behind it: by then it would have asked.
            await run_within(runner, bind("async_length"), CALL, GENEROUS)
            assert not run.done()
            assert (told.requests, told.unanswered) == (0, 0)
            may_ask()
            if kind == "AsksAlways":
                assert await run == b'"asked"'
                assert (told.requests, told.unpriced, told.unanswered) == (1, 1, 0)
            else:
                await wanted.get()
                assert (told.requests, told.unanswered) == (1, 0)
                run.cancel()

    go(scenario())


def test_each_of_several_questions_at_once_waits_for_a_word_of_its_own(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        wanted: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
        told = Report()
        async with Runner() as runner:
            run = asyncio.create_task(
                run_within(runner, bind("AsksAlways", times=3), CALL, GENEROUS, told, wanted.put_nowait)
            )
            for _ in range(3):
                (await wanted.get())()
            assert await run == b'"asked"'
            assert (told.requests, told.unanswered, wanted.empty()) == (3, 0, True)

    go(scenario())


def test_of_several_questions_at_once_that_are_cut_off_each_is_on_the_bill(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        told = Report()
        async with Runner() as runner:
            asks = bind("AsksAlways", times=3, dies=True)
            with pytest.raises(ScorerDied):
                await run_within(runner, asks, CALL, GENEROUS, told, lambda may_ask: may_ask())
        assert (told.requests, told.unanswered) == (0, 3)

    go(scenario())


def test_what_was_allowed_and_not_asked_is_on_no_bill(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        told = Report()
        async with Runner() as runner:
            assert (
                await run_within(runner, bind("AsksAfterAll"), CALL, GENEROUS, told, lambda may_ask: may_ask())
                == b'"fine"'
            )
        assert (told.requests, told.unanswered) == (0, 0)

    go(scenario())


def test_that_a_host_has_ended_is_seen_although_a_child_of_a_scorer_lives_on(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(ScorerDied, match="exit code 7"):
                await asyncio.wait_for(run_within(runner, bind("ends_beside_a_child"), CALL, GENEROUS), 10)

    go(scenario())


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_who_waits_for_a_host_that_starts_when_the_runner_stops_is_told(go: Go, bind: Bind, turns: int) -> None:
    async def scenario() -> None:
        runner = Runner()
        async with runner:
            run = asyncio.create_task(run_within(runner, bind("never_answers"), CALL, GENEROUS))
            for _ in range(turns):
                await asyncio.sleep(0)
        with pytest.raises(ScorerDied, match="service stops"):
            await asyncio.wait_for(run, 10)
        async with runner:
            assert await run_within(runner, bind("async_length"), CALL, GENEROUS) == b'{"score":4}'

    go(scenario())


def test_who_waits_for_an_async_scorer_when_the_runner_stops_is_told(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            run = asyncio.create_task(run_within(runner, bind("never_answers"), CALL, GENEROUS))
            await run_within(runner, bind("async_length"), CALL, GENEROUS)
        with pytest.raises(ScorerDied):
            await asyncio.wait_for(run, 1)

    go(scenario())


def test_hosts_that_have_ended_leave_no_file_open(go: Go, bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def fails(*_: object, **__: object) -> None:
        raise OSError("Cannot allocate memory")

    async def scenario() -> None:
        async with Runner() as runner:
            await run_within(runner, bind("async_length"), CALL, GENEROUS)
        before = opened()
        async with Runner() as runner:
            await run_within(runner, bind("async_length"), CALL, GENEROUS)
            with pytest.raises(ScorerDied):
                await run_within(runner, bind("async_exits"), CALL, GENEROUS)
            monkeypatch.setattr("asyncio.create_subprocess_exec", fails)
            with pytest.raises(ScorerDied, match="No process could be started"):
                await run_within(runner, bind("async_length"), CALL, GENEROUS)
        await _until(lambda: opened() <= before)  # less if garbage of earlier tests has gone

    go(scenario())


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(GENEROUS):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_a_scorer_is_ready_once_its_host_has_loaded_it(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        loaded = asyncio.Event()
        async with Runner() as runner:
            assert not runner.ready(bind("async_length"), loaded.set)
            await loaded.wait()
            assert runner.ready(bind("async_length"), loaded.set)
            loaded.clear()
            assert not runner.ready(bind("where"), loaded.set)
            await loaded.wait()
            assert runner.ready(bind("where"), loaded.set)

    go(scenario())


def test_one_that_cannot_be_loaded_any_more_is_ready_and_its_run_says_why(
    go: Go, write_module: Callable[[str, str], None], tmp_path: Path
) -> None:
    write_module("vanishes", "from app.scorers import scorer\nimport asyncio\n" + OTHER)
    bound = Registry.load(["vanishes"]).bind("waits", "waits", {})
    (tmp_path / "vanishes.py").unlink()

    async def scenario() -> None:
        loaded = asyncio.Event()
        async with Runner() as runner:
            assert not runner.ready(bound, loaded.set)
            await loaded.wait()
            assert runner.ready(bound, loaded.set)
            with pytest.raises(ScorerRaised, match="vanishes"):
                await run_within(runner, bound, CALL, GENEROUS)

    go(scenario())


def test_one_that_could_not_be_loaded_is_loaded_by_a_later_run_once_it_can_be(
    go: Go, write_module: Callable[[str, str], None], tmp_path: Path
) -> None:
    source = "from app.scorers import scorer\nimport asyncio\n" + OTHER
    write_module("comes_back", source)
    bound = Registry.load(["comes_back"]).bind("waits", "waits", {})
    file = tmp_path / "comes_back.py"

    async def scenario() -> None:
        async with Runner() as runner:
            file.write_text("import nobody_has_this\n")
            with pytest.raises(ScorerRaised, match="nobody_has_this"):
                await run_within(runner, bound, CALL, GENEROUS)
            file.write_text(source.replace('"waited"', '"waited for another version"'))
            with pytest.raises(ScorerVersionUnavailable):
                await run_within(runner, bound, CALL, GENEROUS)
            assert runner.ready(bound, lambda: None)
            file.write_text(source)
            assert await run_within(runner, bound, CALL, GENEROUS) == b'"waited"'

    go(scenario())


def test_one_whose_host_ends_while_it_loads_is_ready_also_if_others_of_its_package_have_run(
    go: Go, write_module: Callable[[str, str], None], tmp_path: Path
) -> None:
    source = "from app.scorers import scorer\nimport asyncio\n" + OTHER
    for name in ("good", "bad"):
        write_module(f"half_bad.{name}", source.replace("waits", name))
    found = Registry.load(["half_bad.good", "half_bad.bad"])
    good, bad = found.bind("good", "good", {}), found.bind("bad", "bad", {})
    (tmp_path / "half_bad" / "bad.py").write_text("import os\nos._exit(5)\n")

    async def scenario() -> None:
        ended = asyncio.Event()
        async with Runner() as runner:
            assert await run_within(runner, good, CALL, GENEROUS) == b'"waited"'
            assert not runner.ready(bad, ended.set)
            await ended.wait()
            assert runner.ready(bad, ended.set)
            with pytest.raises(ScorerDied, match="exit code 5"):
                await run_within(runner, bad, CALL, GENEROUS)
            assert await run_within(runner, good, CALL, GENEROUS) == b'"waited"'

    go(scenario())


def test_one_whose_host_ends_while_it_loads_is_ready_and_its_run_says_so(
    go: Go, write_module: Callable[[str, str], None], tmp_path: Path
) -> None:
    write_module("ends_all", "from app.scorers import scorer\nimport asyncio\n" + OTHER)
    bound = Registry.load(["ends_all"]).bind("waits", "waits", {})
    (tmp_path / "ends_all.py").write_text("import os\nos._exit(5)\n")

    async def scenario() -> None:
        ended = asyncio.Event()
        async with Runner() as runner:
            assert not runner.ready(bound, ended.set)
            await ended.wait()
            assert runner.ready(bound, ended.set)
            with pytest.raises(ScorerDied, match="exit code 5"):
                await run_within(runner, bound, CALL, GENEROUS)

    go(scenario())
