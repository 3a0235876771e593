"""Options of the jobs that localise: ``colocalize``, ``localize`` and ``apply``."""

import dataclasses
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.localizers import METHODS
from jaxloc.options.network import OUTPUT, RUN, SPEED, NetworkOptions, gigabytes
from jaxloc.options.option import Options, option, options_of
from jaxloc.refiners import REFINEMENTS
from jaxloc.signs import SIGN_RULES

VIDEOS = "Videos"
CLASSIFIER = "Methods that ask a classifier"
REGIONS = "Salient regions"


def _chosen(value: object) -> str:
    return "" if value is None else str(value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalizeOptions(NetworkOptions):
    """What a localisation job can be told."""

    method: str = option(
        "ddt",
        "ddt, ddt+ (two layers, finer masks) and ddt-spread (the best boxes) find what the images of a set share; scda "
        "looks at each image alone.",
        "--method",
        "-m",
        choices=METHODS,
        first=True,
    )
    layer: str | None = option(
        None,
        "Layer whose features are used, such as relu5_3 or pool5; ddt+ and ddt-spread add the convolution "
        "below it. "
        "[default: the network's own, relu5_3 of VGG-16]",
    )
    connectivity: int | None = option(  # type: ignore[assignment]
        None,
        "Neighbours that connect the cells of a component: 8, or 4 without diagonals. [default: the method's own, 4 of "
        "lost and tokencut, else 8]",
        choices=(8, 4),
        setting="connectivity",
        text=_chosen,
    )
    sign: str | None = option(
        None,
        "How DDT decides which side of its first component is object. Try another rule if the boxes hold the "
        "background. [default: the network's own, aggregation, or border of vision transformers]",
        choices=SIGN_RULES,
        setting="sign rule",
        text=_chosen,
        fitted=True,
    )
    noise_threshold: float = option(
        0.0,
        "Call an image noisy (without the object) if its object share, the share of positive cells, is at or below "
        "this.",
        least=0,
        below=1,
        label="the noise threshold, a share of cells,",
        setting="noise threshold",
        fitted=True,
        first=True,
    )
    parts: int = option(
        0,
        "Number of parts to divide each object into by DDT's further components, with a box for each; 2 takes the "
        "sign of the second component as in the paper, 0 does not divide.",
        panel=OUTPUT,
        setting="parts",
        text=lambda number: str(number or ""),
        fitted=True,
    )
    parts_within: bool = option(
        False,
        "Divide by components of the object's own cells, fitted in one more pass, instead of all cells as in the "
        "paper; needs --parts.",
        panel=OUTPUT,
        setting="parts within",
        text=lambda within: "the object" if within else "",
        fitted=True,
    )
    regions: bool = option(
        False,
        "Also write a box for every other region that is object: each component of ddt, ddt+, ddt-spread and scda, "
        "each salient region of fs-egm.",
        panel=OUTPUT,
        setting="regions",
        text=lambda regions: "all" if regions else "",
    )
    masks: bool = option(False, "Also write the object's pixels, as COCO run lengths.", panel=OUTPUT, identity="masks")
    refine: str = option(
        "none",
        "Fit the object's mask to the edges of the image by a dense CRF, a guided filter or GrabCut, and write it.",
        choices=("none", *REFINEMENTS),
        panel=OUTPUT,
        first=True,
        setting="pixels",
        text=lambda name: "" if name == "none" else name,
    )
    box_from_mask: bool = option(
        False, "Draw the box around the refined mask instead of the cells; needs --refine.", panel=OUTPUT
    )
    overlays: bool = option(
        False,
        "Also write overlays/NAME.png with box and heat map; in a folder for each set if sets share images.",
        panel=OUTPUT,
        first=True,
        identity="overlays",
    )
    shard_size: int | None = option(
        None,
        "Images in a shard, which is computed and written as one: what a kill can cost. [default: by the number of "
        "images]",
        least=1,
        panel=RUN,
        identity="shard size",
    )
    moments_memory: int = option(
        10**9,
        "GB of memory for the moments of sets that are fitted together; further sets wait for the next pass.",
        label="the memory for moments",
        typed=gigabytes(1.0),
        panel=SPEED,
        identity="memory for moments",
        text=lambda size: f"{size / 1e9:g} GB",
        fitted=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.moments_memory < 1:
            raise UsageError(f"the memory for moments must be more than nothing, not {self.moments_memory} bytes")
        if self.box_from_mask and self.refine == "none":
            raise UsageError(f"a box from the mask needs a refined mask: choose {', '.join(REFINEMENTS)} with refine")
        if self.parts and (self.parts < 2 or METHODS[self.method].parts is None):
            able = " or ".join(name for name, method in METHODS.items() if method.parts is not None)
            raise UsageError(f"parts must be at least 2, and of {able}; got {self.parts} of {self.method}")
        if self.regions and not METHODS[self.method].several:
            able = " or ".join(name for name, method in METHODS.items() if method.several)
            raise UsageError(f"{self.method} finds one object in each image: for several regions use --method {able}")
        if self.parts_within and not self.parts:
            raise UsageError("parts within the object need a number of parts: give --parts as well")

    def settings(self, *, fitted: bool = True) -> dict[str, str]:
        """As for all options; the refinement's text also tells where the box comes from."""
        found = super().settings(fitted=fitted)
        if self.box_from_mask:
            found["pixels"] += ", and the box around them"
        return found

    @property
    def components(self) -> int:
        """Number of principal components that a fit keeps."""
        from jaxloc.parts import components_needed

        return components_needed(self.parts or 2)


def _check_windows(text: str) -> None:
    """Raise ``UsageError`` unless a text is ``all``, ``grid:N`` or ``random:M``."""
    how, _, number = text.partition(":")
    if text != "all" and not (how in ("grid", "random") and number.isdecimal() and int(number)):
        raise UsageError(f"windows must be all, grid:N or random:M, such as grid:5, not {text!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalizeEachOptions(LocalizeOptions):
    """What a job that looks at each image alone can be told."""

    method: str = option(
        "scda",
        "scda selects the descriptors that fire, and presumes that none is negative, as does fs-egm, which finds the "
        "salient regions, however many (--regions). lost and tokencut compare patches "
        "by a vision transformer's keys. cam, eiss and beam ask a classifier (such as --weights efficientnet-lite0) "
        "for the most probable class of each image, or with --per-folder or --per-label for that of the set's name: "
        "cam by its class map, eiss by cropping and erasing windows, beam by dropping rows and columns of its map.",
        "--method",
        "-m",
        choices=[name for name, method in METHODS.items() if method.fit is None],
        first=True,
    )
    egm: Literal["boxes", "paper"] = option(
        "boxes",
        "How fs-egm turns saliency into regions: boxes fit objects, paper takes the paper's settings, which are meant "
        "for vectors and give tighter regions.",
        panel=REGIONS,
        setting="regions fit",
    )
    label: str | None = option(
        None,
        "Find this class, a name or a number of the classifier's, instead of the most probable one.",
        panel=CLASSIFIER,
        setting="label",
        text=lambda label: label or "",
    )
    top_k: int = option(
        1,
        "Find the objects of this many classes, the most probable ones of each image.",
        least=1,
        panel=CLASSIFIER,
        setting="classes of an image",
    )
    heat_threshold: float | None = option(
        None,
        "Share of the greatest value of the map, of cam from the smallest upwards, that a cell of the object exceeds. "
        "[default: 0.5 of cam, 0.4 of beam]",
        least=0,
        below=1,
        panel=CLASSIFIER,
        setting="heat threshold",
    )
    windows: str = option(
        "grid:5",
        "Windows that eiss tries in each iteration: grid:N along each side, random:M, or all (as in the paper; slow).",
        panel=CLASSIFIER,
        setting="windows",
    )
    window_side: float = option(
        0.8,
        "Side of eiss's windows, as a share of the region's.",
        above=0,
        below=1,
        panel=CLASSIFIER,
        setting="window side",
    )
    eta: float = option(
        10.0,
        "eiss stops where the region gains less than this percentage of the image's own score; -1e9 never does.",
        least=-1e9,
        panel=CLASSIFIER,
        setting="eta",
    )
    best: int = option(
        5, "Crops and erasures that bound eiss's next region, of each.", least=1, panel=CLASSIFIER, setting="best"
    )
    classes_kept: int = option(
        1, "Most probable classes that eiss searches for together.", least=1, panel=CLASSIFIER, setting="classes kept"
    )
    erase: Literal["black", "grey"] = option("black", "What eiss erases with.", panel=CLASSIFIER, setting="erase")
    max_iterations: int = option(6, "Most iterations of eiss.", least=1, panel=CLASSIFIER, setting="iterations")
    seed: int = option(0, "Decides eiss's random windows.", panel=CLASSIFIER, setting="seed")
    width: int = option(
        8, "Candidates that beam keeps at each level.", "--beam", least=1, panel=CLASSIFIER, setting="beam"
    )
    depth: int = option(10, "Levels of beam.", least=1, panel=CLASSIFIER, setting="depth")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_windows(self.windows)
        if self.top_k > 1 and self.label is not None:
            raise UsageError("top-k finds the most probable classes, and label names one: leave one of them out")
        if self.top_k > 1 and self.classes_kept > 1:
            raise UsageError("classes-kept searches for classes together, and top-k for each alone: choose one of them")

    def settings(self, *, fitted: bool = True) -> dict[str, str]:
        """As for all options; those of other methods are left out."""
        method = METHODS[self.method]
        own = {*method.options, *(("label", "top_k") if method.asks else ())}
        others = {
            one.setting
            for name, one in options_of(LocalizeEachOptions).items()
            if one.panel in (CLASSIFIER, REGIONS) and name not in own
        }
        return {name: text for name, text in super().settings(fitted=fitted).items() if name not in others}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetOptions(Options):
    """How images become image sets, and what happens to results that exist."""

    per_folder: bool = option(False, "Each sub-folder is an image set of its own.", first=True)
    per_label: bool = option(False, "The images of each label are an image set.")
    name: str | None = option(None, "Name of the set. [default: the folder's name]", "--category")
    image_column: str | None = option(
        None, "Of Parquet files, the column of images. [default: found by its name or content]", metavar="COLUMN"
    )
    label_column: str | None = option(
        None, "Of Parquet files, the column of labels. [default: found by its name or type]", metavar="COLUMN"
    )
    every: int = option(1, "Of videos, take every N-th frame.", least=1, panel=VIDEOS)
    overwrite: bool = option(False, "Start over if --out holds another run, or a finished one.", panel=RUN, first=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoOptions(Options):
    """What is written of videos."""

    kind: Literal["mp4", "gif", "none"] = option(
        "mp4", "Write each input video with the box drawn, in this format.", "--video", label="video", panel=VIDEOS
    )
    smooth: bool = option(
        False,
        "Smooth each video's boxes over time, in the video and annotations_vid.json: outliers are dropped, short gaps "
        "bridged. annotations.json keeps what was found in each frame.",
        panel=VIDEOS,
    )
    gap: int = option(
        5,
        "Longest gap, in frames without a box, that --smooth bridges.",
        "--bridge",
        least=0,
        label="frames to bridge",
        panel=VIDEOS,
    )
    heat: bool = option(
        False, "Draw the heat map as well; it is kept for at most --report-limit frames.", "--video-heat", panel=VIDEOS
    )
