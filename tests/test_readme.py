"""What a person reads, held against what is there: tables, commands, settings, messages, links."""

import ast
import re
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
import yaml

from orchestration.cli import cli
from orchestration.project import CHECKOUT
from orchestration.runs import COLUMNS as RUNS

README = (CHECKOUT / "README.md").read_text()
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])


def described() -> dict[str, dict[str, Any]]:
    """Every table that the YAML of the marts, of ops and of the signals describes, by name."""
    tables: dict[str, dict[str, Any]] = {}
    for path in (CHECKOUT / "dbt_project" / "models").glob("**/_*.yml"):
        content = yaml.safe_load(path.read_text())
        layer = path.relative_to(CHECKOUT / "dbt_project" / "models").parts[0]
        found = content.get("models", []) if layer in {"marts", "ops"} else []
        for source in content.get("sources", []):
            found += source["tables"] if source["name"] == "signals" else []
        tables |= {
            table["name"]: table | {"layer": "ops" if layer == "ops" else "marts"}
            for table in found
            if "description" in table
        }
    return tables


def marts() -> dict[str, dict[str, Any]]:
    """The marts' descriptions, by name."""
    return {name: table for name, table in described().items() if table["layer"] == "marts"}


def questions() -> dict[str, str]:
    """The question of each mart in README's table, by the mart's name."""
    return dict(re.findall(r"^\| \[`(\w+)`\]\([^)]+\) \| (.+\?) \|$", README, re.MULTILINE))


def options(command: click.Command) -> set[str]:
    return {name for p in command.params for name in p.opts if name.startswith("--")}


def commands() -> dict[str, set[str]]:
    """The options that README names for each command, from the rows of its table."""
    section = README.split("## Commands\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `accountpulse (\w+)[^|]*?`(.*)$", section, re.MULTILINE)
    return {name: set(re.findall(r"--[a-z-]+", rest)) for name, rest in rows}


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def test_readme_lists_every_mart_with_the_question_that_its_description_asks() -> None:
    def question(table: dict[str, Any]) -> str:
        sentences = re.split(r"(?<=[.?]) ", " ".join(table["description"].split()))
        return " ".join(sentence for sentence in sentences if sentence.endswith("?"))

    assert questions() == {name: question(table) for name, table in marts().items()}


def test_the_lineage_picture_shows_every_mart() -> None:
    picture = (CHECKOUT / "docs" / "lineage.svg").read_text()
    shown = set(re.findall(r'class="m">([^<]+)<', picture))
    assert marts().keys() <= shown
    models = {path.stem for path in (CHECKOUT / "dbt_project" / "models").glob("**/*.sql")}
    assert {name for name in shown if re.match("int_|stg_", name)} <= models


def test_the_changelog_names_every_published_table() -> None:
    changelog = (CHECKOUT / "CHANGELOG.md").read_text()
    assert [name for name in described() if f"`{name}`" not in changelog] == []


def test_readme_names_every_command_with_all_its_options() -> None:
    assert commands() == {name: options(command) for name, command in cli.commands.items()}


def test_readme_names_every_make_target() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    offered = set(re.findall(r'echo "make (\w+)', makefile)) | {"environment"}
    assert set(re.findall(r"^\| `make (\w+)` \|", README, re.MULTILINE)) == offered
    assert set(re.findall(r"(?:`|^)make (\w+)", README, re.MULTILINE)) <= offered
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in offered)


def test_readme_names_every_setting() -> None:
    source = (CHECKOUT / "orchestration" / "project.py").read_text()
    read = set(re.findall(r'environ\.get\("(\w+)"\)', source))
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE)) == read


