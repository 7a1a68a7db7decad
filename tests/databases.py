"""A database for each test, copied from one that the migrations made.

SQLite files unless PARLEY_TEST_DATABASE_URL names a PostgreSQL database: then each test gets a database of its own on
that server, made from a template. The template lives as long as the session (of the worker, under pytest-xdist), and
is dropped at its end; the database named in the address is only connected to.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import os
import secrets
import shutil
import urllib.parse
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]
import pytest
import pytest_asyncio

from core import db

T = TypeVar("T")

ADDRESS = os.environ.get("PARLEY_TEST_DATABASE_URL", "")
"""Empty means SQLite."""

_numbers = itertools.count(1)


def run_aside(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own, so that the tests' event loop is not touched."""
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result(timeout=120)


def address_of(name: str) -> str:
    """The address of another database of the server under test."""
    parts = urllib.parse.urlsplit(ADDRESS)
    return urllib.parse.urlunsplit(parts._replace(path=f"/{name}"))


async def administer(*statements: str) -> None:
    """Run statements that no transaction may hold, such as CREATE DATABASE."""
    connection = await asyncpg.connect(ADDRESS, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=60)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def database_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated, empty database that nobody uses: the path of a file, or the name of a PostgreSQL database."""
    if not ADDRESS:
        path = tmp_path_factory.mktemp("template") / "parley.db"
        run_aside(db.migrate(f"sqlite://{path}"))
        yield str(path)
        return
    name = f"parley_test_{os.getpid()}_{secrets.token_hex(3)}"
    run_aside(administer(f'CREATE DATABASE "{name}"'))
    try:
        run_aside(db.migrate(address_of(name)))
        yield name
    finally:
        run_aside(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


@contextlib.contextmanager
def copied(template: str, folder: Path) -> Iterator[str]:
    """The address of a fresh copy of the template, dropped at the end."""
    if not ADDRESS:
        path = folder / f"parley-{next(_numbers)}.db"
        shutil.copyfile(template, path)
        yield f"sqlite://{path}"
        return
    name = f"{template}_{next(_numbers)}"
    run_aside(administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    try:
        yield address_of(name)
    finally:
        run_aside(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


@contextlib.contextmanager
def empty(folder: Path) -> Iterator[str]:
    """The address of a database without any schema."""
    if not ADDRESS:
        yield f"sqlite://{folder}/empty-{next(_numbers)}.db"
        return
    name = f"parley_empty_{os.getpid()}_{secrets.token_hex(3)}"
    run_aside(administer(f'CREATE DATABASE "{name}"'))
    try:
        yield address_of(name)
    finally:
        run_aside(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def database_url(database_template: str, tmp_path: Path) -> Iterator[str]:
    """The address of this test's own migrated database; nothing has opened it."""
    with copied(database_template, tmp_path) as url:
        yield url


@pytest.fixture
def second_database_url(database_template: str, tmp_path: Path) -> Iterator[str]:
    """Another one, for tests that hold two."""
    with copied(database_template, tmp_path) as url:
        yield url


@pytest.fixture
def empty_database_url(tmp_path: Path) -> Iterator[str]:
    """The address of a database without any schema."""
    with empty(tmp_path) as url:
        yield url


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[db.Database]:
    """This test's database, opened and bound: rows, `unit_of_work` and `read` use it."""
    opened = await db.open_database(database_url)
    try:
        yield opened
    finally:
        await opened.close()
