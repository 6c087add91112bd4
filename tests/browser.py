"""A real browser, for tests of the pages: a Chromium that is installed, driven by Playwright."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without a sandbox, as root has none, and without all that it does of its own accord on the network.
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_MILLISECONDS = 30_000


@pytest.fixture
def page() -> Iterator[Page]:
    """An empty page; what is looked for on it has half a minute to be there."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("There is no Chromium here; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_OPTIONS))
        made = browser.new_page()
        made.set_default_timeout(_MILLISECONDS)
        expect.set_options(timeout=_MILLISECONDS)
        yield made
        browser.close()
