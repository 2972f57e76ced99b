"""What ``docs/search.md`` shows is so."""

from __future__ import annotations

import doctest
import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from whisper_persistence.fusing import Weights, explain, fuse
from whisper_persistence.records import SearchResult
from whisper_persistence.settings import load_settings

PAGE = Path(__file__).parents[1] / "docs" / "search.md"
TEXT = PAGE.read_text(encoding="utf-8")
PYTHON, WORDS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_first_example_finds_the_sister(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(compile(PYTHON, str(PAGE), "exec"), scope)  # noqa: S102

    assert "My sister plays the violoncello" in capsys.readouterr().out
    hit = scope["result"].hits[0]
    assert explain(hit, scope["result"], Weights()).startswith(
        f"{hit.score:.3f} = sqrt((0.75 * text {hit.parts['text']:.3f}²)"
    )


def test_words_are_what_the_page_says():
    assert not doctest.run_docstring_examples(WORDS, {}, name="words")
    finder = doctest.DocTestParser().get_doctest(WORDS, {}, "words", str(PAGE), 0)
    assert doctest.DocTestRunner().run(finder).failed == 0


def test_the_settings_are_taken(tmp_path):
    (settings,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert tomllib.loads(settings)
    (tmp_path / "w.toml").write_text(f'[whisper-persistence]\ndrivers = ["sqlite"]\n{settings}', encoding="utf-8")
    (spec,) = load_settings(config=str(tmp_path / "w.toml")).driver_specs()

    assert spec.options["search"] is True
    assert spec.options["weights"] == {"text": 0.75, "meaning": 0.25}


def test_the_weights_are_the_page_s():
    for field in attrs.fields(Weights):
        assert f"`{field.name}`" in TEXT
        assert f"{field.default:g}" in TEXT
    assert fuse([], [], Weights()) == []
    assert SearchResult().hits == ()


@pytest.mark.parametrize("given", [{"txt": 1}, {"text": -1}, {"floor": 2}, {"half_life": 0}, {"text": "much"}])
def test_weights_that_are_none_are_refused(given):
    from whisper_persistence import ConfigurationError
    from whisper_persistence.fusing import to_weights

    with pytest.raises(ConfigurationError):
        to_weights(given)
