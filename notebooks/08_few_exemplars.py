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
# # Names from a few exemplars
#
# One to five images of each class are enough to name others, without training: the outer products of an image's
# descriptors, summed, are compared with the mean of each class's exemplars. This notebook takes the method apart on
# crops of eight photographs that ship inside scikit-image: the surfaces of brick, grass and gravel, a tissue, a
# retina, the moon, the deep sky, and a page of text. Crops of one photograph are easier than photographs of one
# class, so what follows shows how the method is used, not how good it is. It needs no connection, and takes under a
# minute on two CPU cores.

# %%
import csv
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
import PIL.Image
import skimage.data
from IPython.display import Image

import jaxloc
from jaxloc import bilinear, metrics, moments, piecewise, pooling

# %% [markdown]
# The next cell only draws; skip it.

# %%
TEAL, RUST, GREY = "#0b7285", "#c2410c", "#9aa4ad"
plt.rcParams.update({"font.size": 10, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False})


def show(figure):
    """The figure as a PNG of 256 colours, so that the notebook's file stays small."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full)
    plt.close(figure)
    PIL.Image.open(full).convert("RGB").quantize(256).save(small, "PNG", optimize=True)
    return Image(small.getvalue())


def grid(rows, columns, height=1.5):
    """A figure of images, without ticks."""
    size = (11, height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, dpi=90, layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure, axes


# %% [markdown]
# ## Classes and exemplars
#
# Exemplars are cut from the left half of each photograph, queries from the right half. Each crop has a scale, a
# brightness and a mirroring of its own.

# %%
PHOTOS = {
    "brick": skimage.data.brick,
    "grass": skimage.data.grass,
    "gravel": skimage.data.gravel,
    "tissue": skimage.data.immunohistochemistry,
    "retina": skimage.data.retina,
    "moon": skimage.data.moon,
    "deep sky": skimage.data.hubble_deep_field,
    "page": skimage.data.page,
}
CLASSES, SIDE, EACH = list(PHOTOS), 112, 8
rng = np.random.default_rng(0)


def crop(photo, right):
    """A grey crop of the photograph's left or right half."""
    grey = photo if photo.ndim == 2 else photo[..., :3].mean(-1)
    length = int(rng.integers(70, 150))
    half = grey.shape[1] // 2
    x, y = rng.integers(half - length), rng.integers(grey.shape[0] - length)
    part = grey[y : y + length, x + right * half : x + right * half + length]
    part = np.clip(part * rng.uniform(0.5, 1.4), 0, 255)[:, :: rng.choice([1, -1])]
    small = PIL.Image.fromarray(part.astype(np.uint8)).convert("RGB").resize((SIDE, SIDE))
    return np.asarray(small)


exemplars, queries = (
    [crop(photo(), right) for photo in PHOTOS.values() for _ in range(EACH)] for right in (False, True)
)
targets = np.repeat(np.arange(len(CLASSES)), EACH)

figure, axes = grid(2, len(CLASSES))
for column, name in enumerate(CLASSES):
    axes[0, column].set_title(name)
    for row, images in enumerate((exemplars, queries)):
        axes[row, column].imshow(images[EACH * column])
show(figure)

# %% [markdown]
# ## Bilinear vectors
#
# A cell of relu5_3 has 512 numbers, and products of all pairs would be 262,144. So descriptors are first projected to
# 64 axes: the leading eigenvectors of their uncentred second moment, over the exemplars.

# %%
net = jaxloc.load("vgg16")
layer = "relu5_3"
both = net.features([*exemplars, *queries], [layer], progress=False)
maps, asked = ([one[layer] for one in some] for some in (both[: len(exemplars)], both[len(exemplars) :]))
cells = np.concatenate([np.reshape(one, (-1, 512)) for one in maps])
axes_of_all = bilinear.fit_axes(moments.of(cells), dimension=64)
whole = np.ones(np.shape(maps[0])[:2], bool)


def vectors_of(maps, dimension=64):
    return np.stack([bilinear.descriptor(one, whole, axes=axes_of_all[:dimension]) for one in maps])


vectors, query_vectors = vectors_of(maps), vectors_of(asked)
vectors.shape

# %% [markdown]
# One vector as the matrix that it is, of the first 16 axes, for the first exemplar of each class. The diagonal says
# how strong each direction is, the rest which of them go together.

# %%
figure, axes = grid(1, len(CLASSES))
for column, name in enumerate(CLASSES):
    matrix = vectors[EACH * column].reshape(64, 64)[1:17, 1:17]
    axes[0, column].imshow(matrix, cmap="RdBu_r", vmin=-0.1, vmax=0.1)
    axes[0, column].set_title(name)
show(figure)

# %% [markdown]
# ## The nearest mean
#
# With one exemplar of each class, the cosines of all queries with all classes:

# %%
first = np.arange(0, len(exemplars), EACH)
means = np.asarray(pooling.l2_normalize(piecewise.class_means(vectors[first], targets[first], classes=len(CLASSES))))
scores = query_vectors @ means.T
figure, axis = plt.subplots(figsize=(11, 2.6), dpi=90, layout="constrained")
axis.imshow(scores.T, aspect="auto", cmap="magma")
axis.set(yticks=range(len(CLASSES)), yticklabels=CLASSES, xticks=EACH * np.arange(len(CLASSES)), xlabel="query")
show(figure)

# %%
named = scores.argmax(1)
ordered = np.sort(scores, 1)
margin = ordered[:, -1] - ordered[:, -2]
print(f"{(named == targets).mean():.0%} of {len(queries)} queries get their class")
print("smallest margins:", [f"{CLASSES[named[n]]} for {CLASSES[targets[n]]}" for n in np.argsort(margin)[:4]])

