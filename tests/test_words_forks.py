"""A process that forks while a thread looks for stems: the child can look for them too."""

from __future__ import annotations

import subprocess
import sys
import textwrap

PROGRAM = """
    import itertools, os, signal, threading, warnings
    from whisper_persistence import words

    warnings.simplefilter("ignore", DeprecationWarning)  # the fork of a process with threads is what is tried
    words.stem("walking")
    going = threading.Event()

    def work():
        for number in itertools.count():
            words.stem(f"walking{number}ings" * 200)
            going.set()

    threading.Thread(target=work, daemon=True).start()
    going.wait()
    for number in range(30):
        child = os.fork()
        if not child:
            signal.alarm(10)  # ends a child that hangs
            words.stem(f"a word of child {number}")
            os._exit(0)
        print(os.waitpid(child, 0)[1], end=" ")
    print(flush=True)
    os._exit(0)
"""


def test_a_forked_child_stems_whatever_another_thread_was_at():
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)  # noqa: S603

    assert done.stderr == ""
    assert done.stdout.split() == ["0"] * 30
