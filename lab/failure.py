"""What ends a run without being a bug of it."""


class Failure(Exception):
    """Ends the program with a message instead of a traceback."""
