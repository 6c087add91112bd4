"""A file of providers that cannot be used is told in one sentence."""

from pathlib import Path

import pytest

from app.providers import read


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, r"providers.toml cannot be read: No such file or directory$"),
        ("[local", r"providers.toml cannot be read as TOML: "),
        ("[local]", r"providers.toml, local.base_url: Field required$"),
        *(
            (f'[local]\nbase_url = "{url}"', r"providers.toml, local.base_url: .* must be an http:// or https:// url")
            for url in ("judge:8000", "ftp://judge", "http://", "http://me:secret@judge/v1")
        ),
        *(
            (
                f'[local]\nbase_url = "http://judge"\nkey = "{key}"',
                r"providers.toml, local.key: .* and not the key itself$",
            )
            for key in ("sk-secret", "secret of mine", "")
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "providers.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=sentence) as wrong:
        read(path)
    assert "secret" not in str(wrong.value)
