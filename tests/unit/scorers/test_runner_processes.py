"""Sync scorers: in worker processes, where none can stop another."""

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.scorers import (
    BoundScorer,
    InvalidOutput,
    MissingInput,
    Registry,
    Runner,
    ScorerDied,
    ScorerRaised,
    ScorerTimeout,
    ScorerVersionUnavailable,
)
from app.scorers.code import CodeRef, ScorerSource
from app.scorers.digest import code_digest
from app.scorers.loading import target_of_source
from app.scorers.processes import how_it_ended
from tests.unit.scorers.timed import run_within

CALL = {"id": "c1", "op_name": "ask", "inputs": {"question": "?"}, "output": "four", "attributes": {}}
GENEROUS = 60.0

Bind = Callable[..., BoundScorer]
Go = Callable[..., Any]
Write = Callable[[str, str], None]


def test_a_sync_scorer_runs_in_another_process(go: Go, bind: Bind) -> None:
    async def scenario() -> bytes:
        async with Runner() as runner:
            return await run_within(runner, bind("text_length"), CALL, GENEROUS)

    assert bind("text_length").mode == "process"
    assert orjson.loads(go(scenario())) == {"score": 4}


def test_a_model_keeps_its_parameters_in_another_process(go: Go, bind: Bind) -> None:
    async def scenario() -> bytes:
        async with Runner() as runner:
            return await run_within(runner, bind("Threshold", limit=4, label="long"), CALL, GENEROUS)

    assert orjson.loads(go(scenario())) == {"passed": True, "label": "long"}


