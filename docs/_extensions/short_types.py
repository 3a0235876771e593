"""``ArrayLike`` in signatures, as the source has it, in place of all that it may be."""

from typing import TYPE_CHECKING, Any

import jax.typing
import numpy.typing

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ALIASES = {jax.typing.ArrayLike: "ArrayLike", numpy.typing.ArrayLike: "ArrayLike"}


def shorten(
    app: "Sphinx", what: str, name: str, item: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Replace each spelled-out type by its alias."""
    from sphinx.util.typing import stringify_annotation

    for kind, alias in ALIASES.items():
        spelled = stringify_annotation(kind, "smart")
        signature = signature and signature.replace(spelled, alias)
        returned = returned and returned.replace(spelled, alias)
    return signature, returned


def setup(app: "Sphinx") -> dict[str, bool]:
    """Hook into autodoc."""
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
