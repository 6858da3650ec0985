"""gifnet with its model loaded, for processes of the command line to be forked from: their start would take seconds."""

import os
import sys

import torch

import gifnet
from gifnet.cli import main

torch.set_num_threads(1)  # threads don't survive a fork
gifnet.load()


def command_line(arguments: list[str], log: str) -> None:
    """One command; everything that it says goes into the file ``log``, decoders in C included."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.exit(main(arguments))
