"""Names and texts inside of SQL: what comes from data or files is bound, or goes through here."""


def identifier(name: str) -> str:
    """A name as SQL writes it, whatever its letters."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    """A text, or what `str` makes of another value, as SQL writes it."""
    return "'" + str(text).replace("'", "''") + "'"
