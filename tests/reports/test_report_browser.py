"""The pages as people see them: in a real browser, from disk, with every request and every complaint noted."""

from __future__ import annotations

import http.server
import json
import math
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright import sync_api as playwright

from camtrail.core.model import Track
from camtrail.reports.collection import report
from camtrail.reports.map import Recording
from camtrail.reports.match import MatchRow, match_page
from camtrail.reports.page import file_url
from camtrail.reports.similar import SimilarCard, SimilarGroup, similar_page
from camtrail.vision.encode import jpeg_of

pytestmark = pytest.mark.chromium

SHOTS = os.environ.get("CAMTRAIL_SCREENSHOTS")  # read here: the tests themselves have no such variables
DESKTOP, PHONE = (1280, 800), (360, 740)
NAN = math.nan
SMALL = jpeg_of(np.full((120, 160, 3), (30, 120, 200), np.uint8))


@pytest.fixture(scope="module")
def started():
    with playwright.sync_playwright() as made:
        yield made


def launched(started, *arguments: str):
    # No name leads anywhere: a page that asks for one says so in its console.
    quiet = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    return started.chromium.launch(executable_path=shutil.which("chromium"), args=[*quiet, *arguments])


@pytest.fixture(scope="module")
def chromium(started):
    browser = launched(started)
    yield browser
    browser.close()


