"""Errors a user can act on: each message names what is wrong and the cure, in one line."""


class JaxlocError(Exception):
    """Base of the errors that the command prints as one line instead of a traceback."""


class UsageError(JaxlocError, ValueError):
    """The request cannot be carried out as it stands: a wrong option, path or combination."""


class PlaceError(UsageError):
    """What images lie in cannot be read any more: a network, a disk or an archive, and no image is to blame."""


class ImageError(JaxlocError, ValueError):
    """One image cannot be used; the message says why, without its name."""


class WeightsError(JaxlocError, ValueError):
    """Weights are missing, damaged, or not of the architecture they are asked for."""
