"""What sqlfluff needs to know of dbt to render a model without a database.

Here belong stand-ins for `adapter` and `dbt`, each giving SQL that parses; sqlfluff brings `ref`
and the like itself, and reads the project's own macros.
"""

import os
from collections.abc import Callable
from types import SimpleNamespace


def _call(name: str) -> Callable[..., str]:
    """Return a function that renders as a call of a SQL function of that name."""
    return lambda *arguments, **_: f"{name}({', '.join(str(value) for value in arguments)})"


class _Adapter:
    """Stands in for dbt's `adapter`; a dispatched macro becomes a function of its name.

    But for `quoted`, which stands where only an identifier may.
    """

    def dispatch(self, name: str, *_: str) -> Callable[..., str]:
        return self.quote if name == "quoted" else _call(name)

    def quote(self, name: str) -> str:
        return f'"{name}"'

    def get_columns_in_relation(self, _relation: object) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="trait_name", dtype="VARCHAR")]


class _Dbt:
    """Stands in for dbt's cross-database macros: types become types, others function calls."""

    def __getattr__(self, name: str) -> Callable[..., str]:
        if name.startswith("type_"):
            return lambda: name.removeprefix("type_").replace("string", "varchar")
        return _call(name)

    def listagg(self, measure: str, delimiter: str, order: str) -> str:
        return f"string_agg({measure}, {delimiter} {order})"


def var(name: str) -> int | None:
    """Stand in for any of the project's vars: of a run that restates, or builds everything anew."""
    is_anew = os.environ.get("LINTED_RUN") == "anew"
    return None if is_anew and name in {"known_load", "known_as_of", "restate_from"} else 1


execute = True
adapter = _Adapter()
dbt = _Dbt()
