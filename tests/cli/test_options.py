"""What a person may type: help, every option passed on, and one line for what is wrong."""

import re
import signal
from pathlib import Path

import pytest

from jaxloc import __version__, run
from jaxloc._interrupts import Stopped
from jaxloc.errors import UsageError
from jaxloc.options import LocalizeEachOptions, VideoOptions
from jaxloc.report.records import Finding, Findings, Skipped
from jaxloc.run import Options
from tests.cli import cli
from tests.run import helpers

COMMON = "--out --weights --per-folder --category --batch --connectivity --components --dtype --workers --report-limit"
COMMON += " --overlays --strict --download --per-label --devices --conv --shard-size --overwrite --distributed"
COMMON += " --compile-cache --profile"
OPTIONS = {
    "colocalize": f"{COMMON} --method --layer --noise-threshold --sign --max-side --feature-cache --update"
    " --moments-memory",
    "localize": f"{COMMON} --method --layer --max-side",
    "apply": f"{COMMON} --noise-threshold",
    "evaluate": "--iou --at-least --voc-inclusive --include-difficult --include-truncated --any-class --split --pcp"
    " --top-1 --maps --masks --parts --bootstrap --seed --confidence --format --json --roc",
    "demo": "--out --method --seed",
    "weights show": "--download",
    "weights convert": "--format --architecture --preprocessing --install",
}


@pytest.mark.parametrize("command", OPTIONS)
def test_help_names_every_option_with_what_it_does(command):
    out = cli.help_of(*command.split())
    for option in OPTIONS[command].split():
        assert re.search(rf"{option}\b.*[a-z]{{3,}}", out), option


def test_help_of_a_long_command_shows_the_options_that_matter_first():
    first = (
        "--out --method --weights --per-folder --noise-threshold --max-side --refine --overlays --overwrite --download"
    )
    out = cli.invoke("colocalize", "--help")[1]
    shown = set(re.findall(r"--[a-z][a-z-]+", out)) - {"--help", "--help-all"}
    assert shown == set(first.split())


def test_help_names_every_command():
    for arguments in (["--help"], []):
        out = cli.invoke(*arguments)[1]
        for command in ("colocalize", "localize", "apply", "evaluate", "demo", "weights"):
            assert command in out
    out = cli.invoke("weights", "--help")[1]
    assert all(command in out for command in ("list", "show", "convert"))


def test_version_is_printed():
    assert cli.invoke("--version") == (0, f"jaxloc {__version__}\n", "")


@pytest.fixture
def calls(monkeypatch) -> list[tuple[str, tuple, dict]]:
    """Jobs are not run; what they were asked is kept here."""
    asked: list[tuple[str, tuple, dict]] = []
    images = [Finding("a.jpg", Path("a.jpg"), "dogs", 80, 60, (0, 0, 9, 9), 0.5, True, 0.2)]

    def job(name: str):
        def record(*arguments, **options):
            asked.append((name, arguments, options))
            return Findings("dogs", "ddt", {}, images, [Skipped("b.jpg", "dogs", "no such file")])

        return record

    for name in ("colocalize", "localize", "apply"):
        monkeypatch.setattr(run, name, job(name))
    return asked


