"""The initialisation of the released MambaMIL code, for comparison."""

from torch import nn

__all__ = ["restart_as_reference"]


def restart_as_reference(net: nn.Module) -> None:
    """Draw every linear layer anew: Xavier-normal weights, zero biases.

    Step biases are among them, sic: steps then start at softplus(0) = 0.69 and a state forgets
    within two tokens. Source: ``initialize_weights`` of the repository isyangshu/MambaMIL.
    """
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
