# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Count products at a checkout
#
# A checkout sees many products at once, from above, turned and half hidden. What there is to learn from are images of
# each product alone. This notebook makes one out of the other: it cuts products out, composes checkout images with
# boxes (*Syn*), learns to count on them, and sets that against learning from single products (*Single*), as in the RPC
# paper (Wei et al., 2019). The products are boxes printed with photographs that ship inside scikit-image; VGG-16 comes
# with the package. It needs no connection, and takes about a minute on two CPU cores.

# %%
import io
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from IPython import display
from PIL import Image, ImageDraw, ImageFont

from jaxloc.data import annotations
from jaxloc.options import ComposeOptions, EvaluateOptions, TrainCounterOptions
from jaxloc.run.checkout import compose, count, train
from jaxloc.run.evaluation.counts import counts_text, measure_counts

work = Path(tempfile.mkdtemp())

# %% [markdown]
# The next cell only draws; skip it.


# %%
def show(figure):
    """The figure as a PNG of 256 colours, so that the notebook's file stays small."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full)
    plt.close(figure)
    Image.open(full).convert("RGB").quantize(256).save(small, "PNG", optimize=True)
    return display.Image(small.getvalue())


def grid(rows, height):
    """A figure of images, without ticks."""
    return plt.subplots(rows, 4, figsize=(11, height), dpi=90, layout="constrained", squeeze=False)


def draw(axis, image, items, title):
    """An image, its boxes in the colours of their kinds, and a title."""
    axis.imshow(Image.open(image.path))
    for one in items:
        x0, y0, x1, y1 = one.box
        colour = COLOURS[one.category]
        axis.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=2))
    axis.set_title(title, fontsize=9)
    axis.axis("off")


# %% [markdown]
# ## Products
#
# Six kinds, three photographs of each, on white.

# %%
PRINTS = {
    "Cat tea": ("chelsea", (40, 30, 330, 290), (196, 84, 40)),
    "Space soap": ("astronaut", (100, 0, 380, 250), (30, 80, 160)),
    "Coffee": ("coffee", (60, 0, 480, 390), (90, 60, 40)),
    "Rocket salt": ("rocket", (180, 60, 460, 400), (20, 120, 110)),
    "Night rice": ("hubble_deep_field", (100, 100, 500, 560), (60, 40, 110)),
    "Pink paper": ("immunohistochemistry", (0, 0, 400, 480), (170, 60, 120)),
}
COLOURS = dict(zip(PRINTS, plt.get_cmap("tab10").colors, strict=False))


def photograph(kind, view):
    """A box on white: its print, its colour, its name."""
    source, window, colour = PRINTS[kind]
    width, height = 150 + 6 * view, 210 - 8 * view
    box = Image.new("RGB", (width, height), colour)
    print_ = Image.fromarray(getattr(skimage.data, source)()).convert("RGB").crop(window)
    box.paste(print_.resize((width - 20, height - 60)), (10, 46))
    ImageDraw.Draw(box).text((width // 2, 24), kind, "white", ImageFont.load_default(24), anchor="mm")
    image = Image.new("RGB", (260, 260), "white")
    image.paste(box, (40 + 8 * view, 20 + 4 * view))
    return image


for kind in PRINTS:
    (work / "products" / kind).mkdir(parents=True)
    for view in range(3):
        photograph(kind, view).save(work / "products" / kind / f"{view}.jpg", quality=92)

figure, axes = plt.subplots(1, 6, figsize=(11, 2.1), dpi=90, layout="constrained")
for axis, kind in zip(axes, PRINTS, strict=True):
    axis.imshow(photograph(kind, 0))
    axis.axis("off")
show(figure)

# %% [markdown]
# ## Composed images
#
# In a shell: `jaxloc checkout compose products --level easy --out set`. Each product is cut out by a
# flood fill from its white border, turned, resized, and pasted unless it would hide more than half of another item.
# Shadows, light, focus and noise are simulated. Every item has a box and a mask of what is visible of it.

# %%
LOOKS = {"side": 224, "product_side": 0.25}
syn = compose(work / "products", work / "syn", ComposeOptions(images=56, levels=("easy",), **LOOKS))
single = compose(work / "products", work / "single", ComposeOptions(images=56, levels=("single",), **LOOKS))
test = compose(work / "products", work / "test", ComposeOptions(images=16, levels=("easy",), seed=1, **LOOKS))


learnt_from = list(annotations.read(syn.exported.folder).images.values())
figure, axes = grid(1, 3.1)
for axis, image in zip(axes[0], learnt_from, strict=False):
    draw(axis, image, image.annotations, f"{image.level}: {len(image.annotations)} items")
show(figure)

# %% [markdown]
# At 400 % the edges carry no fringe: colours are multiplied by opacity before they are turned and resized, and pixels
# that the photograph mixed with its white ground take the colour of the product beside them.

# %%
image = learnt_from[0]
x, y = (int((image.annotations[-1].box[side] + image.annotations[-1].box[side + 2]) / 2) for side in (0, 1))
left, top = np.clip((x - 40, y - 28), 0, (224 - 80, 224 - 56))
Image.open(image.path).crop((left, top, left + 80, top + 56)).resize((640, 448), Image.Resampling.NEAREST)

# %% [markdown]
# ## Learning to count
#
# In a shell: `jaxloc checkout train set/dataset --out model`. VGG-16 stays as it is; a small head on its maps at
# relu4_3 learns where the middle of an item of each kind lies, and how far its sides are away. A fifth of the images
# is held out: it chooses the state and the score from which an item counts.

# %%
OPTIONS = TrainCounterOptions(side=224, steps=50, validation_steps=10)
counters = {
    name: train(made.exported.folder, work / f"{name}-model", OPTIONS)
    for name, made in (("Single", single), ("Syn", syn))
}
for name, done in counters.items():
    print(name, [f"loss {period['loss']:.2f}, ACD {period['ACD']:.2f}" for period in done.history])

# %% [markdown]
# ## Counting
#
# In a shell: `jaxloc checkout count model photos --out counted`, then `jaxloc evaluate counted truth --counts`. The
# test images show the same products, composed with another seed.

# %%
truth = annotations.read(test.exported.folder).images
counted = {
    name: count(done.file, [test.exported.folder / "images"], work / f"{name}-counted")
    for name, done in counters.items()
}
for name, done in counted.items():
    rules = EvaluateOptions(counts=True, count_threshold=done.threshold)
    print(
        name,
        counts_text(measure_counts({image.name: image for image in done.images}, truth, rules)),
        sep="\n",
        end="\n\n",
    )

# %% [markdown]
# cAcc is the share of images all of whose counts are right; ACD the number of items too many or too few in an image;
# mCCD the same for each true item, mCIoU the IoU of counts, both averaged over kinds. *Single* has never seen an item
# that another one hides, or two of a kind side by side, and counts far worse: the paper's order.

# %%
figure, axes = grid(2, 6.4)
for row, (name, done) in zip(axes, counted.items(), strict=True):
    for axis, image in zip(row, done.images[2:6], strict=True):
        found = done.counts(image)
        true = [one.category for one in truth[image.name].annotations]
        wrong = [
            f"{kind} {found.get(kind, 0)} not {true.count(kind)}"
            for kind in PRINTS
            if found.get(kind, 0) != true.count(kind)
        ]
        items = [one for one in image.annotations if one.score >= done.threshold]
        draw(axis, image, items, f"{name}: " + ("all right" if not wrong else "\n".join(wrong[:3])))
show(figure)

# %% [markdown]
# These products are easy: few, and unlike each other. The documentation's page on checkout gives figures for ten
# products of a grocery store that are cut out of photographs taken there, with other photographs for the test.
