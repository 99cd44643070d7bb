"""A plugin registers by standing in its folder."""

from __future__ import annotations

import importlib
import sys

import pytest

from camtrail.core.plugins import discover


@pytest.fixture
def package(tmp_path, monkeypatch):
    def made(**modules):
        folder = tmp_path / "made_up_plugins"
        folder.mkdir()
        (folder / "__init__.py").touch()
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        return importlib.import_module("made_up_plugins")

    yield made
    for name in [n for n in sys.modules if n.startswith("made_up_plugins")]:
        del sys.modules[name]


PLUGIN = "from types import SimpleNamespace\nPLUGIN = SimpleNamespace(name={!r})\n"


def test_modules_with_a_plugin_in_the_order_of_the_modules(package):
    found = discover(package(zeta=PLUGIN.format("a"), alpha=PLUGIN.format("z"), helper="x = 1\n"))
    assert list(found) == ["z", "a"]
    assert found["a"] is sys.modules["made_up_plugins.zeta"].PLUGIN


def test_an_empty_package(package):
    assert discover(package()) == {}


def test_a_plugin_that_does_not_load_is_not_passed_over(package):
    with pytest.raises(ImportError):
        discover(package(broken="import not_there_at_all\n"))
