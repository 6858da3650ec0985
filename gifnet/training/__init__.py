"""Training GIFNet as the paper does: data, the two alternating steps, their losses, and the loop. Extra ``[train]``."""
