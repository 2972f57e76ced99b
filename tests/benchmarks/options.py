"""What the command lines of the benchmarks have in common."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path


def parser(description: str | None, sizes: Mapping[str, Mapping[str, int]]) -> ArgumentParser:
    """Return a command line with a scale, every size of it by itself, and where to write.

    Args:
        description: what it measures.
        sizes: the sizes of each scale, by name; the first scale is the default.
    """
    made = ArgumentParser(description=description)
    made.add_argument("--scale", choices=sizes, default=next(iter(sizes)), help="how much is stored and measured")
    made.add_argument("--json", type=Path, metavar="FILE", help="where to write every figure")
    for name in next(iter(sizes.values())):
        made.add_argument(f"--{name}", type=int, metavar="N", help="instead of the scale's")
    return made


def parse(made: ArgumentParser, sizes: Mapping[str, Mapping[str, int]]) -> Namespace:
    """Read the command line; what it does not name is as the scale has it."""
    given = made.parse_args()
    for name, size in sizes[given.scale].items():
        if getattr(given, name) is None:
            setattr(given, name, size)
    return given
