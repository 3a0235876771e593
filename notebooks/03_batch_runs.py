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
# # From one device to many
#
# The first notebook fits a set of photographs on one device. This one does it on eight at once, then on two hosts, with
# many sets in one run, and pulls the plug half-way. The result does not change: the same boxes, the same files, byte
# for byte.
#
# Nothing here is special to large machines. Sections 2 to 4 use jax's own mesh and `shard_map` around the pure
# functions of the first notebook; sections 5 to 7 use the command `jaxloc`, and the job behind it. On a laptop the
# eight devices are **virtual**: jax pretends that one processor is eight, so that nothing becomes faster, but every
# program is divided and every collective happens as on real ones. Where jax finds an accelerator, the same cells use
# its chips. The notebook needs no connection and no files, and takes about a minute on two CPU cores.
#
# How many devices there are is settled when jax starts, so this cell comes before everything else. `NPROC` is the
# number of jax's threads; eight devices on two cores need more than it would choose.

# %%
import os

DEVICES = "--xla_force_host_platform_device_count"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DEVICES}=8"  # of the CPU; accelerators ignore it
os.environ.setdefault("NPROC", "32")

# %%
import functools
import io
import json
import re
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

import jax
import matplotlib.patheffects
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import PIL.ImageOps
import pyarrow.compute as pc
import pyarrow.parquet as pq
import skimage.data
from IPython.display import Image, Markdown
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxloc import ddt, grids, metrics, models, moments
from jaxloc.data import Item, choose_buckets, demo, find_sets, make_batches, read_image
from jaxloc.run import Options, colocalize
from jaxloc.run.runtime import compile_cache

# %% [markdown]
# The next cell only draws; skip it.

# %%
CYAN, YELLOW, RED, GREY, TEAL = "#00e5ff", "#ffe600", "#d7191c", "#9aa4ad", "#00838f"
plt.rcParams.update({"font.size": 10, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False})


