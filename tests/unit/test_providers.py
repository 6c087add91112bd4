"""A file of providers that cannot be used is told in one sentence."""

from pathlib import Path

import pytest

from app.providers import Provider, read


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, r"providers.toml cannot be read: No such file or directory$"),
        ("[local", r"providers.toml cannot be read as TOML: "),
        ("[local]", r"providers.toml, local.base_url: Field required$"),
        ('[local]\nbase_urll = "http://judge"', r"providers.toml, local.base_urll: there is no such field$"),
        *(
            (f'[local]\nbase_url = "{url}"', r"providers.toml, local.base_url: .* must be an http:// or https:// url")
            for url in ("judge:8000", "ftp://judge", "http://", "http://me:secret@judge/v1")
        ),
        *(
            (
                f'[local]\nbase_url = "http://judge"\nkey = "{key}"',
                r"providers.toml, local.key: key is the name of .* and not the key itself$",
            )
            for key in ("sk-secret", "secret of mine", "")
        ),
        *(
            (f'[local]\nbase_url = "http://judge"\n{line}', rf"providers.toml, local{sentence}$")
            for line, sentence in (
                (
                    'headers = { api-key = "sk-secret" }',
                    ".headers: .*api-key takes the name of an environment variable.*",
                ),
                ('headers = { "api key" = "KEY" }', ".headers: .*'api key' cannot be the name of a header.*"),
                ('headers = { Host = "KEY" }', ".headers: .*'Host' cannot be the name of a header.*"),
                ('headers = { x = "KEY", X = "KEY" }', ".headers: .*'x' .* is given twice"),
                ('headers = { authorization = "A" }\nkey = "B"', ": .*Authorization, so give only one of the two"),
                ('key = "MULTILINE"', ": .*the environment variable MULTILINE has characters that no header can carry"),
                ('headers = { x = "MULTILINE" }', ": .*the environment variable MULTILINE has characters .*"),
                (
                    'body = { model = "m", stream = true }',
                    ".body: .*body cannot have model, stream, which callscore sets",
                ),
            )
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, sentence: str
) -> None:
    monkeypatch.setenv("MULTILINE", "secret\nsecret")
    path = tmp_path / "providers.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=sentence) as wrong:
        read(path)
    assert "secret" not in str(wrong.value)


def test_a_newline_behind_a_secret_is_no_part_of_it_and_blank_ones_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-1\n")
    monkeypatch.setenv("BLANK", "\n")
    provider = Provider(base_url="http://judge", key="KEY", headers={"api-key": "KEY", "x": "BLANK", "y": "NOT_SET"})
    assert (provider.api_key, provider.header_values) == ("sk-1", {"api-key": "sk-1"})
    assert provider.unset == {"the header x": "BLANK", "the header y": "NOT_SET"}


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://judge", "http://judge/chat/completions"),
        ("http://judge/v1/", "http://judge/v1/chat/completions"),
        ("http://judge/a%2Fb?api-version=1&x=%26", "http://judge/a%2Fb/chat/completions?api-version=1&x=%26"),
    ],
)
def test_paths_are_appended_and_the_query_stays(base_url: str, url: str) -> None:
    assert str(Provider(base_url=base_url).url("chat/completions")) == url
