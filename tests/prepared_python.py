"""A Python that has the package loaded and forks for each program: a hundred programs for the price of one start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Reads a job a line, and answers each with the exit code of the process that did it.
SERVER = """
import gc, json, os, runpy, sys, warnings
import alembic.command, rich.progress, rich.table, sqlalchemy
import whisper_persistence, whisper_persistence.companion, whisper_persistence.operations
import whisper_persistence_drivers.memory_fallback, whisper_persistence_drivers.sqlite
from whisper_persistence.cli import main

def begin(job):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.argv[:] = job["command"]
    sys.path[0] = job["folder"]
    warnings.simplefilter("error")

gc.freeze()  # so that no child copies what it only looks at
answers, jobs = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(0))
while line := jobs.readline():
    if child := os.fork():
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\\n")
        answers.flush()
        continue
    job = json.loads(line)
    answers.close()
    jobs.close()
    begin(job)
    if job["command"][0] == "whisper-persistence":
        main(prog_name="whisper-persistence")
    runpy.run_path(job["command"][0], run_name="__main__")
    break
answers.close()
jobs.close()
"""


class PreparedPython:
    """Runs scripts, and the command ``whisper-persistence``, each in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "error", "-c", SERVER]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603

    def run(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
        """Return the exit code of a command, and what it said on both streams."""
        out, err = folder / ".said", folder / ".failed"
        job: dict[str, Any] = {"command": list(command), "folder": str(folder), "environment": dict(environment)}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({**job, "out": str(out), "err": str(err)}) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        return code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")

    def close(self) -> None:
        """End it."""
        self._server.communicate()
