"""Scorer refs: `callscore:///scorer/{name}:{digest}` and `weave:///{entity}/{project}/object/{name}:{digest}`."""

from dataclasses import dataclass

from app.texts import is_utf8

_OURS = "callscore:///scorer/"
_WEAVE = "weave:///"
_FORMS = "callscore:///scorer/{name}:{digest} or weave:///{entity}/{project}/object/{name}:{digest}"

ScorerKey = tuple[str, str]
"""Project id and scorer ref: a scorer as one project uses it."""


class BadRef(ValueError):
    """The text is not a scorer ref; the sentence says why."""


@dataclass(frozen=True, slots=True)
class ScorerRef:
    """A parsed ref. `entity_project` is `entity/project` for Weave's, None for ours; `digest` may be `latest`."""

    scheme: str
    entity_project: str | None
    name: str
    digest: str

    def __str__(self) -> str:
        if self.entity_project is None:
            return f"{_OURS}{self.name}:{self.digest}"
        return f"{_WEAVE}{self.entity_project}/object/{self.name}:{self.digest}"


def make_ref(name: str, digest: str) -> str:
    """The ref of a scorer of ours."""
    return f"{_OURS}{name}:{digest}"


def parse_ref(ref: str) -> ScorerRef:
    """Parse either form of ref. The name may contain `:` and `/`, the digest neither. Raises BadRef."""
    if ref.startswith(_OURS):
        scheme, entity_project, rest = "callscore", None, ref[len(_OURS) :]
    elif ref.startswith(_WEAVE):
        parts = ref[len(_WEAVE) :].split("/", 3)
        if len(parts) < 4 or parts[2] != "object" or not parts[0] or not parts[1]:
            raise BadRef(f"{_quote(ref)} does not name a Weave object: it should read {_FORMS}.")
        scheme, entity_project, rest = "weave", f"{parts[0]}/{parts[1]}", parts[3]
    else:
        raise BadRef(f"{_quote(ref)} is not a scorer ref: it should read {_FORMS}.")
    name, colon, digest = rest.rpartition(":")
    if not colon or not name or not digest or "/" in digest:
        raise BadRef(f"{_quote(ref)} lacks a scorer name or a digest: it should read {_FORMS}.")
    if not ref.isprintable() or not is_utf8(name) or not 1 <= len(name.encode()) <= 512:
        raise BadRef(f"{_quote(ref)} has a name that is not 1 to 512 bytes of UTF-8 without control characters.")
    return ScorerRef(scheme, entity_project, name, digest)


def scorer_name(ref: str) -> str:
    """The name in a ref; a text that is no ref as it is."""
    try:
        return parse_ref(ref).name
    except BadRef:
        return ref


def _quote(ref: str) -> str:
    return ascii(ref if len(ref) <= 200 else ref[:200] + "...")
