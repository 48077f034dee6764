"""Bridge to RecBole 1.2.1: our network in its trainer, its models on today's NumPy and torch.

Only this folder imports RecBole (extra ``recbole``). RecBole's checkpoints are pickles, which could
run code: :func:`run` writes our own model file beside them, and :func:`from_checkpoint` reads
nothing else.
"""

from seqmamba.tasks.recommend.recbole.atomic import from_atomic, to_atomic
from seqmamba.tasks.recommend.recbole.checkpoint import from_checkpoint
from seqmamba.tasks.recommend.recbole.compat import compat
from seqmamba.tasks.recommend.recbole.model import SIGMA
from seqmamba.tasks.recommend.recbole.training import prepared, run

__all__ = ["SIGMA", "compat", "from_atomic", "from_checkpoint", "prepared", "run", "to_atomic"]
