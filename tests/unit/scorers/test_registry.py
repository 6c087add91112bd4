"""Finding kinds of scorers, and binding them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.scorers import BadRef, BoundScorer, Registry, UnknownKind, parse_ref

Bind = Callable[..., BoundScorer]
Write = Callable[[str, str], None]

BUILT_IN = {
    "contains", "exact_match", "json_schema", "length", "not_empty", "refusal", "regex", "similarity", "valid_json",
}  # fmt: skip


def test_the_built_ins_are_there_without_any_setting() -> None:
    registry = Registry.load()
    assert set(registry.kinds()) == BUILT_IN
    assert registry.problems == []
    assert all(kind.description and kind.params_schema for kind in registry.kinds().values())


def test_at_least_three_kinds_need_no_parameters() -> None:
    bound = Registry.load().parameterless()
    assert {scorer.name for scorer in bound} == {"not_empty", "refusal", "valid_json"}
    assert all(scorer.name == scorer.kind and parse_ref(scorer.ref).digest == scorer.digest for scorer in bound)


def test_a_module_gives_its_classes_and_marked_functions(write_module: Write) -> None:
    source = """
from app.scorers import Scorer, scorer
from app.scorers.builtin import Contains
from pydantic import BaseModel

__all__ = ["listed"]

class Plain(BaseModel):
    "A model that is no Scorer."
    n: int
    def score(self, output): return self.n

class Named(Scorer):
    kind = "other_name"
    description = "Said so."
    def score(self, output): return 1

class NoScorer(BaseModel):
    score: float = 0

class _Private(Scorer):
    def score(self, output): return 1

@scorer(kind="marked_name", description="Marked.")
async def marked(output): return 1

def listed(output):
    "Listed."

def helper(output): return 1
"""
    write_module("many_scorers", source)
    registry = Registry.load(["many_scorers"])
    found = {name: kind for name, kind in registry.kinds().items() if name not in BUILT_IN}
    assert {name: (kind.description, kind.needs_parameters) for name, kind in found.items()} == {
        "Plain": ("A model that is no Scorer.", True),
        "other_name": ("Said so.", False),
        "marked_name": ("Marked.", False),
        "listed": ("Listed.", False),
    }
    assert registry.problems == []


def test_a_package_gives_what_its_modules_have_and_what_it_lists(write_module: Write) -> None:
    write_module("many_modules.inner", "from app.scorers import scorer\n@scorer\ndef inner(output): return 1")
    write_module("elsewhere", "from app.scorers import scorer\n@scorer\ndef listed(output): return 1")
    source = """
from app.scorers import Scorer
from elsewhere import listed
from many_modules.inner import inner
__all__ = ["Scorer", "listed"]
"""
    write_module("many_modules.__init__", source)
    registry = Registry.load(["many_modules"])
    assert (registry.kinds().keys() - BUILT_IN, registry.problems) == ({"inner", "listed"}, [])


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import no_such_module_at_all", "no_such_module_at_all"),
        ("raise SystemExit(1)", "SystemExit"),
        ("def f(", "SyntaxError"),
        ("x = 1", "has no scorer"),
        ("class Long:\n    def score(self, output): ...", "its class Long has `score`, but is no pydantic model"),
        ("from app.scorers import scorer\n@scorer\ndef bad(output, /): return 1", "positional-only"),
        (
            "from app.scorers import scorer\ndef make():\n    def inner(output): return 1\n    return inner\n"
            "inner = scorer(make())",
            "must be defined at the top of an importable module",
        ),
    ],
)
def test_one_bad_module_does_not_stop_the_others(write_module: Write, source: str, problem: str) -> None:
    write_module("bad_scorers", source)
    write_module("good_scorers", "from app.scorers import scorer\n@scorer\ndef fine(output): return 1")
    registry = Registry.load(["bad_scorers", "good_scorers"])
    assert "fine" in registry.kinds()
    assert len(registry.problems) == 1
    assert problem in registry.problems[0]


def test_a_module_named_as_a_file_is_told_to_leave_off_its_ending(write_module: Write) -> None:
    write_module("named_scorers", "from app.scorers import scorer\n@scorer\ndef fine(output): return 1")
    [problem] = Registry.load(["named_scorers.py"]).problems
    assert problem == "The module 'named_scorers.py' was left out: leave off `.py`, modules are named as in an import."


def test_a_kind_whose_name_is_taken_is_a_clear_problem(write_module: Write) -> None:
    write_module("clashes", "from app.scorers import scorer\n@scorer\ndef contains(output): return 1")
    registry = Registry.load(["clashes"])
    assert registry.kinds()["contains"].origin == "callscore"
    [problem] = registry.problems
    assert "'contains' of the module 'clashes' was left out: callscore has that name already" in problem


def test_installed_packages_give_kinds_by_entry_point(write_module: Write, tmp_path: Path) -> None:
    source = """
from app.scorers import scorer
@scorer
def installed(output): return 1
def not_marked(output): return 1
class NoModel:
    def score(self, output): return 1
number = 1
"""
    write_module("installed_scorers", source)
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    points = {
        "broken": "no_such_module_at_all",
        "good": "installed_scorers",
        "function": "installed_scorers:not_marked",
        "model": "installed_scorers:NoModel",
        "number": "installed_scorers:number",
    }
    lines = [f"{name} = {value}\n" for name, value in points.items()]
    (info / "entry_points.txt").write_text("".join(["[callscore.scorers]\n", *lines]))
    registry = Registry.load()
    assert registry.kinds().keys() - BUILT_IN == {"installed", "not_marked"}
    left_out = {name: problem for name in points for problem in registry.problems if f"entry point '{name}'" in problem}
    assert (len(registry.problems), set(left_out)) == (3, {"broken", "model", "number"})
    for name in ("model", "number"):
        assert left_out[name].endswith("TypeError: a scorer is a function or a pydantic model with a `score` method.")


def test_bad_parameters_are_a_validation_error(registry: Registry) -> None:
    bad: list[tuple[str, dict[str, Any]]] = [
        ("Threshold", {}),
        ("Threshold", {"limit": "many"}),
        ("Threshold", {"limit": 1, "unknown": 2}),
        ("text_length", {"limit": 1}),
    ]
    for kind, params in bad:
        with pytest.raises(ValidationError):
            registry.kinds()[kind].validate(params)
        with pytest.raises(ValidationError):
            registry.bind("name", kind, params)


def test_an_unknown_kind_and_a_name_that_fits_no_ref_are_refused(registry: Registry) -> None:
    with pytest.raises(UnknownKind, match=r"'nope'; there are: .*contains"):
        registry.bind("name", "nope", {})
    with pytest.raises(BadRef):
        registry.bind("na\nme", "text_length", {})


def test_parameters_are_canonical(bind: Bind) -> None:
    bound = bind("Threshold", limit=3)
    assert list(bound.params.items()) == [("label", "length"), ("limit", 3)]


def test_only_the_built_ins_run_inline(bind: Bind, write_module: Write) -> None:
    source = """
from app.scorers import Scorer
from app.scorers.builtin import NotEmpty
class Mine(NotEmpty):
    kind = "mine"
class Eager(Scorer):
    inline_up_to = 1000
    def score(self, output): return 1
"""
    write_module("wants_inline", source)
    registry = Registry.load(["wants_inline"])
    assert bind("valid_json").mode == "inline"
    assert bind("text_length").mode == "process"
    assert bind("async_length").mode == "async"
    for kind in ("mine", "Eager"):
        bound = registry.bind(kind, kind, {})
        assert (bound.mode, bound.inline_up_to, bound.inline_for({"output": ""})) == ("process", 0, False)
