"""What gifnet raises for bad input; every message says what was wrong and what would be right."""

import unicodedata

# Control and format characters (escape sequences begin with one, and some turn the direction of writing around),
# halves of surrogate pairs (bytes of a file name that are no text), line and paragraph separators.
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"  # of format characters, those that spelling and emoji need


def escaped(text: str) -> str:
    r"""The text as it may be shown: what a terminal would act upon, and what can't be seen, is written as ``\x1b`` is.

    For whatever files say of themselves and are called, wherever that is shown. What is escaped stays as it is.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _HIDDEN and char not in _JOINERS
        else char
        for char in text
    )


class InputError(ValueError):
    """An image, file or argument that gifnet can't work with. Its text is ``escaped``."""

    def __str__(self) -> str:
        return escaped(super().__str__())


class AlignmentError(InputError):
    """Images that could not be aligned with confidence."""


class CheckpointError(InputError):
    """Weights that can't be found, fetched, read or trusted."""


class MissingExtraError(InputError, ImportError):
    """What was asked for needs an optional package that is not installed; the message has the command that does it."""