class Opened:
    """A page in the browser, and what it asked for and complained about."""

    def __init__(self, context: Any, path: Path) -> None:
        self.page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.goto(path.as_uri())

    def ready(self) -> Opened:
        self.page.wait_for_selector("#bench[data-ready]", timeout=60_000)
        return self

    @property
    def drawn(self) -> tuple[str, int]:
        """How the map draws photos, and how many are in view."""
        self.page.wait_for_selector(".stage[data-drawn]")
        self.settle()
        stage = self.page.locator(".stage")
        return stage.get_attribute("data-drawn"), int(stage.get_attribute("data-photos"))

    def settle(self) -> None:
        """Until the map stands still and is drawn."""
        self.page.evaluate(
            "new Promise(done => { const frame = requestAnimationFrame, moving = '.leaflet-zoom-anim, .leaflet-pan-anim';"
            "const look = () => document.querySelector(moving) ? frame(look) : frame(() => frame(done)); frame(look); })"
        )

    @property
    def found(self) -> str:
        return self.page.locator(".found").inner_text()

    def row(self, name: str) -> Any:
        return self.page.locator(".row", has=self.page.get_by_text(name, exact=True))

    def click_middle(self) -> None:
        box = self.page.locator(".stage .leaflet-container").bounding_box()
        self.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def shot(self, name: str, **how: Any) -> None:
        if SHOTS:
            os.makedirs(SHOTS, exist_ok=True)
            self.page.screenshot(path=f"{SHOTS}/{name}.png", **how)

    def faults(self) -> list[str]:
        """What axe calls serious or critical."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{v['id']}: {node['html'][:200]}"
            for v in found
            if v["impact"] in ("serious", "critical")
            for node in v["nodes"]
        ]


@pytest.fixture
def show(chromium):
    @contextmanager
    def of(path: Path, size=DESKTOP, hosts: tuple[str, ...] = (), **how: Any) -> Iterator[Opened]:
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, **how)
        try:
            opened = Opened(context, path)
            yield opened
            assert opened.complaints == []
            foreign = [u for u in opened.requests if not u.startswith(("file:", "data:", "blob:", *hosts))]
            assert foreign == []
        finally:
            context.close()

    return of


def ride(make, root, n, name="ride", lat_deg=47.37, lon_deg=8.54, t0=1.7e9, step_deg=1e-4, **more):
    return [
        make(path=f"{name}/{i:05d}.jpg", root=str(root), lat_deg=lat_deg + i * step_deg, lon_deg=lon_deg + i * step_deg,
             time_s=t0 + i, order_s=t0 + i, heading_deg=45.0, sequence=name, sequence_index=i, **more)
        for i in range(n)
    ]  # fmt: skip


def lost(make, root, outcome, path, **more):
    nothing = {"lat_deg": NAN, "lon_deg": NAN, "heading_deg": NAN, "sequence": None, "sequence_index": -1}
    return make(**{**nothing, "path": path, "root": str(root), "outcome": outcome, **more})


def track(items) -> Track:
    columns = [
        np.array([getattr(i, name) for i in items], float) for name in ("time_s", "lat_deg", "lon_deg")
    ]
    none = np.full(len(items), NAN)
    return Track(*columns, none, none, none, none)


def written(folder: Path, items, **more) -> Path:
    path = folder / "report.html"
    path.write_bytes(b"".join(report("Photos of a ride", items, ["A note."], page_path=str(path), **more)))
    return path


@pytest.fixture
def sample(make, tmp_path):
    """A ride in two sequences with a pause, tracks with a gap, and one photo of most outcomes."""
    items = ride(make, tmp_path, 40) + ride(make, tmp_path, 30, "walk", lat_deg=47.38, t0=1.7e9 + 600)
    items[5] = items[5]._replace(outcome="duplicate", sequence=None, duplicate_of=items[4].path)
    items[6] = items[6]._replace(outcome="estimated", reason="between two fixes 40 s apart")
    items += [
        lost(make, tmp_path, "in_gap", "ride/gap.jpg", reason="12 min from the nearest fix"),
        lost(make, tmp_path, "no_place", "ride/none.jpg"),
        lost(
            make,
            tmp_path,
            "unreadable",
            "ride/broken.jpg",
            message="the file ends early",
            time_s=NAN,
            local_s=NAN,
        ),
    ]
    recordings = [Recording("ride.gpx", [track(items[:40]), track(items[40:70])])]
    small = {item.file: SMALL for item in items[:70]}
    return written(tmp_path, items, thumbnails=small, recordings=recordings, max_gap_s=1800.0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_report_is_looked_at(show, sample, size, scheme) -> None:
    with show(sample, size, color_scheme=scheme) as seen:
        page = seen.ready().page
        seen.shot(f"report-{size[0]}-{scheme}")
        assert seen.drawn == ("dots", 70)
        assert seen.found == "73 photos"
        assert page.locator(".unscripted").is_hidden()
        assert page.locator(".row").first.is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "nothing sticks out sideways"
        page.get_by_label("duplicate").uncheck()
        assert seen.found == "72 of 73 photos"
        assert seen.drawn == ("dots", 69)
        page.get_by_label("duplicate").check()
        assert seen.faults() == []
        seen.row("00003.jpg").click()
        panel = page.locator(".panel")
        assert panel.get_by_role("heading").inner_text() == "ride/00003.jpg"
        assert panel.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 160
        assert "47.370300, 8.540300" in panel.inner_text()
        link = panel.get_by_text("OpenStreetMap").get_attribute("href")
        assert link == "https://www.openstreetmap.org/?mlat=47.370300&mlon=8.540300#map=17/47.370300/8.540300"
        seen.settle()
        seen.shot(f"report-{size[0]}-{scheme}-photo")
        assert seen.faults() == []
        panel.get_by_label("Next photo").click()
        assert panel.get_by_role("heading").inner_text() == "ride/00004.jpg"
        page.keyboard.press("Escape")
        assert panel.is_hidden()
        seen.shot(f"report-{size[0]}-{scheme}-whole", full_page=True)
    assert len([u for u in seen.requests if u.startswith("file:")]) == 1, "thumbnails are part of the page"


def shown_in(place: Any) -> np.ndarray:
    """The pixels of a part of a page, blue first."""
    return cv2.imdecode(np.frombuffer(place.screenshot(), np.uint8), cv2.IMREAD_COLOR).astype(int)


def unlike(a: np.ndarray, b: np.ndarray) -> float:
    """Share of pixels that differ by more than a shade."""
    return float((np.abs(a - b).sum(axis=2) > 30).mean())


def test_colours_and_signs_are_on_the_map(show, sample) -> None:
    with show(sample, color_scheme="light") as seen:
        page = seen.ready().page
        seen.settle()

        def pixels(hexed: str) -> int:
            picture = shown_in(page.locator(".stage canvas.photos-layer"))
            colour = [int(hexed[k : k + 2], 16) for k in (5, 3, 1)]
            return int((np.abs(picture - colour).sum(axis=2) < 12).sum())

        first, second, gap = "#0065b3", "#c44a00", "#b3261e"
        with_gaps = pixels(gap)
        assert pixels(first) > 100 and pixels(second) > 100 and with_gaps > 60
        page.get_by_label("Gaps").uncheck()
        seen.settle()
        assert pixels(gap) < with_gaps / 4
        page.get_by_label("Sequence", exact=True).select_option("2")
        assert seen.found == "30 of 73 photos"
        seen.settle()
        assert pixels(first) == 0 and pixels(second) > 100


def test_a_sequence_without_a_photo_that_is_shown_has_no_line(show, sample) -> None:
    with show(sample, color_scheme="light") as seen:
        page = seen.ready().page
        page.get_by_label("Tracks").uncheck()

        def pixels(hexed: str) -> int:
            seen.settle()
            picture = shown_in(page.locator(".stage canvas.photos-layer"))
            colour = [int(hexed[k : k + 2], 16) for k in (5, 3, 1)]
            return int((np.abs(picture - colour).sum(axis=2) < 12).sum())

        first, second = "#0065b3", "#c44a00"
        assert pixels(first) > 100 and pixels(second) > 100
        page.get_by_label("located", exact=False).first.uncheck()
        assert seen.found == "5 of 73 photos", "one of the first sequence is an estimate"
        assert pixels(first) > 20 and pixels(second) == 0


def test_light_changes_to_dark_while_it_is_open(show, sample) -> None:
    with show(sample, color_scheme="light") as seen:
        page = seen.ready().page
        pictures = []
        for scheme in ("light", "dark", "light"):
            page.emulate_media(color_scheme=scheme)
            seen.settle()
            pictures.append(
                [shown_in(page.locator(place)) for place in (".filters", ".stage", ".layers", ".names")]
            )
        for light, dark, again in zip(*pictures):
            assert unlike(light, dark) > 0.5 and unlike(light, again) < 0.001


def test_a_click_on_the_map_opens_a_photo(make, tmp_path, show) -> None:
    (tmp_path / "a.jpg").write_bytes(SMALL)
    with show(written(tmp_path, [make(path="a.jpg", root=str(tmp_path))])) as seen:
        page = seen.ready().page
        assert seen.drawn == ("dots", 1)
        seen.click_middle()
        assert page.locator(".panel").get_by_role("heading").inner_text() == "a.jpg"
        said = page.locator(".stage > p[role=status]")
        assert said.inner_text() == "Selected: a.jpg, located", "it is read out"
        picture = page.locator(".panel img")
        assert picture.evaluate("i => i.decode().then(() => i.naturalWidth)") == 160, (
            "the photo itself, by its link"
        )
        seen.shot("one-photo")


def test_what_is_pointed_at_says_what_it_is(make, tmp_path, show) -> None:
    """A photo, a track beside it, and a gap in the track: each at the place where it is drawn."""
    items = [make(path="a.heic", root=str(tmp_path), lat_deg=0.0, lon_deg=8.0)]
    before = Track(
        *map(np.array, ([1.7e9, 1.7e9 + 60], [0.001, 0.001], [8.0, 8.001])), *[np.full(2, NAN)] * 4
    )
    behind = Track(
        *map(np.array, ([1.7e9 + 660, 1.7e9 + 700], [0.001, 0.001], [8.002, 8.003])), *[np.full(2, NAN)] * 4
    )
    recordings = [Recording("<b>ride.gpx", [before, behind])]
    with show(written(tmp_path, items, recordings=recordings, max_gap_s=1800.0)) as seen:
        page = seen.ready().page
        seen.settle()
        box = page.locator(".stage .leaflet-container").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        step = (
            256 * 2**17 / 360 * 0.001
        )  # pixels of a thousandth of a degree at the largest zoom of the whole
        tip = page.locator(".tip")
        page.mouse.move(x, y)
        assert tip.inner_text() == "a.heic · 2023-11-14 22:13:20"
        page.mouse.move(x + step, y - step)
        assert tip.inner_text() == "<b>ride.gpx · 22:14:20 UTC"
        page.mouse.move(x + 1.5 * step, y - step)
        assert tip.inner_text() == "Gap in the track: 10 min without a fix"
        page.mouse.move(x, y + 100)
        assert tip.is_hidden()


def test_photos_at_one_place_are_all_reached(make, tmp_path, show) -> None:
    items = [make(path=f"{i}.heic", root=str(tmp_path)) for i in range(4)]
    with show(written(tmp_path, items)) as seen:
        page = seen.ready().page
        seen.settle()
        seen.click_middle()
        names = []
        for k in range(4):
            assert f"{k + 1} of 4 here" in page.locator(".panel").inner_text()
            names.append(page.locator(".panel h3").inner_text())
            page.get_by_label("Next photo").click()
        assert sorted(names) == [f"{i}.heic" for i in range(4)]
        assert page.locator(".frame").is_hidden(), "no browser shows HEIC"


def test_the_keyboard_is_enough(show, sample) -> None:
    with show(sample) as seen:
        page = seen.ready().page
        page.locator(".skip").focus()
        assert page.locator(".skip").is_visible()
        reached = []
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "document.activeElement.getAttribute('role') || document.activeElement.type || ''"
                )
            )
            if reached[-1] == "listbox":
                break
        assert reached[-1] == "listbox" and reached.count("checkbox") == 6
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        heading = page.locator(".panel h3")
        assert heading.inner_text() == "ride/00001.jpg"
        page.keyboard.press("End")
        assert heading.inner_text() == "walk/00029.jpg"
        active = page.locator(".rows").get_attribute("aria-activedescendant")
        assert page.locator(f"#{active}").get_attribute("aria-posinset") == "73"
        assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"
        page.keyboard.press("Home")
        assert heading.inner_text() == "ride/00000.jpg"
        before = seen.drawn[1]
        page.keyboard.press("Enter")
        assert seen.drawn[1] < before, "Enter goes there"
        page.keyboard.press("Escape")
        assert page.locator(".panel").is_hidden()


def test_a_name_is_found(show, sample) -> None:
    with show(sample) as seen:
        page = seen.ready().page
        page.get_by_label("Find photos by name").fill("WALK/0001")
        page.locator(".found", has_text="10 of 73 photos").wait_for()
        assert page.locator(".row .name").all_inner_texts()[0] == "00010.jpg"
        assert seen.drawn == ("dots", 10)
        page.get_by_label("Find photos by name").fill("nothing like it")
        page.locator(".found", has_text=re.compile("^0 of 73 photos$")).wait_for()
        assert page.locator(".row").count() == 0


def test_without_scripts_it_is_readable(show, sample) -> None:
    with show(sample, java_script_enabled=False) as seen:
        text = seen.page.locator("body").inner_text()
        assert (
            "73" in text and "12 min from the nearest fix" in text and "Copy it again from the card" in text
        )
        assert "need JavaScript" in text
        assert "walk/00029.jpg" in text and "A note." in text
        assert seen.page.locator("#bench").is_hidden()
        seen.shot("without-scripts", full_page=True)


def test_a_browser_that_cannot_inflate_says_so(chromium, sample) -> None:
    context = chromium.new_context()
    context.add_init_script("delete window.DecompressionStream")
    seen = Opened(context, sample)
    seen.page.wait_for_selector("text=The map cannot be shown in this browser")
    assert seen.page.locator("#bench").is_hidden()
    context.close()


NAMES = [b"plain.jpg", b"a b#c%41?.jpg", b"'\"<>&`.jpg", b"</script><!--.jpg", "\u2028line.jpg".encode(), "\u202egpj.jpg".encode(),
         b"caf\xe9.jpg", b"new\nline.jpg", "é!'()*~.jpg".encode(), b"javascript:alert(1).jpg", b"{{7*7}}${1}.jpg"]  # fmt: skip


def test_odd_names_stay_names_and_their_links_lead(make, tmp_path, show) -> None:
    folder = tmp_path / "it's 100% #1?"
    folder.mkdir()
    names = sorted(map(os.fsdecode, NAMES))
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(SMALL)
    items = [
        make(path=name, root=str(folder), lon_deg=8 + i / 1e3, sequence=name, reason=name, model=name)
        for i, name in enumerate(names)
    ]
    wanted = {file_url(item.file, str(tmp_path)) for item in items}
    with show(written(tmp_path, items)) as seen:
        page = seen.ready().page
        page.locator(".rows").focus()
        found = set()
        for _ in names:
            page.keyboard.press("ArrowDown")
            found.add(page.get_by_text("Open the photo").get_attribute("href"))
            assert page.locator(".panel img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 160
        assert found == wanted
        assert page.evaluate("document.querySelectorAll('script').length") == 4
        seen.shot("odd-names")


def test_ten_thousand_photos_are_smooth(make, tmp_path, show) -> None:
    items = []
    for k in range(25):
        at = {"lat_deg": 46.5 + k % 5 * 0.35, "lon_deg": 7 + k // 5 * 0.5}
        items += ride(make, tmp_path, 400, f"day{k:02}", t0=1.7e9 + k * 90000, step_deg=2e-5, **at)
    items[37] = items[37]._replace(outcome="duplicate", sequence=None)
    path = written(tmp_path, items)
    assert path.stat().st_size < 15e6
    (tmp_path / "day24").mkdir()
    (tmp_path / "day24" / "00399.jpg").write_bytes(SMALL)
    with show(path, (1440, 900)) as seen:
        page = seen.ready().page
        assert seen.drawn == ("heaps", 10_000)
        seen.shot("ten-thousand")
        assert page.locator(".row").count() < 40
        box = page.locator(".stage .leaflet-container").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.evaluate(
            "window.frames_ = []; let last = performance.now();"
            "const note = now => { frames_.push(now - last); last = now; requestAnimationFrame(note); };"
            "requestAnimationFrame(note)"
        )
        page.mouse.move(x, y + 30)
        page.mouse.down()
        for k in range(40):
            page.mouse.move(x - 3 * k, y + 30 + k)
        page.mouse.up()
        frames = page.evaluate("frames_.slice(1)")
        assert np.median(frames) < 100, "measured: 17 ms"
        page.get_by_label("Show all").click()
        seen.settle()
        seen.click_middle()
        page.wait_for_selector(".stage[data-drawn=dots]")
        seen.settle()
        assert seen.drawn == ("dots", 400), "a heap opens"
        page.locator(".rows").focus()
        page.keyboard.press("End")
        assert page.locator(".panel h3").inner_text() == "day24/00399.jpg"
        assert seen.drawn[1] > 0, "the map goes there"
        assert page.locator(".panel img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 160
        seen.shot("ten-thousand-one")
        assert seen.faults() == []
    asked = [u for u in seen.requests if u.startswith("file:")]
    assert len(asked) == 2, "only the photo that was looked at is loaded"


def test_a_million_fixes_and_crowds_are_drawn_as_density(make, tmp_path, show) -> None:
    some = np.random.default_rng(3)
    n = 1_000_000
    way = np.cumsum(some.normal(0, 0.05, n))
    columns = [1.7e9 + np.arange(n), 47 + np.cumsum(np.cos(way)) * 1e-5, 8 + np.cumsum(np.sin(way)) * 1e-5]
    long = Track(*columns, *[np.full(n, NAN)] * 4)
    rows = np.arange(0, n, 16)[:60_000]
    items = [
        make(
            path=f"{i:07}.heic",
            root=str(tmp_path),
            time_s=float(columns[0][i]),
            lat_deg=float(columns[1][i]),
            lon_deg=float(columns[2][i]),
        )
        for i in rows.tolist()
    ]
    path = written(tmp_path, items, recordings=[Recording("long.gpx", [long])], max_gap_s=1800.0)
    assert path.stat().st_size < 6e6
    with show(path, (1440, 900)) as seen:
        page = seen.ready().page
        assert seen.drawn == ("density", 60_000)
        seen.shot("density")
        page.locator(".rows").focus()
        page.keyboard.press("End")
        assert page.locator(".panel h3").inner_text() == f"{rows[-1]:07}.heic"
        page.keyboard.press("Enter")
        seen.settle()
        assert seen.drawn[0] in ("dots", "heaps")


def test_thousands_of_sequences_are_drawn(make, tmp_path, show) -> None:
    items = []
    for k in range(3000):
        at = {"lat_deg": 47 + k % 60 * 1e-3, "lon_deg": 8 + k // 60 * 1e-3}
        items += ride(make, tmp_path, 2, f"s{k}", t0=1.7e9 + 100 * k, step_deg=3e-4, **at)
    with show(written(tmp_path, items)) as seen:
        page = seen.ready().page
        assert seen.drawn == ("heaps", 6000)
        assert page.get_by_label("Sequence", exact=True).count() == 0, "a choice of 3,000 is none"
        assert "3,000 sequences by time; the first 500" in page.locator("#sequences").inner_text()


def test_places_on_both_sides_of_180_are_neighbours(make, tmp_path, show) -> None:
    items = [
        make(path=f"{i}.heic", root=str(tmp_path), lon_deg=lon) for i, lon in enumerate((179.999, -179.999))
    ]
    with show(written(tmp_path, items)) as seen:
        page = seen.ready().page
        assert seen.drawn == ("dots", 2)
        assert page.locator(".leaflet-control-scale-line").inner_text() in ("30 m", "50 m", "100 m")
        seen.row("1.heic").click()
        assert "-179.999000" in page.locator(".panel").inner_text()


def test_land_on_both_sides_of_180_leaves_other_seas_alone(make, tmp_path, show) -> None:
    """Russia, Fiji and Antarctica reach across 180°: none of them is drawn all around the world."""
    items = [
        make(path=f"{i}.heic", root=str(tmp_path), lat_deg=lat, lon_deg=lon)
        for i, (lat, lon) in enumerate(((69.0, -2.0), (73.0, 2.0)))
    ]
    with show(written(tmp_path, items), color_scheme="light") as seen:
        page = seen.ready().page
        seen.settle()
        picture = shown_in(page.locator(".stage"))
        middle = picture[picture.shape[0] // 4 : -picture.shape[0] // 4]
        is_sea = np.abs(middle - [0xF0, 0xE9, 0xDF]).sum(axis=2) < 12
        assert is_sea.mean() > 0.85


def test_nothing_has_a_page(make, tmp_path, show) -> None:
    with show(written(tmp_path, [])) as seen:
        assert seen.ready().drawn == ("dots", 0)
        seen.shot("nothing")
        assert seen.faults() == []


def test_who_wants_no_motion_gets_none(show, sample) -> None:
    with show(sample, reduced_motion="reduce") as seen:
        page = seen.ready().page
        before = seen.drawn[1]
        page.evaluate(
            "window.moved = 0; new MutationObserver(() => { moved += document.querySelector('.leaflet-zoom-anim, .leaflet-pan-anim') ? 1 : 0 })"
            ".observe(document.querySelector('.stage'), { subtree: true, attributes: true })"
        )
        page.get_by_label("Zoom in").click()
        page.get_by_label("Zoom in").click()
        seen.settle()
        assert seen.drawn[1] < before and page.evaluate("moved") == 0


class _Tiles(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        self.wfile.write(SMALL)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def tiles():
    """A host of map tiles, and what it was asked for."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Tiles)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_tiles_are_asked_for_only_after_a_tick(make, tmp_path, show, tiles) -> None:
    host = f"http://127.0.0.1:{tiles.server_port}"
    path = written(tmp_path, ride(make, tmp_path, 20), tiles=host + "/{z}/{x}/{y}.jpg")
    with show(path, hosts=(host,)) as seen:
        page = seen.ready().page
        page.get_by_label("Zoom in").click()
        seen.settle()
        assert tiles.asked == [] and not [u for u in seen.requests if u.startswith("http")]
        page.get_by_label("(online)").check()
        page.wait_for_selector("img.leaflet-tile-loaded")
        assert tiles.asked and all(re.fullmatch(r"/\d+/\d+/\d+\.jpg", asked) for asked in tiles.asked)
        assert page.locator("img.leaflet-tile-loaded").first.evaluate("i => i.naturalWidth") == 160
        page.get_by_label("(online)").uncheck()
        assert page.locator("img.leaflet-tile").count() == 0


