"""A network as a value: its layers, its Flax module, its preprocessing, and the names of its published parameters.

A backbone is frozen and hashable: close over it or pass it as a static argument. To add a network, write one module
that makes its ``Backbone``, and list that in ``jaxloc.models.registry``.
"""

import dataclasses
import difflib
import functools
import importlib.resources
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp

from jaxloc._jit import standard_promotion
from jaxloc.errors import UsageError
from jaxloc.models.preprocessing import Preprocessing


class FeatureMap(NamedTuple):
    """Activations of one layer and their valid size.

    Attributes:
        features: ``[n, h, w, d]`` (``[h, w, d]`` for one image); zero outside the valid corner.
        size: int32 ``[n, 2]`` (``[2]``), valid rows and columns.
    """

    features: jax.Array
    size: jax.Array


class Layer(NamedTuple):
    """A layer whose activations can be asked for.

    Attributes:
        name: such as ``"relu5_3"``.
        stride: pixels between neighbouring cells.
        channels: dimension of its descriptors.
        minimum_side: smallest image side in pixels at which it has a cell.
        below: the layer of as many cells below it, which DDT+ adds; empty if there is none.
        signed: whether activations may be negative. SCDA's aggregation and DDT's sign rules presume that none is.
        attention: the layer of the class token's attention to the same cells; empty if there is none.
    """

    name: str
    stride: int
    channels: int
    minimum_side: int
    below: str = ""
    signed: bool = False
    attention: str = ""


class Defaults(NamedTuple):
    """Layers used where none is named.

    Attributes:
        localization: for DDT and SCDA; DDT+ adds the layer below it.
        retrieval: for descriptors and fine-tuning.
        retrieval_lower: the second layer of SCDA+.
        sign: rule that fixes the sign of DDT's components.
    """

    localization: str
    retrieval: str
    retrieval_lower: str
    sign: str = "aggregation"


class Head(NamedTuple):
    """The classifier on top of the network.

    Attributes:
        layers: names of its layers and of their parameters, the class scores last: one cell of ``[classes]``, which
            are logits.
        side: image side in pixels that it was trained on.
        resized: shorter side in pixels of the image of whose middle those are cropped.
        bicubic: whether images are resized by cubic interpolation, not by linear.
        averages: the layer that the last one reads: a class's score is the average of a linear function of its cells.
            Empty if it is not.
        rectified: whether negative values of that function count as 0.
        names: of the classes, if they are not ImageNet's.
        independent: whether an image may be of several classes, so that each has a probability of its own.
    """

    layers: tuple[str, ...]
    side: int
    resized: int = 256
    bicubic: bool = False
    averages: str = ""
    rectified: bool = False
    names: tuple[str, ...] = ()
    independent: bool = False

    @property
    def layer(self) -> str:
        """The layer of class scores."""
        return self.layers[-1]

    def probabilities(self, scores: jax.Array) -> jax.Array:
        """Probabilities of scores ``[..., classes]``: they sum to 1 unless classes are independent."""
        return jax.nn.sigmoid(scores) if self.independent else jax.nn.softmax(scores)


class Names(NamedTuple):
    """One naming of a network's parameters in PyTorch's state dicts.

    Attributes:
        layers: pairs of published name and ours; several published names may stand for one of ours.
        normalizations: pairs of a batch normalisation and the convolution into which it is folded, published names.
        epsilon: added to the variance of each batch normalisation.
        preprocessing: what weights of this origin expect of images, if not the same as others.
    """

    layers: tuple[tuple[str, str], ...]
    normalizations: tuple[tuple[str, str], ...] = ()
    epsilon: float = 1e-5
    preprocessing: Preprocessing | None = None


