"""The scorers of the user, and the providers that scorers use."""

from collections.abc import Collection, Iterator

from app.client.text import clean, plural
from app.scorers import Registry
from app.settings import Settings
from app.upkeep.doctor.finding import Finding, ok, warning, wrong

_LONGEST = 600  # characters of the error of a module


def findings(settings: Settings) -> Iterator[Finding]:
    """Check that the modules of CALLSCORE_SCORERS and the installed ones load, as a service loads them."""
    registry = Registry.load(["app.judges", *settings.scorers])
    for problem in registry.problems:
        yield wrong("scorers", clean(problem, _LONGEST))
    if not registry.problems:
        kinds = plural(len(registry.kinds()), "kind")
        yield ok("scorers", f"{kinds} loaded. CALLSCORE_SCORERS: {_listed(settings.scorers)}.")


def providers(settings: Settings) -> Iterator[Finding]:
    """Check that the keys and headers of providers are set; they are not shown."""
    for name, what, variable in settings.unset_keys:
        yield warning("providers", f"{name} is used without {what}. Set {variable}.")
    if not settings.unset_keys:
        yield ok("providers", f"CALLSCORE_PROVIDERS: {_listed(settings.providers)}.")


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "none"
