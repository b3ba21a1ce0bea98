"""The errors that have one line: what a user's input can cause, and what a second try may mend."""


class ChiflowError(Exception):
    """Input that cannot be used. The message is one line: what was found, where, and what to do next."""


class NotFinished(ChiflowError):
    """A step that was ended from outside or had too little memory: the input may be right, a second try with more may do it."""
