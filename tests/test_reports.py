"""Figures and pages: self-contained, repeatable, harmless."""

import re
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqmamba.errors import MissingPackageError
from seqmamba.reports import Page, new_figure, plot_style, save_figure


def drawn() -> Any:
    figure, axes = new_figure()
    axes[0, 0].plot([1, 2, 3], label="a & b")
    return figure


def test_page_is_one_file(tmp_path: Path) -> None:
    page = Page("Scores & more")
    page.add_heading("Table")
    page.add_table(pl.DataFrame({"id": ["a"], "value": [0.123456]}), marked=0)
    page.add_figure(drawn(), "A line")
    page.write(tmp_path / "page.html")

    text = (tmp_path / "page.html").read_text()

    assert "Scores &amp; more" in text
    assert '<td class="number">0.1235</td>' in text
    assert not re.search(r"<script|<link|https?://", text)
    assert 'src="data:image/svg+xml;base64,' in text


def test_cells_without_a_number_are_empty() -> None:
    page = Page("Scores")

    page.add_table(pl.DataFrame({"skill": [0.5, float("nan"), None]}))

    cells = re.findall(r'<td class="number">(.*?)</td>', page.html())
    assert cells == ["0.5", "", ""]


@pytest.mark.parametrize("evil", ["<script>x</script>", '"><img src=x>', "a\x00b"])
def test_text_of_users_is_escaped(evil: str) -> None:
    page = Page(evil)
    page.add_text(evil)
    page.add_table(pl.DataFrame({evil: [evil]}))

    assert "<script>" not in page.html()
    assert "<img" not in page.html()


def test_equal_figures_give_equal_pages() -> None:
    pages = []
    for _ in range(2):
        page = Page("A")
        page.add_figure(drawn(), "line")
        pages.append(page.html())

    assert pages[0] == pages[1]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_suffix_names_the_format(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"figure.{suffix}"

    save_figure(drawn(), path)

    head = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(head)


def test_style_of_the_user_comes_back() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with plot_style():
        assert dict(matplotlib.rcParams) != before

    assert dict(matplotlib.rcParams) == before


def test_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(MissingPackageError, match=r"seqmamba\[plots\]"):
        new_figure()
