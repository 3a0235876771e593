"""Localisation methods by name: each a value that states its needs and holds its functions.

To add a method, write its pure functions in a module of their own and register it in ``METHODS``. Importing this module
does not import JAX, so that commands can list names and titles: ``jaxloc`` imports its modules at their first use.
"""

import dataclasses
import importlib
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
        maps: features ``[h, w, d]`` and their valid size ``int32 [2]`` (rows, columns) of each layer, deepest first;
            empty for methods that ask a classifier.
        image_size: int32 ``[2]``, rows and columns of the original image, in whose pixels boxes are.
        image: uint8 ``[rows, columns, 3]``, zero-padded; only for methods that ask a classifier.
        size: int32 ``[2]``, valid rows and columns of ``image``; with it.
        classifier: the network's, see ``jaxloc.models.asking``; with it.
        label: int32 ``[]``, class to find; -1 stands for the most probable one, -2 for the next and so on; with it.
    """

    maps: "tuple[tuple[Array, Array], ...]"
    image_size: "Array"
    image: Any = None
    size: Any = None
    classifier: Any = None
    label: Any = None


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
        connectivity: neighbours that connect the cells of a component, where none is asked for: 8 or 4.
        non_negative: whether it presumes activations that are never negative.
        asks: whether ``localize`` asks the network's classifier about ``inputs.image``, instead of taking features.
        together: number of images of a device that a method that asks is computed for at once.
        roots: whether it takes the square roots of the activations, in fitting and in localising.
        class_map: whether its layer is the one that the classifier averages.
        options: fields of the job's options that ``localize`` takes as well.
        passes: images that it asks the network about for one image, roughly, from the job's options.
    """

    name: str
    title: str
    score_meaning: str
    localize: "Callable[..., Localization]"
    layers_below: int = 0
    fit: "Callable[..., Any] | None" = None
    parts: "Callable[..., Parts] | None" = None
    threshold: Callable[[Any], float] = lambda response: 0.0
    connectivity: int = 8
    non_negative: bool = False
    asks: bool = False
    together: int = 1
    roots: bool = False
    class_map: bool = False
    options: tuple[str, ...] = ()
    passes: Callable[[Any], int] = lambda options: 1

    @property
    def several(self) -> bool:
        """Whether it finds every object of an image if asked to, ``Localization.objects``."""
        return "regions" in self.options


def _eiss_passes(options: Any) -> int:
    """As if each iteration had the windows of the first, on a canvas of 224 pixels."""
    how, _, number = options.windows.partition(":")
    slack = 224 - int(224 * options.window_side + 1e-3)
    along = slack + 1 if how == "all" else min(int(number), slack + 1)
    return 2 + options.max_iterations * (2 * (int(number) if how == "random" else along**2) + 2)


def _beam_passes(options: Any) -> int:
    """One, then four, then as many as are kept, at each level."""
    return 1 + sum(min(options.width, 4**level) for level in range(1, options.depth))


def _with_components(
    found: "Localization", inputs: Inputs, candidates: "Callable[..., Array]", *, within: Any = None, **options: Any
) -> "Localization":
    """With every component of the cells that ``candidates`` gives of the response as ``objects``."""
    size = inputs.maps[0][1]
    cells = candidates(found.response, size=size)
    objects = jaxloc.localization.every_component(cells, inputs.image_size, within=within, size=size, **options)
    return found._replace(objects=objects._replace(box=objects.box.at[0].set(found.box)))


def _ddt(models: Sequence[Any], inputs: Inputs, *, regions: bool = False, **options: Any) -> "Localization":
    (features, size), *lower = inputs.maps
    second = {"below": models[1], "features_below": lower[0][0]} if lower else {}
    found = jaxloc.ddt.localize(models[0], features, inputs.image_size, size=size, **second, **options)
    if not regions:
        return found
    positive = jaxloc.ddt.positive_cells
    within = positive(jaxloc.ddt.indicator_maps(models[1], lower[0][0])[0], size=size) if lower else None
    return _with_components(found, inputs, positive, within=within, **options)


def _fit_ddt(moments: "Moments", **options: Any) -> Any:
    return jaxloc.ddt.fit(moments, **options)


def _ddt_parts(models: Sequence[Any], inputs: Inputs, found: "Localization", **options: Any) -> "Parts":
    features, size = inputs.maps[0]
    indicators = jaxloc.ddt.indicator_maps(models[0], features)
    eigenvalues = models[0].eigenvalues
    return jaxloc.parts.localize(indicators, eigenvalues, found.mask, inputs.image_size, size=size, **options)


