"""Objects in images, in memory: what a set shares, or what each image shows."""

import itertools
import os
from typing import Any

import jax
import numpy as np

from jaxloc.api.batches import ImageBatches
from jaxloc.api.found import Found, FoundObject
from jaxloc.api.network import Network
from jaxloc.data.in_memory import Images
from jaxloc.errors import UsageError
from jaxloc.localization import Localization
from jaxloc.localizers import METHODS
from jaxloc.options import LocalizeEachOptions, LocalizeOptions
from jaxloc.run import model_file
from jaxloc.run.fit_pass import MINIMUM_SET
from jaxloc.run.localize_pass import not_finite
from jaxloc.run.model_file import ModelFile
from jaxloc.run.moment_store import MomentStore
from jaxloc.run.steps import Models, Steps


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
    )
    steps = Steps(options, net.loaded)
    batches = ImageBatches(images, steps, max_side=max_side)
    if steps.method.fit is None:
        return _localize(batches, steps, None, name, progress)
    if len(batches.images) < MINIMUM_SET:
        raise UsageError(f"{method} needs at least {MINIMUM_SET} images: pass more, or use jaxloc.localize")
    return _localize(batches, steps, _fit(batches, steps, name, progress), name, progress)


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
    return _localize(ImageBatches(images, steps, max_side=max_side), steps, None, name, progress)


def apply(
    model: ModelFile | str | os.PathLike[str],
    images: Images,
    net: Network,
    *,
    name: str | None = None,
    noise_threshold: float = 0.0,
    connectivity: int | None = None,
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
    )
    steps = Steps(options, net.loaded)
    return _localize(ImageBatches(images, steps, max_side=model.max_side), steps, model, name, progress)


def _fit(batches: ImageBatches, steps: Steps, name: str, progress: bool | None) -> ModelFile:
    """Sum the moments of each shard, merge them in order, and fit."""
    total = MomentStore(steps.sums)
    for _, shard in itertools.groupby(batches.features("fitting", progress=progress), lambda one: one.shard):
        sums = MomentStore(steps.sums)
        for _, batch, maps in shard:
            sums.add_rows(*steps.moments(maps, np.where(batch.indices < 0, -1, 0)))
        total.merge(0, sums.images[0], sums.of_set(0))
    fitted = steps.fit(total.moments(0))
    if steps.needs_evidence:
        fitted = steps.orient(fitted, _sum_evidence(batches, steps, fitted.models, progress))
    return steps.model_file({name: fitted})


def _sum_evidence(batches: ImageBatches, steps: Steps, models: Models, progress: bool | None) -> dict[str, Any]:
    """What the sign rule sees in the whole set, shard by shard: ``[k + 1]`` by layer, the weight last."""
    total: dict[str, Any] = dict.fromkeys(models, 0)
    for _, shard in itertools.groupby(batches.features("choosing the sign", progress=progress), lambda one: one.shard):
        sums: dict[str, Any] = dict.fromkeys(models, 0)
        for _, batch, maps in shard:
            for layer, rows in steps.sign_evidence([models] * len(batch.indices), maps).items():
                for row in rows[batch.indices >= 0].astype(np.float64):
                    sums[layer] = sums[layer] + row
        total = {layer: total[layer] + values for layer, values in sums.items()}
    return total


def _localize(batches: ImageBatches, steps: Steps, model: ModelFile | None, name: str, progress: bool | None) -> Found:
    models = None if model is None else model.sets[name].models
    found: list[list[FoundObject]] = [[] for _ in range(len(batches.images))]
    for _, batch, maps in batches.features("localizing", progress=progress):
        each = [models] * len(batch.indices)
        result, _ = steps.localize(each, maps, batch.original_sizes, batch.images, batch.sizes)
        result, sizes = jax.device_get((result, maps[steps.layers[0]].size if maps else batch.sizes))
        for place, number in enumerate(batch.indices.tolist()):
            if number >= 0:
                image, size = batches.images.names[number], batch.original_sizes[place]
                for rank, one in enumerate(steps.of_image(result, place, sizes[place])):
                    if reason := not_finite(one.response):
                        raise UsageError(f"{batches.images.where(number)}: {reason}")
                    found[number].append(_object(steps, image, size, one, rank))
    objects = list(itertools.chain.from_iterable(found))
    return Found(objects, name=name, method=steps.method.name, model=model)


def _object(steps: Steps, image: str, original_size: np.ndarray, one: Localization, rank: int) -> FoundObject:
    found, noisy, share = steps.decide(one)
    further = steps.further(one)
    class_name = further["class_name"]
    response = np.asarray(one.response)
    return FoundObject(
        name=image,
        size=(int(original_size[0]), int(original_size[1])),
        found=found,
        box=tuple(map(float, one.box)) if found else None,  # type: ignore[arg-type]
        score=float(one.score) if found else 0.0,
        mask=np.asarray(one.mask),
        response=response,
        threshold=steps.method.threshold(response),
        positive_share=share,
        noisy=noisy,
        category="" if class_name is None or steps.label >= 0 else class_name,
        rank=rank,
        **further,
    )
