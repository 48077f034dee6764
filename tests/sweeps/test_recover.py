"""A damaged study is rebuilt from what its trials left."""

from pathlib import Path
from typing import Any

import pytest

from seqmamba.errors import DataError
from seqmamba.params import Choice, Uniform
from seqmamba.sweeps import recover, sweep

SPACE = {"x": Uniform(-5, 5), "mode": Choice("plain", "failing")}


@pytest.mark.parametrize(
    ("storage", "trials"),
    [
        ("{}/new.db", 12),
        *(pytest.param("{}/new.db", n, marks=pytest.mark.slow) for n in (4, 5, 20, 40)),
        *(
            pytest.param("journal:{}/new.log", n, marks=pytest.mark.slow)
            for n in (4, 5, 12, 20, 40)
        ),
    ],
)
def test_recovered_study_equals_the_lost_one(
    storage: str, trials: int, parabola: Any, tmp_path: Path
) -> None:
    lost = sweep(parabola, "data", SPACE, trials=trials, out=tmp_path / "out").study_

    found = recover(tmp_path / "out", storage.format(tmp_path))

    assert found.best_value == lost.best_value
    for mine, theirs in zip(found.trials, lost.trials, strict=True):
        assert (mine.state, mine.values, mine.params) == (
            theirs.state,
            theirs.values if theirs.state.name == "COMPLETE" else None,
            theirs.params,
        )
        assert mine.user_attrs == theirs.user_attrs


def test_recovered_study_goes_on(parabola: Any, tmp_path: Path) -> None:
    sweep(parabola, "data", trials=5, out=tmp_path / "out")
    recover(tmp_path / "out", str(tmp_path / "new.db"))

    result = sweep(parabola, "data", trials=8, storage=tmp_path / "new.db", out=tmp_path / "out")

    assert result.trials_.height == 8


def test_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results"):
        recover(tmp_path, str(tmp_path / "new.db"))


def test_damaged_result_is_named(parabola: Any, tmp_path: Path) -> None:
    sweep(parabola, "data", trials=3, out=tmp_path / "out")
    (tmp_path / "out" / "trials" / "1" / "result.json").write_text('{"number": 1}')

    with pytest.raises(DataError, match=r"1/result.json is damaged"):
        recover(tmp_path / "out", str(tmp_path / "new.db"))


def test_storage_that_holds_the_study_is_refused(parabola: Any, tmp_path: Path) -> None:
    sweep(parabola, "data", trials=3, storage=tmp_path / "s.db", out=tmp_path / "out")

    with pytest.raises(DataError, match="holds this study already"):
        recover(tmp_path / "out", str(tmp_path / "s.db"))
