"""Bridge to RecBole 1.2.1: our network in its trainer, its models on today's NumPy and torch.

Only this file imports RecBole (extra ``recbole``). RecBole's checkpoints are pickles, which could
run code: :func:`run` writes our own model file beside them, and :func:`from_checkpoint` reads
nothing else.
"""

import sys
import time
import types
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch.nn import functional

from seqmamba import frames
from seqmamba.datasets.interactions.formats import read_atomic, write_atomic
from seqmamba.errors import ConfigError, MissingPackageError, ModelFileError
from seqmamba.tasks.recommend.estimator import SIGMARecommender
from seqmamba.tasks.recommend.net.losses import softmax
from seqmamba.tasks.recommend.net.model import SIGMANet
from seqmamba.tasks.recommend.net.settings import NetSettings, net_settings

__all__ = ["SIGMA", "compat", "from_atomic", "from_checkpoint", "prepared", "run", "to_atomic"]

REMOVED_FROM_NUMPY = {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}
KEYS = {  # RecBole's and the released code's names -> ours
    "hidden_size": "d_model",
    "num_layers": "n_layers",
    "dropout_prob": "dropout",
    "d_state": "d_state",
    "d_conv": "d_conv",
    "expand": "expand",
    "keep_last": "keep_last",
    "flip": "flip",
    "gate": "gate",
    "conv": "conv",
    "init": "init",
    "preset": "preset",
}


