"""Each rule of the house finds what it is for, and leaves alone what is fine."""

import pytest

from tests import house_rules
from tests.house_rules import ALLOWED, RULES, check

DOC = '"""What it is for."""\n'

TRY = "try: f()\n"

#: Rule, file, a text that breaks it, one that does not.
SAMPLES = [
    ("long-module", "botwarden/x.py", DOC + "\n" * 400, DOC + "\n" * 399),
    ("module-name", "botwarden/utils.py", DOC, None),
    ("module-name", "botwarden/http/service.py", DOC, None),
    ("tests-package", "tests/http/__init__.py", DOC, None),
    ("no-docstring", "botwarden/x.py", "import os\n", DOC + "import os\n"),
    ("stray-task", "botwarden/x.py", DOC + "asyncio.create_task(f())", DOC + "group.create_task(f())"),
    ("stray-task", "tests/x.py", DOC + "asyncio.get_running_loop().create_task(f())", None),
    ("stray-task", "botwarden/x.py", DOC + "ensure_future(f())", None),
    ("clock-in-place", "botwarden/x.py", DOC + "datetime.now(UTC)", DOC + "clock.now()"),
    ("clock-in-place", "botwarden/x.py", DOC + "datetime.datetime.utcnow()", None),
    ("clock-in-place", "botwarden/x.py", DOC + "time.time()", DOC + "clock.time()"),
    ("sleeping-test", "tests/x.py", DOC + "asyncio.sleep(0.1)", DOC + "asyncio.sleep(0)"),
    ("sleeping-test", "tests/x.py", DOC + "time.sleep(1)", DOC + "clock.sleep(1)"),
    (
        "broad-except",
        "botwarden/x.py",
        DOC + TRY + "except Exception: g()",
        DOC + TRY + "except OSError: g()",
    ),
    (
        "broad-except",
        "botwarden/x.py",
        DOC + TRY + "except: raise X",
        DOC + TRY + "except:\n    g()\n    raise",
    ),
    ("broad-except", "botwarden/x.py", DOC + TRY + "except: g()", None),
    ("broad-except", "botwarden/x.py", DOC + TRY + "except (OSError, BaseException): g()", None),
    (
        "raise-in-group",
        "botwarden/x.py",
        DOC + TRY + "except* OSError as group: raise X from group",
        DOC + TRY + "except* OSError: raise",
    ),
    ("mock", "tests/x.py", DOC + "bot = MagicMock()", DOC + "bot = Bot()"),
    ("mock", "tests/x.py", DOC + "from unittest.mock import patch", None),
    ("mock", "tests/x.py", DOC + "import unittest.mock", None),
    ("float-money", "botwarden/trading/x.py", DOC + "float(price)", DOC + "Decimal(price)"),
    ("environment", "botwarden/http/x.py", DOC + "os.environ['HOME']", DOC + "os.getpid()"),
    ("environment", "botwarden/http/x.py", DOC + "os.getenv('HOME')", None),
    ("machine", "README.md", "cd /" + "work/main", "see docs/" + "work/main"),
    ("machine", "dev", "ls /" + "root/", None),
    ("machine", "dev", "pip -i https:" + "//packages/" + "simple", "https://example.org/"),
    ("unowned", "botwarden/x.py", DOC + "# TO" + "DO: later", DOC + "# TO" + "DO(ann): by the next release"),
]


@pytest.mark.parametrize(("rule", "path", "bad", "good"), SAMPLES)
def test_rule_finds_what_it_is_for(rule, path, bad, good):
    """The planted fault is found by its rule, and by no other; the clean text is not."""
    assert {finding.rule for finding in check(path, bad)} == {rule}
    assert good is None or check(path, good) == []


def test_every_rule_has_a_sample():
    """A rule that was never seen to find anything may be none."""
    assert {rule for rule, *_ in SAMPLES} == set(RULES)


def test_what_is_allowed_is_allowed():
    """An exception holds for its place and its rule only."""
    text = DOC + "async def f():\n    asyncio.create_task(g())\n"
    assert check("botwarden/runtime/kernel.py", text) == []
    assert len(check("botwarden/actors/bot.py", text)) == 1
    assert len(check("botwarden/runtime_too.py", text)) == 1


def test_every_exception_is_needed():
    """A place that would pass without its exception has none."""
    for rule, places in ALLOWED.items():
        for place in places:
            files = [
                (path, text) for path, text in house_rules.sources(house_rules.ROOT) if path.startswith(place)
            ]
            found = [
                1
                for path, text in files
                for _ in RULES[rule](house_rules.Source(house_rules.PurePosixPath(path), text))
            ]
            assert found, f"{rule} need not be allowed in {place}"


def test_findings_name_file_line_and_rule():
    """What is printed leads to the place."""
    (finding,) = check("botwarden/x.py", DOC + "\nimport os\n\nos.environ\n")
    assert str(finding) == "botwarden/x.py:5: environment: only settings read the environment"


def test_the_exit_code_tells(tmp_path, monkeypatch, capsys):
    """A repository with a finding fails, one without passes; also when it is no git repository."""
    monkeypatch.setattr(house_rules, "ROOT", tmp_path)
    (tmp_path / "fine.py").write_text(DOC)
    assert house_rules.main() == 0
    (tmp_path / "utils.py").write_text(DOC)
    assert house_rules.main() == 1
    assert capsys.readouterr().out.startswith("utils.py:1: module-name: ")