class Embedded(NamedTuple):
    """Weights inside a distribution on the package index.

    Attributes:
        distribution: its name.
        file: path of the weights file among the installed files.
        extra: of jaxloc, which installs it; empty for a dependency.
    """

    distribution: str
    file: str
    extra: str = ""


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network.

    Attributes:
        name: as weights files and options write it.
        title: for people.
        authors: of the paper.
        layers: from the image upwards.
        defaults: layers used where none is named.
        module: the Flax module, with attributes ``layers`` and ``dtype``; called with preprocessed images
            ``[n, h, w, 3]`` and sizes, it returns ``{layer: FeatureMap}``.
        blocks: names of the parameters below the head, block by block from the image upwards; fine-tuning freezes
            whole blocks.
        preprocessing: what the parameters expect of images.
        head: the classifier, if there is one.
        winograd: names of the 3×3 convolutions of stride 1, whose kernels ``prepare`` may transform.
        published: namings in PyTorch's state dicts; Caffe's names are ours. Empty if files cannot be converted.
        embedded: weights that can be installed as a package.
        hub: repository on the Hugging Face hub that holds weights as safetensors.
        publisher: who publishes weights in which file, in words.
        licence: of the known weights.
        padding_exact: whether features inside the valid corner do not depend on padding.
        cpu_fusion: whether XLA's fusion of whole networks on the CPU makes it faster, not slower.
        variant: attributes in which this network differs from the registered one of its name, such as
            ``(("classes", 10),)``; weights files keep them.
        vary: makes the network with such attributes, by keyword; ``None`` if it has none.
    """

    name: str
    title: str
    authors: str
    layers: tuple[Layer, ...]
    defaults: Defaults
    module: nn.Module
    blocks: tuple[tuple[str, ...], ...]
    preprocessing: Preprocessing
    head: Head | None = None
    winograd: tuple[str, ...] = ()
    published: tuple[Names, ...] = ()
    embedded: Embedded | None = None
    hub: str = ""
    publisher: str = ""
    licence: str = ""
    padding_exact: bool = True
    cpu_fusion: bool = False
    variant: tuple[tuple[str, Any], ...] = ()
    vary: "Callable[..., Backbone] | None" = dataclasses.field(default=None, compare=False)

    @property
    def convolutions(self) -> tuple[str, ...]:
        """Names of the parameters below the head, from the image upwards."""
        return sum(self.blocks, ())

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of all layers, from the image upwards."""
        return tuple(layer.name for layer in self.layers)

    def layer(self, name: str) -> Layer:
        """The layer of this name; raises ``UsageError`` that names the known ones."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise UsageError(f"unknown layer {name!r}; {self.name} has {', '.join(self.layer_names)}")

    def check_layers(self, names: Iterable[str]) -> tuple[str, ...]:
        """Layer names as a tuple; raises ``UsageError`` for none, or an unknown one."""
        names = (names,) if isinstance(names, str) else tuple(names)
        if not names:
            raise UsageError(f"no layer asked for; {self.name} has {', '.join(self.layer_names)}")
        return tuple(self.layer(name).name for name in names)

    def with_below(self, name: str, count: int = 1) -> tuple[str, ...]:
        """A layer and ``count`` layers of its block below it, deepest first; fewer are a ``UsageError``."""
        below = self.layer(name).below
        if not count:
            return (name,)
        if not below:
            usual = self.defaults.localization
            raise UsageError(f"no convolution of the same block lies below {name!r}; use for example {usual}")
        return (name, *self.with_below(below, count - 1))

    def minimum_side(self, names: Iterable[str]) -> int:
        """Smallest image side in pixels at which all these layers have a cell."""
        return max(self.layer(name).minimum_side for name in names)

    def needs_head(self, names: Iterable[str]) -> bool:
        """Whether one of these layers belongs to the classifier."""
        return self.head is not None and any(name in self.head.layers for name in names)

    def has_head(self, parameters: Iterable[str]) -> bool:
        """Whether the names of these parameters include the classifier's."""
        return self.head is not None and self.head.layer in parameters

    @property
    def classifier(self) -> Head:
        """The head; raises ``UsageError`` if there is none."""
        if self.head is None:
            raise UsageError(f"{self.title} has no classifier")
        return self.head

    @property
    def classes(self) -> int:
        """Number of classes of its classifier."""
        return self.layer(self.classifier.layer).channels

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes of its classifier's scores: WordNet's synsets, if they are ImageNet's thousand."""
        if self.classifier.names:
            return self.classifier.names
        if (number := self.classes) != 1000:
            raise UsageError(f"the names of the {number} classes of this {self.title} are not known")
        return _imagenet_classes()

    def class_name(self, number: int) -> str:
        """Name of a class, or its number where names are not known."""
        known = self.classes == 1000 or self.classifier.names
        return self.class_names[number] if known else f"class {number}"

    def class_number(self, label: str) -> int:
        """Number of the class of a name, whole or between commas, or of a number; others raise ``UsageError``."""
        if label.isdecimal() and int(label) < self.classes:
            return int(label)
        known: dict[str, int] = {}
        for number, name in enumerate(self.class_names):
            for part in (name, *name.split(",")):
                known.setdefault(part.strip().casefold(), number)
        if (wanted := label.strip().casefold()) in known:
            return known[wanted]
        near = [name for name in self.class_names if wanted in name.casefold().replace(",", "").split()][:4]
        near = near or difflib.get_close_matches(wanted, known, 4)
        like = f"; names like it: {'; '.join(near)}" if near else ""
        raise UsageError(f"{self.title}'s classifier has no class {label!r}{like}")

    def cure(self) -> str:
        """How to get weights with everything that belongs to the network, in words."""
        ways = ["convert a file once with `jaxloc weights convert FILE --install`"]
        if self.publisher:
            ways[0] += f" ({self.publisher})"
        if self.embedded and self.embedded.extra:
            ways.insert(0, f"pip install 'jaxloc[{self.embedded.extra}]'")
        if self.hub:
            ways.append("allow the download with --download or JAXLOC_ALLOW_DOWNLOAD=1")
        return ", or ".join(ways)

    def varied(self, variant: Mapping[str, Any]) -> "Backbone":
        """The network with other attributes of its module, such as ``{"classes": 10}``; none leave it as it is."""
        if not variant:
            return self
        choices = {} if self.vary is None else inspect.signature(self.vary).parameters
        if self.vary is None or not variant.keys() <= choices.keys():
            raise UsageError(f"{self.name} has no {', '.join(variant.keys() - choices.keys())} to choose")
        return dataclasses.replace(self.vary(**variant), preprocessing=self.preprocessing)

    def shapes(self, layer: str) -> Mapping[str, tuple[int, ...]]:
        """Shape of each array that a layer depends on, such as ``{"conv1_1/kernel": (3, 3, 3, 64), …}``."""
        return _shapes(self.module.clone(layers=(layer,)), self.layer(layer).minimum_side)

    def all_shapes(self, *, head: bool) -> Mapping[str, tuple[int, ...]]:
        """Shape of each array, with or without the classifier's."""
        if head and self.head is not None:
            return self.shapes(self.head.layer)
        return self.shapes([name for name in self.layer_names if not self.needs_head([name])][-1])

    def abstract_params(self, *, head: bool) -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
        """Parameters without values, with or without the classifier's, for ``jax.eval_shape`` and ``lower``."""
        shapes = self.all_shapes(head=head).items()
        flat = {path: jax.ShapeDtypeStruct(shape, jnp.float32) for path, shape in shapes}
        return flax.traverse_util.unflatten_dict(flat, sep="/")


@functools.cache
def _imagenet_classes() -> tuple[str, ...]:
    names = importlib.resources.files("jaxloc.models") / "imagenet_classes.txt"
    return tuple(names.read_text("utf-8").splitlines())


@functools.cache
@standard_promotion()
def _shapes(module: nn.Module, side: int) -> Mapping[str, tuple[int, ...]]:
    # Convolutional networks initialise with zeros: only these shapes are read, and draws take long to trace.
    def initialize(image: jax.Array) -> Any:
        return module.init(jax.random.key(0), image)["params"]

    tree = jax.eval_shape(initialize, jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32))
    return {f"{layer}/{name}": value.shape for layer, arrays in tree.items() for name, value in arrays.items()}
