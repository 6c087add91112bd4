"""The page on sizing says what its model says."""

from bench import sizing
from tests.service import ROOT

PAGE = ROOT / "docs" / "sizing.md"


def test_the_table_of_the_page_is_what_the_model_computes() -> None:
    assert sizing.table() in PAGE.read_text()


def test_the_page_names_every_constant_with_its_value() -> None:
    page = PAGE.read_text()
    for constants in (sizing.Measured(), sizing.Assumed()):
        for name, value in vars(constants).items():
            assert f"| `{name}` | {value:,g} |" in page, name
