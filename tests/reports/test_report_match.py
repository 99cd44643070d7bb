"""The page of a match: what it shows, and that nothing on it acts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from camtrail.reports.match import MatchRow, match_page
from camtrail.vision.encode import jpeg_of
from inaturalist_hard import scene

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</td></table><h1>gone",
    "&lt;b&gt; & &amp;",
    "javascript:alert(1)",
    "<!-- -->",
    "\u202egpj.exe\u0000\ud800",
    "]]><svg onload=alert(1)>",
    "{{7*7}} ${7*7}",
]  # fmt: skip


def picture(seed: int) -> bytes:
    return jpeg_of(np.ascontiguousarray(cv2.resize(scene(seed, 640, 480), (256, 192))[:, :, ::-1]))


def row(verdict: str = "matched", text: str = "Coyote", **more: object) -> MatchRow:
    values = {
        "local_name": "nature/a.jpg", "local_url": "./nature/a.jpg", "local_jpeg": picture(1), "keywords": (text,),
        "online_jpeg": picture(2), "online_url": "https://static.inaturalist.org/photos/1/original.jpg",
        "position": "1st photo", "observation_url": "https://www.inaturalist.org/observations/1",
        "identification": ((f"{text} (", False), ("Canis latrans", True), (")", False)), "seconds": "7",
        "distance": "72.38", "similarity": "98.4%",
    }  # fmt: skip
    return MatchRow(verdict, **(values | more))  # type: ignore[arg-type]


ALL = [
    row(),
    row("different", similarity="39.4%", is_below=True, distance="n/a"),
    row("ambiguous", distance="obscured", similarity="61.2%", is_below=True),
    row("known", similarity=""),
    MatchRow("no_online_photo", local_name="b.jpg", local_url="./b.jpg", local_jpeg=picture(3)),
    MatchRow(
        "no_local_photo", online_jpeg=picture(4), online_url="https://x.org/1.jpg", position="only photo"
    ),
]


def html(rows: list[MatchRow]) -> str:
    return b"".join(match_page("nature", rows, ["1 of 3 photos was found."])).decode()


def test_all_kinds_of_rows_stand_on_it():
    page = html(ALL)
    for words in (
        "the same",
        "too different",
        "ambiguous, not written",
        "known before",
        "not on iNaturalist",
    ):
        assert words in page
    assert "no local photo" in page and 'href="https://www.inaturalist.org/observations/1"' in page
    assert re.search(r'class="low">39.4%', page) and not re.search(r'class="low">98.4%', page)
    assert "obscured" in page and "n/a" in page and "<em>Canis latrans</em>" in page


def test_what_was_found_comes_first_and_what_is_too_different_last_and_folded():
    page = html(list(reversed(ALL)))
    idents = re.findall(r'<section[^>]* id="([a-z]+)"', page)
    assert idents == ["summary", "pairs", "ambiguous", "known", "local", "online", "different"]
    folded = re.search(r"<details>.*</details>", page, re.DOTALL)[0]
    assert "39.4%" in folded and page.count("39.4%") == folded.count("39.4%") and " open" not in folded[:200]
    assert set(re.findall(r'href="#([a-z]+)"', page)) >= set(idents[1:])


def test_a_table_ends_somewhere_and_says_so():
    page = html([MatchRow("no_local_photo", position=f"p{i}") for i in range(2100)])
    assert "2,100 rows; the first 2,000" in page and page.count('<tr><th scope="row"') == 2000


def test_an_empty_run_has_a_page():
    assert "None." in html([])


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_more_than_text(text):
    page = html([row(text=text, local_name=text, position=text, how=text, seconds=text, distance=text)])
    plain = html([row(text="x", local_name="x", position="x", how="x", seconds="x", distance="x")])

    def tags(html: str) -> list[str]:
        return re.findall(r"<[a-zA-Z/][a-z0-9]*", html)

    assert tags(page) == tags(plain)
    assert not re.search(r"<[^>]*\son\w+\s*=", re.sub(r'"[^"]*"', '""', page))
    assert 'href="javascript:' not in page


def test_an_address_that_acts_is_no_link():
    with pytest.raises(ValueError):
        html([row(observation_url="javascript:alert(1)")])


@pytest.mark.chromium
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_it(tmp_path: Path, is_dark: bool) -> None:
    page, shot = tmp_path / "log.html", tmp_path / "shot.png"
    page.write_text(html(ALL * 2), encoding="utf-8", errors="surrogatepass")
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,2600", f"--screenshot={shot}",
        *(["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if is_dark else []), page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "Content Security Policy" not in done.stderr and "Refused to" not in done.stderr
    pixels = cv2.imread(str(shot))
    assert pixels.shape[1] == 1280
    # Each thumbnail is found as it is: all pictures were decoded and none is covered or squeezed.
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    for seed in (1, 2):
        small = cv2.imdecode(np.frombuffer(picture(seed), np.uint8), cv2.IMREAD_GRAYSCALE)
        found = max(
            cv2.matchTemplate(
                grey, cv2.resize(small, None, fx=k, fy=k, interpolation=cv2.INTER_AREA), 5
            ).max()
            for k in (1.0, 0.875, 0.75, 0.625, 0.5)
        )
        assert found > 0.95, seed
    # The likeness that is too low stands at the right, in red, without scrolling.
    right = pixels[:, 900:].astype(int)
    assert ((right[:, :, 2] > 150) & (right[:, :, 2] - right[:, :, 1] > 80)).sum() > 20
