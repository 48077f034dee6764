"""Training and test by RecBole's own protocol and trainer."""

import sys
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import polars as pl

from seqmamba.tasks.recommend.recbole.checkpoint import estimator_of
from seqmamba.tasks.recommend.recbole.compat import compat, rb
from seqmamba.tasks.recommend.recbole.model import SIGMA

__all__ = ["prepared", "run"]


def run(
    model: str = "SIGMA",
    dataset: str = "ml-100k",
    *,
    folder: str | Path | None = None,
    max_minutes: float | None = None,
    **config: Any,
) -> dict[str, Any]:
    """Train and test a sequential model by RecBole's own protocol and trainer.

    Parameters
    ----------
    model : str
        ``"SIGMA"``, or the name of a RecBole model.
    dataset : str
        A RecBole data set; with ``data_path`` in ``config`` where its folder lies.
    folder : path or None
        Where checkpoints and logs go; None = a folder that is removed afterwards.
    max_minutes : float or None
        Time of the whole training. Each of the ``epochs`` then gets its share and ends when that
        is used up, so that the last one is validated like the others.
    config : settings of RecBole

    Returns
    -------
    dict
        ``best_valid_score``, ``best_valid_result``, ``test_result``, ``rows`` (training rows that
        were read, counted as often as read; None without ``max_minutes``), and ``checkpoint``: the
        path of our model file for ``"SIGMA"``, of RecBole's for its own models; None without
        ``folder``.
    """
    if folder is None:
        with TemporaryDirectory() as passing:
            result = run(model, dataset, folder=passing, max_minutes=max_minutes, **config)
            return result | {"checkpoint": None}
    with prepared(model, dataset, folder, **config) as parts:
        return _train(model, parts, max_minutes)


@contextmanager
def prepared(
    model: str, dataset: str, folder: str | Path, **config: Any
) -> Iterator[SimpleNamespace]:
    """Lend what RecBole trains with, inside :func:`compat`.

    Gives ``config``, ``dataset``, ``table`` (its events), the loaders ``train``, ``valid`` and
    ``test``, the network ``net`` and its ``trainer``. Arguments as for :func:`run`.
    """
    where = Path(folder).resolve()
    where.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "checkpoint_dir": str(where),
        "show_progress": False,
        "nproc": 1,
        **config,
    }
    if "data_path" in settings:
        settings["data_path"] = str(Path(settings["data_path"]).resolve())
    if settings["loss_type"] != "CE" and "train_neg_sample_args" not in config:
        del settings["train_neg_sample_args"]
    arguments, sys.argv = sys.argv, sys.argv[:1]  # RecBole takes --name=value for its settings
    try:
        with compat(), chdir(where):
            yield _parts(model, dataset, settings)
    finally:
        sys.argv = arguments


def _parts(model: str, name: str, settings: dict[str, Any]) -> SimpleNamespace:
    config = rb.Config(
        model=SIGMA if model == "SIGMA" else model, dataset=name, config_dict=settings
    )
    rb.init_seed(config["seed"], config["reproducibility"])
    dataset = rb.create_dataset(config)
    table = _table_of(dataset, config)  # before RecBole makes a row of every prefix
    train, valid, test = rb.data_preparation(config, dataset)
    rb.init_seed(config["seed"], config["reproducibility"])
    built = SIGMA if model == "SIGMA" else rb.get_model(config["model"])
    net = built(config, train.dataset).to(config["device"])
    trainer = rb.get_trainer(config["MODEL_TYPE"], config["model"])(config, net)
    return SimpleNamespace(
        config=config,
        dataset=dataset,
        table=table,
        train=train,
        valid=valid,
        test=test,
        net=net,
        trainer=trainer,
    )


class _Timed:
    """A loader whose passes end when their share of the time is used up."""

    def __init__(self, loader: Any, minutes: float, n_epochs: int) -> None:
        self.loader = loader
        self.share = 60 * minutes / n_epochs
        self.begun = time.perf_counter()
        self.epoch, self.rows = 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        self.epoch += 1
        for batch in self.loader:
            self.rows += len(batch)
            yield batch
            if time.perf_counter() - self.begun > self.share * self.epoch:
                return


def _train(model: str, parts: SimpleNamespace, max_minutes: float | None) -> dict[str, Any]:
    train, trainer = parts.train, parts.trainer
    if max_minutes is not None:
        train = _Timed(train, max_minutes, parts.config["epochs"])
    score, result = trainer.fit(train, parts.valid, saved=True, show_progress=False)
    tested = trainer.evaluate(parts.test, load_best_model=True, show_progress=False)
    written = Path(trainer.saved_model_file)
    if model == "SIGMA":
        written = written.with_suffix(".safetensors")
        estimator_of(parts).save(written)
    return {
        "best_valid_score": float(score),
        "best_valid_result": _floats(result),
        "test_result": _floats(tested),
        "rows": getattr(train, "rows", None),
        "checkpoint": str(written),
    }


def _table_of(dataset: Any, config: Any) -> pl.DataFrame:
    """Return a RecBole data set as a table, in its own order."""
    user, item, time = (config[f"{kind}_FIELD"] for kind in ("USER_ID", "ITEM_ID", "TIME"))
    columns = {
        "user_id": dataset.id2token(user, dataset.inter_feat[user].to_numpy()),
        "item_id": dataset.id2token(item, dataset.inter_feat[item].to_numpy()),
        "timestamp": dataset.inter_feat[time].to_numpy(),
    }
    return pl.DataFrame({name: pl.Series(values.tolist()) for name, values in columns.items()})


def _floats(result: Any) -> dict[str, float]:
    return {name: float(value) for name, value in result.items()}
