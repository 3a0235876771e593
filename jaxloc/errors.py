"""Errors that users can correct: each message is one line that names the problem and the cure."""


class JaxlocError(Exception):
    """Base of the errors that the command prints as one line instead of a traceback."""


class UsageError(JaxlocError, ValueError):
    """The request cannot be carried out as it stands: a wrong option, path or combination."""


class PlaceError(UsageError):
    """What images lie in cannot be read any more: a network, a disk or an archive, and no image is to blame."""


class ImageError(JaxlocError, ValueError):
    """One image cannot be used; the message says why, without its name."""


class WeightsError(JaxlocError, ValueError):
    """Weights are missing, damaged, or of another architecture."""
