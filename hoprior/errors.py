"""The one exception that a user is meant to read."""


class HopriorError(Exception):
    """A problem the user can act on: one sentence that says what, where, and what to do.

    The command line prints the sentence and exits with status 2; everything else is a bug and keeps its traceback.
    """
