"""The floor, run and checked: `floor.sql` on raw Parquet files, beside what a run published.

Usage: floor.py RAW AS_OF OUT [--memory-limit 8GB]. What belongs here: giving the script its
variables and a file to write, and comparing every value. The numbers are made in `floor.sql` alone.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from datetime import date
from pathlib import Path

import duckdb

SCRIPT = Path(__file__).with_suffix(".sql")
SEEDS = Path(__file__).parents[1] / "seeds"


def build(
    raw: Path, as_of: date, out: Path, *, seeds: Path = SEEDS, memory_limit: str = "8GB"
) -> None:
    """Run the floor into a new database file.

    Args:
        raw: Parquet files of tracks, identifies and groups.
        as_of: The last full day.
        out: The file; what it held is gone.
        seeds: The dials.
        memory_limit: What DuckDB may take before it spills to disk.
    """
    out.unlink(missing_ok=True)
    settings = {"memory_limit": memory_limit, "temp_directory": f"{out}.tmp"}
    with closing(duckdb.connect(str(out), config=settings)) as connection:
        for name, value in {"raw": raw, "seeds": seeds}.items():
            quoted = str(value).replace("'", "''")
            connection.execute(f"set variable {name} = '{quoted}'")
        connection.execute(f"set variable as_of = date '{as_of}'")
        connection.execute(SCRIPT.read_text())


def differences(out: Path, published: Path, some: dict[str, str] | None = None) -> list[str]:
    """Compare every value of every table with the published mart of the same name.

    Args:
        out: A database with tables in its main schema.
        published: The database file of a publication.
        some: Tables to compare, and of what rows which columns: a query with `{}` for the table.
            None: all tables and all columns of the marts.

    Returns:
        A sentence per table that differs; empty if all values are the same.
    """
    found = []
    with closing(duckdb.connect()) as connection:
        connection.execute(f"attach '{out}' as ours (read_only)")
        connection.execute(f"attach '{published}' as theirs (read_only)")
        if some is None:
            tables = connection.execute(
                "select table_name from duckdb_tables() where database_name = 'ours' order by 1"
            ).fetchall()
            some = {table: all_columns(connection, table) for (table,) in tables}
        for table, query in some.items():
            wanted = query.format(f"theirs.marts.{table}")
            got = query.format(f"ours.main.{table}")
            ((missing, extra, count),) = connection.execute(
                f"select (select count(*) from ({wanted} except all {got})),"
                f" (select count(*) from ({got} except all {wanted})),"
                f" (select count(*) from ({wanted}))"
            ).fetchall()
            if missing or extra or not count:
                found.append(
                    f"{table}: of {count:,} published rows {missing:,} are missing;"
                    f" {extra:,} rows are others"
                )
    return found


def all_columns(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """Return a query of all columns that a published mart has."""
    rows = connection.execute(
        "select column_name from duckdb_columns() where database_name = 'theirs'"
        " and schema_name = 'marts' and table_name = ? order by column_index",
        [table],
    ).fetchall()
    names = ", ".join(f'"{name}"' for (name,) in rows)
    return f"select {names} from {{}}"


def main() -> None:
    """Run the floor once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("raw", type=Path)
    parser.add_argument("as_of", type=date.fromisoformat)
    parser.add_argument("out", type=Path)
    parser.add_argument("--memory-limit", default="8GB")
    options = parser.parse_args()
    build(options.raw, options.as_of, options.out, memory_limit=options.memory_limit)


if __name__ == "__main__":
    main()
