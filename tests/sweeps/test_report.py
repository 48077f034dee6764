"""What a sweep leaves to read."""

import re
import sys
from pathlib import Path
from typing import Any

import matplotlib
import polars as pl
import pytest
import yaml

from seqmamba.errors import SeqmambaWarning
from seqmamba.params import Choice, Uniform
from seqmamba.sweeps import sweep

Style = dict[str, Any]


@pytest.fixture(scope="module")
def style() -> Style:
    """Return matplotlib's settings before a sweep draws."""
    settings: Any = matplotlib.rcParams  # its keys are literals, for type checkers
    return dict(settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, third_party: Path, style: Style) -> Path:
    from seqmamba_regress.data import simulate
    from seqmamba_regress.estimator import SequenceRegressor

    out = tmp_path_factory.mktemp("sweep")
    train, test = simulate(0)
    model = SequenceRegressor(max_epochs=3, learning_rate=0.02, random_state=0)
    sweep(model, train, trials=7, out=out, test=test)
    return out


def test_table_has_one_row_per_trial(folder: Path) -> None:
    table = pl.read_csv(folder / "trials.csv")

    assert table["number"].to_list() == list(range(7))
    assert {"kind", "state", "value", "d_model", "dropout"} <= set(table.columns)


def test_best_recipe_fits_the_winner_again(folder: Path, tmp_path: Path) -> None:
    from seqmamba_regress.data import simulate
    from seqmamba_regress.estimator import SequenceRegressor

    import seqmamba

    blocks = yaml.safe_load((folder / "best.yaml").read_text())
    train, test = simulate(0)
    again = SequenceRegressor(**blocks["params"], **blocks["train"]).fit(train)

    assert (again.predict(test) == seqmamba.load(folder).predict(test)).all()


def test_winner_is_the_saved_model_of_its_trial(folder: Path) -> None:
    from seqmamba_regress.data import simulate

    import seqmamba

    table = pl.read_csv(folder / "trials.csv").filter(pl.col("state") == "complete")
    best = table.sort("value")["number"][0]
    models = [seqmamba.load(path) for path in (folder, folder / "trials" / str(best))]

    answers = [model.predict(simulate(0)[1]) for model in models]
    assert (answers[0] == answers[1]).all()


def test_page_is_one_file_without_scripts_or_links(folder: Path) -> None:
    page = (folder / "study.html").read_text()

    assert page.count("<img") >= 3
    assert set(re.findall(r'src="([^"]{14})', page)) == {"data:image/svg"}
    assert not re.search(r"<script|<link|https?://", page)
    assert "On the test part" in page


def test_page_keeps_no_secret(folder: Path) -> None:
    page = (folder / "study.html").read_text()

    assert str(folder) not in page
    assert str(Path.home()) not in page.replace("/root", str(Path.home()))


def test_page_is_written_without_matplotlib(
    parabola: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.warns(SeqmambaWarning, match=r"seqmamba\[plots\]"):
        sweep(parabola, "data", trials=4, out=tmp_path)

    assert "<h2>Trials</h2>" in (tmp_path / "study.html").read_text()


def test_names_in_the_page_are_escaped(
    parabola: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # figures are slow, and images
    space = {"x": Uniform(0, 1), "mode": Choice("plain", "<script>alert(1)</script>")}

    with pytest.warns(SeqmambaWarning):
        sweep(parabola, "data", space, trials=12, out=tmp_path)

    page = (tmp_path / "study.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_drawing_leaves_the_users_style_alone(style: Style, folder: Path) -> None:
    from matplotlib import pyplot

    assert dict(matplotlib.rcParams) == style
    assert pyplot.get_fignums() == []
