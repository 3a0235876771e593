"""What a training of Mask-CNN and the naming of images say at their end."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from jaxloc.report.records import Findings
from jaxloc.report.tables import text_table
from jaxloc.report.text import counted, reasons
from jaxloc.run.maskcnn.applying import NAMED

if TYPE_CHECKING:
    from jaxloc.run.maskcnn.training import Trained


def training_text(done: "Trained", seconds: float) -> str:
    """PCP of each part, accuracy of one, two and all streams, and where the results are."""
    parts = [[part, "–" if math.isnan(share) else f"{100 * share:.1f}"] for part, share in done.pcp.items()]
    streams = [[" + ".join(names), f"{100 * share:.1f}"] for names, share in done.accuracies.items()]
    place = done.folder
    return "\n\n".join(
        [
            text_table(["part", "PCP"], parts),
            text_table(["streams", "accuracy"], streams),
            f"Learnt from {done.train:,} images of {len(done.model.classes):,} classes, tested on {done.test:,}; PCP: "
            f"share of true boxes found with IoU > 0.5. {seconds:.1f} s. Look at {place / 'report.html'} and "
            f"{place / 'masks.png'}; {place / 'maskcnn.safetensors'} is for `jaxloc maskcnn apply`.",
            *reasons("Skipped", done.skipped.items(), len(done.skipped), "evaluation.json"),
        ]
    )


def applied_text(done: Findings, folder: Path) -> str:
    """How many images were named, where the results are, and why images were skipped."""
    skipped = [(one.name, one.reason) for one in done.skipped]
    return "\n\n".join(
        [
            f"{counted(done.number, 'image')} named, {len(skipped):,} skipped. Look at {folder / 'report.html'}",
            *reasons("Skipped", skipped, len(skipped), str(folder / NAMED)),
        ]
    )
