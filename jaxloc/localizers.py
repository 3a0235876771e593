"""Localisation methods by name: each a value that states its needs and holds its functions.

To add a method, write its pure functions in a module of their own and register it in ``METHODS``. Importing this module
does not import JAX, so that commands can list names and titles: ``jaxloc`` imports its modules at their first use.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jaxloc

if TYPE_CHECKING:
    from jax import Array

    from jaxloc.localization import Localization
    from jaxloc.moments import Moments
    from jaxloc.parts import Parts


class Inputs(NamedTuple):
    """One image as a method sees it; ``jax.vmap`` over the arrays makes it a batch.

    Attributes:
        maps: features ``[h, w, d]`` and their valid size ``int32 [2]`` (rows, columns) of each layer, deepest first.
        image_size: int32 ``[2]``, rows and columns of the original image, in whose pixels boxes are.
        image: uint8 ``[rows, columns, 3]``, zero-padded, as the network saw it; only for methods that ask a network.
        size: int32 ``[2]``, valid rows and columns of ``image``; with it.
        score_fn: from images ``[n, rows, columns, 3]``, uint8 or float in [0, 1] and of any size, to class scores
            ``float32 [n, classes]``; only for methods that ask a network.
    """

    maps: "tuple[tuple[Array, Array], ...]"
    image_size: "Array"
    image: "Array | None" = None
    size: "Array | None" = None
    score_fn: "Callable[[Array], Array] | None" = None


@dataclasses.dataclass(frozen=True)
class Method:
    """A method that localises one object in each image.

    Attributes:
        name: name in options and files.
        title: name in reports.
        score_meaning: meaning of the score of a finding, for reports.
        localize: ``localize(models, inputs, *, connectivity, backend) -> Localization``, pure: it may be jitted and
            vmapped. ``models`` holds what ``fit`` gave for each layer, deepest first; it is empty for methods that fit
            nothing.
        layers_below: convolutions below the chosen layer whose features the method also takes.
        fit: ``fit(moments, *, components, sign) -> model`` of one layer of an image set; ``None`` for methods that look
            at each image alone. The response of a method that fits is object where it is positive; the share of
            positive cells tells images without the object (noise).
        parts: ``parts(models, inputs, found, *, number, connectivity, backend) -> Parts`` of one image's object;
            ``None`` for methods that find no parts.
        threshold: the value that a cell's response must exceed to be object, from the response of one image.
        asks_network: whether ``localize`` takes ``inputs.image`` and ``inputs.score_fn``.
    """

    name: str
    title: str
    score_meaning: str
    localize: "Callable[..., Localization]"
    layers_below: int = 0
    fit: "Callable[..., Any] | None" = None
    parts: "Callable[..., Parts] | None" = None
    threshold: Callable[[Any], float] = lambda response: 0.0
    asks_network: bool = False


def _ddt(models: Sequence[Any], inputs: Inputs, **options: Any) -> "Localization":
    (features, size), *lower = inputs.maps
    if lower:
        options |= {"below": models[1], "features_below": lower[0][0]}
    return jaxloc.ddt.localize(models[0], features, inputs.image_size, size=size, **options)


def _fit_ddt(moments: "Moments", **options: Any) -> Any:
    return jaxloc.ddt.fit(moments, **options)


def _ddt_parts(models: Sequence[Any], inputs: Inputs, found: "Localization", **options: Any) -> "Parts":
    features, size = inputs.maps[0]
    indicators = jaxloc.ddt.indicator_maps(models[0], features)
    eigenvalues = models[0].eigenvalues
    return jaxloc.parts.localize(indicators, eigenvalues, found.mask, inputs.image_size, size=size, **options)


def _scda(models: Sequence[Any], inputs: Inputs, **options: Any) -> "Localization":
    features, size = inputs.maps[0]
    return jaxloc.scda.localize(features, inputs.image_size, size=size, **options)


_DDT_SCORE = "at 0.5, the object's mean response is one standard deviation of its whole set"
_SCDA_SCORE = "at 0.5, the object's mean activation is twice that of the whole image"

METHODS = {
    method.name: method
    for method in (
        Method("ddt", "DDT co-localisation", _DDT_SCORE, _ddt, fit=_fit_ddt, parts=_ddt_parts),
        Method("ddt+", "DDT+ co-localisation", _DDT_SCORE, _ddt, layers_below=1, fit=_fit_ddt, parts=_ddt_parts),
        Method("scda", "SCDA localisation", _SCDA_SCORE, _scda, threshold=lambda response: float(response.mean())),
    )
}
"""Every method by name."""
