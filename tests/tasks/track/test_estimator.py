"""The motion predictor: equivariance, points, storage, scores, and bad input."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import seqmamba
from seqmamba.datasets import simulate
from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.track.estimator import MotionPredictor
from seqmamba.tasks.track.online.tracker import Tracker

BOX = ["x1", "y1", "x2", "y2"]
TINY: dict[str, Any] = {
    "q": 5,
    "d_model": 16,
    "n_layers": 1,
    "d_state": 4,
    "max_epochs": 1,
    "batch_size": 64,
    "random_state": 0,
}
Tables = tuple[pl.DataFrame, pl.DataFrame]


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Tracks and detections of two short videos."""
    made: Tables = simulate.dancers(2, seed=50, n_frames=60, n_dancers=5)
    return made


@pytest.fixture(scope="module")
def fitted(tables: Tables) -> MotionPredictor:
    """A network that is no longer at its start."""
    torch.set_num_threads(1)
    model = MotionPredictor(**TINY, anchor=None).fit(*tables)
    with torch.no_grad():
        out: Any = model.net_.out
        torch.nn.init.normal_(out.weight, std=0.1, generator=torch.Generator())
    return model


def test_an_untrained_network_expects_no_motion(tables: Tables) -> None:
    model = MotionPredictor(**{**TINY, "max_epochs": 0}, anchor=None).fit(tables[0])

    forecast = model.predict(tables[0], h=3)

    ends = tables[0].sort("frame").group_by("sequence", "track_id").last()
    joined = forecast.join(ends, on=["sequence", "track_id"], suffix="_last")
    np.testing.assert_allclose(
        joined.select(BOX).to_numpy(),
        joined.select([f"{c}_last" for c in BOX]).to_numpy(),
        atol=1e-3,
    )


def test_the_default_network_sees_its_input(tables: Tables) -> None:
    settings = {**TINY, "max_epochs": 25, "patience": None, "learning_rate": 0.01, "anchor": None}

    model = MotionPredictor(**settings).fit(*tables)

    still = MotionPredictor(**{**settings, "max_epochs": 0}).fit(*tables)
    assert model.score(*tables) > 0.85 * still.score(*tables)  # scores are negative errors


def test_boxes_of_another_size_and_place_move_alike(
    fitted: MotionPredictor, tables: Tables
) -> None:
    moved = tables[0].with_columns(pl.col(BOX) * 3 + 1000)

    here, there = (fitted.predict(t, h=4).select(BOX).to_numpy() for t in (tables[0], moved))

    np.testing.assert_allclose(here * 3 + 1000, there, atol=0.02)


def test_ids_survive_translation_and_scale(fitted: MotionPredictor, tables: Tables) -> None:
    seen = tables[1]
    moved = seen.with_columns(pl.col(BOX) * 3 + 1000)

    first, second = (Tracker(motion=fitted).run(t)["track_id"] for t in (seen, moved))

    assert first.equals(second)


def test_a_file_brings_back_the_same_bits(
    fitted: MotionPredictor, tables: Tables, tmp_path: Path
) -> None:
    path = fitted.save(tmp_path / "motion.safetensors")

    loaded = MotionPredictor.load(path)

    assert loaded.predict(tables[0], h=2).equals(fitted.predict(tables[0], h=2))
    tracks = [Tracker(motion=m).run(tables[1]) for m in (fitted, str(path))]
    assert tracks[0].equals(tracks[1])


def test_the_anchor_travels_with_the_file(tables: Tables, tmp_path: Path) -> None:
    model = MotionPredictor(**TINY).fit(*tables)

    loaded = MotionPredictor.load(model.save(tmp_path / "motion.safetensors"))

    assert loaded.anchor_ == model.anchor_ == "linear"
    assert loaded.predict(tables[0], h=2).equals(model.predict(tables[0], h=2))


@pytest.mark.parametrize("anchor", ["last", "kalman", "linear"])
def test_epoch_zero_is_the_anchor(tables: Tables, anchor: str) -> None:
    alone = MotionPredictor(**{**TINY, "max_epochs": 0}, anchor=anchor).fit(*tables)

    trained = MotionPredictor(**TINY, anchor=anchor).fit(*tables)

    assert trained.history_.best <= alone.history_.best


