"""Every network by name."""

from jaxloc.errors import UsageError
from jaxloc.models import alexnet, efficientnet, resnet, squeezenet, vgg, vit
from jaxloc.models.backbone import Backbone

BACKBONES = {
    backbone.name: backbone
    for backbone in (
        *map(vgg.backbone, vgg.BLOCKS),
        alexnet.backbone(),
        squeezenet.backbone(),
        *map(resnet.backbone, resnet.VARIANTS),
        *map(efficientnet.backbone, efficientnet.VARIANTS),
        *vit.published(),
    )
}
"""Every network by name; add your own to use its weights files."""


def find(name: str) -> Backbone:
    """The backbone of this name; raises ``UsageError`` that names the known ones."""
    if name not in BACKBONES:
        raise UsageError(f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}")
    return BACKBONES[name]
