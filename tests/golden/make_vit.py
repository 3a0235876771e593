"""Compute layers of tiny vision transformers with timm and transformers, and keep them with the names of their arrays.

    pip install torch timm transformers
    python -m tests.golden.make_vit

It writes ``vit.npz`` beside itself: for each network its arrays' names and shapes as JSON, whose numbers
``tests.models.vits.values`` makes, and each layer for each of ``tests.models.vits.SIZES``.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm.models.eva
import timm.models.vision_transformer
import torch
import transformers

from benchmarks import parity_networks
from jaxloc.models import BACKBONES
from tests.models import vits

_TIMM = {"img_size": 12, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "dynamic_img_size": True}
_HUGGING = {"image_size": 12, "patch_size": 4, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def networks() -> dict[str, tuple[str, torch.nn.Module, Callable]]:
    """Family, module and its layers of an image, by what is tested."""
    t, made = transformers, {}
    vit = timm.models.vision_transformer.VisionTransformer
    for name, family, offset, options in (
        ("timm ViT", "vit", False, {"num_classes": 5}),
        ("DINO's release", "dino", True, {"num_classes": 0}),
        ("DINOv2's release", "dinov2", True, {"num_classes": 0, "init_values": 1.0}),
    ):
        model = vit(**_TIMM, **options)
        made[name] = (family, model, parity_networks.timm_layers(model, offset=offset, top=family == "vit"))
    wide = _HUGGING | {"intermediate_size": 64}
    for name, family, model in (
        ("transformers ViT", "vit", t.ViTForImageClassification(t.ViTConfig(**wide, num_labels=7))),
        ("transformers DINOv2", "dinov2", t.Dinov2Model(t.Dinov2Config(**_HUGGING))),
        (
            "transformers DINOv2 with registers",
            "dinov2_reg",
            t.Dinov2WithRegistersModel(t.Dinov2WithRegistersConfig(**_HUGGING)),
        ),
        ("transformers DINOv3", "dinov3", t.DINOv3ViTModel(t.DINOv3ViTConfig(**wide, num_register_tokens=4))),
        ("transformers CLIP", "clip", t.CLIPVisionModel(t.CLIPVisionConfig(**wide))),
    ):
        made[name] = (
            family,
            model,
            parity_networks.transformers_layers(model, top="Classification" in type(model).__name__),
        )
    return made


def main() -> None:
    """Write the golden arrays."""
    kept: dict[str, np.ndarray] = {}
    for name, (family, model, layers) in networks().items():
        model.eval()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                parameter.copy_(torch.from_numpy(vits.values(key, tuple(parameter.shape))))
        kept[f"{name}/{family}"] = np.array(json.dumps({k: list(v.shape) for k, v in model.named_parameters()}))
        for size in vits.SIZES:
            pixels = np.asarray(BACKBONES[f"tiny-{family}"].preprocessing(vits.image(size)))
            for layer, values in layers(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())).items():
                if layer.startswith(("block1/k", "block1/q", "norm", "logits")):
                    kept[f"{name}/{size[0]}×{size[1]}/{layer}"] = values
    np.savez_compressed(Path(__file__).with_name("vit.npz"), **kept)


if __name__ == "__main__":
    main()
