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
# # An unsorted pile
#
# Photographs of unknown kinds in one folder, no labels, no sub-folders: which belong together, and where is the object
# in each? First `jaxloc.discover` answers for a pile of 28 images. Then we look at what an image and a set say about
# objects without any model of a kind: feature saliency, the expanding Gaussian mixture that turns a map into regions,
# and object saliency (Siméoni et al., "Unsupervised deep object discovery for instance recognition", WACV 2018).
# Nothing is downloaded; on two CPU cores it takes less than a minute.

# %%
import io

import matplotlib.patches
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import skimage.data
from IPython.display import Image

import jaxloc
from jaxloc import discovery, metrics
from jaxloc.data import demo
from jaxloc.discovery import SETTINGS

# %% [markdown]
# The next cell only draws; skip it.

# %%
CYAN, RUST = "#00e5ff", "#c2410c"
plt.rcParams.update({"font.size": 9, "axes.titlesize": 9})


def show(figure, dpi="figure"):
    """The figure as a PNG of 256 colours, so that the notebook's file stays small."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, dpi=dpi)
    plt.close(figure)
    PIL.Image.open(full).convert("RGB").quantize(256).save(small, "PNG", optimize=True)
    return Image(small.getvalue())


def grid(rows, columns, height=1.7):
    """A figure of images, without ticks."""
    figure, axes = plt.subplots(rows, columns, figsize=(11, height * rows), dpi=90, layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def draw(axis, photo, title=""):
    axis.imshow(photo)
    axis.set_title(title)


def draw_map(axis, values, photo, title=""):
    """A map of cells over the whole of its image."""
    axis.imshow(values, extent=(0, photo.width, photo.height, 0), cmap="magma", vmin=0)
    axis.set_title(title)


def draw_box(axis, box, colour=CYAN):
    x0, y0, x1, y1 = np.asarray(box, float)
    axis.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=colour, lw=2))


# %% [markdown]
# ## The pile
#
# `demo.compose_pile` pastes four objects onto plain photographs of scikit-image: six images of each, four of nothing,
# in no order. Its names and boxes are the truth; `jaxloc` gets the pixels.

# %%
composed = demo.compose_pile(each=6, without=4)
pile = [one.image for one in composed]
kinds = [one.name.removesuffix(".jpg").split("_")[1] for one in composed]

figure, axes = grid(2, 14, height=0.8)
for axis, photo in zip(axes.flat, pile, strict=True):
    axis.imshow(photo)
show(figure)

# %% [markdown]
# ## Groups and boxes

# %%
net = jaxloc.load("vgg16")
found = jaxloc.discover(pile, net, max_side=256, progress=False)
found

# %% [markdown]
# Each row is a group, its most typical images first. The boxes are what DDT finds that the images of the group share;
# ungrouped images are searched for what the whole pile shares, which is little.

# %%
show(jaxloc.plot(pile, found, columns=7), dpi=50)

# %%
for name, members in found.groups.items():
    print(f"{name:10} {sorted({kinds[one] for one in members})}")
labels = [one.category for one in found]
print("purity", metrics.purity(labels, kinds), " NMI", round(metrics.normalized_mutual_information(labels, kinds), 3))

# %% [markdown]
# The model finds the object of a group in images that it has not seen.

# %%
others = [one.image for one in demo.compose_pile(each=1, without=1, seed=5)]
cups = next(name for name, members in found.groups.items() if kinds[members[0]] == "cup")
applied = jaxloc.apply(found.model, others, net, name=cups, progress=False)
show(jaxloc.plot(others, applied, columns=5), dpi=60)

# %% [markdown]
# ## What one image says: feature saliency
#
# Without a set there is still a hint: a channel that fires nearly everywhere tells little, one that fires in few cells
# tells much. Feature saliency weighs each channel by how rarely it fires.

# %%
shown = [next(place for place, kind in enumerate(kinds) if kind == wanted) for wanted in sorted({*kinds} - {"nothing"})]
maps = net.features(pile, "relu5_3", max_side=256, progress=False)
saliency = [np.asarray(discovery.feature_saliency(one)) for one in maps]

figure, axes = grid(2, len(shown))
for column, place in zip(axes.T, shown, strict=True):
    draw(column[0], pile[place], kinds[place])
    draw_map(column[1], saliency[place], pile[place], "feature saliency")
show(figure)

# %% [markdown]
# ## From a map to regions: the expanding Gaussian mixture
#
# Each salient cell begins as a Gaussian. In each iteration the Gaussians are fitted to the map and expand, and those
# that heavier ones cover are purged. Below, what is left after a few iterations of a photograph of several things;
# the thicker, the heavier. A region, drawn as a rectangle at the end, has the variance of its Gaussian.

# %%
portrait = PIL.Image.fromarray(skimage.data.astronaut())
(features,) = net.features(portrait, "relu5_3", progress=False)
salient = discovery.feature_saliency(features)
scale = portrait.width / features.shape[1]

figure, axes = grid(1, 6, height=2.0)
draw_map(axes[0, 0], salient, portrait, "feature saliency")
for axis, iterations in zip(axes[0, 1:], (1, 2, 3, 6, 30), strict=True):
    regions = discovery.find_regions(salient, setting=SETTINGS["features, paper"], iterations=iterations, slots=1024)
    number = int(regions.valid.sum())
    draw(axis, portrait, f"iteration {int(regions.iterations)}: {number} left")
    means, sides = np.asarray(regions.means) * scale, 2 * np.sqrt(np.asarray(regions.variances) + 1 / 12) * scale
    for mean, side, weight in zip(means[:number], sides, np.asarray(regions.weights), strict=False):
        style = {"fill": False, "ec": CYAN, "lw": 0.6 + 3 * np.sqrt(weight)}
        axis.add_patch(matplotlib.patches.Ellipse(mean, *side, **style))
for edges in np.asarray(regions.edges[:number]):
    draw_box(axes[0, -1], edges * scale, RUST)
show(figure)

# %% [markdown]
# ## What a set says: object saliency
#
# Feature saliency fires on anything unusual, a lamp as well as a cup. Over a set, regions that look alike are joined in
# a graph, and their centrality says how frequent they are. Object saliency keeps what is salient in the image and
# frequent in the set: here the images of each group.

# %%
setting = SETTINGS["features, paper"]  # small regions, for vectors
largest = np.max([one.shape for one in saliency], axis=0)


def padded(values):
    """Padded maps and their sizes: of one shape, all pass through one compiled program."""
    return np.pad(values, [(0, rest) for rest in largest - values.shape]), np.array(values.shape)


def salient_regions(features, values):
    canvas, size = padded(values)
    regions = discovery.find_regions(canvas, setting=setting, size=size)
    used = np.asarray(regions.valid)
    return (
        np.asarray(discovery.region_vectors(features, regions.cells))[used],
        np.asarray(discovery.region_saliency(values, regions.cells))[used],
    )


objects = [None] * len(pile)
for members in found.groups.values():
    vectors, strength = map(
        np.concatenate, zip(*(salient_regions(maps[one], saliency[one]) for one in members), strict=True)
    )
    model = discovery.fit_objects(vectors, strength)
    for one in members:
        objects[one] = np.asarray(discovery.object_saliency(model, maps[one], saliency[one]))

figure, axes = grid(3, len(shown))
for column, place in zip(axes.T, shown, strict=True):
    draw(column[0], pile[place], kinds[place])
    draw_box(column[0], composed[place].box)
    draw_map(column[1], saliency[place], pile[place], "feature saliency")
    draw_map(column[2], objects[place], pile[place], "object saliency")
show(figure)

# %% [markdown]
# ## How often the box is right
#
# Share of the 24 images whose box has an IoU above a half with the true one. The copies of an object are alike to the
# pixel here, so object saliency narrows down to the part that recurs best, such as the rim of the cup.


# %%
def right(boxes):
    pairs = [(np.array(box), np.array(one.box)) for box, one in zip(boxes, composed, strict=True) if one.box]
    return np.mean([metrics.box_iou(box, truth).max() > 0.5 for box, truth in pairs])


def find_boxes(maps, setting):
    for values, photo in zip(maps, pile, strict=True):
        canvas, size = padded(values)
        yield discovery.heaviest_region(canvas, np.array([photo.height, photo.width]), size=size, setting=setting).box


boxes = {
    "feature saliency, each image alone": list(find_boxes(saliency, SETTINGS["features"])),
    "object saliency, of its group": list(find_boxes(objects, SETTINGS["objects"])),
    "DDT, of its group": [one.box if one.box else np.full(4, np.nan) for one in found],
}
for name, some in boxes.items():
    print(f"{name:36} {100 * right(some):.0f} %")

# %% [markdown]
# The command does this to folders: `jaxloc discover photos --out found` writes a page with a strip of images a group,
# where groups are renamed, merged and divided by hand, a folder for each group, and the model for `jaxloc apply`.
