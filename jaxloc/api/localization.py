"""Objects in images, in memory: what a set shares, or what each image shows."""

import os
from typing import Any

import numpy as np

from jaxloc.api.batches import ImageBatches
from jaxloc.api.found import Found
from jaxloc.api.network import Network
from jaxloc.api.passes import fit_sets, localize_each
from jaxloc.data.in_memory import Images
from jaxloc.errors import UsageError
from jaxloc.localizers import METHODS
from jaxloc.options import LocalizeEachOptions, LocalizeOptions
from jaxloc.run import model_file
from jaxloc.run.fit_pass import MINIMUM_SET
from jaxloc.run.model_file import ModelFile
from jaxloc.run.steps import Steps


def colocalize(
    images: Images,
    net: Network,
    *,
    method: str = "ddt",
    layer: str | None = None,
    sign: str | None = None,
    noise_threshold: float = 0.0,
    max_side: int = 800,
    connectivity: int | None = None,
    regions: bool = False,
    name: str = "object",
    progress: bool | None = None,
) -> Found:
    """Find the object that images share.

    The command ``jaxloc colocalize`` finds the same boxes, scores and model in the same images in the same order.

    Args:
        images: paths, PIL images (EXIF orientation is applied), or arrays ``[h, w, 3]`` (RGB) or ``[h, w]`` (grey) of
            uint8 or of floats in [0, 1]; of any sizes. An array ``[n, h, w, 3]`` is n images, and a folder's path is
            the images in it, in order of name.
        net: from ``jaxloc.load``.
        method: a name in ``jaxloc.localizers.METHODS``. Methods that fit nothing look at each image alone.
        layer: whose features are used; ``None`` means the method's default.
        sign: the rule that fixes which side of DDT's first component is object, a name in ``jaxloc.signs.SIGN_RULES``;
            ``None`` means the network's own.
        noise_threshold: an image lacks the object if at most this share of its cells is positive.
        max_side: an image whose shorter side exceeds this many pixels is shrunk to it; 0 never shrinks.
        connectivity: 8, or 4 without diagonals; ``None`` means the method's own.
        regions: also give the boxes of all other regions that are object, ``found[0].objects``.
        name: what the object is called, as the category of exports and the name of the set in the model.
        progress: show a progress bar; ``None`` shows one in a terminal or notebook when the work takes long.

    Returns:
        ``Found``, an object for each image; ``found.model`` is what was fitted, for ``apply``.

    Raises:
        UsageError: an unknown option, an image that cannot be used (the message names its position), or fewer than
            two images for a method that fits.
    """
    options = LocalizeOptions(
        method=method,
        layer=layer,
        sign=sign,
        noise_threshold=noise_threshold,
        max_side=max_side,
        connectivity=connectivity,
        regions=regions,
    )
    steps = Steps(options, net.loaded)
    batches = ImageBatches(images, steps, max_side=max_side)
    if steps.method.fit is None:
        return _alone(batches, steps, name, progress)
    if len(batches.images) < MINIMUM_SET:
        raise UsageError(f"{method} needs at least {MINIMUM_SET} images: pass more, or use jaxloc.localize")
    owners = np.zeros(len(batches.images), int)
    return _found(batches, steps, fit_sets(batches, steps, [name], owners, progress), name, progress)


def localize(
    images: Images,
    net: Network,
    *,
    method: str = "scda",
    layer: str | None = None,
    max_side: int = 800,
    connectivity: int | None = None,
    name: str = "object",
    progress: bool | None = None,
    **options: Any,
) -> Found:
    """Find the object of each image alone, by a method that fits nothing; other arguments are those of ``colocalize``.

    ``options`` are the method's own, such as ``label`` of ``"cam"``: fields of ``LocalizeEachOptions``.

    Raises:
        UsageError: as for ``colocalize``, or a method that needs an image set.
    """
    if method in METHODS and METHODS[method].fit is not None:
        raise UsageError(f"{method} looks at an image set: use jaxloc.colocalize")
    chosen = LocalizeEachOptions(method=method, layer=layer, max_side=max_side, connectivity=connectivity, **options)
    steps = Steps(chosen, net.loaded)
    return _alone(ImageBatches(images, steps, max_side=max_side), steps, name, progress)


def apply(
    model: ModelFile | str | os.PathLike[str],
    images: Images,
    net: Network,
    *,
    name: str | None = None,
    noise_threshold: float = 0.0,
    connectivity: int | None = None,
    regions: bool = False,
    progress: bool | None = None,
) -> Found:
    """Find the object that a model was fitted on, in other images.

    ``model`` is ``found.model`` or a ``model.safetensors`` that a command wrote, ``net`` has the weights that it was
    fitted with, and ``name`` says which of its sets is meant if it has several. Other arguments are those of
    ``colocalize``.

    Raises:
        UsageError: as for ``colocalize``; other weights than the model's, or a set that it does not have.
    """
    if not isinstance(model, ModelFile):
        model = model_file.load(model)
    model.check_weights(net.weights, "this model")
    if name is None and len(model.sets) == 1:
        name = next(iter(model.sets))
    if name is None or name not in model.sets:
        raise UsageError(f"this model has the sets {', '.join(model.sets)}: choose one with name=")
    options = LocalizeOptions(
        method=model.method,
        layer=model.layers[0],
        sign=model.sign,
        noise_threshold=noise_threshold,
        max_side=model.max_side,
        connectivity=connectivity,
        regions=regions,
    )
    steps = Steps(options, net.loaded)
    return _found(ImageBatches(images, steps, max_side=model.max_side), steps, model, name, progress)


def _found(batches: ImageBatches, steps: Steps, model: ModelFile, name: str, progress: bool | None) -> Found:
    models = [model.sets[name].models] * len(batches.images)
    objects = localize_each(batches, steps, models, progress)
    return Found(objects, name=name, method=steps.method.name, model=model)


def _alone(batches: ImageBatches, steps: Steps, name: str, progress: bool | None) -> Found:
    objects = localize_each(batches, steps, [None] * len(batches.images), progress)
    return Found(objects, name=name, method=steps.method.name, model=None)
