"""What gifnet raises for bad input; every message says what was wrong and what would be right."""


class InputError(ValueError):
    """An image, file or argument that gifnet can't work with."""


class AlignmentError(InputError):
    """Images that could not be aligned with confidence."""


class CheckpointError(InputError):
    """Weights that can't be found, fetched, read or trusted."""


class MissingExtraError(InputError, ImportError):
    """What was asked for needs an optional package that is not installed; the message has the command that does it."""
