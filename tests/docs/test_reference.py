"""The reference is made of the options themselves, and the documentation builds without a broken link."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

import reference

ROOT = Path(__file__).parents[2]
VERBS = dict(reference.verbs())
PAGES = reference.pages()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as it is built."""
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_in_the_reference(verb: str) -> None:
    page = PAGES[f"reference/{verb.split()[0]}.md"]
    part = page.partition(f"## `{verb}`")[2].partition("\n## ")[0] if " " in verb else page
    assert f"camtrail {verb} " in part
    common = PAGES["reference/index.md"]
    for parameter in VERBS[verb].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            told = part if parameter.name not in reference.COMMON else common
            assert all(
                f"`{name}`" in told or f"{name}," in told or f", {name}`" in told for name in parameter.opts
            )
            assert parameter.help


def test_every_verb_is_in_the_index() -> None:
    assert [verb for verb in VERBS if f"[`{verb}`]" not in PAGES["reference/index.md"]] == []


def test_defaults_are_told_once() -> None:
    rows = {
        row.split("|")[1].strip(): row for row in PAGES["reference/process.md"].splitlines() if "`--" in row
    }
    assert rows["`--cutoff-distance`"].split("|")[3].strip() == "classic 600, modern 100"
    assert rows["`--cutoff-time`"].split("|")[2:4] == [" `S` ", " 60 "]
    assert not [row for row in rows.values() if "[default" in row]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.leads: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given["id"]} if "id" in given else set()
        if tag == "a" and "href" in given:
            self.leads.append(given["href"])
        elif "src" in given or (tag == "link" and "href" in given):
            self.loaded.append(given.get("src") or given["href"])


def _read(page: Path) -> _Links:
    links = _Links()
    links.feed(page.read_text("utf-8"))
    return links


def _html(site: Path) -> Iterator[Path]:
    return (page for page in site.rglob("*.html") if page.name not in ("404.html", "search.html"))


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    assert [(p.name, url) for p in _html(site) for url in _read(p).loaded if "//" in url] == []


def test_links_lead_somewhere(site: Path) -> None:
    known = {page.resolve(): _read(page) for page in _html(site)}
    broken = []
    for page, links in known.items():
        for url in links.leads:
            path, _, fragment = url.partition("#")
            if "//" in path or path.startswith("mailto:"):
                continue
            target = (page.parent / path).resolve() if path else page
            if not target.is_file() or (fragment and target in known and fragment not in known[target].ids):
                broken.append((page.name, url))
    assert broken == []


def test_pictures_are_small_and_described() -> None:
    assert [p.name for p in (ROOT / "docs").rglob("*.png") if p.stat().st_size > 150_000] == []
    assert [name for name, text in TEXTS.items() if "![](" in text] == []


def test_comments_of_pages_are_not_seen(site: Path) -> None:
    for page in _html(site):
        text = re.sub(r"<!--.*?-->", "", page.read_text("utf-8"), flags=re.DOTALL)
        assert not [mark for mark in ("&lt;!-- ", "```", "\\|") if mark in text], page.name


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"])
def test_links_of_the_root_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text("utf-8"))
    assert [link for link in links if "//" not in link and not (ROOT / link).is_file()] == []


OLDER = {"--desc-path", "--interpolation-offset-time", "--interpolation-use-gpx-start-time", "--num-processes",
    "--num-upload-workers", "--overwrite-all-exif-tags", "--documents"}  # fmt: skip
"""Options of other programs that pages name."""
NO_VERBS = ("camtrail estimate", "camtrail --version")

TEXTS = {
    p.relative_to(ROOT).as_posix(): p.read_text("utf-8")
    for p in (*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"))
}


def _said_in_code(text: str) -> Iterator[str]:
    """Commands in blocks, but for those that run anyway, and what stands between back ticks."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for kind, block in fence.findall(text):
        if kind != "console":
            yield from (
                part.strip() for line in block.splitlines() for part in line.partition(" #")[0].split(" && ")
            )
    yield from re.findall(r"`([^`\n]+)`", fence.sub("", text))


def _folded(option: str) -> str:
    return option.partition("=")[0].lower().replace("_", "-")


@pytest.mark.parametrize("name", TEXTS)
def test_commands_that_are_named_are_some(name: str) -> None:
    verbs = set(VERBS) | {verb.split()[0] for verb in VERBS}
    for said in _said_in_code(TEXTS[name]):
        if not said.startswith("camtrail ") or said in NO_VERBS or said.split()[1].isupper():
            continue
        words = said.split()[1:]
        verb = next((v for n in (2, 1) if (v := " ".join(words[:n])) in verbs), None)
        assert verb, said
        if verb in VERBS:
            known = {_folded(name) for p in VERBS[verb].params for name in p.opts}
            given = {_folded(word) for word in words if re.match(r"--?[A-Za-z]", word)}
            assert given <= known | {"-h", "--help"}, said


@pytest.mark.parametrize("name", TEXTS)
def test_options_that_are_named_are_some(name: str) -> None:
    known = {_folded(o) for verb in VERBS.values() for p in verb.params for o in p.opts} | OLDER
    named = {
        _folded(o)
        for said in _said_in_code(TEXTS[name])
        if said.startswith("--")
        for o in re.findall("--[A-Za-z][\\w-]+", said)
    }
    assert named <= known | {"--help"}


def test_every_page_tells_of_itself_alone() -> None:
    texts = {p.name: p.read_text("utf-8") for p in (ROOT / "docs").rglob("*.md")} | PAGES
    assert [name for name, text in texts.items() if re.search(r"/work/|TODO|specs/", text)] == []
