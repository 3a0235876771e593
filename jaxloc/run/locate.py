"""The pass that finds the object in each picture of a set."""

import jax
import numpy as np

from jaxloc.ddt import Model
from jaxloc.localization import Localization
from jaxloc.report.overlays import encode_heat
from jaxloc.report.records import Finding
from jaxloc.run.feature_cache import FeatureCache
from jaxloc.run.fit import feature_batches
from jaxloc.run.localizer import Localizer
from jaxloc.run.options import Options
from jaxloc.run.stream import SetStream


def locate_set(
    stream: SetStream,
    engine: Localizer,
    options: Options,
    models: dict[str, Model] | None = None,
    cache: FeatureCache | None = None,
) -> list[Finding]:
    """Find the object in every readable picture of a set.

    Args:
        stream: the set's pictures.
        engine: the compiled steps.
        options: the job's.
        models: DDT by layer; ``None`` means SCDA.
        cache: features kept by the first pass.

    Returns:
        One finding for each picture, in order of name.
    """
    found: dict[int, Finding] = {}
    for indices, original_sizes, maps in feature_batches(stream, engine, "locating", cache):
        result = jax.device_get(engine.localize(models or {}, maps, original_sizes))
        sizes = np.asarray(maps[engine.layers[0]].size)
        for position, index in enumerate(indices.tolist()):
            if index >= 0:
                rows, columns = sizes[position]
                one = Localization(*(values[position] for values in result))
                one = one._replace(response=one.response[:rows, :columns])
                found[index] = _finding(stream, options, index, one)
    return [found[index] for index in sorted(found)]


def _finding(stream: SetStream, options: Options, index: int, one: Localization) -> Finding:
    source = stream.images.sources[index]
    rows, columns = stream.sizes[index]
    fitted = options.method != "scda"
    share = float(one.positive_share)
    noisy = fitted and bool(np.float32(share) <= np.float32(options.noise_threshold))
    found = bool(one.found) and not noisy
    heat = None
    if index in stream.thumbnails or options.overlays:
        heat = encode_heat(np.asarray(one.response), 0.0 if fitted else float(one.response.mean()))
    x0, y0, x1, y1 = map(float, one.box)
    return Finding(
        name=source.name,
        path=source.path,
        category=stream.images.name,
        width=columns,
        height=rows,
        box=(x0, y0, x1, y1) if found else None,
        score=float(one.score) if found else 0.0,
        found=found,
        noise_score=share if fitted else None,
        noisy=noisy,
        heat=heat,
        thumbnail=stream.thumbnails.get(index),
    )
