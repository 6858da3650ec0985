"""What processes of the command line are forked from: all that takes long to import, and the model, loaded once."""

import torch

import gifnet
import gifnet.cli

torch.set_num_threads(1)  # threads don't survive a fork
gifnet.load()
