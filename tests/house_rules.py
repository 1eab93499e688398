"""The house's own lint: what STYLE asks for and no ready-made tool checks. `./dev check` runs it.

Each rule is a function that yields line and complaint; what a rule allows is named here with its reason.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LONGEST_MODULE = 400
BAD_NAMES = {"util", "utils", "helper", "helpers", "common", "base", "manager", "service"}
TEXT_SUFFIXES = {
    "", ".cfg", ".css", ".html", ".ini", ".js", ".json", ".lock", ".mako", ".md", ".py", ".sh", ".sql",
    ".toml", ".ts", ".txt", ".yaml", ".yml",
}  # fmt: skip

#: Files (or folders, ending in /) that a rule does not hold for, and why.
ALLOWED: dict[str, dict[str, str]] = {
    "stray-task": {
        "botwarden/runtime/": "the kernel gives every task its parent",
        "benchmarks/kernel.py": "the reference that the kernel is measured against",
        "tests/runtime/": "the kernel's tests drive tasks from outside",
    },
    "clock-in-place": {
        "botwarden/runtime/timing.py": "SystemClock is the one reader of the clock",
        "botwarden/exchange/paper/": "an exchange has a clock of its own",
    },
    "broad-except": {
        "botwarden/runtime/": "supervision turns every crash into a decision",
        "botwarden/actors/row_reader.py": "a row that cannot be read is its own bot's affair",
        "botwarden/actors/signals.py": "the crash of a strategy is its own bots' affair",
        "botwarden/http/hub.py": "a bug in a duty must not leave every stream without care",
        "botwarden/persistence/embedded/keeper.py": "a forked child must never return into the keeper's loop",
    },
    "environment": {
        "botwarden/settings.py": "settings are read here",
        "botwarden/cli/": "commands pass it to processes that they start",
        "botwarden/persistence/embedded/": "the keeper passes it to its services",
    },
    "float-money": {"botwarden/trading/strategies/": "indicators are floats, and no money"},
}


class Finding(NamedTuple):
    """One place that breaks a rule."""

    path: str
    line: int
    rule: str
    complaint: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.complaint}"


@dataclass(frozen=True)
class Source:
    """A file of the repository."""

    path: PurePosixPath
    text: str

    @property
    def is_python(self) -> bool:
        return self.path.suffix == ".py"

    def within(self, *folders: str) -> bool:
        """Tell whether it lies in one of these folders."""
        return any(self.path.is_relative_to(folder) for folder in folders)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text))) if self.is_python else []

    @cached_property
    def calls(self) -> list[tuple[int, str, ast.Call]]:
        """Line, dotted name and node of each call."""
        calls = (node for node in self.nodes if isinstance(node, ast.Call))
        return [(node.lineno, dotted(node.func), node) for node in calls]


Found = Iterator[tuple[int, str]]
Rule = Callable[[Source], Found]


def dotted(node: ast.AST) -> str:
    """Return a name as it is written: a.b().c is a.b.c."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{dotted(value)}.{name}"
        case ast.Call(func=function):
            return dotted(function)
    return ""


def long_module(source: Source) -> Found:
    lines = source.text.count("\n")
    if source.is_python and lines > LONGEST_MODULE:
        yield lines, f"{lines} lines; a module has {LONGEST_MODULE} at most"


def module_name(source: Source) -> Found:
    if source.is_python and source.path.stem in BAD_NAMES:
        yield 1, f"`{source.path.stem}` says nothing; name the thing"


def tests_package(source: Source) -> Found:
    if source.within("tests") and source.path.name == "__init__.py":
        yield 1, "tests are not packages: tests/http would hide the standard library"


def no_docstring(source: Source) -> Found:
    if source.is_python and source.text.strip() and ast.get_docstring(ast.parse(source.text)) is None:
        yield 1, "a module begins with what it is for"


def stray_task(source: Source) -> Found:
    for line, name, _ in source.calls:
        owner, _, function = name.rpartition(".")
        if function in {"create_task", "ensure_future"} and (
            not owner or "loop" in owner or owner == "asyncio"
        ):
            yield line, f"{name} makes a task without a parent; use a task group or an actor's duty"


def clock_in_place(source: Source) -> Found:
    for line, name, _ in source.calls:
        if source.within("botwarden") and re.search(
            r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|time\.time(_ns)?)$", name
        ):
            yield line, f"{name}() reads the clock in place; take a Clock"


def sleeping_test(source: Source) -> Found:
    for line, name, call in source.calls:
        if not source.within("tests") or not re.fullmatch(r"((asyncio|anyio|time|trio)\.)?sleep", name):
            continue
        match call.args:
            case [ast.Constant(value=int() | float() as seconds)] if seconds > 0:
                yield line, "wait on an event, a reply or a row, never on time"


