"""Attention, attribution and maps keep to their instances; cross-validation goes on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone

from seqmamba.datasets.bags.files import write_h5
from seqmamba.datasets.simulate.instances import Slides
from seqmamba.errors import ConfigError, DataError, ResumeMismatchError
from seqmamba.metrics.classification import calibration_error
from seqmamba.tasks.mil.answers.calibration import best_temperature
from seqmamba.tasks.mil.answers.heatmap import HeatMap, patch_size
from seqmamba.tasks.mil.estimator import MILClassifier


def test_attention_sums_to_one_and_names_its_instances(
    on_slides: MILClassifier, slides: Slides, tmp_path: Path
) -> None:
    for i, bag in enumerate(slides.bags):
        write_h5(tmp_path / f"s{i:02d}.h5", bag, slides.coords[i])

    lists = on_slides.attention(slides.bags)
    table = on_slides.attention_table(tmp_path)

    assert [len(a) for a in lists] == [len(bag) for bag in slides.bags]
    assert_allclose([float(np.sum(a)) for a in lists], 1.0, rtol=1e-5)
    assert table.columns == ["bag_id", "instance", "x", "y", "attention", "rank"]
    one = table.filter(pl.col("bag_id") == "s03")
    assert_allclose(one["attention"], lists[3], rtol=1e-5)
    assert_allclose(one.select("x", "y").to_numpy(), slides.coords[3])
    assert one.filter(pl.col("rank") == 1)["attention"][0] == one["attention"].max()


def test_pools_without_attention_say_so(bags: Slides, fitted: MILClassifier) -> None:
    model = clone(fitted).set_params(pool="mean").fit(bags.bags, bags.labels)

    with pytest.raises(ConfigError, match="pool 'mean' has no attention"):
        model.attention(bags.bags)
    assert len(model.attribution(bags.bags[:3])) == 3


def test_grad_input_of_a_linear_model_adds_up(bags: Slides, fitted: MILClassifier) -> None:
    model = clone(fitted).set_params(encoder="none", pool="mean").fit(bags.bags, bags.labels)
    net: Any = model.net_
    net.activation = torch.nn.Identity()  # what is left is linear: shares and bias are the margin
    bias = (net.head.weight @ net.embed.bias + net.head.bias).detach().numpy()

    shares = model.attribution(bags.bags, y=1, method="grad_input")

    sums = np.array([share.sum() for share in shares])
    assert_allclose(sums + bias[1] - bias[0], model.decision_function(bags.bags), rtol=1e-4)


@pytest.mark.parametrize("labels", [2, 3])
def test_integrated_gradients_add_up_to_the_log_odds(
    bags: Slides, fitted: MILClassifier, labels: int
) -> None:
    classes = np.arange(40) % labels
    model = clone(fitted).set_params(max_epochs=5, learning_rate=0.02).fit(bags.bags, classes)
    net: Any = model.net_
    few = bags.bags[:5]
    plain = [np.broadcast_to(net.mean.numpy(), bag.shape) for bag in few]

    shares = model.attribution(few, y=1)

    def odds(found: Any) -> Any:
        logits = model._logits(model._asked(found)[0])
        others = logits[:, [k for k in range(labels) if k != 1]]
        return (logits[:, 1] - others.logsumexp(1)).numpy()

    assert [len(share) for share in shares] == [len(bag) for bag in few]
    sums = np.array([share.sum() for share in shares])
    assert_allclose(sums, odds(few) - odds(plain), atol=0.01)


def test_a_map_is_written_in_every_format(
    on_slides: MILClassifier, slides: Slides, tmp_path: Path
) -> None:
    write_h5(tmp_path / "a.h5", slides.bags[0], slides.coords[0])

    found = on_slides.heatmap(tmp_path)
    for suffix in (".png", ".geojson", ".csv"):
        found.save(tmp_path / f"map{suffix}")

    polygons = json.loads((tmp_path / "map.geojson").read_text())["features"]
    assert len(polygons) == len(slides.bags[0])
    corner = polygons[0]["geometry"]["coordinates"][0][0]
    assert_allclose(corner, slides.coords[0][0])
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"
    assert pl.read_csv(tmp_path / "map.csv").columns == ["x", "y", "attention"]
    with pytest.raises(ConfigError, match=r"\.geojson"):
        found.save(tmp_path / "map.doc")


def test_a_map_needs_places_and_a_bag(
    on_slides: MILClassifier, slides: Slides, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no coordinates"):
        on_slides.heatmap(slides.bags)
    with pytest.raises(DataError, match="there is no bag 'x'"):
        on_slides.heatmap(slides.bags, bag="x")


def test_colours_are_ranks_and_patches_their_grid() -> None:
    coords = np.array([[0, 0], [512, 0], [0, 256], [1536, 256]], dtype=float)
    found = HeatMap("a", coords, np.array([0.9, 0.04, -0.05, 0.01], np.float32))

    assert_allclose(found.shares(), [1, 1 / 3, 2 / 3, 0])
    assert patch_size(coords) == (512.0, 256.0)


def test_calibration_mends_overconfident_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2_000, 3))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    codes = np.array([rng.choice(3, p=row) for row in p])

    temperature, report = best_temperature(5 * logits, codes)

    assert temperature == pytest.approx(5, rel=0.1)
    assert report["error_after"] < 0.2 * report["error_before"]
    assert report["error_after"] == pytest.approx(calibration_error(codes, p), abs=0.02)


@pytest.fixture
def groups() -> Any:
    return np.array([f"p{i // 2:02d}" for i in range(40)])


def test_folds_keep_patients_and_cover_all_bags(
    fitted: MILClassifier, bags: Slides, groups: Any, tmp_path: Path
) -> None:
    table = fitted.cross_validate(
        bags.bags, bags.labels, cv=3, groups=groups, metrics=["accuracy"], splits=str(tmp_path)
    )

    assert table["fold"].to_list() == ["0", "1", "2", "mean", "sd", "pooled"]
    assert table["test"].sum() == 40
    assert sorted(p.name for p in tmp_path.glob("splits_*.csv"))[-1] == "splits_2.csv"


def test_a_killed_run_goes_on_at_the_next_fold(
    fitted: MILClassifier,
    bags: Slides,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = clone(fitted).cross_validate(bags.bags, bags.labels, cv=3)
    fits: list[int] = []
    fit = MILClassifier.fit

    def dying(self: Any, *args: Any, **tables: Any) -> Any:
        fits.append(1)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return fit(self, *args, **tables)

    monkeypatch.setattr(MILClassifier, "fit", dying)
    with pytest.raises(KeyboardInterrupt):
        fitted.cross_validate(bags.bags, bags.labels, cv=3, splits=str(tmp_path))
    again = fitted.cross_validate(bags.bags, bags.labels, cv=3, splits=str(tmp_path))

    assert len(fits) == 4  # one before, one that died, two after
    assert again.equals(whole)


def test_results_of_other_parameters_are_refused(
    fitted: MILClassifier, bags: Slides, tmp_path: Path
) -> None:
    fitted.cross_validate(bags.bags, bags.labels, cv=2, splits=str(tmp_path))

    other = clone(fitted).set_params(dropout=0.1)
    with pytest.raises(ResumeMismatchError, match=r"result_0\.json is of other parameters"):
        other.cross_validate(bags.bags, bags.labels, cv=2, splits=str(tmp_path))


def test_a_split_that_cuts_a_patient_is_refused(
    fitted: MILClassifier, bags: Slides, tmp_path: Path
) -> None:
    fitted.cross_validate(bags.bags, bags.labels, cv=2, splits=str(tmp_path))

    one = np.full(40, "one")
    with pytest.raises(DataError, match="patient 'one' is in train and in"):
        fitted.cross_validate(bags.bags, bags.labels, cv=2, groups=one, splits=str(tmp_path))


def test_inspect_lists_what_does_not_fit(bags: Slides, tmp_path: Path) -> None:
    broken = [bag.copy() for bag in bags.bags[:3]]
    broken[1][0, 2] = np.nan
    for bag in broken:
        bag[:, 4] = 1.0
    for name, bag in zip("abc", broken, strict=True):
        np.save(tmp_path / f"{name}.npy", bag)
    labels = pl.DataFrame(
        {"slide_id": ["a", "b", "d"], "label": ["x", "y", "x"], "case_id": ["p", "p", "q"]}
    )

    facts = dict(MILClassifier().inspect(tmp_path, labels).iter_rows())

    assert facts["NaN"] == "1"
    assert facts["constant features"] == "1: f4"
    assert facts["bags without label"] == "1: c"
    assert facts["labels without bag"] == "1: d"
    assert facts["groups of several labels"] == "1: p"
    assert facts["classes"] == "x (1), y (1)"
