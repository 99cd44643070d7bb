"""Tables of the documentation name all that the program has: formats, columns, outcomes, exit codes, variables."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path

import pytest

from camtrail import EmbeddingRetriever, ImageEmbedder, ImageProcessor, create_exif_map, map_images
from camtrail.app.download_tables import _COLUMNS, _PAIRS, _SEQUENCES
from camtrail.app.export import known_exports
from camtrail.app.sandbox import SANDBOXES
from camtrail.app.scan import known_sources
from camtrail.catalog.downloads import STATES
from camtrail.cli.main import VERBS
from camtrail.core import errors
from camtrail.core.model import OUTCOMES

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def rows(text: str) -> dict[str, str]:
    """Rows of tables by their first cell."""
    found = re.findall(r"^\| (.+?) \|(.*)\|$", text, re.MULTILINE)
    return dict(found)


def test_every_source_with_its_suffixes() -> None:
    told = rows(page("formats.md").partition("## EXIF tags")[0])
    for name, source in known_sources().items():
        suffixes = set(told[f"`{name}`"].split("|")[0].replace("`", "").split())
        assert suffixes == set(source.suffixes), name


@pytest.mark.parametrize("name", sorted(known_exports()))
def test_every_export_by_its_suffixes(name: str) -> None:
    told = page("formats.md").partition("## Exports")[2].partition("## Places")[0]
    assert [s for s in known_exports()[name].suffixes if f"`{s}`" not in told] == []


def test_every_column_of_downloads() -> None:
    told = page("formats.md").partition("## Downloads")[2].partition("## Imports")[0]
    assert [name for name, _ in _COLUMNS if f"`{name}`" not in told] == []
    assert ",".join(_PAIRS) in told and ",".join(_SEQUENCES) in told
    assert [state for state in STATES if f"`{state}`" not in told] == []


def test_every_outcome() -> None:
    assert {f"`{outcome}`" for outcome in OUTCOMES} <= rows(page("places.md")).keys()


def test_every_exit_code() -> None:
    known = [getattr(errors, name) for name in errors.__all__]
    codes = {c.exit_code for c in known if isinstance(c, type) and issubclass(c, errors.CamtrailError)}
    told = rows(page("exit-codes.md")).keys()
    assert {str(code) for code in codes} | {"0", "130, 143"} <= told


def test_every_sandbox_and_its_token() -> None:
    told = page("configuration.md")
    for name, kind in SANDBOXES.items():
        assert f"`{name}`" in page("sandboxes.md") and f"`{kind.token_variable}`" in told


def test_calls_of_the_notebooks_are_printed_as_they_are() -> None:
    block = page("coming-from/notebooks.md").partition("```text\n")[2].partition("```")[0]
    printed = {
        name: re.findall(r"(\w+)(?==|,|$)", " ".join(arguments.split()))
        for name, arguments in re.findall(r"(\w+)\(((?:[^()]|\n)*)\)", block)
    }
    calls = {
        name: call
        for kind in (ImageProcessor, ImageEmbedder, EmbeddingRetriever)
        for name, call in vars(kind).items()
        if not name.startswith("_") and callable(call)
    } | {"create_exif_map": create_exif_map, "map_images": map_images}
    for name, call in calls.items():
        known = [p for p in inspect.signature(call).parameters if p != "self"]
        assert [word for word in printed[name] if word in known] == known, name


def _texts_of_the_program() -> str:
    """Every text in the sources, one a line; `…` where something is filled in."""
    made = []
    for file in sorted((DOCS.parent / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                made.append(
                    "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                made.append(node.value)
    return "\n".join(made)


def test_messages_that_are_explained_are_said() -> None:
    said = _texts_of_the_program()
    messages = re.findall(r"\*\*`(.+?)`\*\*", page("troubleshooting.md"))
    parts = [part for message in messages for part in re.split("…|; ", message) if len(part.strip()) > 3]
    assert len(messages) > 15
    assert [part for part in parts if part.strip() not in said] == []


def test_every_extra() -> None:
    extras = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    told = re.findall(r"`(\w+)`", " ".join(rows(page("index.md")).keys()))
    assert set(told) == extras.keys() - {"all", "dev", "docs"}


def test_every_verb_is_in_the_readme() -> None:
    told = (DOCS.parent / "README.md").read_text("utf-8")
    assert [verb for verb in VERBS if not re.search(rf"`(?:camtrail )?{verb}[ `]|, `{verb}", told)] == []
