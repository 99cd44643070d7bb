"""Matching local photos with observations: what is found, what is written, and what is left alone."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camtrail.app.context import Context
from camtrail.app.inaturalist import Matched, match
from camtrail.app.inaturalist_options import MatchOptions
from camtrail.app.inaturalist_page import write_page
from camtrail.app.inaturalist_service import open_cache, open_client
from camtrail.app.inaturalist_tags import known_in, properties_of
from camtrail.app.process import ProcessOptions
from camtrail.app.scan import ScanOptions
from camtrail.app.undo import UndoOptions, undo
from camtrail.app.write_options import ChangeOptions
from camtrail.core.bytes import FileBytes, MemoryBytes
from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    FolderBusy,
    QuotaExceeded,
    ServiceError,
    Unreachable,
    UsageError,
)
from camtrail.core.secrets import Secret
from camtrail.metadata.xmp_edit import NewItems, NewText
from camtrail.metadata.xmp_jpeg import new_xmp_head
from camtrail.metadata.xmp_packet import Name, Property, named, properties
from camtrail.services.inaturalist.sandbox import InaturalistSandbox
from camtrail.vision.decode import luminance
from inaturalist_hard import cropped, exif, lit, recompressed, scene

AT = datetime(2026, 5, 2, 9, 14, 0)
COYOTE = {"id": 42051, "name": "Canis latrans", "rank": "species", "preferred_common_name": "Coyote"}
COUGAR = {
    "id": 1001,
    "name": "Puma concolor couguar",
    "rank": "subspecies",
    "preferred_common_name": "cougar",
}
SUBJECT = named("dc:subject")


class QuickClock:
    """Sleeping returns at once, and it is later."""

    at_s = 1_800_000_000.0

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds


class World:
    """Somebody's photos, their observations, and runs over both."""

    def __init__(self, folder: Path) -> None:
        self.base = folder
        self.folder = folder / "mine"
        self.data = folder / "data"
        self.folder.mkdir()
        (self.data / "photos").mkdir(parents=True)
        (self.data / "observations.json").write_text("[]")
        self.box = InaturalistSandbox(data=str(self.data))
        self.observations: list[dict[str, Any]] = []
        self.clock = QuickClock()

    def local(self, name: str, picture: np.ndarray | bytes, at: datetime | None = AT) -> Path:
        """A JPEG with a time."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(
            picture if isinstance(picture, bytes) else jpeg(picture, exif(at) if at else b"", quality=93)
        )
        return path

    def online(self, *pictures: np.ndarray | bytes, at: datetime | str | None = AT, **more: Any) -> int:
        """An observation; the ids of its photos are 10 times its own, and the next ones."""
        number = 1000 + len(self.observations)
        places = []
        for k, picture in enumerate(pictures):
            photo = 10 * number + k
            data = picture if isinstance(picture, bytes) else jpeg(picture, quality=90)
            (self.data / "photos" / f"{photo}.jpg").write_bytes(data)
            value = {"id": photo, "url": f"https://static.inaturalist.org/photos/{photo}/square.jpg"}
            if names := more.get("names"):
                value["original_filename"] = names[k]
            places.append({"id": 100 * photo, "uuid": f"place-{photo}", "position": k, "photo": value})
        day = at.date().isoformat() if isinstance(at, datetime) else at
        self.observations.append(
            {
                "id": number,
                "uuid": f"observation-{number}",
                "observed_on": day,
                "time_observed_at": f"{at.isoformat()}+02:00" if isinstance(at, datetime) else None,
                "location": "47.375,8.536",
                "obscured": False,
                "user": {"id": 1, "login": "anna"},
                "taxon": COYOTE,
                "observation_photos": places,
            }
            | {k: v for k, v in more.items() if k != "names"}
        )
        return number

    def run(self, *, write: str = "exif", token: str = "", user: str = "anna", **options: Any) -> Matched:
        """A run; nothing is kept of answers before it."""
        self.box.fill(self.observations)
        context = Context(clock=self.clock)
        change = {k: options.pop(k) for k in ("dry_run", "break_hardlinks") if k in options}
        paths = [str(p) for p in options.pop("paths", [self.folder])]
        secret = Secret(token) if token else None
        offline = options.get("offline", False)
        with open_cache(context, str(self.base / "cache"), bypass=not offline, offline=offline) as cache:
            return match(
                paths, ProcessOptions(), MatchOptions(user=user, **options), ChangeOptions(write=write, **change),
                lambda: open_client(self.box.url, secret, cache, self.clock), context,
            )  # fmt: skip

    def found(self, done: Matched, verdict: str = "matched") -> dict[str, int]:
        """Photo ids by local names."""
        return {p.local.item.path: p.online.photo.photo_id for p in done.pairs if p.verdict == verdict}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.box.close()


def picture(seed: int) -> np.ndarray:
    return scene(seed, 640, 480)


def jpeg(pixels: np.ndarray, block: bytes = b"", quality: int = 90) -> bytes:
    out = io.BytesIO()
    more = {"exif": block} if block else {}
    Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1])).save(out, "JPEG", quality=quality, **more)
    return out.getvalue()


def says(path: Path) -> tuple[Any, Any, Any, tuple[str, ...]]:
    """Ids and keywords of a file."""
    with FileBytes(str(path)) as source:
        known = known_in(properties_of(source))
    return known.observation, known.observation_photo, known.photo, known.keywords


def xmp(path: Path) -> Mapping[Name, Property]:
    """All properties of a file."""
    with FileBytes(str(path)) as source:
        return properties_of(source)


def with_xmp(data: bytes, *changes: Any) -> bytes:
    head, tail_at = new_xmp_head(MemoryBytes(data), list(changes))
    return head + data[tail_at:]


def ids(observation: int, place: int | str, photo: int | str) -> list[NewText]:
    names = ("observation", "observationPhoto", "photo")
    values = (observation, place, photo)
    return [NewText(named(f"iNaturalist:{n}"), str(v)) for n, v in zip(names, values)]


def shas(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.jpg")}


class TestWhatIsFound:
    def test_a_run_finds_writes_and_is_done(self, world):
        path = world.local("a.jpg", picture(1))
        world.online(picture(1))
        before = shas(world.folder)
        done = world.run()
        assert world.found(done) == {"a.jpg": 10000}
        assert says(path) == (1000, 1000000, 10000, ("Coyote (Canis latrans)",))
        assert done.counts == {"annotations_added": 1, "identifications_added": 1}
        assert done.exit_code() == 0 and not done.lone_local and not done.lone_online
        after = shas(world.folder)
        again = world.run()
        assert shas(world.folder) == after and not again.counts and world.found(again, "known")
        undo([str(world.folder)], ScanOptions(), UndoOptions(), Context())
        assert shas(world.folder) == before

    @pytest.mark.parametrize(
        "edited",
        [
            recompressed(picture(1), 70),
            cropped(picture(1), 0.5, np.random.default_rng(3)),
            np.rot90(picture(1)),
            np.rot90(picture(1), 3),
            np.rot90(picture(1), 2),
            lit(picture(1), 0.8, 20),
            lit(picture(1), 1.2, -20, 1.2),
        ],
        ids=["q70", "crop", "left", "right", "half", "dull", "bright"],
    )
    def test_an_edited_copy_is_found(self, world, edited):
        world.local("a.jpg", picture(1))
        world.local("b.jpg", picture(2))
        world.online(edited, picture(3))
        done = world.run(write="none")
        assert world.found(done) == {"a.jpg": 10000}
        assert [x.item.path for x in done.lone_local] == ["b.jpg"]
        assert [o.photo.photo_id for o in done.lone_online] == [10001]

    def test_an_original_and_its_crop_are_told_apart(self, world):
        part = cropped(picture(1), 0.4, np.random.default_rng(3))
        world.local("part.jpg", part)
        world.local("whole.jpg", picture(1))
        world.online(picture(1), part)
        assert world.found(world.run(write="none")) == {"whole.jpg": 10000, "part.jpg": 10001}

    def test_two_copies_are_ambiguous_and_not_written(self, world):
        world.local("a.jpg", picture(1))
        world.local("b.jpg", picture(1))
        world.online(picture(1))
        before = shas(world.folder)
        done = world.run()
        assert world.found(done, "ambiguous") == {"a.jpg": 10000, "b.jpg": 10000}
        assert shas(world.folder) == before and not done.counts and done.unknown() == (2, 1)

    def test_one_picture_twice_online_is_ambiguous(self, world):
        world.local("a.jpg", picture(1))
        world.online(picture(1), picture(1))
        done = world.run()
        assert list(world.found(done, "ambiguous")) == ["a.jpg"] and not done.counts

    def test_a_picture_without_anything_to_see_is_not_written(self, world):
        world.local("a.jpg", np.full((480, 640, 3), 200, np.uint8))
        world.online(np.full((480, 640, 3), 201, np.uint8))
        done = world.run()
        assert not world.found(done) and not done.counts

    def test_what_is_alike_only_in_its_white_ground_is_not_the_same(self, world):
        mine, other = (np.full((480, 640, 3), 230, np.uint8) for _ in range(2))
        mine[200:230, 100:180] = picture(1)[200:230, 100:180]
        other[300:330, 400:480] = picture(2)[300:330, 400:480]
        world.local("a.jpg", mine)
        world.online(other)
        assert not world.found(world.run())

    def test_a_frame_in_which_something_moved_is_not_the_same(self, world):
        mine, other = picture(1), picture(1)
        mine[200:260, 100:180] = 20
        other[200:260, 140:220] = 20
        world.local("a.jpg", mine)
        world.online(other)
        done = world.run()
        assert not world.found(done) and world.found(done, "different") == {"a.jpg": 10000}

    def test_grey_and_coloured_copies_are_one(self, world):
        world.local("a.jpg", np.repeat(luminance(picture(1)[:, :, ::-1])[:, :, None], 3, axis=2))
        world.online(picture(1))
        assert world.found(world.run(write="none")) == {"a.jpg": 10000}


class TestTimes:
    @pytest.mark.parametrize("seconds, is_found", [(0, True), (-170, True), (175, True), (300, False)])
    def test_photos_are_near_their_observation(self, world, seconds, is_found):
        world.local("a.jpg", picture(1), AT + timedelta(seconds=seconds))
        world.online(picture(1))
        done = world.run(write="none")
        assert bool(world.found(done)) is is_found

    def test_a_wider_threshold_reaches_further(self, world):
        world.local("a.jpg", picture(1), AT + timedelta(seconds=300))
        world.online(picture(1))
        assert world.found(world.run(write="none", cluster_threshold_s=600))

    def test_a_date_alone_is_its_whole_day(self, world):
        world.local("a.jpg", picture(1), AT + timedelta(hours=5))
        world.online(picture(1), at="2026-05-02")
        done = world.run(write="none")
        assert world.found(done) and done.pairs[0].seconds != done.pairs[0].seconds

    def test_midnight_is_no_border(self, world):
        world.local("a.jpg", picture(1), datetime(2026, 5, 3, 0, 0, 40))
        world.online(picture(1), at=datetime(2026, 5, 2, 23, 59))
        assert world.found(world.run(write="none"))

    def test_another_zone_is_found_by_the_instant(self, world):
        world.local("a.jpg", picture(1))
        world.online(picture(1), time_observed_at="2026-05-02T00:14:00-07:00")
        assert world.found(world.run(write="none"))

    @pytest.mark.parametrize("error_s", [180, -180, 3600, -7200])
    def test_a_clock_that_is_off_is_found(self, world, error_s):
        for i in range(4):
            at = AT + timedelta(minutes=11 * i, seconds=17 * i)
            world.local(f"{i}.jpg", picture(i), at + timedelta(seconds=error_s))
            world.online(picture(i), at=at.replace(second=0))
        done = world.run(write="none")
        assert world.found(done) == {f"{i}.jpg": 10000 + 10 * i for i in range(4)}
        assert abs(done.clock_s - error_s) <= 31

    def test_two_photos_tell_of_no_clock(self, world):
        for i in range(2):
            at = AT + timedelta(minutes=11 * i)
            world.local(f"{i}.jpg", picture(i), at + timedelta(seconds=900))
            world.online(picture(i), at=at)
        done = world.run(write="none")
        assert not world.found(done) and done.clock_s == 0

    def test_a_long_observation_is_no_clock_that_is_off(self, world):
        for k in range(3):
            start = AT + timedelta(hours=k)
            for i in range(3):
                world.local(f"{k}{i}.jpg", picture(10 * k + i), start + timedelta(seconds=80 * i))
            world.online(*(picture(10 * k + i) for i in range(3)), at=start)
        done = world.run(write="none")
        assert len(world.found(done)) == 9 and done.clock_s == 0

    def test_a_photo_without_time_takes_that_of_its_file_and_says_so(self, world):
        path = world.local("a.jpg", picture(1), None)
        os.utime(path, (AT.timestamp(), AT.timestamp()))
        world.online(picture(1))
        done = world.run()
        assert world.found(done)
        assert any("'Date/Time Original' is missing" in note for note in done.result.notes)


class TestObservations:
    def test_obscured_and_private_places_give_no_distance(self, world):
        world.local("a.jpg", picture(1))
        world.local("b.jpg", picture(2))
        world.online(picture(1), obscured=True, location="47.1,8.1")
        world.online(picture(2), obscured=True, location=None, geoprivacy="private")
        done = world.run(write="none")
        assert len(world.found(done)) == 2
        assert all(p.distance_m != p.distance_m for p in done.pairs)

    def test_without_a_taxon_only_ids_are_written(self, world):
        path = world.local("a.jpg", picture(1))
        world.online(picture(1), taxon=None)
        done = world.run()
        assert says(path) == (1000, 1000000, 10000, ()) and done.counts == {"annotations_added": 1}

    def test_a_subspecies_has_its_mark(self, world):
        path = world.local("a.jpg", picture(1))
        world.online(picture(1), taxon=COUGAR)
        world.run()
        assert says(path)[3] == ("Cougar (Puma concolor ssp. couguar)",)

    def test_a_photo_of_two_observations_is_not_ambiguous(self, world):
        path = world.local("a.jpg", picture(1))
        world.online(picture(1))
        second = dict(world.observations[0], id=1001, uuid="observation-1001")
        world.observations.append(second)
        world.run()
        assert says(path)[0] == 1000
        path.write_bytes(with_xmp(path.read_bytes(), NewText(named("iNaturalist:observation"), "1001")))
        done = world.run()
        assert world.found(done, "known") and says(path)[0] == 1001

    def test_an_unknown_user_is_a_wrong_option(self, world):
        world.local("a.jpg", picture(1))
        world.online(picture(1))
        with pytest.raises(UsageError, match="'nobody' is not an iNaturalist user login"):
            world.run(user="nobody")

    def test_no_observations_is_an_answer(self, world):
        world.local("a.jpg", picture(1), AT + timedelta(days=30))
        world.online(picture(1))
        done = world.run()
        assert done.exit_code() == 0 and "no observations with photos on these days" in " ".join(
            done.result.notes
        )

    def test_without_photos_nobody_is_asked(self, world):
        assert world.run().exit_code() == 0 and not world.box.requests()

    @pytest.mark.parametrize(
        "fault, error",
        [
            ("status=500", ServiceError),
            ("status=503", ServiceError),
            ("status=429", QuotaExceeded),
            ("status=429,retry-after=7", QuotaExceeded),
            ("status=502,path=/v1/observations", ServiceError),
            ("html", BadAnswer),
            ("truncate=10", Unreachable),
            ("reset=0", Unreachable),
        ],
    )
    def test_a_service_that_fails_writes_nothing(self, world, fault, error):
        world.local("a.jpg", picture(1))
        world.online(picture(1))
        before = shas(world.folder)
        world.box.set_faults([f"{fault},origin=api"])
        with pytest.raises(error) as caught:
            world.run()
        assert caught.value.exit_code == 5 and shas(world.folder) == before
        world.box.set_faults([])
        assert world.found(world.run()) == {"a.jpg": 10000}

    @pytest.mark.parametrize("fault", ["status=503,times=2", "status=429,times=2", "truncate=10,times=2"])
    def test_a_service_that_recovers_is_asked_again(self, world, fault):
        world.local("a.jpg", picture(1))
        world.online(picture(1))
        world.box.set_faults([fault])
        assert world.found(world.run()) == {"a.jpg": 10000}

    def test_a_service_that_is_not_there_writes_nothing(self, world):
        world.local("a.jpg", picture(1))
        world.online(picture(1))
        before = shas(world.folder)
        world.box.close()
        with pytest.raises(Unreachable):
            world.run()
        assert shas(world.folder) == before

    @pytest.mark.parametrize("fault, code", [("status=503", 5), ("truncate=100", 5), ("status=404", 3)])
    def test_where_no_online_photo_can_be_had_each_is_one_line(self, world, fault, code):
        world.local("a.jpg", picture(1))
        world.online(picture(1), picture(2))
        before = shas(world.folder)
        world.box.set_faults([f"{fault},origin=photos"])
        done = world.run()
        assert sorted(f.item for f in done.failures) == ["photo id 10000", "photo id 10001"]
        assert done.exit_code() == code and not done.pairs and shas(world.folder) == before
        assert [x.item.path for x in done.lone_local] == ["a.jpg"] and len(done.lone_online) == 2

    def test_offline_takes_what_was_kept(self, world):
        path = world.local("a.jpg", picture(1))
        world.online(picture(1))
        world.run(write="none")
        world.box.close()
        world.run(offline=True)
        assert says(path)[2] == 10000

    def test_an_online_photo_that_is_gone_or_damaged_is_one_line(self, world):
        world.local("a.jpg", picture(1))
        world.local("b.jpg", picture(2))
        world.online(picture(1), picture(2), picture(3))
        (world.data / "photos" / "10002.jpg").unlink()
        done = world.run()
        assert len(world.found(done)) == 2 and done.exit_code() == 3
        assert [f.item for f in done.failures] == ["photo id 10002"]

    def test_a_local_photo_that_is_cut_off_is_one_line(self, world):
        path = world.local("a.jpg", picture(1))
        world.local("b.jpg", picture(2))
        world.online(picture(1), picture(2))
        path.write_bytes(path.read_bytes()[:20_000])
        done = world.run()
        assert world.found(done) == {"b.jpg": 10001} and done.exit_code() == 3
        assert len([f for f in (*done.failures, *done.result.failures) if "a.jpg" in f.item]) == 1

    @pytest.mark.parametrize("mode", ["L", "CMYK"])
    def test_grey_and_cmyk_files_are_read(self, world, mode):
        out = io.BytesIO()
        image = Image.fromarray(np.ascontiguousarray(picture(1)[:, :, ::-1])).convert(mode)
        image.save(out, "JPEG", quality=95, exif=exif(AT))
        path = world.local("a.jpg", out.getvalue())
        online = picture(1)
        if mode == "L":
            online = np.repeat(np.asarray(image)[:, :, None], 3, axis=2)
        world.online(online)
        world.run()
        assert says(path)[2] == 10000


class TestNames:
    """The owner is told the names that the files had."""

    def test_a_name_finds_what_time_does_not(self, world):
        world.local("IMG_7.jpg", picture(1), AT + timedelta(hours=3))
        world.online(picture(1), names=["IMG_7.JPG"])
        assert not world.found(world.run(write="none"))
        done = world.run(write="none", token="anna")
        assert world.found(done) and done.pairs[0].how == "name" and done.pairs[0].similarity > 0.9

    def test_a_name_alone_is_not_believed(self, world):
        world.local("IMG_7.jpg", picture(1))
        world.online(picture(2), names=["IMG_7.jpg"])
        assert not world.found(world.run(token="anna"))

    def test_a_name_decides_between_frames(self, world):
        world.local("IMG_7.jpg", picture(1))
        world.local("IMG_8.jpg", picture(1))
        world.online(picture(1), names=["IMG_8.jpg"])
        assert world.found(world.run(token="anna")) == {"IMG_8.jpg": 10000}

    def test_a_token_that_is_refused_ends_the_run(self, world):
        world.local("a.jpg", picture(1))
        world.box.close()
        world.box = InaturalistSandbox(data=str(world.data), token="right")
        with pytest.raises(AuthError):
            world.run(token="wrong")


class TestKeywords:
    def test_others_stay_and_a_former_identification_goes(self, world):
        data = with_xmp(jpeg(picture(1), exif(AT), 93), NewItems(SUBJECT, add=["Zoo", "Holiday"]))
        path = world.local("a.jpg", data)
        world.online(picture(1))
        world.run()
        assert says(path)[3] == ("Zoo", "Holiday", "Coyote (Canis latrans)")
        world.observations[0]["taxon"] = COUGAR
        done = world.run()
        assert says(path)[3] == ("Zoo", "Holiday", "Cougar (Puma concolor ssp. couguar)")
        assert done.counts == {"identifications_modified": 1}
        assert done.changes[0][1:] == ("Coyote (Canis latrans)", "Cougar (Puma concolor ssp. couguar)")

    def test_what_another_program_wrote_of_this_observation_is_replaced(self, world):
        changes = [*ids(1000, 1000000, 10000), NewItems(SUBJECT, add=["Zoo", "Coyote (Canis latrans)"])]
        path = world.local("a.jpg", with_xmp(jpeg(picture(1), exif(AT), 93), *changes))
        world.online(picture(1), taxon=COUGAR, identifications=[{"taxon": COYOTE}, {"taxon": None}, None])
        done = world.run()
        assert says(path)[3] == ("Zoo", "Cougar (Puma concolor ssp. couguar)")
        assert not any("photos/" in r.path for r in world.box.requests())
        assert done.counts == {"identifications_modified": 1}

    def test_a_keyword_of_a_file_without_ids_is_not_ours(self, world):
        data = with_xmp(jpeg(picture(1), exif(AT), 93), NewItems(SUBJECT, add=["Coyote (Canis latrans)"]))
        path = world.local("a.jpg", data)
        world.online(picture(1), taxon=COUGAR, identifications=[{"taxon": COYOTE}])
        world.run()
        assert says(path)[3] == ("Coyote (Canis latrans)", "Cougar (Puma concolor ssp. couguar)")

    def test_trees_and_darwin_core(self, world):
        path = world.local("a.jpg", picture(1))
        ancestors = [{"id": 1, "name": "Animalia", "rank": "kingdom"}]
        world.online(picture(1), taxon={**COYOTE, "ancestors": ancestors})
        world.run(keywords="hierarchical", dwc=True)
        found = xmp(path)
        assert found[named("lr:hierarchicalSubject")].texts == (
            "iNaturalist|Animalia|Coyote (Canis latrans)",
        )
        assert found[named("digiKam:TagsList")].texts == ("iNaturalist/Animalia/Coyote (Canis latrans)",)
        assert found[named("dwc:scientificName")].texts == ("Canis latrans",)
        assert found[named("dwc:kingdom")].texts == ("Animalia",)

    def test_trees_and_darwin_core_follow_the_identification(self, world):
        own = NewItems(named("lr:hierarchicalSubject"), add=["iNaturalist|uploaded", "Places|Zoo"])
        path = world.local("a.jpg", with_xmp(jpeg(picture(1), exif(AT), 93), own))
        genus = {"id": 2, "name": "Canis", "rank": "genus"}
        world.online(picture(1), taxon={**COYOTE, "ancestors": [genus]})
        world.run(keywords="hierarchical", dwc=True)
        once = path.read_bytes()
        world.run()
        assert path.read_bytes() == once
        world.observations[0]["taxon"] = {"id": 3, "name": "Felidae", "rank": "family"}
        world.run()
        found = xmp(path)
        assert found[named("lr:hierarchicalSubject")].texts == (
            "iNaturalist|uploaded", "Places|Zoo", "iNaturalist|Felidae",
        )  # fmt: skip
        assert found[named("digiKam:TagsList")].texts == ("iNaturalist/Felidae",)
        assert found[named("dwc:scientificName")].texts == ("Felidae",)
        assert not {named("dwc:vernacularName"), named("dwc:genus")} & found.keys()

    def test_darwin_core_of_another_record_stays(self, world):
        other = [
            NewText(named("dwc:occurrenceID"), "urn:other"),
            NewText(named("dwc:scientificName"), "Felis catus"),
        ]
        path = world.local("a.jpg", with_xmp(jpeg(picture(1), exif(AT), 93), *other))
        world.online(picture(1))
        world.run()
        assert xmp(path)[named("dwc:scientificName")].texts == ("Felis catus",)


class TestKnown:
    @pytest.mark.parametrize(
        "place, photo", [(1000000, 10000), ("place-10000", "x"), (5, 10000), (1000000, 5)]
    )
    def test_ids_of_any_kind_are_understood(self, world, place, photo):
        path = world.local("a.jpg", with_xmp(jpeg(picture(9), exif(AT), 93), *ids(1000, place, photo)))
        world.online(picture(1))
        done = world.run()
        assert world.found(done, "known") == {"a.jpg": 10000}
        assert says(path)[:3] == (1000, 1000000, 10000)
        assert not any("photos/" in r.path for r in world.box.requests())

    def test_both_files_with_the_ids_of_one_photo_are_refreshed(self, world):
        for name in ("a.jpg", "b.jpg"):
            data = with_xmp(jpeg(picture(1), exif(AT), 93), *ids(1000, 1000000, 10000))
            world.local(name, data)
        world.online(picture(1))
        done = world.run()
        assert done.counts == {"identifications_added": 2}
        assert says(world.folder / "a.jpg")[3] == says(world.folder / "b.jpg")[3] != ()

    def test_ids_of_a_photo_that_is_gone_are_named_and_left(self, world):
        data = with_xmp(jpeg(picture(1), exif(AT), 93), *ids(77, 770, 7700))
        path = world.local("a.jpg", data)
        world.online(picture(1))
        done = world.run()
        assert path.read_bytes() == data and [x.item.path for x in done.stale] == ["a.jpg"]
        assert "carries the ids" in " ".join(done.result.notes)
        again = world.run(recompute=True)
        assert says(path)[2] == 10000 and again.counts["annotations_modified"] == 1

    def test_recomputing_corrects_a_wrong_pair(self, world):
        data = with_xmp(jpeg(picture(1), exif(AT), 93), *ids(1000, 1000100, 10001))
        path = world.local("a.jpg", data)
        world.online(picture(1), picture(2))
        assert world.found(world.run(), "known") == {"a.jpg": 10001}
        world.run(recompute=True)
        assert says(path)[2] == 10000

    @pytest.mark.parametrize(
        "change",
        [
            NewItems(SUBJECT, add=["inat:observation_id=1001"]),
            NewItems(SUBJECT, add=["dwc:catalogNumber=1001", "Zoo"]),
            NewText(named("iNaturalist:observation"), "1001"),
            NewText(named("iNaturalist:observation"), "observation-1001"),
            NewText(named("digiKam:iNaturalistObservationId"), "1001"),
        ],
        ids=["naturtag", "dwc", "digikam", "uuid", "older"],
    )
    def test_an_observation_alone_narrows_what_it_may_be(self, world, change):
        path = world.local("a.jpg", with_xmp(jpeg(picture(1), exif(AT), 93), change))
        world.online(picture(1))
        world.online(picture(1), at=AT + timedelta(hours=2))
        world.run()
        assert says(path)[2] == 10010 and says(path)[0] == 1001


class TestWriting:
    def test_a_dry_run_writes_nothing(self, world):
        world.local("a.jpg", picture(1))
        world.online(picture(1))
        before = shas(world.folder)
        done = world.run(dry_run=True)
        assert shas(world.folder) == before and done.written.counts == {"to be written": 1}
        assert done.counts["annotations_added"] == 1

    def test_sidecars(self, world):
        path = world.local("a.jpg", picture(1))
        world.online(picture(1))
        before = path.read_bytes()
        world.run(write="sidecar")
        beside = Path(f"{path}.xmp")
        found = known_in(properties(beside.read_bytes()))
        assert path.read_bytes() == before and found.photo == 10000
        assert found.keywords == ("Coyote (Canis latrans)",)
        assert world.found(world.run(write="sidecar"), "known")
        world.observations[0]["taxon"] = COUGAR
        world.run(write="sidecar")
        assert known_in(properties(beside.read_bytes())).keywords == ("Cougar (Puma concolor ssp. couguar)",)
        undo([str(world.folder)], ScanOptions(), UndoOptions(), Context())
        undo([str(world.folder)], ScanOptions(), UndoOptions(), Context())
        assert not beside.exists()

    def test_a_damaged_sidecar_is_named_and_left_alone(self, world):
        path = world.local("a.jpg", picture(1))
        world.online(picture(1))
        beside = Path(f"{path}.xmp")
        beside.write_text("garbage <")
        done = world.run(write="sidecar")
        assert done.exit_code() == 3 and beside.read_text() == "garbage <"
        assert [f.item for f in done.failures] == [str(beside)]

    def test_a_file_that_is_read_only_is_one_line_and_is_not_counted(self, world):
        path = world.local("a.jpg", picture(1))
        world.local("b.jpg", picture(2))
        world.online(picture(1), picture(2))
        path.chmod(0o400)
        done = world.run()
        assert done.exit_code() == 3 and done.counts["annotations_added"] == 1
        assert ["a.jpg" in f.item for f in done.written.failures] == [True]

    def test_a_file_of_two_names_is_refused_or_written_once(self, world):
        path = world.local("a.jpg", picture(1))
        os.link(path, world.base / "elsewhere.jpg")
        world.online(picture(1))
        before = path.read_bytes()
        assert world.run().exit_code() == 3 and path.read_bytes() == before
        assert world.run(break_hardlinks=True).exit_code() == 0 and says(path)[2] == 10000
        assert (world.base / "elsewhere.jpg").read_bytes() == before

    def test_damaged_xmp_is_left_alone(self, world):
        data = with_xmp(jpeg(picture(1), exif(AT), 93), NewItems(SUBJECT, add=["Zoo"]))
        bad = data.replace(b"</rdf:Bag>", b"</rdf:Bug>")
        path = world.local("a.jpg", bad)
        world.online(picture(1))
        done = world.run()
        assert path.read_bytes() == bad and done.exit_code() == 3 and not done.counts

    def test_the_second_run_at_once_waits_for_nobody(self, world):
        world.local("a.jpg", picture(1))
        world.online(picture(1))
        world.run(write="none")
        context = Context()
        (world.folder / ".camtrail").mkdir(exist_ok=True)
        with context.fs.lock(str(world.folder / ".camtrail" / "lock"), 1.0) as held:
            assert held
            with pytest.raises(FolderBusy):
                world.run()

    def test_a_copy_is_none_of_it(self, world):
        with pytest.raises(UsageError, match="copy"):
            world.run(write="copy")


def test_the_order_of_the_answers_changes_nothing(world):
    for i in range(6):
        world.local(f"{i}.jpg", picture(i), AT + timedelta(seconds=i))
    world.online(*(picture(i) for i in (3, 1, 5)))
    world.online(*(picture(i) for i in (0, 4)))
    first = world.found(world.run(write="none"))
    world.observations.reverse()
    assert world.found(world.run(write="none")) == first and len(first) == 5


def test_a_photo_in_pieces_of_time_keeps_its_pair_under_any_split(world):
    """The same photos as one run and as two have the same partners."""
    for i in range(4):
        world.local(f"{i % 2}/{i}.jpg", picture(i), AT + timedelta(minutes=20 * i))
        world.online(picture(i), at=AT + timedelta(minutes=20 * i))
    whole = {Path(p.local.typed).name: p.online.photo.photo_id for p in world.run(write="none").pairs}
    parts: dict[str, int] = {}
    for k in range(2):
        done = world.run(write="none", paths=[world.folder / str(k)])
        parts |= {Path(p.local.typed).name: p.online.photo.photo_id for p in done.pairs}
    assert parts == whole and len(whole) == 4


def test_values_of_pairs_are_plain(world):
    world.local("a.jpg", picture(1), AT + timedelta(seconds=31))
    world.online(picture(1))
    pair = world.run(write="none").pairs[0]
    assert pair.seconds == 31 and pair.distance_m == pytest.approx(11.9, abs=40)
    assert replace(pair, clock_s=31).seconds == 0


def test_what_was_found_has_its_pictures_first(world, monkeypatch):
    monkeypatch.setattr("camtrail.app.inaturalist_page.MOST_PICTURES", 2)
    page = world.base / "log.html"
    world.local("a-alone.jpg", picture(9))
    for n in (1, 2, 3):
        world.local(f"b{n}.jpg", picture(n))
        world.online(picture(n))
    done = world.run(write="none", logfile=str(page))
    write_page(done, [str(world.folder)], str(page), Context())
    text = page.read_text("utf-8")
    rows = [row for row in text.split("<tr>") if ">the same<" in row]
    assert [row.count("<img") for row in rows] == [2, 2, 0]
    assert text.count("<img") == 4 and "a-alone.jpg" in text
    assert "The first 2 rows have pictures" in text
