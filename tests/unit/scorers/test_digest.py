"""Digests: the same code and parameters, the same ref, in every process."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scorers import BoundScorer, Registry
from app.scorers.digest import code_digest
from tests.service import ROOT

Bind = Callable[..., BoundScorer]
Write = Callable[[str, str], None]

_PRINT_DIGESTS = """
from app.scorers import Registry
from app.scorers.digest import code_digest
registry = Registry.load(["tests.unit.scorers.sample_scorers"])
print(registry.bind("t", "Threshold", {"label": "a", "limit": 3}).digest)
print(registry.bind("t", "text_length", {}).digest)
space = {"__name__": "typed"}
exec("def f(output, n=1):\\n    return output in {'a', 'b', 'c'}, [x for x in (1, 'é')]", space)
exec("class C:\\n    def score(self, output): return lambda: output in {'a', 'b', 'c'}", space)
print(code_digest(space["f"]), code_digest(space["C"]))
"""

_TWO_CLASSES = """
from app.scorers import Scorer

class Base(Scorer):
    def score(self, output): return 1

class S(Base):
    n: int = 1
"""


def _digests_of_a_process(hash_seed: str) -> list[str]:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", _PRINT_DIGESTS], env=environment, capture_output=True, text=True, check=True
    )
    return ended.stdout.split()


def test_digests_are_the_same_in_every_process(bind: Bind) -> None:
    first, second = _digests_of_a_process("1"), _digests_of_a_process("2")
    assert first == second
    assert len(set(first)) == 4
    assert first[:2] == [bind("Threshold", limit=3, label="a").digest, bind("text_length").digest]


def test_a_digest_is_long_and_fits_a_ref(bind: Bind) -> None:
    bound = bind("text_length")
    assert len(bound.digest) == 40
    assert bound.ref == f"callscore:///scorer/text_length:{bound.digest}"


def test_the_order_of_parameters_and_spelled_out_defaults_change_nothing(registry: Registry) -> None:
    digests = {
        registry.bind("t", "Threshold", params).digest
        for params in ({"limit": 3, "label": "length"}, {"label": "length", "limit": 3}, {"limit": 3})
    }
    assert len(digests) == 1


@given(a=st.integers(-5, 5), b=st.integers(-5, 5), x=st.text(max_size=3), y=st.text(max_size=3))
def test_digests_differ_exactly_when_parameters_do(registry: Registry, a: int, b: int, x: str, y: str) -> None:
    one = registry.bind("t", "Threshold", {"limit": a, "label": x})
    other = registry.bind("t", "Threshold", {"limit": b, "label": y})
    assert (one.digest == other.digest) == ((a, x) == (b, y))
    assert registry.bind("t", "Threshold", one.params).digest == one.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("class S(Base):\n    n: int = 1", "class S(Base):\n    n: int = 2"),
        ("return 1", "return 2"),
    ],
    ids=["the class", "its base"],
)
def test_another_source_is_another_digest(write_module: Write, old: str, new: str) -> None:
    write_module("before_edit", _TWO_CLASSES)
    write_module("same_again", _TWO_CLASSES)
    write_module("after_edit", _TWO_CLASSES.replace(old, new))
    digests = [
        Registry.load([name]).bind("s", "S", {"n": 1}).digest for name in ("before_edit", "same_again", "after_edit")
    ]
    assert digests[0] == digests[1] != digests[2]


def test_code_without_source_has_a_digest_of_its_bytecode() -> None:
    digests = []
    for body in ("1", "1", "2"):
        space = {"__name__": "typed"}
        exec(f"def f(output): return {body}", space)
        digests.append(code_digest(space["f"]))  # type: ignore[arg-type]
    assert digests[0] == digests[1] != digests[2]