def test_no_host_is_asked_for_anything(started, tmp_path, sample) -> None:
    """What the browser itself notes of its network, names of hosts that it looked up included."""
    log = tmp_path / "net.json"
    browser = launched(started, f"--log-net-log={log}")
    page = browser.new_page()
    page.goto(sample.as_uri())
    page.wait_for_selector("#bench[data-ready]")
    page.locator(".row").first.click()
    page.get_by_label("Zoom in").click()
    with pytest.raises(playwright.Error):
        page.goto("http://canary.invalid/")
    browser.close()
    text = log.read_text()
    noted = json.loads(text if text.rstrip().endswith("}") else text.rstrip().rstrip(",") + "]}")
    kinds = {number: name for name, number in noted["constants"]["logEventTypes"].items()}
    asked = [
        e
        for e in noted["events"]
        if kinds[e["type"]].startswith(("URL_REQUEST_START_JOB", "HOST_RESOLVER_MANAGER_REQUEST"))
    ]
    wanted = {str(e.get("params", {}).get("url") or e.get("params", {}).get("host") or "") for e in asked}
    # The browser asks its makers for updates; the page does not know them.
    assert b"google" not in sample.read_bytes()
    outside = [w for w in wanted if not w.startswith(("file:", "data:", "blob:", "chrome"))]
    hosts = {re.sub(r"^\w+://|[:/?].*", "", w) for w in outside}
    makers = re.compile(r"(?:.*\.)?google(?:apis)?\.com|~notfound|")
    assert {host for host in hosts if not makers.fullmatch(host)} == {"canary.invalid"}


