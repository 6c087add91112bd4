"""Scorer refs of both schemes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scorers import BadRef, ScorerRef, parse_ref

_NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=100)
_PARTS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)


@given(_NAMES, _PARTS)
def test_our_refs_round_trip(name: str, digest: str) -> None:
    ref = ScorerRef("callscore", None, name, digest)
    assert parse_ref(f"callscore:///scorer/{name}:{digest}") == ref
    assert parse_ref(str(ref)) == ref


@given(_PARTS, _PARTS, _NAMES, _PARTS)
def test_weave_refs_round_trip(entity: str, project: str, name: str, digest: str) -> None:
    ref = ScorerRef("weave", f"{entity}/{project}", name, digest)
    assert parse_ref(f"weave:///{entity}/{project}/object/{name}:{digest}") == ref
    assert parse_ref(str(ref)) == ref


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ("", "is not a scorer ref"),
        ("http://x/y:z", "is not a scorer ref"),
        ("callscore:///scorer/name", "lacks a scorer name or a digest"),
        ("callscore:///scorer/:abc", "lacks a scorer name or a digest"),
        ("callscore:///scorer/name:", "lacks a scorer name or a digest"),
        ("weave:///acme/flow/op/name:abc", "does not name a Weave object"),
        ("weave:///acme/flow/call/123", "does not name a Weave object"),
        ("weave:///flow/object/name:abc", "does not name a Weave object"),
        ("weave:///acme/flow/object/name:abc/attr/x", "lacks a scorer name or a digest"),
        ("callscore:///scorer/a\nb:abc", "without control characters"),
        ("callscore:///scorer/a\ud800:abc", "without control characters"),
        (f"callscore:///scorer/{'é' * 257}:abc", "1 to 512 bytes"),
    ],
)
def test_a_bad_ref_says_what_is_wrong(ref: str, reason: str) -> None:
    with pytest.raises(BadRef, match=reason):
        parse_ref(ref)
