"""From a recording in any form to what the network reads."""
