"""Passwords: Argon2id, off the event loop, a few at a time.

Checking a password takes the same time whether or not there is an account.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# Memory and rounds: OWASP's password storage cheat sheet, Argon2id, 2024: m=19 MiB, t=2, p=1.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

#: So many are computed at a time: more would take the processor away from bots.
_WORKERS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="passwords")


async def hash_password(plain: str) -> str:
    """Return what may be stored."""
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, _HASHER.hash, plain)


async def verify_password(stored: str | None, plain: str) -> bool:
    """Return whether `plain` is the password; without a stored hash the same work is done for nothing."""
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, _verify, stored, plain)


def needs_rehash(stored: str) -> bool:
    """Return whether the hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def _verify(stored: str | None, plain: str) -> bool:
    try:
        _HASHER.verify(stored if stored is not None else _nobodys(), plain)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


@lru_cache
def _nobodys() -> str:
    return _HASHER.hash("nobody's password")
