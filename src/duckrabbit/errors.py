"""The one error of the project that is the user's to mend, and how lack of memory is known."""

from __future__ import annotations


class UserError(ValueError):
    """Something asked for cannot be done. The message is a sentence, with the remedy in it.

    Commands print it and leave with exit code 2; in Python it is a ValueError.
    """


_MEMORY = ("out of memory", "allocate memory", "not enough memory")
"""What libraries say, whose errors for it are of no kind of their own."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice; "unsupported memory format", say, does not."""
    by_message = isinstance(error, RuntimeError | OSError) and any(words in str(error).lower() for words in _MEMORY)
    return by_message or isinstance(error, MemoryError)
