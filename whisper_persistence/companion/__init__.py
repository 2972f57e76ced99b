"""The companion's mind: how to support each user and which memories matter, learned, kept and used."""

# One import block and one list, each sorted by name.
__all__: list[str] = []
