"""The report: on a screen, as JSON, as a page; and answers as tables of other libraries."""

from __future__ import annotations

import html
import json
import os
import re
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from whisper_persistence import MissingLibraryError, Store
from whisper_persistence import records as rec
from whisper_persistence.cli import main
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.operations import load_report, to_arrow, to_pandas, to_polars
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples
from whisper_persistence.testing.aggregating import BEGIN, Sample

NASTY = "</script><script>document.title='stolen'</script> [bold]\x1b[31m"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Eight users of whom much is known, and one who is alone with a nasty habit."""
    for name in [name for name in os.environ if name.startswith(("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT"))]:
        monkeypatch.delenv(name)
    path = tmp_path / "memory.db"
    with Store(Chain.build([DriverSpec("sqlite", {"path": path})]), "elena") as store:
        for hook, batch in Sample(SUBJECT_CAPABILITIES, 5).batches():
            getattr(store, hook)(batch)
        store.update_patterns([rec.PatternChange("alone", NASTY)])
        store.update_strategies([rec.StrategyChange("alone", [samples.outcome(0.9, NASTY, timestamp=BEGIN)])])
    return f"sqlite:///{path}"


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--url", url, "--namespace", "elena", "report", *arguments])


def test_a_report_on_everybody_names_nobody(database):
    shown = run(database, "--minimum-group", "2")

    assert shown.exit_code == 0, shown.output
    titles = ("What helps", "Does it get better?", "Patterns")
    assert [title for title in titles if title not in shown.output] == []
    assert "are left out" in shown.output
    assert not [user for user in ("alice", "bob", "u_1", "alone") if user in shown.output]
    assert "stolen" not in shown.output


def test_a_report_on_one_user_shows_all_of_them(database):
    shown = run(database, "--user", "alice").output

    assert "about alice" in shown
    assert "decile 9" in shown
    assert "left out" not in shown
    assert "nothing to report" in run(database, "--user", "never seen").output


def test_what_is_nasty_neither_styles_nor_steers_a_screen(database):
    shown = run(database, "--user", "alone").output

    assert "[bold]" in shown
    assert "\x1b" not in shown


def test_json_has_the_answers(database):
    plain = json.loads(run(database, "--json", "--minimum-group", "1", "--context", "mood").stdout)

    assert plain["approaches"]["rows"][0]["count"] > 1
    assert any(row["context"] == "low" for row in plain["approaches"]["rows"])
    assert plain["minimum_group"] == 1
    assert plain["core"]["rows"] == []


def test_groups_that_are_too_small_are_not_in_the_page_either(database, tmp_path):
    run(database, "--html", str(tmp_path / "page.html"))

    assert "stolen" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_file_that_is_there_is_replaced_by_a_page_only_when_that_is_said(database, tmp_path):
    (tmp_path / "mine.html").write_text("mine", encoding="utf-8")
    refused = run(database, "--html", str(tmp_path / "mine.html"))

    assert (refused.exit_code, "mine.html already. Replace it? [y/N]" in refused.stderr) == (1, True)
    assert (tmp_path / "mine.html").read_text(encoding="utf-8") == "mine"
    assert run(database, "--user", "alone", "--html", str(tmp_path / "mine.html"), "--yes").exit_code == 0
    assert "<script>" in (tmp_path / "mine.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_else_and_no_name_ends_its_scripts(database, tmp_path):
    file = tmp_path / "page.html"
    written = run(database, "--user", "alone", "--html", str(file))
    page = file.read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)

    assert written.exit_code == 0, written.output
    assert file.stat().st_mode & 0o077 == 0
    assert len(scripts) == page.count("</script") == 2
    assert "<!--" not in "".join(scripts)
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", page.replace("".join(scripts), ""))
    assert "default-src 'none'" in page
    assert html.escape(NASTY.partition(" ")[0]) in page


@pytest.mark.parametrize("library", ["altair", "vl_convert"])
def test_a_page_without_its_libraries_says_what_to_install(database, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    failed = run(database, "--html", str(tmp_path / "page.html"))

    assert failed.exit_code == 1
    assert "pip install 'whisper-persistence[duckdb]'" in failed.stderr
    assert not (tmp_path / "page.html").exists()


def test_a_page_that_cannot_be_written_is_told(database):
    assert "cannot be written" in run(database, "--html", "/nowhere/page.html").stderr


def test_user_and_minimum_group_do_not_go_together(database):
    assert run(database, "--user", "alice", "--minimum-group", "3").exit_code == 2


def test_a_chain_that_knows_no_questions_has_an_empty_report():
    with Store(Chain.build([DriverSpec("memory-fallback", {}, frozenset({"conversations"}))])) as store:
        store.save_messages(
            [samples.message(timestamp=BEGIN + timedelta(hours=n), message_id=f"{n}") for n in range(3)]
        )
        report = load_report(store, minimum_group=1)

    assert report.approaches is None
    assert [row.messages for row in report.days.rows] == [2, 1]


@pytest.mark.parametrize("kind", rec.QUESTIONS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("full", [True, False])
def test_every_answer_becomes_a_table(kind, full):
    with Store(Chain.build([DriverSpec("memory-fallback")])) as store:
        for hook, batch in Sample(SUBJECT_CAPABILITIES, 6).batches() if full else ():
            getattr(store, hook)(batch)
        answer = store.aggregate(kind())
    arrow = to_arrow(answer)

    assert arrow.num_rows == len(answer.rows) == len(to_pandas(answer)) == len(to_polars(answer))
    assert not any(str(column.type) == "null" for column in arrow.columns)
    for row, plain in zip(answer.rows, arrow.to_pylist(), strict=True):
        for name, value in plain.items():
            found = getattr(row, name)
            assert (
                dict(value) if isinstance(found, dict) else tuple(value) if isinstance(found, tuple) else value
            ) == found


def test_tables_without_their_library_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)

    with pytest.raises(MissingLibraryError, match="install polars"):
        to_polars(rec.TopPatternsAnswer())


def test_a_page_that_cannot_be_put_in_its_place_leaves_nothing_behind(database, tmp_path):
    (tmp_path / "folder").mkdir()
    refused = run(database, "--html", str(tmp_path / "folder"), "--yes")

    assert (refused.exit_code, "Is a directory" in refused.stderr) == (1, True)
    assert not list(tmp_path.glob(".*"))
