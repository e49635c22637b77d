"""The one error of the project that is the user's to mend."""

from __future__ import annotations


class UserError(ValueError):
    """Something asked for cannot be done. The message is a sentence, with the remedy in it.

    Commands print it and leave with exit code 2; in Python it is a ValueError.
    """
