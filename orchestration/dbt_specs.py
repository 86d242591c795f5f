"""What Dagster is told of the dbt project: its assets and checks, as dagster-dbt works them out.

That is done when the project is parsed, and kept beside it: to choose among nodes dagster-dbt loads
dbt, a second of every run in a process that has no other use for it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import dagster as dg

AFTER_SIGNALS = "tag:after_signals"
"""Models that read what Python wrote, with their tests."""

SELECTIONS: dict[str, dict[str, Any]] = {
    "dbt_models": {"exclude": AFTER_SIGNALS},
    "dbt_after_signals": {"select": AFTER_SIGNALS},
}

UNIQUE_ID = "dagster_dbt/unique_id"

ASSET_FIELDS = ["key", "description", "group_name", "skippable", "code_version", "owners", "tags"]
CHECK_FIELDS = ["name", "blocking"]


def _write(parsed: Path) -> None:
    """Writes the specs of a parsed project beside it.

    Args:
        parsed: folder with `manifest.json`.
    """
    from dagster_dbt import dbt_assets  # noqa: PLC0415 - loads dbt

    manifest = json.loads((parsed / "manifest.json").read_bytes())
    told = {}
    for name, selection in SELECTIONS.items():
        decorate = dbt_assets(manifest=manifest, name=name, **selection)
        chosen = decorate(lambda: None)  # its specs are all that is asked for
        told[name] = {
            "specs": [
                {field: getattr(spec, field) for field in ASSET_FIELDS}
                | {"deps": _keys(spec.deps), "metadata": _lasting(spec.metadata)}
                for spec in sorted(chosen.specs, key=lambda spec: spec.key)
            ],
            "check_specs": [
                {field: getattr(check, field) for field in CHECK_FIELDS}
                | {
                    "description": _meaning(manifest, check.metadata[UNIQUE_ID]),
                    "asset": check.asset_key,
                    "additional_deps": _keys(check.additional_deps),
                    "metadata": _lasting(check.metadata),
                }
                for check in sorted(chosen.check_specs, key=lambda check: check.key)
            ],
        }
    _file(parsed).write_text(dg.serialize_value(told))


def _meaning(manifest: dict[str, Any], unique_id: str) -> str | None:
    """What a check looks for: dagster-dbt leaves out what dbt is told of its tests.

    A generic test without a description of its own has that of its kind, with the columns or the
    condition it is used on.
    """
    node = manifest["nodes"][unique_id]
    if node["description"] or "test_metadata" not in node:
        return node["description"] or None
    test = node["test_metadata"]
    kind = manifest["macros"].get(f"macro.{node['package_name']}.test_{test['name']}", {})
    about = [
        f"`{', '.join(map(str, value)) if isinstance(value, list | dict) else value}`"
        for name, value in test["kwargs"].items()
        if name != "model"
    ]
    return " ".join([kind.get("description") or test["name"], *about])


def read(parsed: Path, name: str) -> dict[str, Any]:
    """Returns what `dagster.multi_asset` takes: `specs` and `check_specs`.

    Args:
        parsed: folder of the parsed project.
        name: key of `SELECTIONS`.
    """
    told: Any = dg.deserialize_value(_file(parsed).read_text())
    return {
        "specs": [dg.AssetSpec(**spec) for spec in told[name]["specs"]],
        "check_specs": [dg.AssetCheckSpec(**check) for check in told[name]["check_specs"]],
    }


def _file(parsed: Path) -> Path:
    return parsed / "specs.json"


def _keys(deps: Any) -> list[dg.AssetKey]:  # noqa: ANN401 - AssetDep, in any iterable
    return [dep.asset_key for dep in deps]


def _lasting(metadata: Any) -> dict[str, Any]:  # noqa: ANN401 - any mapping
    """What is more than a reference to objects of dagster-dbt."""
    objects = {"dagster_dbt/manifest", "dagster_dbt/dagster_dbt_translator"}
    return {name: value for name, value in metadata.items() if name not in objects}


def _parse(parsed: Path, arguments: list[str]) -> None:
    """Has dbt parse the project into a folder, and writes the specs beside it."""
    from dbt.cli.main import dbtRunner  # noqa: PLC0415 - only here

    result = dbtRunner().invoke(["parse", *arguments])
    if not result.success:
        sys.exit(str(result.exception))
    _write(parsed)


if __name__ == "__main__":
    _parse(Path(sys.argv[1]), sys.argv[2:])
