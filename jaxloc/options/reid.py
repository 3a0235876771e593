"""Options of the jobs that learn to tell identities of one kind apart."""

import dataclasses
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.options.network import NetworkOptions
from jaxloc.options.option import option

GROUP = 6
"""Images of one identity, and of others, in a group whose distances are compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReidOptions(NetworkOptions):
    """How to learn a projection that tells identities apart."""

    method: Literal["triplet", "ccl", "mixed", "rnn-ha", "rnn-h", "fc-ha"] = option(
        "triplet",
        "What is learnt: triplet compares three images at a time; ccl draws images of an identity to their centre, "
        "mixed with a branch that knows the kind. rnn-ha classifies the kind, then where it looks for the identity "
        "within it; rnn-h without that attention, fc-ha without the recurrence.",
        first=True,
        setting="method",
    )
    layer: str | None = option(
        None, "Layer whose maps are looked at. [default: the network's own for retrieval]", setting="layer", first=True
    )
    max_side: int = option(
        224,
        "Shrink images whose shorter side is longer than this, in pixels; 0 never shrinks. `jaxloc index` does the "
        "same with the projection.",
        first=True,
        setting="shorter side at most",
    )
    hidden: int = option(512, "Dimensions of the head's layers.", least=1, setting="hidden dimensions")
    steps: int = option(600, "Number of training steps.", least=1, first=True, setting="steps")
    step_images: int = option(
        96,
        "Images in a training step; of ccl, mixed and triplet in groups of 6 of one identity and 6 of others.",
        least=2 * GROUP,
        setting="images in a step",
    )
    learning_rate: float = option(
        1e-3,
        "Learning rate of AdamW at the start; it falls along a cosine.",
        above=0,
        first=True,
        setting="learning rate",
    )
    weight_decay: float = option(1e-4, "Weight decay of AdamW.", least=0, setting="weight decay")
    margin: float = option(
        0.3, "Margin of squared distances of ccl, mixed and triplet.", least=0, setting="margin of distances"
    )
    validation_share: float = option(
        0.1,
        "Share of the identities held out to choose the best state, if there are at least 20 identities; 0 takes the "
        "last one.",
        least=0,
        below=1,
        first=True,
        setting="validation share",
    )
    validation_steps: int = option(
        100, "Steps from one validation and checkpoint to the next.", least=1, setting="steps between validations"
    )
    seed: int = option(0, "Seed of the parameters, the images drawn and those held out.", least=0, setting="seed")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_images % (2 * GROUP):
            raise UsageError(
                f"step images must be a multiple of {2 * GROUP}, not {self.step_images}: change --step-images"
            )
