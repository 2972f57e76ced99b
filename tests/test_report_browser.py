"""The page of a report in a real browser: every chart is drawn without a network, on a phone and on paper."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.operations import load_report
from whisper_persistence.operations.report_page import render_page
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SUBJECT_CAPABILITIES
from whisper_persistence.testing.aggregating import Sample

CHROMIUM = shutil.which("chromium")
PHONE = 390
#: Written by the page itself once its charts are drawn: how wide it is, and how wide the screen.
WIDTHS = """<script>
addEventListener("load", () => setTimeout(() => {
  document.title = document.documentElement.scrollWidth + " of " + innerWidth;
}, 3000));
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: tox run -e browser installs it")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with Store(Chain.build([DriverSpec("memory-fallback")])) as store:
        for hook, batch in Sample(SUBJECT_CAPABILITIES, 7).batches():
            getattr(store, hook)(batch)
        html = render_page(load_report(store, minimum_group=1))
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html.removesuffix("</body>\n</html>\n") + f"{WIDTHS}</body>\n</html>\n", encoding="utf-8")
    return path


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open the page in a browser whose every request would go to a port where nobody listens."""
    alone = ("--headless", "--no-sandbox", "--disable-gpu", "--proxy-server=http://127.0.0.1:9", "--hide-scrollbars")
    command = [str(CHROMIUM), *alone, f"--user-data-dir={page.parent}/profile", "--enable-logging=stderr"]
    budget = "--virtual-time-budget=20000"
    return subprocess.run(  # noqa: S603
        [*command, budget, *options, page.as_uri()], capture_output=True, text=True, check=True, timeout=180
    )


def test_every_chart_is_drawn_within_a_phone(page):
    drawn = browse(page, f"--window-size={PHONE},900", "--dump-dom")
    charts = [section for section in drawn.stdout.split("<section>") if 'class="chart' in section]
    wide, screen = map(int, re.findall(r"<title>(\d+) of (\d+)</title>", drawn.stdout)[0])

    assert len(charts) == 7
    assert [chart[:60] for chart in charts if "<svg" not in chart or "<path" not in chart] == []
    assert "CONSOLE" not in "".join(line for line in drawn.stderr.splitlines() if "rror" in line)
    assert wide <= screen <= 500  # Chromium makes no window as narrow as a phone's


def test_it_prints(page):
    paper = page.with_name("report.pdf")
    browse(page, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    printed = paper.read_bytes()

    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000
