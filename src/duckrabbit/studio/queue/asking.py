"""Who has asked for something, by the names by which it is seen that they have gone."""

from contextvars import ContextVar

CALL: ContextVar[str] = ContextVar("CALL", default="")
"""The call over HTTP that is being answered, where its answer is what it waits for."""
