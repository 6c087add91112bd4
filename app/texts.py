"""Texts of any origin, made fit for the log."""


def shorten(text: str, most: int) -> str:
    """`text` without lone surrogates, which no log could hold; more than `most` characters are cut in the middle.

    Shortening what was shortened before changes nothing.
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}\n...\n{text[-half:]}"
