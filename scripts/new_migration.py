"""Write the next migration of the chain from what changed in the tables: `NAME --reason "why"`.

The result is a draft: read it, clean it by hand, and see to what the generator leaves out (partial indexes, indexes
lost by a rebuilt table on SQLite, `db_default` for a column added to a table with rows).
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tortoise.migrations.writer import MigrationWriter  # noqa: E402

from core import db  # noqa: E402
from core.kit import migrator  # noqa: E402


def write(name: str, reason: str) -> Path | None:
    """The file written, or None when the tables and the chain agree."""
    with tempfile.TemporaryDirectory() as folder:
        operations = asyncio.run(db.proposed(f"sqlite://{folder}/empty.db"))
    if not operations:
        return None
    known = migrator.chain(db.apps())
    number = int(known[-1][:4]) + 1 if known else 1
    writer = MigrationWriter(
        f"{number:04d}_{name}",
        db.APP,
        operations,
        dependencies=[(db.APP, known[-1])] if known else [],
        initial=not known,
        migrations_module=db.MIGRATIONS,
    )
    path = Path(writer.write())
    head = f'"""{reason}"""\n\nfrom __future__ import annotations\n\n'
    body = path.read_text(encoding="utf-8").replace("    operations = [\n", "    operations = [  # noqa: RUF012\n")
    path.write_text(head + body, encoding="utf-8")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="lower-case words joined by _, such as turn_priority")
    parser.add_argument("--reason", required=True, help="one sentence: why the schema changes")
    given = parser.parse_args()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", given.name):
        parser.error("the name takes lower-case letters, digits and _")
    path = write(given.name, given.reason)
    print(path.relative_to(ROOT) if path else "nothing changed: the tables and the chain agree")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
