"""What pages bring along is whole, named with its licence, and asks for nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import camtrail.reports
from camtrail.reports import bundle
from camtrail.reports.page import page, tile_origin

ASSETS = Path(camtrail.reports.__file__).parent / "assets"
MODULES = sorted((ASSETS / "report").glob("*.js"))
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";', re.MULTILINE)


def test_every_module_is_joined_after_what_it_imports() -> None:
    _, own = bundle.script()
    texts = {module.stem: module.read_text("utf-8") for module in MODULES}
    plain = {
        stem: re.sub(
            "^export ", "", re.sub(r"^import .*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE
        )
        for stem, text in texts.items()
    }
    at = {stem: own.index(text) for stem, text in plain.items()}
    imports = [(stem, *found) for stem, text in texts.items() for found in IMPORT.findall(text)]
    assert len(imports) >= len(MODULES)
    for stem, names, source in imports:
        assert at[source] < at[stem], f"{stem} stands before {source}"
        for name in names.split(","):
            assert re.search(
                rf"^export (?:async )?(?:function|const|class) {name.strip()}\b", texts[source], re.MULTILINE
            )
    assert not re.search(r"^\s*(?:import|export)\b", own, re.MULTILINE)


def test_no_two_modules_share_a_name() -> None:
    _, own = bundle.script()
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", own, re.MULTILINE)
    assert len(names) == len(set(names))


def test_licences_go_with_the_page() -> None:
    library, _ = bundle.script()
    assert "Redistributions in binary form must reproduce" in library and "Leaflet 1.9.4" in library
    assert "Permission to use, copy, modify" in bundle.world()["licence"]
    assert (ASSETS / "leaflet" / "LICENSE").read_text() in library


def test_nothing_is_fetched() -> None:
    library, own = bundle.script()
    assert "sourceMappingURL" not in library + own
    for word in (
        "fetch(",
        "XMLHttpRequest",
        "import(",
        "innerHTML",
        "eval(",
        "new Function",
        "document.write",
    ):
        assert word not in own
    # Pictures of Leaflet's own markers and its list of layers are never shown.
    for name in ("report", "base", "pictures"):
        assert "url(" not in bundle.style(name)


def test_the_outlines_are_small() -> None:
    assert len(b"".join(page("t", [], data={"world": bundle.world()}))) < 150_000


@pytest.mark.parametrize(
    ("template", "origin"),
    [
        ("https://tile.example.org/{z}/{x}/{y}.png", "https://tile.example.org"),
        ("http://127.0.0.1:8080/{z}/{y}/{x}?key=a-b_c", "http://127.0.0.1:8080"),
    ],
)
def test_the_origin_of_tiles(template: str, origin: str) -> None:
    assert tile_origin(template) == origin


@pytest.mark.parametrize(
    "template",
    ["", "x", "https://h/{z}/{x}", "https://h/{z}/{x}/{y}/{s}", "https://h/{z}/{x}/{y}/{y}", "ftp://h/{z}/{x}/{y}",
     "https://{z}.h/{x}/{y}", "https://h;x/{z}/{x}/{y}", "https://h x/{z}/{x}/{y}", "https://u:p@h/{z}/{x}/{y}",
     "https://h/{z}/{x}/{y};script-src *", "https://h/{z}/{x}/{y} 'unsafe-inline'", "https://h:99999999/{z}/{x}/{y}",
     "https://*/{z}/{x}/{y}", "javascript://h/{z}/{x}/{y}", "https://h/{z}/{x}/{y}\n", "https://h/{z}/{x}/{y}\"<",
     "https:///{z}/{x}/{y}", "//h/{z}/{x}/{y}"],
)  # fmt: skip
def test_what_is_no_address_of_tiles(template: str) -> None:
    with pytest.raises(ValueError, match="map tiles"):
        tile_origin(template)
