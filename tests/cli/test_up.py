"""What `up` refuses before it starts anything."""

import pytest
from click.testing import CliRunner

from botwarden.cli.main import group


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--market", "live", "--speed", "2"], 2, "--market live moves at --speed 1"),
        (["--market", "replay"], 2, "--market replay and --replay PATH belong together"),
        (["--market", "synthetic", "--replay", "."], 2, "--market replay and --replay PATH belong together"),
    ],
)
def test_a_market_that_cannot_be_is_refused_at_once(tmp_path, words, code, says):
    """No server starts, and the reason is said where the person looks."""
    answer = CliRunner().invoke(group, ["up", "--data-dir", str(tmp_path / "data"), *words])
    assert (answer.exit_code, says in answer.output) == (code, True)
    assert not (tmp_path / "data").exists()
