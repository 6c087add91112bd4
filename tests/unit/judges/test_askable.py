"""Whom settings do not name is asked nothing, and who asks for it is told who is named."""

import pytest

from app.judges.askable import unknown
from app.judges.chat import chat
from app.providers import Provider
from app.scorers import NoJudgement, Policy
from app.settings import Settings


def test_a_provider_that_settings_do_not_name_is_refused_in_the_same_words_before_and_when_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(providers={"local": Provider(base_url="http://judge/v1")})
    monkeypatch.setattr("app.judges.chat.get_settings", lambda: settings)
    assert unknown(Policy()) is unknown(Policy(provider="local")) is None
    before = unknown(Policy(provider="nobody"))
    with pytest.raises(NoJudgement) as asked:
        chat("nobody")
    assert before is not None
    assert (before.type, str(before)) == (asked.value.type, str(asked.value))
    assert before.type == "provider_unknown"
    assert "names no provider 'nobody'; it names: local" in str(before)
