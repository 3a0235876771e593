"""How families of vision transformers differ, and the networks of each that have been published."""

from typing import NamedTuple

from jaxloc.models.preprocessing import CLIP, HALF, TORCHVISION, Preprocessing
from jaxloc.models.tokens import Interpolation

WIDTHS = {"tiny": 192, "small": 384, "base": 768, "large": 1024}


class Family(NamedTuple):
    """How a family's networks differ from others.

    Attributes:
        publisher: who publishes weights in which files.
        preprocessing: what its weights expect of images.
        side: image side in pixels of its grid of positions.
        interpolation: of positions, in the family's own code.
        layer: name of the default layer for localisation; ``{}`` is the last block.
        epsilon: of its normalisations.
        classes: of its classifier; 0 for none.
        registers: number of tokens beside the class token.
        layer_scale: each block scales what it adds.
        rotary: positions rotate queries and keys; otherwise they are added to the tokens.
        clip: tokens are normalised before the first block too, and the activation is ``x σ(1.702 x)``.
    """

    title: str
    authors: str
    publisher: str
    licence: str
    preprocessing: Preprocessing = TORCHVISION
    side: int = 224
    interpolation: Interpolation = "plain"
    layer: str = "norm"
    epsilon: float = 1e-6
    classes: int = 0
    registers: int = 0
    layer_scale: bool = False
    rotary: bool = False
    clip: bool = False


FAMILIES = {
    "vit": Family(
        *("ViT", "Dosovitskiy et al.", "timm's vit_*_augreg, Google's *.npz, DeiT's with --preprocessing torchvision"),
        *("Apache-2.0", HALF),
        interpolation="antialias",
        layer="block{}/key",
        classes=1000,
    ),
    "dino": Family(
        *("DINO ViT", "Caron et al.", "facebookresearch/dino's *_pretrain.pth, timm's and transformers'", "Apache-2.0"),
        interpolation="offset",
        layer="block{}/key",
    ),
    "dinov2": Family(
        *("DINOv2 ViT", "Oquab et al.", "facebook/dinov2-* on the Hugging Face hub, *_pretrain.pth", "Apache-2.0"),
        side=518,
        interpolation="offset",
        layer_scale=True,
    ),
    "dinov2_reg": Family(
        "DINOv2 ViT with registers",
        "Darcet et al.",
        "facebook/dinov2-with-registers-* on the Hugging Face hub, *_reg4_pretrain.pth",
        "Apache-2.0",
        side=518,
        interpolation="antialias",
        registers=4,
        layer_scale=True,
    ),
    "dinov3": Family(
        *("DINOv3 ViT", "Siméoni et al.", "facebook/dinov3-* on the Hugging Face hub", "DINOv3 License"),
        epsilon=1e-5,
        registers=4,
        layer_scale=True,
        rotary=True,
    ),
    "clip": Family(
        *("CLIP ViT", "Radford et al.", "openai/clip-vit-* on the Hugging Face hub", "MIT", CLIP),
        interpolation="antialias",
        epsilon=1e-5,
        clip=True,
    ),
}

NETWORKS = {
    **{f"vit_{size}_patch16": ("vit", size, 16) for size in WIDTHS},
    "vit_base_patch8": ("vit", "base", 8),
    **{f"dino_vit{size[0]}{patch}": ("dino", size, patch) for size in ("small", "base") for patch in (16, 8)},
    **{
        f"dinov2_vit{size[0]}14{reg}": (f"dinov2{reg}", size, 14)
        for reg in ("", "_reg")
        for size in ("small", "base", "large")
    },
    **{f"dinov3_vit{size[0]}16": ("dinov3", size, 16) for size in ("small", "base", "large")},
    "clip_vitb16": ("clip", "base", 16),
    "clip_vitl14": ("clip", "large", 14),
}
"""Family, size and side of a patch in pixels, of the networks that have been published."""
