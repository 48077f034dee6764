"""Our network as a RecBole model."""

from typing import Any

from torch import Tensor
from torch.nn import functional

from seqmamba.errors import ConfigError
from seqmamba.tasks.recommend.estimator import SIGMARecommender
from seqmamba.tasks.recommend.net.losses import softmax
from seqmamba.tasks.recommend.net.model import SIGMANet
from seqmamba.tasks.recommend.net.settings import NetSettings, net_settings
from seqmamba.tasks.recommend.recbole.compat import rb

__all__ = ["KEYS", "SIGMA"]

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


def settings_of(config: Any) -> NetSettings:
    """Return the network's settings that a RecBole configuration names."""
    parameters = SIGMARecommender(targets="last")
    given = {ours: _value(config, theirs, None) for theirs, ours in KEYS.items()}
    parameters.set_params(**{name: value for name, value in given.items() if value is not None})
    return net_settings(parameters, "last")


def _value(config: Any, key: str, default: Any) -> Any:
    value = config[key]  # None where a RecBole configuration has no such key
    return default if value is None else value