def pair(verdict="matched", **more: Any) -> MatchRow:
    values: dict[str, Any] = {
        "local_name": "nature/a.jpg", "local_url": "./a.jpg", "local_jpeg": SMALL, "keywords": ("Coyote",), "online_jpeg": SMALL,
        "online_url": "https://static.inaturalist.org/photos/1/original.jpg", "position": "1st photo",
        "observation_url": "https://www.inaturalist.org/observations/1", "seconds": "7", "distance": "72.38",
        "identification": (("Coyote (", False), ("Canis latrans", True), (")", False)), "similarity": "98.4%",
    }  # fmt: skip
    return MatchRow(verdict, **(values | more))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_other_pages_are_of_one_family(show, tmp_path, size, scheme) -> None:
    match, similar = tmp_path / "match.html", tmp_path / "similar.html"
    rows = [
        pair(),
        pair("different", similarity="39.4%", is_below=True),
        pair("known"),
        MatchRow("no_online_photo", "b.jpg"),
    ]
    match.write_bytes(b"".join(match_page("nature", rows, ["1 of 3 photos was found."])))
    cards = [
        SimilarCard(f"{k}.jpg", f"./{k}.jpg", SMALL, k, ("160 × 120, 3 kB",))
        for k in ("best", "copy", "crop")
    ]
    similar.write_bytes(
        b"".join(similar_page("Similar pictures", [SimilarGroup("crop", tuple(cards))], ["3 of 9."]))
    )
    for path in (match, similar):
        with show(path, size, color_scheme=scheme) as seen:
            seen.shot(f"{path.stem}-{size[0]}-{scheme}", full_page=True)
            assert seen.faults() == []
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= size[0]
