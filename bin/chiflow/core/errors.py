"""The one error that a user's input can cause."""


class ChiflowError(Exception):
    """Input that cannot be used. The message is one line: what was found, where, and what to do next."""