def test_the_last_anchor_repeats_the_last_step(tables: Tables) -> None:
    model = MotionPredictor(**{**TINY, "max_epochs": 0}, anchor="last").fit(tables[0])

    forecast = model.predict(tables[0].filter(pl.col("frame") <= 30), h=1)

    centre = (pl.col("x1") + pl.col("x2")) / 2
    path = tables[0].with_columns(x=centre).sort("sequence", "track_id", "frame")
    a, b = (path.filter(pl.col("frame") == f)["x"].to_numpy() for f in (29, 30))
    np.testing.assert_allclose(forecast.select(centre).to_series().to_numpy(), 2 * b - a, atol=0.01)


def test_every_frame_can_be_an_origin(fitted: MotionPredictor, tables: Tables) -> None:
    ends = fitted.predict(tables[0], h=2)
    everywhere = fitted.predict(tables[0], h=2, origin="all")

    assert len(ends) == 2 * 10
    assert len(everywhere) == 2 * len(tables[0])
    assert ends.columns == ["sequence", "track_id", "frame", "step", *BOX]
    assert ends["frame"].unique().to_list() == [61, 62]


def test_the_answer_comes_in_the_library_of_the_question(
    fitted: MotionPredictor, tables: Tables
) -> None:
    assert type(fitted.predict(tables[0].to_pandas(), h=1)).__module__.startswith("pandas")


def test_a_box_alone_stays_where_it_is_known(fitted: MotionPredictor) -> None:
    lone = pl.DataFrame({"frame": [4], "track_id": [0], "x1": [0.0], "y1": [0.0]})
    lone = lone.with_columns(x2=pl.lit(10.0), y2=pl.lit(20.0))

    assert np.isfinite(fitted.predict(lone, h=5).select(BOX).to_numpy()).all()


def test_points_are_forecast_in_their_unit() -> None:
    frame, walker = (x.ravel() for x in np.mgrid[1:31, 0:12])
    speed = 0.1 + 0.02 * walker
    table = pl.DataFrame(
        {"frame": frame, "track_id": walker, "x": frame * speed, "y": -frame * speed}
    )

    model = MotionPredictor(**TINY, columns=("x", "y"), scale="std").fit(table)
    forecast = model.predict(table, h=12)

    step, who = (forecast[name].to_numpy() for name in ("step", "track_id"))
    expected = (30 + step) * (0.1 + 0.02 * who)
    np.testing.assert_allclose(forecast["x"], expected, atol=0.15)
    np.testing.assert_allclose(forecast["y"], -expected, atol=0.15)
    assert model.score(table) > -0.02


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": "image", "anchor": None},
        {"horizon_train": 3},
        {"giou_weight": 0.5},
        {"residual": False},
        {"noise": False, "flip": False},
    ],
)
def test_every_setting_trains(tables: Tables, settings: dict[str, Any]) -> None:
    model = MotionPredictor(**TINY, **settings).fit(tables[0])

    assert np.isfinite(model.history_.table()["valid_loss"].to_numpy()).all()


def test_a_wild_network_stays_finite_over_many_steps(tables: Tables) -> None:
    model = MotionPredictor(**{**TINY, "max_epochs": 0}, anchor=None).fit(tables[0])
    out: Any = model.net_.out
    with torch.no_grad():
        out.bias.fill_(1e6)

    boxes = model.predict(tables[0], h=10).select(BOX).to_numpy()

    assert np.abs(boxes).max() < 1e9


def test_a_scale_that_does_not_fit_is_refused(tables: Tables) -> None:
    with pytest.raises(ConfigError, match="boxes take 'box' or 'image', points take 'std'"):
        MotionPredictor(**TINY, scale="std").fit(tables[0])