def test_a_scorer_that_loops_for_ever_is_killed_at_its_timeout_and_its_slot_is_free_again(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner(processes=1, per_scorer=1) as runner:
            with pytest.raises(ScorerTimeout, match=r"longer than its time-out of 0\.2 s"):
                await run_within(runner, bind("loops_for_ever"), CALL, 0.2)
            assert await run_within(runner, bind("text_length"), CALL, GENEROUS) == b'{"score":4}'

    go(scenario())


def test_a_hanging_scorer_does_not_starve_the_others(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner(processes=4, per_scorer=4) as runner:
            hanging = [
                asyncio.create_task(run_within(runner, bind("loops_for_ever"), CALL, GENEROUS)) for _ in range(8)
            ]
            assert await run_within(runner, bind("text_length"), CALL, GENEROUS) == b'{"score":4}'
            assert not any(task.done() for task in hanging)
            for task in hanging:
                task.cancel()
            ended = await asyncio.gather(*hanging, return_exceptions=True)
            assert all(isinstance(error, asyncio.CancelledError) for error in ended)
            assert await run_within(runner, bind("text_length"), CALL, GENEROUS) == b'{"score":4}'

    go(scenario())


def test_the_timeout_does_not_count_the_wait_for_a_process(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner(processes=1, per_scorer=1) as runner:
            first = asyncio.create_task(run_within(runner, bind("loops_for_ever"), CALL, 4.0))
            await asyncio.sleep(0)
            assert await run_within(runner, bind("text_length"), CALL, 3.0) == b'{"score":4}'
            with pytest.raises(ScorerTimeout):
                await first

    go(scenario())


def test_the_timeout_does_not_count_the_import_of_the_scorer(go: Go, write_module: Write) -> None:
    write_module("slow_to_import", "import time\ntime.sleep(4)\ndef one(output): return 1\n__all__ = ['one']")
    bound = Registry.load(["slow_to_import"]).bind("one", "one", {})

    async def scenario() -> bytes:
        async with Runner() as runner:
            return await run_within(runner, bound, CALL, 3.0)

    assert go(scenario()) == b"1"


def test_a_scorer_that_is_not_imported_in_time_has_died_and_not_timed_out(
    go: Go, write_module: Write, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module("never_imported", "def one(output): return 1\n__all__ = ['one']")
    bound = Registry.load(["never_imported"]).bind("one", "one", {})
    write_module("never_imported", "import time\ntime.sleep(60)")

    async def scenario() -> None:
        async with Runner(processes=1) as runner:
            with monkeypatch.context() as patch:
                patch.setattr("app.scorers.processes.START_ALLOWANCE", 0.2)
                with pytest.raises(ScorerDied, match=r"did not start .* within 0\.3 s"):
                    await run_within(runner, bound, CALL, 0.1)
            assert await run_within(runner, bind("text_length"), CALL, GENEROUS) == b'{"score":4}'

    go(scenario())


@pytest.mark.parametrize(("kind", "how"), [("exits", "ended with exit code 7"), ("kills_itself", "SIGKILL")])
def test_a_scorer_that_ends_its_process_fails_alone(go: Go, bind: Bind, kind: str, how: str) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            neighbour = asyncio.create_task(run_within(runner, bind("text_length"), CALL, GENEROUS))
            with pytest.raises(ScorerDied, match=how):
                await run_within(runner, bind(kind), CALL, GENEROUS)
            assert await neighbour == b'{"score":4}'
            with pytest.raises(ScorerDied, match=how):
                await run_within(runner, bind(kind), CALL, GENEROUS)
            assert await run_within(runner, bind("text_length"), CALL, GENEROUS) == b'{"score":4}'

    go(scenario())


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("returns_nan", r"\$\.score is nan"),
        ("returns_5_mb", "more than the 262,144 bytes"),
        ("returns_generator", r"\$ is a builtins\.generator"),
    ],
)
def test_an_output_that_is_not_json_never_leaves_the_process(go: Go, bind: Bind, kind: str, reason: str) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(InvalidOutput, match=reason) as caught:
                await run_within(runner, bind(kind), CALL, GENEROUS)
            assert not caught.value.retryable

    go(scenario())


def test_an_exception_comes_back_with_the_scorers_own_frames_only(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(ScorerRaised) as caught:
                await run_within(runner, bind("raises"), CALL, GENEROUS)
        error = caught.value
        assert (error.type, error.message, error.retryable) == ("ZeroDivisionError", "by nothing", True)
        assert "_helper_that_raises" in error.traceback
        assert "run_job" not in error.traceback
        assert "call_scorer" not in error.traceback

    go(scenario())


@pytest.mark.parametrize(
    ("kind", "type_name"),
    [
        ("raises_unprintable", "Unprintable"),
        ("raises_system_exit", "SystemExit"),
        ("raises_keyboard_interrupt", "KeyboardInterrupt"),
    ],
)
def test_whatever_is_raised_is_a_failure_of_this_run(go: Go, bind: Bind, kind: str, type_name: str) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(ScorerRaised) as caught:
                await run_within(runner, bind(kind), CALL, GENEROUS)
            assert caught.value.type == type_name

    go(scenario())


def test_a_missing_input_found_by_the_scorer_is_not_retried(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(MissingInput, match="no answer") as caught:
                await run_within(runner, bind("misses_input"), CALL, GENEROUS)
            assert not caught.value.retryable

    go(scenario())


def test_what_a_scorer_writes_to_standard_files_harms_nobody(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner(processes=1) as runner:
            for _ in range(2):
                assert await run_within(runner, bind("writes_to_standard_files"), CALL, GENEROUS) == b'{"passed":true}'

    go(scenario())


def test_a_signal_to_the_process_group_does_not_end_the_run_that_the_service_drains(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            assert await run_within(runner, bind("gets_signals_of_its_group"), CALL, GENEROUS) == b'{"passed":true}'

    go(scenario())


def test_a_scorer_ends_some_time_after_its_time_out_if_nobody_stops_it_and_its_idle_process_does_not(
    go: Go, bind: Bind, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with Runner(processes=1) as runner:
            for seconds in (40.0, 20.0):
                file = tmp_path / f"{seconds}"
                alarm = orjson.loads(await run_within(runner, bind("alarms"), CALL | {"output": str(file)}, seconds))
                assert seconds < alarm["left"] < seconds + 60
                assert alarm["ends_it"]
                async with asyncio.timeout(10):
                    while not file.exists():  # noqa: ASYNC110
                        await asyncio.sleep(0.01)

    go(scenario())


def test_a_built_in_over_its_inline_size_runs_in_a_process(go: Go, bind: Bind) -> None:
    bound = bind("similarity", expected="b" * 3_000, threshold=0.5)
    large = CALL | {"output": "a" * 3_000}
    assert bound.mode == "inline"
    assert bound.inline_for(CALL | {"output": "a" * 900})
    assert not bound.inline_for(large)

    async def scenario() -> None:
        async with Runner() as runner:
            assert await run_within(runner, bound, large, GENEROUS) == b'{"passed":false,"score":0.0}'

    go(scenario())


def test_a_worker_never_runs_other_code_than_the_digest_names(go: Go, write_module: Write) -> None:
    write_module("edited_later", "def verdict(output): return 1\n__all__ = ['verdict']")
    bound = Registry.load(["edited_later"]).bind("verdict", "verdict", {})
    write_module("edited_later", "def verdict(output): return 1 + 1\n__all__ = ['verdict']")

    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(ScorerVersionUnavailable, match="changed after the service started"):
                await run_within(runner, bound, CALL, GENEROUS)

    go(scenario())


def test_a_module_of_another_version_is_imported_again_only_once_its_file_is_another(
    write_module: Write, tmp_path: Path
) -> None:
    registers = "import sys\nsys.registered = [*getattr(sys, 'registered', ()), __name__]\n"
    old = f"{registers}def a(output): return 1\ndef b(output): return 2\ndef c(output): return 3\n"
    write_module("registers", old)
    sources = [ScorerSource(code, code_digest(code.load()), b"{}") for code in (CodeRef("registers", n) for n in "abc")]
    write_module("registers", old.replace("1", "11").replace("2", "22"))
    del sys.modules["registers"]
    for source in (*sources[:2], *sources[:2]):
        with pytest.raises(ScorerVersionUnavailable, match=f"The source of {source.code.qualname} in registers"):
            target_of_source(source)
    assert target_of_source(sources[2])(output="") == 3
    assert sys.__dict__.pop("registered") == ["registers"] * 2

    (tmp_path / "registers.py").unlink()  # as while it is being written
    with pytest.raises(ScorerVersionUnavailable):
        target_of_source(sources[0])
    write_module("registers", old)
    assert [target_of_source(source)(output="") for source in sources] == [1, 2, 3]
    assert sys.__dict__.pop("registered") == ["registers"]


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (0, "Its process ended with exit code 0."),
        (7, "Its process ended with exit code 7."),
        (-9, "Its process was killed by SIGKILL (9); perhaps it ran out of memory."),
        (-11, "Its process was killed by SIGSEGV (11)."),
        (-50, "Its process was killed by signal (50)."),
    ],
)
def test_how_a_process_ended_is_one_sentence(code: int, how: str) -> None:
    assert how_it_ended(code) == how


def test_a_module_in_the_current_directory_reaches_the_worker_processes(tmp_path: Path) -> None:
    source = "from app.scorers import scorer\n@scorer\ndef here(output): return output * 2"
    (tmp_path / "lies_here.py").write_text(source)
    # A script elsewhere, as a console script is: Python then does not look in the current directory by itself.
    script = tmp_path / "bin" / "main.py"
    script.parent.mkdir()
    script.write_text(
        textwrap.dedent(
            """
            import asyncio, sys
            from dataclasses import replace
            from app.scorers import Policy, Registry, Runner

            async def main():
                registry = Registry.load(["lies_here"])
                async with Runner() as runner:
                    bound = replace(registry.bind("here", "here", {}), policy=Policy(timeout=60))
                    print((await runner.run(bound, {"output": "ab"})).decode(), registry.problems)

            if __name__ == "__main__":
                asyncio.run(main())
            """
        )
    )
    ended = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, env=_environment(), check=False
    )
    assert (ended.stdout, ended.returncode) == ('"abab" []\n', 0), ended.stderr


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
