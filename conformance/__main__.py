"""`./dev conformance`: python-binance's own tests against the paper exchange.

It fetches the tests from the package index once, starts a paper exchange of its own, runs the tests in a
process of theirs, and tells each one that failed. Exit code 0 only when every failure is an excused one and
every excuse is still needed.
"""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree.ElementTree import parse

import anyio

from botwarden.exchange.paper.admin import PaperAdmin
from conformance.excused import EXCUSED
from conformance.yardstick import FILES, fetch, packages

ROOT = Path(__file__).parent.parent

#: What the tests trade with.
BALANCES = {"USDT": "1000000", "BTC": "100", "LTC": "1000", "BNB": "1000"}


def main() -> int:
    """Run all and tell what differs from what is expected."""
    folder = ROOT / ".data" / "conformance"
    folder.mkdir(parents=True, exist_ok=True)
    tests, libraries = fetch(folder), packages(folder)
    with (
        tempfile.TemporaryDirectory(prefix="bw-conformance-") as scratch,
        _paper_exchange(Path(scratch)) as url,
    ):
        key, secret = secrets.token_hex(32), secrets.token_hex(32)
        anyio.run(_open_account, url, key, secret)
        report = Path(scratch) / "report.xml"
        _run(tests, libraries, report, {"URL": url, "KEY": key, "SECRET": secret})
        return _judge(report)


async def _open_account(url: str, key: str, secret: str) -> None:
    async with PaperAdmin(url, _TOKEN) as admin:
        await admin.register(key, secret, balances=BALANCES)


@contextmanager
def _paper_exchange(scratch: Path) -> Iterator[str]:
    """Run a paper exchange of our own; yield where it listens."""
    words = ["paper-exchange", "--port", "0", "--store", str(scratch / "paper.sqlite"), "--seed", "1"]
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "botwarden", *words, "--admin-token", _TOKEN],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def _run(tests: Path, libraries: Path, report: Path, venue: dict[str, str]) -> None:
    environment = {
        **os.environ,
        **{f"CONFORMANCE_{name}": value for name, value in venue.items()},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(libraries)]),
    }
    options = ["-q", "-p", "no:cacheprovider", "-p", "pytest_asyncio", "--import-mode=prepend", "--tb=line"]
    options += [
        "-W",
        "ignore",
        "--timeout=30",
        f"--junitxml={report}",
        f"--rootdir={tests}",
        "-c",
        os.devnull,
    ]
    subprocess.run(  # noqa: S603 - pytest, with our own words
        [sys.executable, "-m", "pytest", *options, *FILES], cwd=tests, env=environment, check=False
    )


def _judge(report: Path) -> int:
    """Print how the tests went; return the exit code."""
    ended: dict[str, set[str]] = {"passed": set(), "failed": set(), "skipped": set()}
    # Written a moment ago by pytest, in our own scratch folder.
    for case in parse(report).iter("testcase"):  # noqa: S314 - see above
        name = f"{case.get('classname', '').rpartition('tests.')[2]}::{case.get('name')}"
        kinds = {child.tag for child in case}
        how = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        ended[how].add(name)
    passed, failed = ended["passed"] - ended["failed"], ended["failed"]
    print(f"{len(passed)} passed, {len(failed)} failed, {len(ended['skipped'])} skipped by their own marks")
    for name in sorted(failed & EXCUSED.keys()):
        print(f"  excused: {name}: {EXCUSED[name]}")
    unexpected, needless = sorted(failed - EXCUSED.keys()), sorted(passed & EXCUSED.keys())
    for name in unexpected:
        print(f"  FAILED: {name}")
    for name in needless:
        print(f"  passes, though excused: {name}")
    return 1 if unexpected or needless else 0


_TOKEN = secrets.token_hex(16)

if __name__ == "__main__":
    sys.exit(main())