# %% [markdown]
# ## How many exemplars, how many axes
#
# The mean of an accuracy over random draws of exemplars, and half its 95 % interval (`metrics.mean_of`). Beside
# bilinear vectors stands the plain average of the descriptors.

# %%
average = [np.stack([pooling.l2_normalize(np.mean(one, (0, 1))) for one in some]) for some in (maps, asked)]


def accuracy(known, unknown, shots, draws=40):
    """Over draws of exemplars of each class."""
    shares = []
    for draw in range(draws):
        order = np.random.default_rng([1, draw]).permutation(EACH)[:shots]
        chosen = (EACH * np.arange(len(CLASSES))[:, None] + order).ravel()
        centers = np.stack([known[chosen[targets[chosen] == one]].mean(0) for one in range(len(CLASSES))])
        centers /= np.linalg.norm(centers, axis=1, keepdims=True)
        shares.append(((unknown @ centers.T).argmax(1) == targets).mean())
    return metrics.mean_of(shares)


figure, axis = plt.subplots(figsize=(7, 3), dpi=90, layout="constrained")
few = {
    "average of the descriptors": (average[0], average[1], GREY),
    "bilinear, 8 axes": (vectors_of(maps, 8), vectors_of(asked, 8), RUST),
    "bilinear, 64 axes": (vectors, query_vectors, TEAL),
}
for label, (known, unknown, colour) in few.items():
    found = [accuracy(known, unknown, shots) for shots in range(1, 6)]
    axis.errorbar(range(1, 6), [one.mean for one in found], [one.margin for one in found], color=colour, label=label)
axis.set(xlabel="exemplars of each class", ylabel="accuracy", xticks=range(1, 6))
axis.legend(frameon=False)
show(figure)

# %% [markdown]
# On these crops the plain average does as well: their classes differ in every descriptor. On photographs of flowers and
# birds, whose classes differ in details, bilinear vectors beat SCDA's average and maximum with one exemplar;
# `docs/methods/fewshot.md` has the figures.
#
# ## A mapping from means to classifiers
#
# The paper learns a perceptron for each of the 64 pieces of a mean, from episodes of base classes. In the residual
# form it begins as the nearest mean. Here four classes are learnt from and the other four are named. With so few base
# classes it has little to learn from; `jaxloc fewshot` warns below about 50.

# %%
base, novel = np.flatnonzero(targets < 4), np.flatnonzero(targets >= 4)
mapping = piecewise.init(jax.random.key(0), pieces=64, dimension=64, hidden=(32,))
optimizer = optax.adam(1e-3)


def loss(mapping, known, own, unknown, others):
    planes = piecewise.classifiers(mapping, piecewise.class_means(known, own, classes=4), gain=8.0)
    return optax.softmax_cross_entropy_with_integer_labels(unknown @ planes.T, others).mean()


@jax.jit
def step(mapping, state, *episode):
    value, gradient = jax.value_and_grad(loss)(mapping, *episode)
    updates, state = optimizer.update(gradient, state)
    return optax.apply_updates(mapping, updates), state, value


state, values = optimizer.init(mapping), []
for number in range(60):
    order = np.random.default_rng([2, number]).permutation(EACH)
    one, rest = (np.isin(np.arange(len(base)) % EACH, some) for some in (order[:1], order[1:]))
    episode = vectors[base[one]], targets[base[one]], vectors[base[rest]], targets[base[rest]]
    mapping, state, value = step(mapping, state, *map(jnp.asarray, episode))
    values.append(float(value))
single = novel[::EACH]
means = piecewise.class_means(vectors[single], targets[single] - 4, classes=4)
for name, planes in (
    ("nearest mean", pooling.l2_normalize(means)),
    ("mapping", piecewise.classifiers(mapping, means, gain=8.0)),
):
    right = (query_vectors[novel] @ np.asarray(planes).T).argmax(1) == targets[novel] - 4
    print(f"{name}: {right.mean():.0%} of {len(novel)} queries of novel classes")
print(f"loss of the base classes: {values[0]:.2f} at first, {values[-1]:.2f} at last")

# %% [markdown]
# ## The command
#
# `jaxloc fewshot name` does all this with files: a folder of exemplars for each class in, names out, with a page that
# shows each image beside the nearest exemplars.

# %%
folder = Path(tempfile.mkdtemp())
for number, (known, unknown) in enumerate(zip(exemplars, queries, strict=True)):
    name = CLASSES[targets[number]]
    if number % EACH < 2:
        (folder / "exemplars" / name).mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(known).save(folder / "exemplars" / name / f"{number}.png")
    (folder / "photos").mkdir(exist_ok=True)
    PIL.Image.fromarray(unknown).save(folder / "photos" / f"{name} {number % EACH}.png")
given = [sys.executable, "-m", "jaxloc", "fewshot", "name", "exemplars", "photos", "--out", "named"]
given += ["--longer-side", "128"]
print(subprocess.run(given, cwd=folder, check=True, capture_output=True, text=True).stdout)

# %%
rows = list(csv.DictReader((folder / "named" / "names.csv").read_text().splitlines()))
rows[:3]

# %% [markdown]
# - `jaxloc/bilinear.py` and `jaxloc/piecewise.py`: the method, with the papers' equation numbers.
# - `jaxloc fewshot evaluate FOLDER`: how well it works on your classes, by random episodes.
# - `docs/methods/fewshot.md`: the equations, the options, and what was measured.
