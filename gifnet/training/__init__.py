"""Training: a loop for any network, data and losses, and an objective for each network. Needs the extra ``[train]``."""
