"""How a scorer is run: its attempts, its time-out, its limits, its provider. None of it changes what a score means."""

import random
from typing import Self

from pydantic import Field

from app.providers import Limits

MOST_USD_PER_DAY = 1_000_000  # so that sums of it in picodollars have 64 bits
_DOUBLINGS = 30  # beyond these every pause is the longest one anyway


class Policy(Limits):
    """How a scorer is run. Fields that are None default to what the scorer's code says, then to the settings."""

    attempts: int | None = Field(None, ge=1, description="Attempts before a task that keeps failing is failed.")
    budget: float | None = Field(None, ge=0, description="Seconds from the first failed attempt until it is failed.")
    backoff: float | None = Field(None, gt=0, description="Seconds before the second attempt at most, then doubled.")
    longest_pause: float | None = Field(None, gt=0, description="Seconds that a backoff never exceeds.")
    timeout: float | None = Field(None, gt=0, description="Seconds after which an attempt is stopped.")
    provider: str | None = Field(None, description="The provider that it asks, as CALLSCORE_PROVIDERS names it.")
    usd_per_day: float | None = Field(
        None, gt=0, le=MOST_USD_PER_DAY, description="USD that it may cost a day in each project."
    )
    cache: bool | None = Field(None, description="Whether a judgement is used again for what is the very same.")
    answer_tokens: int | None = Field(None, ge=0, description="Tokens of an attempt beyond those of the call itself.")

    def over(self, other: "Policy") -> Self:
        """This policy, completed by another one."""
        return self.model_copy(update={name: value for name, value in other.given() if getattr(self, name) is None})

    def given(self) -> list[tuple[str, object]]:
        """The fields that are not None."""
        return [(name, value) for name, value in self if value is not None]

    def pause(self, attempts: int) -> float:
        """Seconds to wait after so many attempts: exponential backoff with full jitter, so that tasks spread out."""
        most = (self.backoff or 0.0) * 2 ** min(attempts - 1, _DOUBLINGS)
        if self.longest_pause is not None:
            most = min(most, self.longest_pause)
        return random.uniform(0.0, most)  # noqa: S311

    def exhausted(self, attempts: int, trying_since: float, now: float) -> bool:
        """Whether a task gets no further attempt after `attempts` that count, the first at `trying_since`."""
        if self.attempts is not None and attempts >= self.attempts:
            return True
        return self.budget is not None and now >= trying_since + self.budget
