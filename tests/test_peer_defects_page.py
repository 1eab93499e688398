"""The page of defects that must not happen here names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "peer-defects.md"


def test_every_test_that_the_page_names_exists():
    """A test that is renamed or deleted leaves a gap in the page, and here."""
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    found = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(named) > 30
    assert named <= found


def test_the_page_tells_of_every_numbered_defect():
    """Each of the numbered defects has its row, once."""
    numbers = re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(map(int, numbers)) == list(range(1, 22))
