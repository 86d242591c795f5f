"""The two ways in which a command ends badly, in sentences for a person instead of a traceback."""

from collections.abc import Sequence


class InputError(Exception):
    """What was given is wrong: dials, raw layout or usage. Exit code 2, nothing was written.

    Args:
        problems: one line each: what is wrong, where, what to do.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class RunError(Exception):
    """A run could not start or did not finish. Exit code 1; published tables are as they were."""
