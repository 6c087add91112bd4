"""Who is taken for another worker of the cluster."""

import pytest

from app.peers import is_peer
from app.settings import Settings


@pytest.mark.parametrize(
    ("secret", "known"), [("s3cret", True), ("", False), ("s3cre", False), ("s3cret\udcff", False), (None, False)]
)
def test_only_who_sends_the_secret_is_a_worker_whatever_bytes_others_send(
    monkeypatch: pytest.MonkeyPatch, secret: str | None, known: bool
) -> None:
    settings = Settings(broker="kafka://127.0.0.1:1", cluster_secret="s3cret")
    monkeypatch.setattr("app.peers.get_settings", lambda: settings)
    assert is_peer(secret) == known
