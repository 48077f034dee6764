"""Hyper-parameters of the recommender, declared once."""

from dataclasses import dataclass
from typing import Literal

from seqmamba.base import BaseEstimator
from seqmamba.datasets.interactions.table import Duplicates, Format
from seqmamba.params import Choice, LogUniform, Uniform, param
from seqmamba.tasks.recommend.data import Targets
from seqmamba.tasks.recommend.net.losses import LossName
from seqmamba.tasks.recommend.net.settings import NetSettings, Preset, net_settings
from seqmamba.tasks.recommend.splits import SplitName

__all__ = ["AnchorName", "RecommenderParameters"]

AnchorName = Literal["auto", "popularity", "recent_popularity", "itemknn", "markov", "markov_rare"]


@dataclass(eq=False, repr=False)
class RecommenderParameters(BaseEstimator):
    """Fields of :class:`seqmamba.SIGMARecommender`; defaults are the published setting."""

    user_col: str = param("user_id", "column of users", group="data")
    item_col: str = param("item_id", "column of items", group="data")
    time_col: str | None = param(
        "timestamp", "column of times; None = the order of rows", group="data"
    )
    format: Format = param("auto", "form of a text file", group="data")
    duplicates: Duplicates = param(
        "keep", "which rows of the same user and item stay", group="data"
    )
    min_rating: float | None = param(None, "leave out rows with a smaller rating", group="data")
    min_user: int = param(2, "fewest events of a user", low=1, group="data")
    min_item: int = param(1, "fewest events of an item", low=1, group="data")
    max_user: int | None = param(None, "most events of a user", low=1, group="data")
    max_item: int | None = param(None, "most events of an item", low=1, group="data")
    split: SplitName = param("leave_one_out", "which events are held out in fit", group="data")
    test_size: float = param(
        0.1,
        "share of the newest events for the test of a temporal split",
        low=0.0,
        high=0.9,
        group="data",
    )
    max_len: int | Literal["auto"] = param(
        "auto",
        "newest items that the network reads; auto = the 95 % quantile, 10 to 200",
        low=1,
        search=Choice(20, 50, 100, 200),
        group="data",
    )
    preset: Preset = param("sigma", "network", search=Choice("sigma", "mamba4rec"))
    d_model: int = param(64, "width of the item vectors", low=2, search=Choice(32, 64, 128, 256))
    n_layers: int = param(1, "number of layers", low=1, search=Choice(1, 2))
    d_state: int = param(32, "state size of the scan", low=1, search=Choice(8, 16, 32))
    d_conv: int = param(4, "taps of the scan's convolution", low=2, high=8)
    expand: float = param(2, "inner width of the scan over d_model", low=0.5)
    dropout: float = param(
        0.2, "dropout of embedding and layers", low=0.0, high=0.9, search=Uniform(0.1, 0.5)
    )
    keep_last: int = param(
        5, "newest items that the flip leaves in place", low=0, search=Choice(1, 3, 5, 10, 20)
    )
    flip: Literal["auto", "aware", "released"] = param(
        "auto", "flip of a row's own items, or of fixed positions as released"
    )
    gate: Literal["auto", "released", "symmetric"] = param(
        "auto", "what the second gate's sigmoid half reads"
    )
    conv: Literal["auto", "same", "causal"] = param(
        "auto", "convolution before the GRU; tail and all targets need causal"
    )
    mix: Literal["raw", "softmax"] = param("raw", "form of the mixing weights")
    init: Literal["auto", "mamba", "released"] = param("auto", "start values inside Mamba")
    use_flip: bool = param(True, "read the flipped sequence (ablation)")
    use_gate: bool = param(True, "gate the scans (ablation)")
    use_gru: bool = param(True, "add the GRU branch (ablation)")
    anchor: AnchorName | None = param(
        "auto", "cheap model whose log scores are blended in; None = the paper's network"
    )

    loss: LossName | Literal["auto"] = param(
        "auto",
        "training loss; auto by the number of items",
        search=Choice("softmax", "gbce"),
        group="training",
    )
    sparse: bool = param(
        False, "touch only the drawn rows of the item table; for sampled losses", group="training"
    )
    n_negatives: int = param(256, "negatives of sampled and gbce", low=1, group="training")
    calibration: float = param(0.75, "t of gbce", low=0.0, high=1.0, group="training")
    label_smoothing: float = param(
        0.0, "label smoothing of softmax losses", low=0.0, high=0.9, group="training"
    )
    targets: Targets | Literal["auto"] = param(
        "auto", "positions of a window that are trained on", group="training"
    )
    learning_rate: float | Literal["auto"] = param(
        "auto",
        "step size of the optimiser; auto = 0.001",
        low=0.0,
        search=LogUniform(3e-4, 3e-3),
        group="training",
    )
    batch_size: int | Literal["auto"] = param(  # type: ignore[assignment]  # widened on purpose
        "auto",
        "windows per step; auto = so many that they hold 512 targets, 2048 for large data",
        low=1,
        group="training",
    )
    max_epochs: int = param(200, "passes over the training part", low=0, group="training")
    patience: int | None = param(8, "epochs without improvement", low=1, group="training")
    clip_norm: float | None = param(1.0, "largest gradient norm", low=0.0, group="training")

    def _net_settings(self) -> NetSettings:
        """Return the network's settings that the parameters stand for."""
        return net_settings(self, self.targets)
