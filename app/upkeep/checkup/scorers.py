"""Scorers of users, and the providers that scorers ask."""

from collections.abc import Collection, Iterator

from app.client.text import clean, plural
from app.scorers import Registry
from app.settings import Settings
from app.upkeep.checkup.finding import Finding, ok, warning, wrong

_LONGEST = 600  # characters of a sentence with an error of somebody's module


def findings(settings: Settings) -> Iterator[Finding]:
    """Whether the modules of CALLSCORE_SCORERS and the installed ones load, as a service loads them."""
    registry = Registry.load(["app.judges", *settings.scorers])
    for problem in registry.problems:
        yield wrong("scorers", clean(problem, _LONGEST))
    if not registry.problems:
        kinds = plural(len(registry.kinds()), "kind")
        yield ok("scorers", f"{kinds} can be used; CALLSCORE_SCORERS names {_listed(settings.scorers)}.")


def providers(settings: Settings) -> Iterator[Finding]:
    """Whether those that have a key have one; no key is shown."""
    without = {name: found.key for name, found in settings.providers.items() if found.key and not found.api_key}
    for name, variable in without.items():
        yield warning(
            "providers",
            f"The key of {name} is not set, so it is asked without one: put it into the variable {variable}.",
        )
    if not without:
        yield ok("providers", f"CALLSCORE_PROVIDERS names {_listed(settings.providers)}.")


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "none"
