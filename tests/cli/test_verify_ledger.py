"""What `verify-ledger` says where there is nothing to verify."""

from click.testing import CliRunner

from botwarden.cli import verify_ledger
from botwarden.cli.main import group


def test_books_that_are_not_there_are_no_traceback(tmp_path, monkeypatch):
    """Where nothing runs and nothing is set, it says what is missing; that is no agreement."""
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY"):
        monkeypatch.delenv(f"BOTWARDEN_{name}", raising=False)  # the process may have been started with them
    monkeypatch.setenv("BOTWARDEN_DATA_DIR", str(tmp_path))  # where no `up` has ever run
    answer = CliRunner().invoke(group, ["verify-ledger"])
    assert answer.exit_code == 1
    assert answer.output == (
        "Error: There are no books to verify: run `botwarden up`, "
        "or set BOTWARDEN_DATABASE_URL, BOTWARDEN_REDIS_URL, BOTWARDEN_SECRET_KEY.\n"
    )


def test_each_difference_is_one_line(monkeypatch):
    """However long it is: scripts read the differences, too."""
    long = "BTCUSDT bw-abc123-1-1: " + "executed quote is 1, the account says 2, " * 20 + "in all"

    async def differ(*_given: object) -> list[str]:
        return [long, "short"]

    monkeypatch.setattr(verify_ledger, "_verify", differ)
    monkeypatch.setenv("BOTWARDEN_DATABASE_URL", "postgresql://127.0.0.1:9/books")
    monkeypatch.setenv("BOTWARDEN_REDIS_URL", "redis://127.0.0.1:9")
    monkeypatch.setenv("BOTWARDEN_SECRET_KEY", "a secret of the tests, long enough for a key")
    answer = CliRunner().invoke(group, ["verify-ledger"])
    assert answer.exit_code == 1
    assert answer.output.splitlines() == [f"DIFFERENCE {long}", "DIFFERENCE short", "2 differences."]
