"""Texts of any origin: whether they fit the log, and made to fit."""


def is_utf8(text: str) -> bool:
    """Whether UTF-8 can hold it, which it cannot if there are lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shorten(text: str, most: int) -> str:
    """`text` without lone surrogates, which no log could hold; more than `most` characters are cut in the middle.

    Shortening what was shortened before changes nothing.
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}\n...\n{text[-half:]}"