def test_without_options_a_job_gets_the_defaults(calls):
    assert cli.invoke("colocalize", "a", "b", "--out", "o")[0] == 0
    assert cli.invoke("localize", "a", "-o", "o")[0] == 0
    assert cli.invoke("apply", "m", "a", "-o", "o")[0] == 0
    videos = {"every": 1, "image_column": None, "label_column": None, "video": VideoOptions()}
    defaults = {"per_folder": False, "per_label": False, "name": None, "overwrite": False} | videos
    options = [arguments[-1] for _, arguments, _ in calls]
    cache, memory = options[0].feature_cache, options[0].moments_memory
    assert calls == [
        (
            "colocalize",
            (["a", "b"], Path("o"), Options(feature_cache=cache, moments_memory=memory)),
            defaults | {"update": None},
        ),
        ("localize", (["a"], Path("o"), LocalizeEachOptions()), defaults),
        (
            "apply",
            (Path("m"), ["a"], Path("o"), Options()),
            {"per_folder": False, "per_label": False, "category": None, "overwrite": False} | videos,
        ),
    ]
    assert cache == pytest.approx(Options().feature_cache, rel=0.1)
    assert memory == pytest.approx(Options().moments_memory, rel=0.1)


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        (["--method", "ddt+"], "method", "ddt+"),
        (["-m", "scda"], "method", "scda"),
        (["--weights", "x/vgg19.safetensors"], "weights", "x/vgg19.safetensors"),
        (["--layer", "pool5"], "layer", "pool5"),
        (["--sign", "minority"], "sign", "minority"),
        (["--noise-threshold", "0.1"], "noise_threshold", 0.1),
        (["--max-side", "0"], "max_side", 0),
        (["--batch", "7"], "batch", 7),
        (["--connectivity", "4"], "connectivity", 4),
        (["--components", "device"], "backend", "device"),
        (["--dtype", "bfloat16"], "dtype", "bfloat16"),
        (["--feature-cache", "0.5"], "feature_cache", 500_000_000),
        (["--feature-cache", "0"], "feature_cache", 0),
        (["--download"], "allow_download", True),
        (["--workers", "3"], "workers", 3),
        (["--report-limit", "5"], "report_limit", 5),
        (["--overlays"], "overlays", True),
        (["--parts", "2"], "parts", 2),
        (["--masks"], "masks", True),
        (["--refine", "crf"], "refine", "crf"),
        (["--devices", "2"], "devices", 2),
        (["--conv", "winograd"], "conv", "winograd"),
        (["--shard-size", "9"], "shard_size", 9),
        (["--moments-memory", "0.25"], "moments_memory", 250_000_000),
    ],
    ids=cli.spelt,
)
def test_an_option_reaches_the_job(calls, given, field, value):
    assert cli.invoke("colocalize", "a", "-o", "o", *given)[0] == 0
    assert getattr(calls[0][1][2], field) == value
    if f" {given[0]} " in f" {COMMON} ":
        assert cli.invoke("apply", "m", "a", "-o", "o", *given)[0] == 0
        assert cli.invoke("localize", "a", "-o", "o", *given)[0] == 0
        assert [getattr(arguments[-1], field) for _, arguments, _ in calls] == [value] * 3


def test_sets_and_models_reach_the_job(calls):
    cli.invoke("colocalize", "a", "-o", "o", "--per-folder", "--update", "m")
    cli.invoke("localize", "a", "-o", "o", "--category", "dogs")
    cli.invoke("apply", "m", "a", "-o", "o", "--category", "dogs")
    cli.invoke("apply", "m", "a", "-o", "o", "--per-folder")
    cli.invoke("colocalize", "a", "-o", "o", "--per-label", "--overwrite")
    cli.invoke("localize", "a", "-o", "o", "--per-label", "--overwrite")
    cli.invoke("apply", "m", "a", "-o", "o", "--per-label", "--overwrite")
    defaults = {"per_folder": False, "per_label": False, "overwrite": False, "every": 1, "video": VideoOptions()}
    defaults |= {"image_column": None, "label_column": None}
    again = {"per_label": True, "overwrite": True}
    assert [options for _, _, options in calls] == [
        defaults | {"per_folder": True, "name": None, "update": Path("m")},
        defaults | {"name": "dogs"},
        defaults | {"category": "dogs"},
        defaults | {"per_folder": True, "category": None},
        defaults | again | {"name": None, "update": None},
        defaults | again | {"name": None},
        defaults | again | {"category": None},
    ]


@pytest.mark.parametrize("command", [["colocalize"], ["localize"], ["apply", "m"]], ids=cli.spelt)
def test_what_is_made_of_videos_and_masks_reaches_the_job(calls, command):
    given = [
        "--every",
        "3",
        "--video",
        "gif",
        "--smooth",
        "--bridge",
        "2",
        "--video-heat",
        "--refine",
        "guided",
        "--box-from-mask",
    ]
    assert cli.invoke(*command, "clip.mp4", "-o", "o", *given)[0] == 0
    (_, arguments, options) = calls[0]
    assert (options["every"], options["video"]) == (3, VideoOptions(kind="gif", smooth=True, gap=2, heat=True))
    assert (arguments[-1].refine, arguments[-1].box_from_mask) == ("guided", True)