def test_readme_names_every_dial_file_and_the_columns_that_raw_tables_must_have() -> None:
    from orchestration.dials import FILES  # noqa: PLC0415 - heavier than the rest of this file
    from orchestration.raw_files import LAYOUT, REQUIRED  # noqa: PLC0415 - the same

    edits = re.findall(r"\| `(\w+)\.csv` \|$", README, re.MULTILINE)
    assert sorted(edits) == sorted(FILES)
    for table, columns in LAYOUT.items():
        (told,) = re.findall(rf"^\| `{table}` \| (.+) \|$", README, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", told)) == set(columns)
        assert set(re.findall(r"\*\*`(\w+)`\*\*", told)) == set(REQUIRED[table])


def messages() -> list[str]:
    """Every message that README tells what to do about."""
    (table,) = re.findall(r"\| it says \| do \|\n\|---\|---\|\n((?:\|.*\n)+)", README)
    return re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)


@pytest.mark.parametrize("message", messages())
def test_every_message_is_one_that_the_code_says(message: str) -> None:
    texts = []
    for path in (CHECKOUT / "orchestration").glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant):
                texts.append(str(node.value))
    said = "\n".join(texts)
    pieces = [piece for piece in re.split("[…';:]", message) if re.search("[a-z]", piece)]
    assert [piece for piece in pieces if piece.strip() not in said] == []


def queries() -> list[str]:
    """Every query that a page shows."""
    shown = []
    for page in PAGES:
        text = page.read_text()
        shown += re.findall(r'accountpulse query [^"\n]*"(select [^"]+|\n[^"]+)"', text)
        shown += re.findall(r"`(select [^`]+)`", text)
    return shown


@pytest.fixture(scope="module")
def empty_tables() -> duckdb.DuckDBPyConnection:
    """Every published table without rows, with the columns that its description promises."""
    connection = duckdb.connect()
    for table, content in described().items():
        columns = ", ".join(f"{c['name']} {c['data_type']}" for c in content["columns"])
        connection.execute(f"create table {table} ({columns})")
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in RUNS.items())
    connection.execute(f"create table runs ({columns})")
    return connection


@pytest.mark.parametrize("query", queries())
def test_every_query_runs(empty_tables: duckdb.DuckDBPyConnection, query: str) -> None:
    empty_tables.execute(query)


def test_readme_shows_what_the_query_gives(empty_tables: duckdb.DuckDBPyConnection) -> None:
    (query,) = [query for query in queries() if query.startswith("\n")]
    (header,) = re.findall(r"^┃(.+)┃$", README, re.MULTILINE)
    given = [column[0] for column in empty_tables.execute(query).description or []]
    assert [name.strip() for name in header.split("┃")] == given


def test_every_dependency_is_explained() -> None:
    project = (CHECKOUT / "pyproject.toml").read_text()
    wanted = set(re.findall(r'^    "([a-z-]+)>=', project, re.MULTILINE)) - {"hatchling"}
    decisions = (CHECKOUT / "docs" / "decisions.md").read_text()
    (table,) = re.findall(
        r"\| library \| why it is here \|\n\|---\|---\|\n((?:\|.*\n)+)", decisions
    )
    told = {name for row in table.splitlines() for name in row.split("|")[1].strip().split(", ")}
    assert told == wanted


def test_definitions_tell_every_flag_and_its_thresholds_as_shipped() -> None:
    from orchestration.dials import load_dials  # noqa: PLC0415 - heavier than the rest

    definitions = (CHECKOUT / "docs" / "definitions.md").read_text()
    mute = "mute_if_no_better_than_chance"
    persistence = ("min_days", "close_after_days", "cooldown_days")
    for rule in load_dials(CHECKOUT / "seeds").flag_rules:
        (row,) = re.findall(rf"^\| `{rule.flag_key}` .*$", definitions, re.MULTILINE)
        for name, value in rule.parameters.items():
            if name not in {"contract_grace_days", "max_flagship_user_rate", *persistence, mute}:
                assert re.search(rf"\b{value:g}\b[^(;]*\(`{name}`\)", row), (rule.flag_key, name)
        days = " | ".join(str(rule.parameters[name]) for name in persistence)
        assert f"\n| opens `{rule.flag_key}` | {days} |\n" in definitions
    assert "at most 30 days past (`contract_grace_days`)" in definitions


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        place, _, anchor = target.partition("#")
        linked = (page.parent / place) if place else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target