def broad_except(source: Source) -> Found:
    for node in source.nodes:
        if source.within("botwarden") and isinstance(node, ast.ExceptHandler) and not raises_again(node):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {dotted(kind) if kind else "everything" for kind in caught}
            for name in sorted(names & {"everything", "Exception", "BaseException"}):
                yield node.lineno, f"catches {name}: name the failure, or let the supervisor decide"


def raises_again(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler only tidies up before the failure goes on."""
    match handler.body[-1]:
        case ast.Raise(exc=None):
            return True
    return False


def raise_in_group(source: Source) -> Found:
    for node in source.nodes:
        handlers = node.handlers if isinstance(node, ast.TryStar) else []
        for inner in (inner for handler in handlers for inner in ast.walk(handler)):
            if isinstance(inner, ast.Raise) and inner.exc is not None:
                yield inner.lineno, "raise after `except*`: Python before 3.11.4 wraps it in one more group"


def mock(source: Source) -> Found:
    for node in source.nodes:
        match node:
            case ast.Name(id="Mock" | "MagicMock" | "AsyncMock") | ast.ImportFrom(module="unittest.mock"):
                yield node.lineno, "no mocks: use the real thing, or a fake that ships"
            case ast.Import(names=names) if any(name.name.startswith("unittest.mock") for name in names):
                yield node.lineno, "no mocks: use the real thing, or a fake that ships"


def float_money(source: Source) -> Found:
    for line, name, _ in source.calls:
        if source.within("botwarden/trading") and name == "float":
            yield line, "money is Decimal"


def environment(source: Source) -> Found:
    for node in source.nodes:
        is_read = isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv"}
        if is_read and source.within("botwarden"):
            yield node.lineno, "only settings read the environment"


_MACHINE = (
    # A path of one machine: it does not follow a name, as it would in a URL or in a/work/b.
    (re.compile(r"(?<![\w.~})])/(?:" + "work|root" + r")/"), "a path of one machine"),
    (re.compile(r"https?://[^\s\"'<>]+/" + "simple" + r"\b"), "a registry's host"),
)


def machine(source: Source) -> Found:
    for number, line in enumerate(source.text.splitlines(), 1):
        for pattern, what in _MACHINE:
            if pattern.search(line):
                yield number, what


_UNOWNED = re.compile(r"\b(?:" + "TO" + "DO|FIX" + "ME|XX" + r"X)\b(?!\(\w)")


def unowned(source: Source) -> Found:
    for number, line in enumerate(source.text.splitlines(), 1):
        if source.path.suffix != ".lock" and _UNOWNED.search(line):
            yield number, "name who will do it: TO" + "DO(name)"


RULES: dict[str, Rule] = {
    "long-module": long_module,
    "module-name": module_name,
    "tests-package": tests_package,
    "no-docstring": no_docstring,
    "stray-task": stray_task,
    "clock-in-place": clock_in_place,
    "sleeping-test": sleeping_test,
    "broad-except": broad_except,
    "raise-in-group": raise_in_group,
    "mock": mock,
    "float-money": float_money,
    "environment": environment,
    "machine": machine,
    "unowned": unowned,
}


def is_allowed(rule: str, path: str) -> bool:
    """Tell whether the rule does not hold for this file."""
    return any(
        path == place or (place.endswith("/") and path.startswith(place)) for place in ALLOWED.get(rule, {})
    )


def check(path: str, text: str) -> list[Finding]:
    """Return what breaks a rule in a file."""
    source = Source(PurePosixPath(path), text)
    return [
        Finding(path, line, name, complaint)
        for name, rule in RULES.items()
        if not is_allowed(name, path)
        for line, complaint in rule(source)
    ]


def sources(root: Path) -> Iterator[tuple[str, str]]:
    """Yield path and text of every text file that is, or is about to be, in the repository."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    names = listed.stdout.decode().split("\0")
    if listed.returncode != 0:  # an unpacked archive
        found = (file.relative_to(root) for file in root.rglob("*") if file.is_file())
        names = [str(file) for file in found if not file.parts[0].startswith((".venv", "."))]
    for name in sorted(filter(None, names)):
        file = root / name
        if file.suffix in TEXT_SUFFIXES and file.is_file():
            yield name, file.read_text(encoding="utf-8")


def main() -> int:
    """Print each finding; the exit code is 1 when there is one."""
    findings = [finding for path, text in sources(ROOT) for finding in check(path, text)]
    for finding in findings:
        print(finding)  # noqa: T201 - a lint prints
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