def test_walkers_that_hide_for_ten_frames_keep_their_identity() -> None:
    model = MotionPredictor(**TINY).fit(simulate.dancers(2, seed=70, kind="linear")[0])
    frame, walker = (x.ravel() for x in np.mgrid[1:61, 0:5])
    x, y = 3.0 * frame, 150.0 * walker
    truth = pl.DataFrame(
        {"frame": frame, "track_id": walker, "x1": x, "y1": y, "x2": x + 50, "y2": y + 110}
    )
    seen = truth.filter(~pl.col("frame").is_between(30, 39) | (pl.col("track_id") > 1))

    whole, hidden = (Tracker(motion=model).run(table) for table in (truth, seen))

    perfect = Tracker.evaluate(truth, whole).row(-1, named=True)
    assert perfect["HOTA"] == pytest.approx(100)
    assert Tracker.evaluate(seen, hidden)["switches"][-1] == 0
    assert hidden["track_id"].n_unique() == 5


def test_evaluate_puts_all_motion_models_side_by_side(
    fitted: MotionPredictor, tables: Tables
) -> None:
    table = fitted.evaluate(*tables)

    assert table["metric"].to_list() == [
        *(f"iou_{k}" for k in (1, 3, 5, 10)),
        *("HOTA", "DetA", "AssA", "MOTA", "IDF1", "switches"),
    ]
    assert set(table.columns) >= {"value", "baseline", "skill", "none", "kalman", "linear"}
    best = table.select(pl.max_horizontal("none", "kalman", "linear"))["none"]
    assert table["baseline"][:9].equals(best[:9], check_names=False)
    one = fitted.evaluate(tables[0], metrics=["iou_5"])
    assert one["value"][0] == pytest.approx(
        fitted.evaluate(tables[0]).filter(pl.col("metric") == "iou_5")["value"][0]
    )


def test_evaluate_without_a_model_scores_given_tracks(tables: Tables) -> None:
    tracks = Tracker().run(tables[1])

    table = MotionPredictor().evaluate(tables[0], tracks)

    assert table.equals(Tracker.evaluate(tables[0], tracks))
    with pytest.raises(DataError, match="have no track_id; these are detections"):
        MotionPredictor().evaluate(tables[0], tables[1])
    with pytest.raises(ConfigError, match="scores need tracks beside the truth"):
        MotionPredictor().evaluate(tables[0])
    with pytest.raises(DataError, match=r"stands a second time|are detections"):
        MotionPredictor().evaluate(tables[0], tracks.with_columns(track_id=pl.lit(-1)))


def test_an_unknown_metric_is_named(fitted: MotionPredictor, tables: Tables) -> None:
    with pytest.raises(ConfigError, match=r"no metric 'iou_2'.*Did you mean"):
        fitted.evaluate(tables[0], metrics=["iou_2"])


def test_run_takes_names_files_and_itself(fitted: MotionPredictor, tables: Tables) -> None:
    assert fitted.run(tables[1]).equals(Tracker(motion=fitted).run(tables[1]))
    assert MotionPredictor().run(tables[1]).equals(Tracker().run(tables[1]))
    named = fitted.run(tables[1], model="none", association="byte")
    assert named.equals(Tracker(motion="none", association="byte").run(tables[1]))


def test_another_frame_rate_is_warned_of(tables: Tables) -> None:
    model = MotionPredictor(**{**TINY, "max_epochs": 0}, fps=10).fit(tables[0])

    with pytest.warns(seqmamba.errors.SeqmambaWarning, match="fitted at 10 frames per second"):
        Tracker(motion=model, fps=25).update(None)


def test_inspect_tells_what_was_understood(tables: Tables) -> None:
    holed = tables[0].filter(pl.col("frame") != 30)

    facts = dict(MotionPredictor().inspect(holed).iter_rows())

    assert facts["sequences"] == "2"
    assert facts["tracks"] == "10"
    assert facts["gaps in tracks"] == "10"


def test_tracks_without_pairs_of_frames_are_refused(tables: Tables) -> None:
    sparse = tables[0].filter(pl.col("frame") % 2 == 0)

    with pytest.raises(DataError, match="no track with two boxes in consecutive frames"):
        MotionPredictor(**TINY).fit(sparse)


def test_detections_without_boxes_are_refused(tables: Tables) -> None:
    with pytest.raises(DataError, match="detections hold no boxes"):
        MotionPredictor(**TINY).fit(tables[0], tables[1].clear())


