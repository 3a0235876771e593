"""A pile in memory: as the command sorts and locates it, and drawn."""

import shutil

import numpy as np
import pytest

import jaxloc
from jaxloc.errors import UsageError
from jaxloc.options import DiscoverOptions, LocalizeOptions
from jaxloc.report.groups import UNGROUPED
from jaxloc.run import model_file
from jaxloc.run.discovery import discover
from tests.run import helpers
from tests.run.retrieval import small

SETTINGS = {"groups": 3, "min_group": 2}


@pytest.fixture(scope="module", autouse=True)
def one_device():
    with helpers.one_device():
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture(scope="module")
def net(weights):
    return jaxloc.load(weights)


@pytest.fixture(scope="module")
def pile(tmp_path_factory):
    """Fifteen images of one shape and three kinds, and a copy of one of them; nothing may be written here."""
    folder = tmp_path_factory.mktemp("unsorted") / "pile"
    folder.mkdir()
    for kind in small.KINDS:
        for number in range(small.EACH):
            small.crop(kind, 2 * number).save(folder / f"{number}-{kind}.png")
    shutil.copy(folder / "0-cat.png", folder / "copy.png")
    return folder


@pytest.fixture(scope="module")
def found(net, pile):
    return jaxloc.discover(pile, net, **SETTINGS)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(SETTINGS, marks=pytest.mark.soak),  # compared with another sign below, and as groups of 5 here
        SETTINGS | {"min_group": 5},
        {"min_group": 30},
    ],
)
def test_discover_finds_what_the_command_finds(net, weights, pile, tmp_path, settings):
    job = LocalizeOptions(weights=weights, report_limit=0)
    done = discover([pile], tmp_path / "out", DiscoverOptions(**settings, view="none", job=job))
    found = jaxloc.discover(pile, net, **settings)
    members = sorted(done.groups.members, key=lambda one: one.name)
    assert [one.category for one in found] == [one.group for one in members]
    expected = {name: [one.name for one in some] for name, some in done.groups.by_name().items()}
    assert {name: [found[place].name for place in some] for name, some in found.groups.items()} == expected
    assert list(found.notes) == list(done.groups.notes)
    np.testing.assert_allclose(found.typical, [one.typical for one in members], atol=1e-5)
    for one, other in zip(found, members, strict=True):
        assert one.box == (other.box and pytest.approx(other.box, abs=0.01))
        assert one.score == pytest.approx(other.score, abs=1e-4)
    assert found.method == done.findings.settings["method"]
    if found.model is not None:
        written = model_file.load(done.folder / "model.safetensors").sets
        for name, fit in found.model.sets.items():
            np.testing.assert_allclose(fit.models["relu5_3"].mean, written[name].models["relu5_3"].mean, rtol=1e-5)


def test_signs_that_look_at_the_images_are_those_of_each_group(net, weights, pile, tmp_path):
    job = LocalizeOptions(weights=weights, report_limit=0, sign="minority")
    done = discover([pile], tmp_path / "out", DiscoverOptions(**SETTINGS, view="none", job=job))
    boxes = {one.name: one.box for one in done.groups.members}
    for one in jaxloc.discover(pile, net, **SETTINGS, sign="minority"):
        assert one.box == (boxes[one.name] and pytest.approx(boxes[one.name], abs=0.01))


def test_a_group_is_looked_for_in_other_images(net, pile, found):
    name, members = next(iter(found.groups.items()))
    again = jaxloc.apply(found.model, pile, net, name=name)
    assert [again[place].box for place in members] == [found[place].box for place in members]


def test_groups_say_what_they_are(net, pile, found):
    number = len(found.groups.keys() - {UNGROUPED})
    alone = len(found.groups.get(UNGROUPED, ()))
    assert repr(found) == f"FoundGroups(16 images: {number} groups, {alone} ungrouped)"
    assert {one["name"] for one in found.to_coco()["categories"]} == found.groups.keys()
    with pytest.raises(UsageError, match="smallest group must be at least 2"):
        jaxloc.discover(pile, net, min_group=1)


def test_each_group_is_drawn_in_a_row_of_its_own(pile, found):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib comes with the extra jaxloc[notebook]")
    matplotlib.use("Agg")
    figure = jaxloc.plot(pile, found, columns=3)
    assert len(figure.axes) == 3 * len(found.groups)
    drawn = sum(len(axis.get_images()) for axis in figure.axes)
    assert drawn == sum(min(3, len(members)) for members in found.groups.values())
    name, members = next(iter(found.groups.items()))
    assert figure.axes[0].get_title(loc="left") == f"{name}: {len(members)} images"
    matplotlib.pyplot.close("all")
