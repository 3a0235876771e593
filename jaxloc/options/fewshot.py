"""Options of the jobs that name images by a few exemplars of each class."""

import dataclasses
import os
from typing import Literal, get_args

from jaxloc.errors import UsageError
from jaxloc.options.network import NetworkOptions
from jaxloc.options.option import Options, option, same_as

Form = Literal["residual", "printed", "none"]
"""Forms of a mapping."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FewShotOptions(Options):
    """How images are described and named by exemplars."""

    weights: str | os.PathLike[str] = same_as(NetworkOptions, "weights")
    layer: str | None = option(
        None,
        "Layer whose descriptors are multiplied. [default: the network's own for localisation, relu5_3 of VGG-16]",
        setting="layer",
        text=lambda layer: layer or "",
    )
    side: int = option(
        224,
        "Shrink images whose longer side is longer than this, in pixels.",
        "--longer-side",
        "--side",
        least=32,
        first=True,
        setting="longer side at most",
    )
    dimension: int = option(
        64,
        "Number of axes that descriptors are projected to; a vector has its square of numbers.",
        least=1,
        first=True,
        setting="axes",
    )
    steps: int = option(400, "Number of training steps of a mapping.", least=1, setting="steps of a mapping")
    seed: int = option(0, "Seed of all that is drawn at random.", least=0, first=True, setting="seed")
    devices: int | None = same_as(NetworkOptions, "devices")
    dtype: str = same_as(NetworkOptions, "dtype")
    allow_download: bool | None = same_as(NetworkOptions, "allow_download")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NameOptions(FewShotOptions):
    """What ``fewshot name`` can be told."""

    mapping: Form = option(
        "residual",
        "With --base, the form of the piecewise mapping to learn: residual begins as the nearest mean, printed is the "
        "paper's.",
        first=True,
        setting="mapping",
    )
    top: int = option(5, "Number of nearest exemplars to show beside each image.", least=1, first=True)
    report_limit: int = same_as(NetworkOptions, "report_limit")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpisodeOptions(FewShotOptions):
    """What ``fewshot evaluate`` can be told."""

    mapping: tuple[str, ...] = option(
        ("residual",),
        "Form of the piecewise mapping to learn from the base classes: residual, which begins as the nearest mean, "
        "printed, the paper's, or none; repeatable.",
        "--mapping",
        first=True,
        setting="mapping",
        text=lambda forms: ", ".join(forms),
    )
    ways: int = option(5, "Number of classes in an episode.", least=2, first=True, setting="ways")
    shots: tuple[int, ...] = option(
        (1, 5), "Number of exemplars of each class; repeatable.", "--shots", first=True, setting="shots"
    )
    queries: int = option(
        15, "Number of images of each class to name in an episode, at most.", least=1, setting="queries"
    )
    episodes: int = option(1000, "Number of episodes of each split.", least=2, first=True, setting="episodes")
    draws: int = option(
        20, "Number of draws of exemplars of all novel classes at once.", least=2, setting="draws of all classes"
    )
    splits: int = option(
        1, "Number of random divisions into base and novel classes.", least=1, first=True, setting="splits"
    )
    base_classes: int | None = option(
        None,
        "Number of classes that are learnt from and not named. [default: three quarters, as in the paper]",
        least=1,
        first=True,
        setting="base classes",
        text=lambda number: "three quarters" if number is None else str(number),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := sorted(set(self.mapping) - set(get_args(Form))):
            raise UsageError(f"the mapping must be one of {', '.join(get_args(Form))}, not {unknown[0]!r}")
        for shots in self.shots:
            if shots < 1:
                raise UsageError(f"an episode needs at least one exemplar of each class, not {shots}: change --shots")

    @property
    def forms(self) -> list[str]:
        """Forms of the mappings to learn."""
        return [form for form in self.mapping if form != "none"]
