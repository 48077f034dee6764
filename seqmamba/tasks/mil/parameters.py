"""The parameters that the estimators over bags share."""

from dataclasses import dataclass
from typing import Literal

from seqmamba.base import BaseEstimator
from seqmamba.params import Choice, IntRange, LogUniform, Uniform, param
from seqmamba.tasks.mil.net.model import EncoderName, NetSettings, PoolName
from seqmamba.train.settings import Schedule

__all__ = ["SMALL_SET", "BagParameters"]

Auto = int | Literal["auto"]
SMALL_SET = 300  # bags below which small networks are the default: 4 million weights overfit
MEMBERS = 5  # networks that are averaged on small sets
MAX_EPOCHS = 100
CYCLE_EPOCHS = 30  # chosen inside training parts of musk1, elephant and mutagenesis1
NOISE_SET = 1_000  # bags below which instances get noise by default


@dataclass(eq=False, repr=False)
class BagParameters(BaseEstimator):
    """Declarations, and how "auto" resolves. Defaults: multiple-instance specification, 2, 3, 6."""

    encoder: EncoderName = param(
        "srmamba",
        "what reads the sequence of instances; none = pooling alone",
        search=Choice("mamba", "bimamba", "srmamba", "lbmamba", "none"),
    )
    pool: PoolName = param(
        "attention",
        "from instances to the bag; mean and max pool the logits",
        search=Choice("attention", "gated", "mean"),
    )
    d_model: Auto = param(
        "auto",
        "width; auto = 64 below 300 bags, else 512",
        low=4,
        search=Choice(32, 64, 128, 256, 512),
    )
    n_layers: Auto = param(
        "auto", "blocks; auto = 1 below 300 bags, else 2", low=1, search=IntRange(1, 3)
    )
    d_state: int = param(16, "state per channel", low=1)
    d_conv: int = param(4, "taps of the convolution", low=2, high=4)
    expand: float = param(2.0, "inner width over d_model", low=0.5)
    n_members: Auto = param(
        "auto", "networks whose logits are averaged; auto = 5 below 300 bags, else 1", low=1
    )
    rate: Auto = param(
        "auto",
        "instances per line of the reordering; auto = row of the grid if known, else 5",
        low=1,
        search=Choice(2, 5, 10, 20, 50),
    )
    pad_mode: Literal["masked", "reference"] = param(
        "masked", "empty places of the last line: no steps, or as in the released code"
    )
    window: int = param(16, "instances per window of lbmamba", low=1)
    init: Literal["ssm", "reference"] = param(
        "ssm", "start of the steps: Mamba's, or as in the released code"
    )
    dropout: float = param(
        0.25, "on the projected instances", low=0, high=0.9, search=Uniform(0.0, 0.5)
    )
    instance_noise: float | Literal["auto"] = param(
        "auto", "noise on standardised features; auto = 0.2 below 1000 bags, else 0", low=0
    )
    instance_dropout: float = param(0.0, "instances left out in training", low=0, high=0.9)
    max_instances: int | None = param(
        None, "instances per bag in training, drawn anew each time", low=1
    )
    standardize: bool | Literal["auto"] = param(
        "auto", "z-scores of training instances; auto = unless they are near that", group="data"
    )
    nan: Literal["error", "zero"] = param("error", "features that are not finite", group="data")
    cache_bytes: int = param(2**29, "memory for bags read from files", low=0, group="data")
    weight_decay: float = param(
        1e-5, "weight decay", low=0, group="training", search=LogUniform(1e-6, 1e-2)
    )
    learning_rate: float | Literal["auto"] = param(
        "auto",
        "step size; auto = 2e-4 from d_model 256 on, else 2e-3",
        low=0,
        group="training",
        search=LogUniform(5e-5, 3e-3),
    )
    batch_size: int = param(8, "bags per step", low=1, group="training")
    max_tokens_per_batch: int = param(
        65_536, "padded instances in one pass", low=1, group="training"
    )
    checkpoint_tokens: int = param(
        16_384, "instances above which activations are computed twice", low=1, group="training"
    )
    max_epochs: Auto = param(  # type: ignore[assignment]  # resolved in _settings
        "auto",
        "passes over the bags; auto = 30 where networks that leave out bags are averaged, else 100",
        low=0,
        group="training",
    )
    lr_schedule: Schedule | Literal["auto"] = param(  # type: ignore[assignment]  # as above
        "auto",
        "course of the learning rate; auto = one_cycle where networks that leave out bags are "
        "averaged, else constant",
        group="training",
    )
    min_epochs: int = param(25, "patience ends no training before", low=0, group="training")
    patience: int | None = param(
        15,
        "epochs without improvement; averaged networks that leave out bags run to the end",
        low=1,
        group="training",
    )
    clip_norm: float | None = param(1.0, "largest gradient norm", low=0, group="training")
    optimizer: Literal["adam", "adamw"] = param("adam", "optimiser", group="training")

    def _resolve(self, n_bags: int, row: int | None) -> NetSettings:
        """Return the settings of the network; what was "auto" is kept under ``name_``."""
        small = n_bags < SMALL_SET
        self.d_model_: int = (64 if small else 512) if self.d_model == "auto" else self.d_model
        self.n_layers_: int = (1 if small else 2) if self.n_layers == "auto" else self.n_layers
        self.rate_: int = (row or 5) if self.rate == "auto" else self.rate
        noise = 0.2 if n_bags < NOISE_SET else 0.0
        self.instance_noise_ = noise if self.instance_noise == "auto" else self.instance_noise
        if self.learning_rate == "auto":
            self.learning_rate_ = 2e-4 if self.d_model_ >= 256 else 2e-3
        return self._net_settings()

    def _resolve_course(self, crosses: bool) -> None:
        """Resolve epochs and schedule, for networks that leave out bags or for one that does not.

        The log-loss of the few bags that a network left out is least after two or three epochs,
        when its logits are still small but poorly ordered. Shares and temperature mend the size of
        logits, nothing mends their order: such networks run through their cycle.
        """
        epochs = CYCLE_EPOCHS if crosses else MAX_EPOCHS
        self.max_epochs_: int = epochs if self.max_epochs == "auto" else self.max_epochs
        usual: Schedule = "one_cycle" if crosses else "constant"
        self.lr_schedule_: Schedule = usual if self.lr_schedule == "auto" else self.lr_schedule

    def _members(self, n_bags: int) -> int:
        few = MEMBERS if n_bags < SMALL_SET else 1
        return few if self.n_members == "auto" else self.n_members

    def _net_settings(self) -> NetSettings:
        return NetSettings(
            encoder=self.encoder,
            pool=self.pool,
            d_model=self.d_model_,
            n_layers=self.n_layers_,
            d_state=self.d_state,
            d_conv=self.d_conv,
            expand=self.expand,
            rate=self.rate_,
            pad_mode=self.pad_mode,
            window=self.window,
            start=self.init,
            dropout=self.dropout,
            instance_noise=self.instance_noise_,
            instance_dropout=self.instance_dropout,
            max_instances=self.max_instances,
            max_tokens=self.max_tokens_per_batch,
            checkpoint_tokens=self.checkpoint_tokens,
            backend=self.backend,
        )
