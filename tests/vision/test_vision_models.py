"""Models of one's own: loaded, fed with what they want, and refused in words."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx_model import mean_model

from camtrail.core.errors import InputError, MissingDependency, UsageError
from camtrail.vision.models import Preparation, load_model, prepared


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = tmp_path / "mean.onnx"
    path.write_bytes(mean_model())
    return path


def plain(red, green, blue, shape=(40, 60)):
    return np.full((*shape, 3), (red, green, blue), np.uint8)


def test_vectors_are_what_the_model_makes_of_the_picture(model: Path):
    (model.parent / "mean.onnx.json").write_text('{"size": 32, "mean": [0, 0, 0], "std": [1, 1, 1]}')
    vectors = load_model(f"onnx:{model}").embed([plain(255, 0, 0), plain(0, 60, 80, (300, 20))])
    assert vectors == pytest.approx(np.array([[1, 0, 0], [0, 0.6, 0.8]]), abs=1e-5)


def test_a_model_that_takes_one_picture_gets_one_at_a_time(model: Path):
    model.write_bytes(mean_model(batch=1))
    assert load_model(f"onnx:{model}").embed([plain(9, 0, 0)] * 3).shape == (3, 3)


def test_the_side_is_the_model_s_own(model: Path):
    assert load_model(f"onnx:{model}").preparation == Preparation(32, 37)


def test_another_preparation_is_another_model(model: Path):
    first = load_model(f"onnx:{model}").digest
    (model.parent / "mean.onnx.json").write_text('{"size": 32, "resize": 32}')
    assert load_model(f"onnx:{model}").digest != first


def test_preparation_is_that_of_torchvision():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    made = prepared(pixels, Preparation())
    assert made.shape == (3, 224, 224)
    grey = prepared(plain(124, 116, 104), Preparation())
    assert np.abs(grey).max() < 0.02


@pytest.mark.parametrize("name", ["mean.onnx", "onnx:", "keras:a", ""])
def test_another_name_is_misuse(name):
    with pytest.raises(UsageError, match="names no model"):
        load_model(name)


def test_what_is_no_model_is_told(model: Path):
    model.write_bytes(b"no model")
    with pytest.raises(InputError, match="is no model that onnx can load"):
        load_model(f"onnx:{model}")


def test_what_is_not_there_is_told(model: Path):
    with pytest.raises(InputError):
        load_model(f"onnx:{model}.not")


@pytest.mark.parametrize(
    "said", ["[]", "{", '{"size": 0}', '{"mean": [1]}', '{"std": [0, 1, 1]}', '{"mean": 3}']
)
def test_a_file_beside_it_that_says_nothing_is_told(model: Path, said):
    (model.parent / "mean.onnx.json").write_text(said)
    with pytest.raises(InputError, match="does not say what pictures"):
        load_model(f"onnx:{model}")


def test_a_side_that_the_model_does_not_take_is_told(model: Path):
    (model.parent / "mean.onnx.json").write_text(json.dumps({"size": 48}))
    with pytest.raises(InputError, match="cannot be run"):
        load_model(f"onnx:{model}").embed([plain(1, 2, 3)])


@pytest.mark.parametrize(("kind", "library"), [("onnx", "onnxruntime"), ("torch", "torch")])
def test_without_the_library_the_extra_is_named(kind, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependency, match="pip install"):
        load_model(f"{kind}:model")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pytorch_s_models_are_run(tmp_path: Path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    torch.jit.trace(net, torch.zeros(1, 3, 224, 224)).save(str(tmp_path / "mean.pt"))
    vectors = load_model(f"torch:{tmp_path / 'mean.pt'}").embed([plain(255, 255, 255), plain(0, 0, 0)])
    assert vectors.shape == (2, 3) and vectors[0] @ vectors[1] < 0
