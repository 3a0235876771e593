import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import weights_convert
from jaxloc.models import CAFFE_BGR, load, weights_file
from weights_convert.__main__ import app


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the command in an empty folder; returns its exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path / "cache"))

    def command(*arguments):
        result = CliRunner().invoke(app, list(map(str, arguments)))
        return result.exit_code, result.stdout, result.stderr

    return command


def test_a_file_is_converted_and_described(run, published, tmp_path):
    status, out, err = run(published, "mine.safetensors", "--preprocessing", "caffe-bgr")
    assert (status, err) == (0, "")
    weights = weights_file.read(tmp_path / "mine.safetensors")
    assert weights.backbone.preprocessing == CAFFE_BGR
    assert re.search(r"^architecture +vgg16$", out, re.M)
    assert re.search(r"^classifier +no \(convolutions only\)$", out, re.M)
    assert re.search(r"^parameters +14,714,688$", out, re.M)
    assert re.search(rf"^checksum +{weights.checksum}$", out, re.M)
    assert re.search(r"^written to +mine\.safetensors$", out, re.M)


def test_without_a_destination_the_file_is_named_after_the_architecture(run, published, tmp_path):
    status, out, _ = run(published)
    assert status == 0
    assert out.endswith("vgg16.safetensors\n")
    assert (tmp_path / "vgg16.safetensors").is_file()


def test_installed_weights_are_found_by_name(run, published, tmp_path):
    status, out, _ = run(published, "--install")
    assert status == 0
    assert str(tmp_path / "cache" / "vgg16.safetensors") in out
    assert load("vgg16").source == "safetensors file model.safetensors"


def test_a_destination_and_install_exclude_each_other(run, published, tmp_path):
    assert run(published, "mine.safetensors", "--install") == (
        2,
        "",
        "jaxloc: give DESTINATION or --install, not both\n",
    )
    assert not (tmp_path / "mine.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.pth"], r"jaxloc: none\.pth: cannot be read \(No such file or directory\): check the path"),
        (["page.pth"], r"jaxloc: page\.pth: of no known format, it begins with b'<html>': .*"),
        (["page.pth", "--format", "zip"], r"jaxloc: unknown format 'zip'; known: auto, torch, .*"),
    ],
)
def test_errors_are_one_line_and_status_2(run, tmp_path, arguments, message):
    (tmp_path / "page.pth").write_text("<html>")
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(message + "\n", err)


def test_the_help_teaches_every_format(run):
    status, out, _ = run("--help")
    assert status == 0
    for format in weights_convert.FORMATS:
        assert re.search(rf"^    {format} ", out, re.M)
    for word in (
        "vgg16-397923af.pth",
        "imagenet-vgg-verydeep-16.mat",
        "--preprocessing caffe-bgr",
        "--install",
    ):
        assert word in out


def test_the_package_is_a_command():
    command = [sys.executable, "-W", "error", "-m", "weights_convert", "none.pth"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == "jaxloc: none.pth: cannot be read (No such file or directory): check the path\n"