def test_videos_are_never_cut_between_training_and_validation(tables: Tables) -> None:
    windows: Any = MotionPredictor(**TINY)._read(tables[0], None, True)

    train, valid = windows.split(0.5)

    assert len(train) + len(valid) == len(windows)
    assert not set(train.sequence[train.origins]) & set(valid.sequence[valid.origins])


def test_own_videos_can_be_held_out(tables: Tables) -> None:
    first, second = (
        tuple(t.filter(pl.col("sequence") == name) for t in tables)
        for name in ("dance-00", "dance-01")
    )

    given = MotionPredictor(**TINY).fit(*first, eval_set=second)

    alone = MotionPredictor(**{**TINY, "val_size": 1}).fit(*tables)
    assert given.history_.best == pytest.approx(alone.history_.best)


def test_confidence_is_read_where_it_was_learned(tables: Tables) -> None:
    doubtful = tables[0].with_columns(confidence=pl.lit(0.3))
    sees, alone, blind = (
        MotionPredictor(**TINY, anchor=None, confidence=confidence).fit(*given)
        for given, confidence in ((tables, True), (tables[:1], True), (tables, False))
    )

    moved = [not m.predict(tables[0]).equals(m.predict(doubtful)) for m in (sees, alone, blind)]

    assert moved == [True, False, False]


def _blurred_walkers(seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return tracks, and detections of which three in ten are blurred and say so."""
    rng = np.random.default_rng(seed)
    frame, walker = (x.ravel() for x in np.mgrid[1:121, 0:12])
    x = 400.0 * walker + 60 * np.sin(frame / 8 + walker + seed)
    truth = pl.DataFrame({"frame": frame, "track_id": walker, "x1": x, "y1": 0 * x})
    truth = truth.with_columns(x2=pl.col("x1") + 60, y2=pl.col("y1") + 120)
    blurred = rng.random(len(x)) < 0.3
    jitter = rng.normal(0, np.where(blurred, 8.0, 0.5))
    seen = truth.with_columns(pl.col("x1", "x2") + jitter, track_id=pl.lit(-1))
    return truth, seen.with_columns(confidence=pl.Series(np.where(blurred, 0.3, 0.9)))


@pytest.mark.slow
def test_confidence_tells_how_far_to_trust_a_box() -> None:
    settings = {**TINY, "max_epochs": 8, "patience": None, "horizon_train": 1}

    sees, blind = (
        MotionPredictor(**settings, confidence=c).fit(*_blurred_walkers(0)) for c in (True, False)
    )

    others = _blurred_walkers(1)
    assert sees.score(*others) > 0.9 * blind.score(*others)  # scores are negative errors


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_learned_motion_beats_kalman_on_dancers(seed: int) -> None:
    model = MotionPredictor(stride=3, max_epochs=8, random_state=seed)
    model.fit(*simulate.dancers(6, seed=100 + 10 * seed))

    table = model.evaluate(*simulate.dancers(4, seed=seed), association="mambatrack")

    scores = {row["metric"]: row for row in table.iter_rows(named=True)}
    assert scores["IDF1"]["value"] >= scores["IDF1"]["kalman"] + 3
    assert scores["iou_5"]["value"] > scores["iou_5"]["linear"]
    assert scores["HOTA"]["value"] >= scores["HOTA"]["none"]


@pytest.mark.slow
def test_learned_motion_loses_nothing_to_ridge_on_many_dancers() -> None:
    model = MotionPredictor(stride=3, max_epochs=8, random_state=0)
    model.fit(*simulate.dancers(6, seed=100))

    table = model.evaluate(*simulate.dancers(24, seed=400))  # of four, IDF1 differs by chance

    scores = {row["metric"]: row for row in table.iter_rows(named=True)}
    assert scores["IDF1"]["value"] >= scores["IDF1"]["linear"] - 0.5


@pytest.mark.slow
def test_learned_motion_loses_nothing_on_straight_lines() -> None:
    model = MotionPredictor(stride=3, max_epochs=4, random_state=0)
    model.fit(*simulate.dancers(6, seed=100, kind="linear"))

    table = model.evaluate(*simulate.dancers(6, seed=0, kind="linear"))

    scores = {row["metric"]: row for row in table.iter_rows(named=True)}
    assert scores["IDF1"]["value"] >= scores["IDF1"]["kalman"] - 1
