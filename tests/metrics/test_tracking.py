"""HOTA, CLEAR and Identity against TrackEval 1.3.0, and their edges."""

import json
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqmamba.errors import DataError
from seqmamba.metrics.tracking import (
    Clip,
    count_clear,
    count_hota,
    count_identity,
    score_clips,
)

GOLDEN = json.loads(
    (Path(__file__).resolve().parents[1] / "golden" / "tracking_metrics.json").read_text()
)


def _rows(rows: Sequence[Sequence[float]]) -> tuple[Any, Any, Any]:
    table = np.array(rows, float).reshape(-1, 6)
    return table[:, 0], table[:, 1], table[:, 2:]


def _clip(name: str) -> Clip:
    case = GOLDEN["cases"][name]
    return Clip.from_rows(_rows(case["truth"]), _rows(case["tracks"]))


def _values(clips: list[Clip]) -> dict[str, float]:
    def total(count: Any) -> Any:
        return reduce(lambda a, b: a + b, map(count, clips))

    hota, clear, identity = total(count_hota), total(count_clear), total(count_identity)
    return {
        "HOTA": hota.hota,
        "DetA": hota.det_a,
        "AssA": hota.ass_a,
        "MOTA": clear.mota,
        "MOTP": clear.motp,
        "switches": clear.switches,
        "fragments": clear.fragments,
        "mostly_tracked": clear.mostly_tracked,
        "mostly_lost": clear.mostly_lost,
        "FN": clear.fn,
        "FP": clear.fp,
        "IDF1": identity.idf1,
    }


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_one_video_equals_trackeval(name: str) -> None:
    assert _values([_clip(name)]) == pytest.approx(GOLDEN["cases"][name]["value"], abs=1e-9)


def test_videos_together_equal_trackeval() -> None:
    values = _values([_clip(name) for name in GOLDEN["cases"]])

    assert values == pytest.approx(GOLDEN["combined"], abs=1e-9)


def test_table_ends_with_the_combined_row() -> None:
    table = score_clips({name: _clip(name) for name in GOLDEN["cases"]})

    assert table["sequence"].to_list() == [*GOLDEN["cases"], "COMBINED"]
    assert table["HOTA"][-1] == pytest.approx(100 * GOLDEN["combined"]["HOTA"], abs=1e-7)
    assert table["HOTA"][-1] != pytest.approx(table["HOTA"][:-1].mean())


def test_perfect_tracks_score_one_whatever_the_ids() -> None:
    truth = [[t, i, 50 * i, t, 50 * i + 20, t + 40] for t in range(1, 9) for i in range(3)]
    renamed = [[t, 7 - i, *box] for t, i, *box in truth]

    values = _values([Clip.from_rows(_rows(truth), _rows(renamed))])

    assert values["HOTA"] == values["MOTA"] == values["IDF1"] == pytest.approx(1)
    assert values["switches"] == 0


def test_nothing_at_all_scores_zero() -> None:
    empty = Clip.from_rows(_rows([]), _rows([]))

    values = _values([empty])

    assert values["HOTA"] == values["MOTA"] == values["IDF1"] == 0


def test_false_alarms_alone_are_counted() -> None:
    alarms = Clip.from_rows(_rows([]), _rows([[1, 1, 0, 0, 5, 5]]))

    assert count_clear(alarms).fp == count_identity(alarms).fp == 1
    assert count_hota(alarms).fp.tolist() == [1.0] * 19


def test_an_id_twice_in_a_frame_is_refused() -> None:
    rows = [[1, 4, 0, 0, 5, 5], [1, 4, 9, 9, 12, 12]]

    with pytest.raises(DataError, match="id 4 stands 2 times in frame 1"):
        Clip.from_rows(_rows(rows), _rows([]), name="a")