def grid(rows, columns, height):
    figure, axes = plt.subplots(rows, columns, figsize=(11, height), dpi=100, layout="constrained", squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure, axes


def show(figure):
    """The figure as a PNG of 255 colours and white, so that the notebook's file stays small."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full)
    plt.close(figure)
    colours = PIL.Image.open(full).convert("RGB")
    few = colours.quantize(palette=colours.quantize(255, PIL.Image.Quantize.FASTOCTREE))
    few.putpalette([*few.getpalette()[: 3 * 255], 255, 255, 255])
    few.paste(255, mask=PIL.Image.fromarray((np.asarray(colours) == 255).all(-1)))
    few.save(small, "PNG", optimize=True)
    return Image(small.getvalue())


def draw(axis, pixels, title="", **style):
    axis.imshow(pixels, **{"interpolation": "nearest", **style})
    axis.set_title(title)


def draw_box(axis, box, colour=CYAN, line="-", width=1.6):
    if box is not None and not np.isnan(box).any():
        x0, y0, x1, y1 = np.asarray(box)
        outline = [matplotlib.patheffects.withStroke(linewidth=2.2 * width, foreground="#10141a")]
        style = {"fill": False, "edgecolor": colour, "linestyle": line, "linewidth": width, "path_effects": outline}
        axis.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, **style))


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return Markdown("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))


# %% [markdown]
# ## 1. Images
#
# Five sets of eight images, made from photographs that ship inside scikit-image and written to a folder, one
# sub-folder for each set. Four sets are random windows of one photograph each; the fifth is the motorcycle of the first
# notebook, pasted onto other images. It is an easy set: it shows that the machinery works, not how good the methods
# are.


# %%
def window(photo, shape, rng):
    """A random part of a photograph, sometimes mirrored."""
    image = PIL.Image.fromarray(photo).convert("RGB")
    rows = rng.uniform(0.6, 1) * min(image.height, image.width * shape[0] / shape[1])
    columns = rows * shape[1] / shape[0]
    x, y = rng.uniform(0, image.width - columns), rng.uniform(0, image.height - rows)
    image = image.resize(shape[::-1], PIL.Image.Resampling.BICUBIC, (x, y, x + columns, y + rows))
    return PIL.ImageOps.mirror(image) if rng.random() < 0.5 else image


EACH = 8
SHAPES = ((144, 192), (160, 160), (192, 144))
temporary = tempfile.TemporaryDirectory()
photos = Path(temporary.name, "images")
rng = np.random.default_rng(0)
for name, photo in {"astronaut": "astronaut", "cat": "chelsea", "coffee": "coffee", "rocket": "rocket"}.items():
    (photos / name).mkdir(parents=True)
    for number in range(EACH):
        made = window(getattr(skimage.data, photo)(), SHAPES[number % len(SHAPES)], rng)
        made.save(photos / name / f"{number + 1}.jpg", quality=90)

(photos / "motorcycle").mkdir()
truths = {}
for number, composed in enumerate(demo.compose(with_object=EACH, without=0), 1):
    composed.image.reduce(2).save(photos / "motorcycle" / f"{number}.jpg", quality=90)
    truths[f"motorcycle/{number}.jpg"] = np.array(composed.box) / 2

# %% [markdown]
# **Your own images.** Name a folder with one sub-folder for each set, and run all cells; the first eight of each set
# are taken for sections 2 to 4.

# %%
FOLDER = None  # for example Path("classes")

photos = photos if FOLDER is None else FOLDER.absolute()
sets = find_sets([photos], per_folder=True)
rounds = zip(*(one.sources[:EACH] for one in sets), strict=False)  # one image of every set, then the next
chosen = [(which, source) for together in rounds for which, source in enumerate(together)]
owners = [which for which, _ in chosen]  # the set of each image
names = [source.name for _, source in chosen]
items = [Item(n, *read_image(source.path, shorter_side=224)[:2]) for n, (_, source) in enumerate(chosen)]
f"{len(sets)} sets, {len(items)} images"

# %% [markdown]
# ## 2. A mesh
#
# A mesh is an array of devices with named axes. One axis is enough here: images are divided along `data`, everything
# else is whole on every device. `make_batches` fills the batch up with invalid entries where it does not divide.

# %%
mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
divided, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (["data"], []))

places = -(-len(items) // mesh.size) * mesh.size
bucket = choose_buckets({item.pixels.shape[:2]: 1 for item in items}, limit=1, step=16)
[batch] = make_batches(items, bucket=bucket, capacity=lambda shape: places)
images, sizes, original_sizes = jax.device_put(batch[:3], divided)
mesh, images.shape, images.sharding.shard_shape(images.shape)

# %% [markdown]
# Which device has which image? An array knows it. Images of five sets took turns, so every device has some of
# every set:


# %%
def draw_sheet(boxes=None):
    columns = mesh.size if mesh.size > 1 else EACH
    figure, axes = grid(-(-places // columns), columns, 1.22 * (places // columns) + 0.3)
    shards = sorted(images.addressable_shards, key=lambda shard: shard.device.id)
    cells = axes.T if mesh.size > 1 else [axes.ravel()]
    for column, shard in zip(cells, shards, strict=True):
        column[0].set_title(f"device {shard.device.id}")
        for axis, number in zip(column, batch.indices[shard.index[0]], strict=False):
            if number >= 0:
                rows, columns = items[number].original_size
                axis.imshow(items[number].pixels, extent=(0, columns, rows, 0), interpolation="antialiased")
                if boxes is not None:
                    draw_box(axis, truths.get(names[number]), YELLOW, "--", 1.0)
                    draw_box(axis, boxes[number])
    return show(figure)


draw_sheet()

# %% [markdown]
# ## 3. Features and a fit
#
# The network is the function of the first notebook, jitted as it is. Its arguments say where things are, and the
# compiler makes one program of it that runs on all devices.

# %%
weights = models.load("vgg16")
extract = jax.jit(functools.partial(models.extract_features, backbone=weights.backbone, layers=("relu5_3",)))
params = jax.device_put(weights.params, whole)
program = extract.lower(params, images, sizes).compile()
features, cells = program(params, images, sizes)["relu5_3"]
features.shape, features.sharding.spec

# %% [markdown]
# Now all five sets at once. Each device takes the moments of its own images, set by set, `moments.of_segments`, and
# `moments.psum` merges those of all devices. A batch has images of several sets, a set lies on several devices, and
# neither matters. The eigenvectors are a small matter and are left to one device.

# %%
segments = jax.device_put(np.array([owners[number] if number >= 0 else -1 for number in batch.indices]), divided)


def total(features, cells, segments):
    valid = grids.valid_cells(cells, features.shape[1:3])
    mine = moments.of_segments(features, segments, len(sets), valid)
    return jax.vmap(lambda one: moments.psum(one, "data"))(mine)


over_data = functools.partial(jax.shard_map, mesh=mesh, in_specs=PartitionSpec("data"))
sum_sets = jax.jit(over_data(total, out_specs=PartitionSpec())).lower(features, cells, segments).compile()
totals = jax.device_get(sum_sets(features, cells, segments))  # five times 512² + 512 numbers

fitted = [jax.jit(ddt.fit)(moments.Moments(*one)) for one in zip(*totals, strict=True)]
fitted = jax.tree.map(lambda *values: np.stack(values), *fitted)
# %% [markdown]
# How often do the devices talk to each other? It stands in the compiled programs. Features need nobody else, and the
# moments need one sum, for all sets together:

# %%
TALK = re.compile(r"= .*? (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\(")
programs = {"features": program, "moments of all sets": sum_sets}
table(
    ["program", "collectives"],
    [[name, ", ".join(TALK.findall(one.as_text())) or "none"] for name, one in programs.items()],
)

# %% [markdown]
# And is it the same model? Each set alone, on one device, without a mesh or a neighbour:

# %%
rows = []
for which, one in enumerate(sets):
    mine = np.array([owner == which for owner in owners])
    alone = extract(weights.params, batch.images[: len(items)][mine], batch.sizes[: len(items)][mine])["relu5_3"]
    model = ddt.fit(moments.of(alone.features, grids.valid_cells(alone.size, alone.features.shape[1:3])))
    difference = np.abs(model.components[0] - fitted.components[which, 0]).max()
    rows.append([one.name, f"{model.explained[0]:.2%}", f"{fitted.explained[which, 0]:.2%}", f"{difference:.0e}"])
table(["set", "share of ξ₁, alone", "on the mesh", "largest difference in ξ₁"], rows)

# %% [markdown]
# ## 4. Boxes
#
# To localise is a matter of one image, so it goes inside `shard_map` too: every device finds the components of its
# own masks, `backend="device"`. The models are whole everywhere, and each image takes that of its set. Features stay
# where they are; what comes back from the devices is four numbers an image.


# %%
def localize(fitted, features, cells, original_sizes, segments):
    def one(features, size, original_size, which):
        model = jax.tree.map(lambda values: values[which], fitted)
        return ddt.localize(model, features, original_size, size=size, backend="device").box

    return jax.vmap(one)(features, cells, original_sizes, segments)


specs = (PartitionSpec(), *[PartitionSpec("data")] * 4)
localize_all = jax.shard_map(localize, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("data"))
boxes = np.asarray(jax.jit(localize_all)(fitted, features, cells, original_sizes, segments))

# %%
draw_sheet(boxes)

# %% [markdown]
# Cyan is found, dashed yellow is known. What the windows of a photograph share need not be what you would have boxed.

# %%
known = [(boxes[n], truths[name]) for n, name in enumerate(names) if name in truths]
f"{sum(map(bool, (metrics.correct_localization(*pair) for pair in known)))} of {len(known)} known boxes right"

# %% [markdown]
# ## 5. The job
#
# All that was above, for any number of images, is `jaxloc.run.colocalize`, the function behind the command. It cuts
# the images into **shards** that are done and written together, and the sets into **windows** that are fitted
# together: as many sets as `moments_memory` holds. Here a shard is eight images, one for each device, and there is
# room for two sets, as if there were thousands. One more image is broken, as some always are.

# %%
if FOLDER is None:
    (photos / "cat" / "9.jpg").write_bytes((photos / "cat" / "1.jpg").read_bytes()[:3000])

programs = Path(temporary.name, "programs")
compile_cache(programs)  # later processes need not compile what this one has
job = Path(temporary.name, "job")
options = Options(batch=1, shard_size=8, moments_memory=5_000_000)
findings = colocalize([photos], job, options, per_folder=True)
table(["skipped", "why"], [[item.name, item.reason] for item in findings.skipped])

# %% [markdown]
# What is in the folder:


# %%
def list_files(folder):
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}


print("\n".join(f"{size:10,}  {name}" for name, size in list_files(job).items()))

# %% [markdown]
# `annotations.json` is COCO, for every tool that reads it:

# %%
coco = json.loads((job / "annotations.json").read_text())
{key: len(value) for key, value in coco.items() if isinstance(value, list)}, coco["annotations"][0]

# %% [markdown]
# `parts/found-*.parquet` hold the same as tables, one for each shard, which is what you want of a hundred million
# images: any reader of Parquet takes the columns and the shards it needs. Here pyarrow counts:

# %%
files = sorted((job / "parts").glob("found-*.parquet"))
found = pq.read_table(files, columns=["name", "category", "found", "score", "noise_score", "reason"])
done = found.filter(pc.is_null(found["reason"]))
counted = done.group_by("category").aggregate([("name", "count"), ("found", "sum"), ("score", "mean")])
table(
    ["set", "images", "found", "mean score"],
    [[*row[:3], f"{row[3]:.2f}"] for row in zip(*counted.to_pydict().values(), strict=True)],
)

# %% [markdown]
# The shards also hold a thumbnail and a heat map of the first thousand images, for the report. So this sheet is drawn
# from the part files alone; red is warm, the cells that are object:

# %%
shards = [pq.read_table(path).to_pylist() for path in files]
drawn = [(number, row) for number, shard in enumerate(shards) for row in shard if row["thumbnail"]][: 5 * EACH]
WARM = matplotlib.colors.LinearSegmentedColormap.from_list("warm", ["#ffc13300", "#ffc133a0", "#de1814c0"])
figure, axes = grid(-(-len(drawn) // EACH), EACH, 1.25 * -(-len(drawn) // EACH))
for axis, (number, row) in zip(axes.flat, drawn, strict=False):
    extent = (0, row["width"], row["height"], 0)
    heat = np.frombuffer(row["heat"], np.int8).reshape(row["heat_rows"], row["heat_columns"])
    axis.imshow(PIL.Image.open(io.BytesIO(row["thumbnail"])), extent=extent, interpolation="antialiased")
    axis.imshow(np.maximum(heat, 0), extent=extent, cmap=WARM, vmin=0, vmax=127, interpolation="bilinear")
    axis.set_title(f"shard {number}", fontsize=8, pad=2)
    draw_box(axis, [row[side] for side in ("x0", "y0", "x1", "y1")] if row["found"] else None)
show(figure)

# %% [markdown]
# ## 6. Stopped, and gone on with
#
# Machines are taken away. A cloud sends SIGTERM some seconds before; `jaxloc` then finishes the batch in flight, writes
# what it has, and exits with 143. This cell starts the same job as a command, and sends SIGTERM as soon as it sees the
# first part file:

# %%
COMMAND = [str(Path(sysconfig.get_path("scripts"), "jaxloc")), "colocalize", str(photos), "--per-folder"]
COMMAND += ["--batch", "1", "--shard-size", "8", "--moments-memory", "0.005", "--compile-cache", str(programs)]
ON_CPU = os.environ | {"JAX_PLATFORMS": "cpu"}  # an accelerator is this notebook's; its children make do without


def start(out, *arguments, **environment):
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*COMMAND, "--out", str(out), *arguments], env=ON_CPU | environment, **output)


stopped = Path(temporary.name, "stopped")
process = start(stopped)
while process.poll() is None and not (stopped / "parts" / "found-00000.parquet").exists():
    time.sleep(0.01)
process.send_signal(signal.SIGTERM)
said, _ = process.communicate()
before = list_files(stopped)
print(said, "exit status", process.returncode, "\n\n" + "\n".join(before))

# %% [markdown]
# No annotations, no model, but some parts. Now the same command again, nothing else:

# %%
process = start(stopped)
said, _ = process.communicate()
print(said.replace(temporary.name, "…"))

# %% [markdown]
# The folder ends with the bytes of a run that nobody stopped:

# %%
unbroken = job
if jax.default_backend() != "cpu":  # then the job above ran on other hardware, which rounds otherwise
    unbroken = Path(temporary.name, "unbroken")
    start(unbroken).communicate()


def compare(folder, other):
    there, here = list_files(other), list_files(folder)
    wanted = [name for name in here if name.startswith("parts/found") or "/" not in name]
    return {name: name in there and (folder / name).read_bytes() == (other / name).read_bytes() for name in wanted}


same = compare(unbroken, stopped)
ends = ("annotations.json", "model.safetensors", "report.html")
rows = [[name, "yes" if same[name] else "**no**"] for name in ends]
parts = [name for name in same if name.startswith("parts/")]
rows.append([f"{len(parts)} part files", f"{sum(same[name] for name in parts)} of {len(parts)}"])
table(["file", "same bytes"], rows)

# %% [markdown]
# `kill -9`, a power cut or a full disk lose no more than the shard in flight: files appear whole or not at all.
# Called once more, the command sees that all is done, and returns. With other options or other images it refuses to
# mix two runs, unless you say `--overwrite`:

# %%
process = start(stopped, "--method", "ddt+")
said, _ = process.communicate()
print(said.replace(temporary.name, "…"), "exit status", process.returncode)

# %% [markdown]
# ## 7. Two hosts
#
# Several processes become one run with `--distributed`: jax's own runtime joins them. Each takes every second shard,
# the moments of all are added in the same order everywhere, so all have the same model, and each writes its own parts
# into the shared folder. Two processes of four devices here stand for two hosts; the environment says who is who.

# %%
with socket.socket() as free:
    free.bind(("localhost", 0))
    address = f"localhost:{free.getsockname()[1]}"

together = Path(temporary.name, "together")
processes = [
    start(
        together,
        "--distributed",
        JAX_COORDINATOR_ADDRESS=address,
        JAX_NUM_PROCESSES="2",
        JAX_PROCESS_ID=str(host),
        XLA_FLAGS=f"{DEVICES}=4",
    )
    for host in range(2)
]
said = [process.communicate()[0] for process in processes]
table(
    ["run", "files", "same bytes as the first"],
    [
        [name, len(same), f"{sum(same.values())} of {len(same)}"]
        for name, same in {
            "stopped, and gone on with": compare(unbroken, stopped),
            "two hosts of four devices": compare(unbroken, together),
        }.items()
    ],
)

# %% [markdown]
# That one is no accident. What a run does follows from its images and options alone: which images share a batch,
# in which order sums are added, which shard holds what. Devices and hosts only decide who does it. (The bytes may
# differ where the arithmetic does: on another kind of chip, or a CPU with another `NPROC`.)
#
# **On a TPU pod** nothing changes but the line that starts it, the same on every host. jax knows there who is who, so
# the three variables fall away:
#
# ```sh
# gcloud compute tpus tpu-vm ssh POD --worker=all \
#     --command='jaxloc colocalize gs://bucket/classes --per-folder --out /shared/result --distributed'
# ```
#
# If your mesh spans the hosts, sections 2 to 4 hold for it as well; `docs/meshes.md` says what there is to know.
#
# ## 8. What to read next
#
# - `docs/scale.md`: from forty images to a hundred million: which options matter when, and the arithmetic of hours
#   and bytes.
# - `docs/meshes.md`: the pure functions on your own mesh, with Auto and Explicit axes.
# - `jaxloc/moments.py`: why sums of sums are exact enough, at any number of images.