@contextmanager
def compat() -> Iterator[None]:
    """Let RecBole 1.2.1 run on current NumPy, torch and without Ray; may be nested.

    Empty modules stand in for Ray if it cannot be imported, NumPy's removed names exist for the
    duration, and ``torch.load`` reads the pickles that were saved inside. All is as found after.
    """
    lent = [name for name in REMOVED_FROM_NUMPY if name not in vars(np)]
    for name in lent:
        setattr(np, name, REMOVED_FROM_NUMPY[name])
    stand_ins = _stand_in_for_ray()
    load, save, written = torch.load, torch.save, set()

    def noted_save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        save(obj, f, *args, **kwargs)
        if isinstance(f, str | Path):
            written.add(Path(f).resolve())

    def trusting_load(f: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(f, str | Path) and Path(f).resolve() in written:
            kwargs.setdefault("weights_only", False)
        return load(f, *args, **kwargs)

    torch.save, torch.load = noted_save, trusting_load
    try:
        yield
    finally:
        torch.save, torch.load = save, load
        for name in stand_ins:
            sys.modules.pop(name, None)
        for name in lent:
            delattr(np, name)


def _stand_in_for_ray() -> list[str]:
    """Put empty modules in the place of Ray, which only RecBole's parameter search needs."""
    if "ray" in sys.modules:
        return []
    try:
        import_module("ray.tune")
    except Exception:  # Ray 2.6 fails in many ways on current packages
        for name in [name for name in sys.modules if name.split(".")[0] == "ray"]:
            del sys.modules[name]
        tune = types.ModuleType("ray.tune")
        sys.modules |= {"ray": types.ModuleType("ray"), "ray.tune": tune}
        vars(sys.modules["ray"])["tune"] = tune
        return ["ray", "ray.tune"]
    return []


def _recbole() -> SimpleNamespace:
    """Import what is used of RecBole, by name: it ships no types."""
    homes = {
        "Config": "recbole.config",
        "create_dataset": "recbole.data",
        "data_preparation": "recbole.data",
        "SequentialRecommender": "recbole.model.abstract_recommender",
        "get_model": "recbole.utils",
        "get_trainer": "recbole.utils",
        "init_seed": "recbole.utils",
    }
    try:
        with compat():
            return SimpleNamespace(
                **{name: getattr(import_module(home), name) for name, home in homes.items()}
            )
    except ImportError as error:
        raise MissingPackageError(
            'the RecBole bridge needs the extra "recbole": pip install "seqmamba[recbole]"; '
            "on Python 3.12 and later pip install --no-deps recbole, and what it then asks for."
        ) from error


rb = _recbole()


class SIGMA(rb.SequentialRecommender):  # type: ignore[misc,name-defined]  # found at run time
    """Our network as a RecBole model.

    Configuration: ``hidden_size, num_layers, dropout_prob, loss_type ("CE" | "BPR"), d_state,
    d_conv, expand`` of the released code and ``keep_last, flip, gate, conv, init, preset`` of ours.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = _value(config, "loss_type", "CE")
        if self.loss_type not in ("CE", "BPR"):
            raise ConfigError(f"loss_type must be 'CE' or 'BPR', got {self.loss_type!r}")
        self.net = SIGMANet(self.n_items - 1, settings_of(config))

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """Return the vector of each history: (B, L), (B,) -> (B, D)."""
        return self.net.hidden(item_seq, item_seq_len, (item_seq_len - 1)[:, None])[:, 0]

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return cross-entropy over all items, or BPR with RecBole's negatives."""
        h = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        target = interaction[self.POS_ITEM_ID]
        if self.loss_type == "CE":
            return softmax(h, self.net.item_vectors(), target)
        vectors = self.net.item_embedding
        difference = vectors(target) - vectors(interaction[self.NEG_ITEM_ID])
        loss: Tensor = -functional.logsigmoid((h * difference).sum(-1)).mean()
        return loss

    def predict(self, interaction: Any) -> Tensor:
        """Return the score of one item per history: (B,)."""
        h = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        scores: Tensor = (h * self.net.item_embedding(interaction[self.ITEM_ID])).sum(-1)
        return scores

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Return the scores of all items and, in column 0, of the padding: (B, V + 1)."""
        h = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return h @ self.net.item_embedding.weight.T


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
        _estimator(parts).save(written)
    return {
        "best_valid_score": float(score),
        "best_valid_result": _floats(result),
        "test_result": _floats(tested),
        "rows": getattr(train, "rows", None),
        "checkpoint": str(written),
    }


def from_checkpoint(path: str | Path) -> SIGMARecommender:
    """Read a network that was trained through the bridge as an estimator.

    Parameters
    ----------
    path : path
        The ``checkpoint`` of :func:`run`: the file ``.safetensors`` beside RecBole's ``.pth``.

    Raises
    ------
    ModelFileError
        The file is RecBole's own, which could run code, or is damaged.
    """
    place = Path(path)
    if place.suffix == ".pth":
        raise ModelFileError(
            f"{place} is a RecBole checkpoint, a pickle that could run code, and is not read; pass "
            f"{place.with_suffix('.safetensors').name}, which run() writes beside it."
        )
    return SIGMARecommender.load(place)


def _estimator(parts: SimpleNamespace) -> SIGMARecommender:
    """Return the bridge's network, with its data, as an estimator."""
    config = parts.config
    model = SIGMARecommender(
        anchor=None,
        targets="last",
        max_len=config["MAX_ITEM_LIST_LENGTH"],
        max_epochs=0,
        min_user=1,
        random_state=int(config["seed"]),
        **{ours: config[theirs] for theirs, ours in KEYS.items() if config[theirs] is not None},
    )
    model.fit(parts.table)
    state = {name: value.detach().cpu() for name, value in parts.net.net.state_dict().items()}
    tokens = model.item_ids_.values.cast(pl.String).to_list()
    rows = torch.from_numpy(parts.dataset.token2id(config["ITEM_ID_FIELD"], np.array(tokens)))
    vectors = state["item_embedding.weight"]
    state["item_embedding.weight"] = torch.cat([vectors[:1] * 0, vectors[rows]])
    model.net_.load_state_dict(state)
    model.net_.eval()
    return model


def to_atomic(table: Any, folder: str | Path, name: str) -> Path:
    """Write a table as ``folder/name/name.inter``; return the file's path."""
    frame, _ = frames.read(table)
    target = Path(folder) / name
    target.mkdir(parents=True, exist_ok=True)
    return write_atomic(frame, target / f"{name}.inter")


def from_atomic(folder: str | Path, name: str) -> pl.DataFrame:
    """Read ``folder/name/name.inter``; ids are text."""
    return read_atomic(Path(folder) / name / f"{name}.inter")


def settings_of(config: Any) -> NetSettings:
    """Return the network's settings that a RecBole configuration names."""
    parameters = SIGMARecommender(targets="last")
    given = {ours: _value(config, theirs, None) for theirs, ours in KEYS.items()}
    parameters.set_params(**{name: value for name, value in given.items() if value is not None})
    return net_settings(parameters, "last")


def _value(config: Any, key: str, default: Any) -> Any:
    value = config[key]  # None where a RecBole configuration has no such key
    return default if value is None else value


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