@pytest.mark.parametrize("command", [["colocalize"], ["localize"], ["apply", "m"]], ids=cli.spelt)
def test_strict_turns_skipped_images_into_exit_3(calls, command):
    assert cli.invoke(*command, "a", "-o", "o")[0] == 0
    status, out, err = cli.invoke(*command, "a", "-o", "o", "--strict")
    assert (status, err) == (3, "")
    assert "b.jpg: no such file" in out


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UsageError("dogs: nothing there"), 2, "jaxloc: dogs: nothing there"),
        (OSError(5, "Input/output error", "/disk/a.jpg"), 2, "jaxloc: /disk/a.jpg: Input/output error"),
        (
            KeyboardInterrupt(),
            130,
            "jaxloc: interrupted; finished work is kept: run the same command again to resume",
        ),
        (
            Stopped(signal.SIGTERM),
            143,
            "jaxloc: asked to end; finished work is kept: run the same command again to resume",
        ),
    ],
    ids=["usage", "disk", "interrupt", "end"],
)
def test_what_ends_a_job_is_told_in_one_line(monkeypatch, error, status, line):
    def job(*arguments, **options):
        raise error

    monkeypatch.setattr(run, "colocalize", job)
    assert cli.invoke("colocalize", "a", "-o", "o") == (status, "", f"{line}\n")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--noise-threshold", "1"], "from 0 to below 1, not 1.0"),
        (["--max-side", "20"], "at least 32 pixels, not 20"),
        (["--batch", "0"], "batch must be at least 1, not 0"),
        (["--connectivity", "5"], "connectivity must be one of 8, 4, not 5"),
        (["--workers", "-1"], "workers"),
        (["--report-limit", "-1"], "report"),
        (["--feature-cache", "nan"], "feature"),
        (["--feature-cache", "-1"], "feature"),
        (["--feature-cache", "1e300"], "the feature cache must be a size in GB, 0 or more, not 1e+300"),
        (["--moments-memory", "nan"], "the memory for moments must be a size in GB, 0 or more, not nan"),
        (["--moments-memory", "0"], "the memory for moments must be more than nothing, not 0 bytes"),
        (["--devices", "0"], "number of devices must be at least 1, not 0"),
        (["--shard-size", "0"], "shard size must be at least 1, not 0"),
        (["--layer", "relu9_9"], "unknown layer 'relu9_9'; vgg16-small has relu1_1"),
        (["--weights", "resnet"], "unknown weights 'resnet'"),
        (["--weights", "gone.pth"], "gone.pth: no such weights file"),
        (["--update", "gone.safetensors"], "gone.safetensors: no such model file"),
    ],
    ids=cli.spelt,
)
def test_a_wrong_value_is_told_in_one_line(photos, tmp_path, given, message):
    status, out, err = cli.invoke("colocalize", photos, "-o", tmp_path, *given)
    assert (status, out) == (2, "")
    assert message in cli.one_line(err)
    assert helpers.every_file(tmp_path) == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["colocalize"],
        ["colocalize", "a"],
        ["colocalize", "a", "-o", "o", "--method", "pca"],
        ["colocalize", "a", "-o", "o", "--batch", "many"],
        ["colocalize", "a", "-o", "o", "--conv", "fft"],
        ["colocalize", "a", "-o", "o", "--no-such-option"],
        ["nothing"],
        ["evaluate", "a"],
    ],
    ids=cli.spelt,
)
def test_a_command_line_that_makes_no_sense_exits_2_and_points_to_help(arguments):
    status, out, err = cli.invoke(*arguments)
    assert status == 2
    assert "--help" in out + err


def test_a_missing_folder_is_named(tmp_path):
    status, out, err = cli.invoke("colocalize", tmp_path / "nowhere", "-o", tmp_path / "out")
    assert (status, out) == (2, "")
    assert cli.one_line(err) == f"jaxloc: {tmp_path / 'nowhere'}: no such file or folder"
    assert not (tmp_path / "out").exists()


def test_one_image_is_too_few_to_share_anything(photos, tmp_path):
    status, _, err = cli.invoke("colocalize", next(photos.iterdir()), "-o", tmp_path)
    assert status == 2
    assert "at least 2 readable images" in cli.one_line(err)


def test_results_that_cannot_be_written_are_told_before_anything_is_computed(photos, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = cli.invoke("colocalize", photos, "-o", tmp_path / "file" / "below")
    assert status == 2
    assert "cannot be written" in cli.one_line(err)
    status, out, err = cli.invoke("colocalize", photos, "-o", tmp_path / "file")
    assert status == 2
    assert "file" in out + err
