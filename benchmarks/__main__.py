"""Run the benchmarks named on the command line, or all of them: `python -m benchmarks kernel`.

A benchmark is a module beside this file with a function `main()` that prints what it measured. Each runs
in a process of its own, so that none inherits the heap or the event loop of another.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """Return the names of all benchmarks, sorted."""
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main(wanted: list[str]) -> int:
    """Run the benchmarks and return an exit code: 2 for an unknown name, 1 if one of them failed."""
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    failed = []
    for name in wanted or names():
        print(f"== {name} ==", flush=True)
        code = f"import benchmarks.{name} as benchmark; benchmark.main()"
        # Both words come from this folder's own files.
        if subprocess.run([sys.executable, "-c", code], cwd=HERE.parent, check=False).returncode:  # noqa: S603 - see above
            failed.append(name)
        print(flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