def _ddt_spread(models: Sequence[Any], inputs: Inputs, *, regions: bool = False, **options: Any) -> "Localization":
    (features, size), (below, _) = inputs.maps
    maps = [jaxloc.ddt.standard_maps(model, x)[0] for model, (x, _) in zip(models, inputs.maps, strict=True)]
    indicator = ((maps[0] + maps[1]) / 2).clip(-1, 1)
    spread = jaxloc.spreading.spread(indicator, below, models[1].mean, size=size)
    found = jaxloc.spreading.localize(spread, inputs.image_size, size=size, **options)
    found = found._replace(deviation=jaxloc.ddt.deviation(models[0], features, size=size))
    return _with_components(found, inputs, jaxloc.ddt.positive_cells, **options) if regions else found


def _scda(models: Sequence[Any], inputs: Inputs, *, regions: bool = False, **options: Any) -> "Localization":
    features, size = inputs.maps[0]
    found = jaxloc.scda.localize(features, inputs.image_size, size=size, **options)
    return _with_components(found, inputs, jaxloc.scda.mean_mask, **options) if regions else found


def _fs_egm(models: Sequence[Any], inputs: Inputs, *, egm: str, **options: Any) -> "Localization":
    features, size = inputs.maps[0]
    setting = jaxloc.discovery.SETTINGS["features, paper" if egm == "paper" else "features"]
    return jaxloc.discovery.localize(features, inputs.image_size, size=size, setting=setting)


def _asking(name: str) -> "Callable[..., Localization]":
    """A function of ``jaxloc._asking``, which is imported at its first call."""

    def localize(models: Sequence[Any], inputs: Inputs, **options: Any) -> "Localization":
        return getattr(importlib.import_module("jaxloc._asking"), name)(inputs, **options)

    return localize


def _lost(models: Sequence[Any], inputs: Inputs, **options: Any) -> "Localization":
    features, size = inputs.maps[0]
    return jaxloc.lost.localize(features, inputs.image_size, size=size, **options)


def _tokencut(models: Sequence[Any], inputs: Inputs, **options: Any) -> "Localization":
    features, size = inputs.maps[0]
    return jaxloc.tokencut.localize(features, inputs.image_size, size=size, **options)


_DDT_SCORE = "at 0.5, the object's mean response is one standard deviation of its whole set"
_SPREAD_SCORE = "at 0.5, its highest, all cells like the object's exceed one standard deviation of the whole set"
_SCDA_SCORE = "at 0.5, the object's mean activation is twice that of the whole image"
_REGION_SCORE = "at 0.5, the heaviest region's mean saliency is twice that of the whole image"
_LOST_SCORE = "at 0.5, the seed is like half of the other patches"
_TOKENCUT_SCORE = "at 1, nothing that is alike is cut apart"

_CELLS_SCORE = "at 0.5, the object's cells speak for the class twice as much as the whole image's"
_EISS_SCORE = "at 0.5, cropping the object gains as much over erasing it as the whole image scores"

METHODS = {
    method.name: method
    for method in (
        Method("ddt", "DDT co-localisation", _DDT_SCORE, _ddt, fit=_fit_ddt, parts=_ddt_parts, options=("regions",)),
        Method(
            *("ddt+", "DDT+ co-localisation", _DDT_SCORE, _ddt),
            layers_below=1,
            fit=_fit_ddt,
            parts=_ddt_parts,
            options=("regions",),
        ),
        Method(
            *("ddt-spread", "DDT spread over alike cells", _SPREAD_SCORE, _ddt_spread),
            layers_below=1,
            fit=_fit_ddt,
            parts=_ddt_parts,
            non_negative=True,
            roots=True,
            options=("regions",),
        ),
        Method(
            *("scda", "SCDA localisation", _SCDA_SCORE, _scda),
            threshold=lambda response: float(response.mean()),
            non_negative=True,
            options=("regions",),
        ),
        Method(
            *("fs-egm", "Salient regions", _REGION_SCORE, _fs_egm),
            non_negative=True,
            options=("egm", "regions"),
        ),
        Method("lost", "LOST localisation", _LOST_SCORE, _lost, connectivity=4),
        Method("tokencut", "TokenCut localisation", _TOKENCUT_SCORE, _tokencut, connectivity=4),
        Method(
            *("cam", "CAM", _CELLS_SCORE, _asking("class_map")),
            asks=True,
            together=8,
            class_map=True,
            options=("heat_threshold", "top_k"),
            passes=lambda options: 5,
        ),
        Method(
            *("eiss", "EISS", _EISS_SCORE, _asking("eiss_search")),
            threshold=lambda response: 1 - 1e-6,
            asks=True,
            options=("windows", "window_side", "eta", "best", "classes_kept", "erase", "max_iterations", "seed"),
            passes=_eiss_passes,
        ),
        Method(
            *("beam", "Beam search", _CELLS_SCORE, _asking("beam_search")),
            asks=True,
            class_map=True,
            options=("width", "depth", "heat_threshold"),
            passes=_beam_passes,
        ),
    )
}
"""Every method by name."""
