"""Labels of a job: page after page, cut down to the job's own, and never a part that looks like the whole."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camio_cloud import TOKEN, Cloud, image, job
from camtrail.app.camio_service import connected, server_of, token_of
from camtrail.app.context import Context
from camtrail.app.labels_options import LabelsOptions
from camtrail.app.video_jobs import (
    document_of,
    find_jobs,
    is_complete,
    lines_of,
    say_shards,
    span_of,
    summary_of,
    table_of,
    utc_of,
)  # fmt: skip
from camtrail.app.video_labels import (
    check_outputs,
    labels,
    outputs_of,
    own_videos,
    rendered,
    search_text,
    white_list,
    write,
)  # fmt: skip
from camtrail.catalog.imports import Imports, Stored
from camtrail.core.errors import (
    AuthError,
    CatalogError,
    InputError,
    SafetyRefusal,
    StorageError,
    Unreachable,
    UnusableDescription,
    UsageError,
)  # fmt: skip
from camtrail.core.secrets import Secret
from camtrail.services.camio.client import Job, Shard
from camtrail.transfer.http import Redirected
from camtrail.transfer.retry import Gone
from clocks import FakeClock

HASH, OTHER = "a" * 40, "b" * 40


class Fetch:
    """Fetches labels from a cloud with a clock that nobody waits for."""

    def __init__(self):
        self.clock = FakeClock()
        self.said = []

    def __call__(self, cloud, job_id="J1", *, own=None, token=TOKEN, **options):
        context = Context(clock=self.clock)
        with connected(cloud.url, Secret(token), self.clock) as client:
            return labels(job_id, LabelsOptions(**options), client, context, own=own, say=self.said.append)


@pytest.fixture
def fetch():
    return Fetch()


def seen(done):
    """(time of day, camera, labels) of all bookmarks."""
    return sorted((m.time[11:23], m.camera, *m.labels) for m in done.found.marks)


class TestPages:
    @pytest.mark.parametrize("more", [None, True])
    @pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
    def test_each_picture_comes_once_however_many_pages_there_are(self, fetch, count, more):
        images = [image(f"12:{i // 60:02}:{i % 60:02}.000", "dog", event=f"e{i}") for i in range(count)]
        with Cloud(*images) as cloud:
            cloud.more = more
            done = fetch(cloud)
        assert seen(done) == sorted((i["date_created"][11:23], "front", "dog") for i in images)
        assert done.found.is_complete and done.result.exit_code() == 0
        assert len(cloud.asked) <= count // 100 + 2

    def test_it_ends_where_the_service_gets_no_further(self, fetch):
        with Cloud(image("12:00:01.000", "dog"), image("12:00:02.000", "cat")) as cloud:
            cloud.more, cloud.considered = True, lambda date: "2016-10-09T12:00:00.000-0000"
            assert len(seen(fetch(cloud))) == 2
        assert len(cloud.asked) == 2

    def test_it_ends_behind_the_time_of_the_job(self, fetch):
        with Cloud(image("12:59:00.000", "dog"), image("13:30:00.000", "cat")) as cloud:
            cloud.page, cloud.more = 1, True
            done = fetch(cloud)
        assert seen(done) == [("12:59:00.000", "front", "dog")]
        assert len(cloud.asked) == 1

    @pytest.mark.parametrize("word", ["", "soon", None])
    def test_it_ends_where_the_date_is_none(self, fetch, word):
        with Cloud(image("12:00:01.000", "dog")) as cloud:
            cloud.more, cloud.considered = True, lambda date: word
            assert len(seen(fetch(cloud))) == 1
        assert len(cloud.asked) == 1

    def test_a_job_without_time_or_cameras_is_asked_for_from_the_beginning(self, fetch):
        bare = {"job_id": "J1"}
        with Cloud(image("12:00:01.000", "dog"), jobs=[bare]) as cloud:
            done = fetch(cloud)
        assert seen(done) == [("12:00:01.000", "front", "dog")]
        assert (cloud.asked[0]["text"], cloud.asked[0]["date"]) == ("all", "1970-01-01T00:00:00+00:00")
        assert (done.found.earliest, done.found.latest) == (None, None)


class TestTrouble:
    def cloud(self):
        cloud = Cloud(*(image(f"12:00:0{i}.000", "dog") for i in range(6)))
        cloud.page = 2
        return cloud

    def test_a_page_without_pictures_is_not_the_end(self, fetch):
        empty = '{"result":{"more_results":true,"latest_date_considered":"%s","buckets":[]}}'
        with self.cloud() as cloud:
            whole = seen(fetch(cloud))
            page = empty % cloud.images[0]["date_created"]
            cloud.set_faults([f"json={page},path=/api/search,nth=1"])
            assert seen(fetch(cloud)) == whole != []

    @pytest.mark.parametrize(
        ("fault", "code"), [("status=500", 5), ("status=401", 6), ("html", 5), ("status=400", 3)]
    )
    def test_an_error_in_the_middle_leaves_what_was_fetched_and_is_no_success(
        self, fetch, fault, code, tmp_path
    ):
        with self.cloud() as cloud:
            cloud.set_faults([f"{fault},path=/api/search,nth=2-"])
            done = fetch(cloud)
        assert [row[0] for row in seen(done)] == ["12:00:00.000", "12:00:01.000"]
        assert not done.found.is_complete and done.result.exit_code() == code
        assert [f.item for f in done.result.failures] == ["J1"]
        out = tmp_path / "out.json"
        write(done, {"json": str(out)}, LabelsOptions(), Context())
        assert json.loads(out.read_text())["complete"] is False

    def test_a_passing_error_is_no_trouble(self, fetch):
        with self.cloud() as cloud:
            cloud.set_faults(["status=503,path=/api/search,nth=2", "reset=0,path=/api/jobs/J1,nth=1"])
            done = fetch(cloud)
        assert len(seen(done)) == 6 and done.found.is_complete and fetch.clock.slept

    def test_an_error_at_once_leaves_nothing_to_write(self, fetch):
        with self.cloud() as cloud:
            cloud.set_faults(["status=500,path=/api/search"])
            with pytest.raises(Unreachable):
                fetch(cloud)

    def test_a_job_that_is_not_there_is_named(self, fetch):
        with (
            self.cloud() as cloud,
            pytest.raises(Gone, match=r"there is no job J\\x1b7; camtrail video jobs lists"),
        ):
            fetch(cloud, "J\x1b7")

    def test_a_token_that_is_refused(self, fetch):
        with self.cloud() as cloud, pytest.raises(AuthError) as e:
            fetch(cloud, token="not-that-one")
        assert e.value.exit_code == 6 and "not-that-one" not in str(e.value)


class TestTime:
    @pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata"])
    @pytest.mark.parametrize(
        ("first", "asked"),
        [
            ("2016-10-09T05:17:22-07:00", "2016-10-09T12:17:21+00:00"),
            ("2016-10-09T12:17:22.000", "2016-10-09T12:17:21+00:00"),
            ("2016-10-09T12:17:22.5Z", "2016-10-09T12:17:21.500+00:00"),
            ("2016-10-09T12:17:22.081-0000", "2016-10-09T12:17:21.081+00:00"),
        ],
    )
    def test_an_offset_is_kept_and_a_time_without_one_is_utc(self, fetch, first, asked, zone, monkeypatch):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        with Cloud(image("12:17:22.100", "dog"), jobs=[job(earliest_date=first)]) as cloud:
            done = fetch(cloud)
        assert cloud.asked[0]["date"] == asked
        assert done.found.earliest == first and len(seen(done)) == 1

    @given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
    def test_a_text_is_the_instant_that_it_was_made_of(self, when, offset_min):
        when = when.replace(tzinfo=UTC)
        there = when.astimezone(datetime.strptime(f"{offset_min // 60:+03}{offset_min % 60:02}", "%z").tzinfo)
        assert utc_of(there.isoformat()) == when
        assert utc_of(when.replace(tzinfo=None).isoformat()) == when

    @pytest.mark.parametrize(
        "text", ["", "soon", None, 5, "2016-13-01T00:00:00", "0001-01-01T00:00:00+14:00"]
    )
    def test_what_is_no_time_is_none(self, text):
        assert utc_of(text) is None


class TestFilter:
    TIMES = ("11:59:58.999", "11:59:59.000", "12:30:00.000", "13:00:10.000", "13:00:10.001")

    def test_the_time_of_the_job_with_a_second_before_and_ten_behind(self, fetch):
        with Cloud(*(image(t, "dog") for t in self.TIMES)) as cloud:
            done = fetch(cloud, own=None)
        assert [row[0] for row in seen(done)] == list(self.TIMES[1:4])

    def test_what_a_service_gives_beyond_is_left_out_and_counted(self, fetch):
        with Cloud(*(image(t, "dog") for t in self.TIMES)) as cloud:
            cloud._searched = _without_date(cloud)
            done = fetch(cloud)
        assert [row[0] for row in seen(done)] == list(self.TIMES[1:4])
        assert "pictures with labels left out because they lie outside the job's time: 2" in done.result.notes

    def test_without_filter_all_that_is_found_stays(self, fetch):
        with Cloud(*(image(t, "dog", OTHER) for t in self.TIMES)) as cloud:
            done = fetch(cloud, own={HASH: "a.mp4"}, no_filter=True)
        assert [row[0] for row in seen(done)] == list(self.TIMES[2:])
        assert cloud.asked[0]["date"] == "2016-10-09T12:00:00+00:00" and done.result.notes == []

    def test_other_imports_are_left_out_by_the_hash_of_the_video(self, fetch):
        found = [
            image("12:00:01.000", "dog", HASH), image("12:00:02.000", "cat", OTHER), image("12:00:03.000", "cow"),
            image("12:00:04.000", "owl", HASH.upper(), OTHER),
        ]  # fmt: skip
        with Cloud(*found) as cloud:
            done = fetch(cloud, own={HASH: "a.mp4"})
        assert [m.labels[-1] for m in done.found.marks] == ["dog", "owl"]
        assert [m.source_hash for m in done.found.marks] == [HASH, HASH]
        assert done.result.notes == ["pictures with labels left out because they belong to other imports: 2"]

    def test_where_the_videos_are_not_known_nothing_is_left_out_and_that_is_said(self, fetch):
        with Cloud(image("12:00:01.000", "dog", HASH), image("12:00:02.000", "cat", OTHER)) as cloud:
            done = fetch(cloud)
        assert len(seen(done)) == 2
        assert [n for n in done.result.notes if "--storage" in n]

    def test_labels_without_text_are_none_and_pictures_without_labels_neither(self, fetch):
        with Cloud(
            image("12:00:01.000", "", "dog", " "), image("12:00:02.000", ""), image("12:00:03.000")
        ) as cloud:
            assert seen(fetch(cloud)) == [("12:00:01.000", "front", "dog")]

    def test_a_picture_without_time_is_counted(self, fetch):
        odd = image("12:00:01.000", "dog")
        with Cloud(image("12:00:02.000", "cat")) as cloud:
            searched = cloud._searched
            bucket = {"bucket_id": "e9", "images": [{**odd, "date_created": "yesterday"}]}

            def with_one(given):
                answer = searched(given)
                answer["result"]["buckets"].append(bucket)
                return answer

            cloud._searched = with_one
            done = fetch(cloud)
        assert seen(done) == [("12:00:02.000", "front", "cat")]
        assert (
            "pictures with labels left out because they have no time that can be read: 1" in done.result.notes
        )


def _without_date(cloud):
    """A service that does not look at the date."""
    searched = type(cloud)._searched
    return lambda given: searched(cloud, {**given, "date": "1970-01-01T00:00:00+00:00"})


class TestBookmarks:
    def test_two_cameras_of_one_millisecond_are_both_there(self, fetch):
        both = [image("12:00:01.000", "dog"), image("12:00:01.000", "cat", camera="rear", event="e2")]
        with Cloud(*both) as cloud:
            done = fetch(cloud)
        assert seen(done) == [("12:00:01.000", "front", "dog"), ("12:00:01.000", "rear", "cat")]
        assert {m.camera: m.camera_id for m in done.found.marks} == {"front": "u:f:1", "rear": "u:e:2"}
        assert done.counts() == {"bookmarks": 2, "cameras": 2, "events": 2, "labels": 2}

    def test_two_pictures_of_one_camera_and_millisecond_are_one_with_the_labels_of_both(self, fetch):
        both = [image("12:00:01.000", "dog", event="e2"), image("12:00:01.000", "cat", event="e1")]
        with Cloud(*both) as cloud:
            done = fetch(cloud)
        assert seen(done) == [("12:00:01.000", "front", "cat", "dog")]
        assert done.found.marks[0].event_id == "e1"

    def test_each_knows_when_its_event_began_and_ended(self, fetch):
        times = ["12:00:01.000", "12:00:02.000", "12:00:04.000"]
        found = [image(t, *(["dog"] if t != times[2] else [])) for t in times]
        with Cloud(*found, image("12:00:03.000", "cat", event="e2")) as cloud:
            marks = fetch(cloud).found.in_order()
        assert [(m.earliest[11:23], m.latest[11:23]) for m in marks] == [
            (times[0], times[2]), (times[0], times[2]), ("12:00:03.000", "12:00:03.000"),
        ]  # fmt: skip

    def test_the_hash_of_the_video_stands_beside_the_labels_and_among_them_as_asked(self, fetch):
        with Cloud(image("12:00:01.000", "dog", HASH)) as cloud:
            (kept,) = fetch(cloud).found.marks
            (alone,) = fetch(cloud, strip_source_labels=True).found.marks
        assert (kept.source_hash, kept.labels) == (HASH, (HASH, "dog"))
        assert (alone.source_hash, alone.labels) == (HASH, ("dog",))

    @pytest.mark.parametrize(("mode", "kept"), [("images", ("cat", "dog", HASH)), ("labels", ("dog",))])
    def test_a_white_list_keeps_pictures_or_labels(self, fetch, mode, kept):
        with Cloud(image("12:00:01.000", "dog", "cat", HASH), image("12:00:02.000", "cat", HASH)) as cloud:
            (mark,) = fetch(cloud, label_white_list='["dog", "cow"]', white_list_mode=mode).found.marks
        assert sorted(mark.labels) == sorted(kept) and mark.source_hash == HASH
        assert cloud.asked[0]["text"] == "all front rear"  # the list is the client's own


class TestWhiteList:
    def test_text_and_file_count_together(self, tmp_path):
        (tmp_path / "list").write_text('\ufeff["dog", " ", "a b",]')
        given = LabelsOptions(label_white_list='["cat"]', label_white_list_file=str(tmp_path / "list"))
        assert white_list(given, Context()) == {"dog", "a b", "cat"}
        assert white_list(LabelsOptions(), Context()) is None
        assert white_list(LabelsOptions(label_white_list="[]"), Context()) is None

    @pytest.mark.parametrize("text", ["dog", '"dog"', '{"dog": 1}', "[1]", "[", '["dog"] x'])
    def test_what_is_no_list_of_texts_is_an_error(self, text, tmp_path):
        with pytest.raises(UsageError, match="--label_white_list: "):
            white_list(LabelsOptions(label_white_list=text), Context())
        (tmp_path / "list").write_text(text)
        with pytest.raises(UnusableDescription, match="list: "):
            white_list(LabelsOptions(label_white_list_file=str(tmp_path / "list")), Context())

    def test_a_file_that_is_no_text_or_not_there(self, tmp_path):
        (tmp_path / "list").write_bytes(b"\xff\xfe")
        for name in ("list", "none"):
            with pytest.raises(InputError):
                white_list(LabelsOptions(label_white_list_file=str(tmp_path / name)), Context())


class TestWatch:
    def test_it_asks_until_every_shard_is_complete_whatever_the_job_says(self, fetch):
        states = [
            ["missing", "missing"],
            ["running", "missing"],
            ["odd word", "running"],
            ["Complete", "complete"],
        ]
        with Cloud(image("12:00:01.000", "dog"), jobs=[job(shards=s) for s in states]) as cloud:
            done = fetch(cloud, watch=True)
        assert cloud.polls == 4 and len(seen(done)) == 1
        assert fetch.said == [
            "0 of 2 shards complete, 2 without manifest",
            "0 of 2 shards complete, 1 without manifest, 1 being analysed",
            "0 of 2 shards complete, 1 odd word, 1 being analysed",
        ]
        assert not [n for n in done.result.notes if "--watch" in n]

    def test_the_first_ten_seconds_it_asks_every_second_and_later_more_seldom(self, fetch):
        with Cloud(jobs=[job(shards=["running"])] * 40 + [job()]) as cloud:
            fetch(cloud, watch=True)
        slept = fetch.clock.slept
        assert slept[:10] == [1.0] * 10 and slept == sorted(slept) and max(slept) <= 30
        assert len(fetch.said) == 1  # nothing changes, so nothing is said

    def test_it_gives_up_when_the_time_is_over(self, fetch):
        with (
            Cloud(jobs=[job(shards=["running"])]) as cloud,
            pytest.raises(Unreachable, match="after 15 s") as e,
        ):
            fetch(cloud, watch=True, timeout_s=15.0)
        assert sum(fetch.clock.slept) == pytest.approx(15) and e.value.exit_code == 5

    def test_without_it_an_unfinished_job_is_fetched_and_that_is_said(self, fetch):
        with Cloud(image("12:00:01.000", "dog"), jobs=[job(shards=["running"])]) as cloud:
            done = fetch(cloud)
        assert len(seen(done)) == 1 and cloud.polls == 1
        assert done.result.notes[0].startswith("the job is not complete (0 of 1 shard complete")


class TestOutputs:
    @pytest.mark.parametrize(
        ("out", "options", "want"),
        [
            ("", {}, {"json": "J_results.json"}),
            ("o.json", {}, {"json": "o.json"}),
            ("o", {}, {"json": "o"}),
            ("", {"as_csv": True}, {"csv": "J_results.csv"}),
            ("", {"as_xml": True}, {"xml": "J_results.xml"}),
            ("o.txt", {"as_csv": True}, {"csv": "o.txt"}),
            ("", {"as_csv": True, "as_xml": True}, {"csv": "J_results.csv", "xml": "J_results.xml"}),
            ("d.1/o.CSV", {"as_csv": True, "as_xml": True}, {"csv": "d.1/o.csv", "xml": "d.1/o.xml"}),
            ("o.v2", {"as_csv": True, "as_xml": True}, {"csv": "o.v2.csv", "xml": "o.v2.xml"}),
            ("-", {"as_xml": True}, {"xml": "-"}),
            ("", {"output_file": "x"}, {"json": "x"}),
            ("x", {"output_file": "x"}, {"json": "x"}),
        ],
    )
    def test_what_is_written_where(self, out, options, want):
        assert outputs_of("J", out, LabelsOptions(**options)) == want

    @pytest.mark.parametrize(
        ("job_id", "out", "options"),
        [
            ("J", "a", {"output_file": "b"}),
            ("J", "-", {"as_csv": True, "as_xml": True}),
            ("../J", "", {}),
        ],
    )
    def test_what_cannot_be_meant(self, job_id, out, options):
        with pytest.raises(UsageError):
            outputs_of(job_id, out, LabelsOptions(**options))

    def test_own_files_are_replaced_and_others_only_by_force(self, fetch, tmp_path):
        with Cloud(image("12:00:01.000", "dog")) as cloud:
            done = fetch(cloud)
        outputs = {kind: str(tmp_path / f"o.{kind}") for kind in ("json", "csv", "xml")}
        for schema in ("full", "classic", "head"):
            write(done, outputs, LabelsOptions(schema=schema), Context())
            check_outputs(outputs, False, Context())
        (tmp_path / "o.csv").write_text("date,catch\n2016-10-09,3\n")
        with pytest.raises(SafetyRefusal):
            check_outputs(outputs, False, Context())
        check_outputs(outputs, True, Context())

    def test_the_list_of_jobs_replaces_its_own_kind_only(self, tmp_path):
        out = tmp_path / "list.json"
        for jobs in ([], [made("J")]):
            out.write_bytes(document_of(jobs))
            check_outputs({"list": str(out)}, False, Context())
        for other in (b"a photo", b"{ }", b"[]"):
            out.write_bytes(other)
            with pytest.raises(SafetyRefusal):
                check_outputs({"list": str(out)}, False, Context())

    def test_a_folder_that_is_not_there_is_found_before_anything_is_fetched(self, tmp_path):
        with pytest.raises(StorageError, match="folder is not there"):
            check_outputs({"json": str(tmp_path / "none" / "o.json")}, False, Context())
        with pytest.raises(UsageError, match="is a folder"):
            check_outputs({"json": str(tmp_path)}, False, Context())

    def test_the_same_labels_are_the_same_bytes(self, fetch):
        found = [
            image(f"12:00:0{i}.000", "dog", "cat", camera=c) for i in range(5) for c in ("rear", "front")
        ]
        documents = []
        for page in (3, 100):
            with Cloud(*found) as cloud:
                cloud.page = page
                done = fetch(cloud)
            options = LabelsOptions()
            documents.append([b"".join(rendered(done, kind, options)) for kind in ("json", "csv", "xml")])
        assert documents[0] == documents[1]


SERVER = "https://www.camio.com"


class TestOwnVideos:
    def test_the_file_of_the_import_knows_them(self, tmp_path):
        path = tmp_path / "import.sqlite"
        with Imports(str(path)) as imports:
            service = imports.service("camio", "https://www.camio.com")
            rows = [
                Stored("uploaded", {"key": key, "job_id": j, "relative_name": f"{j}.mp4"})
                for key, j in ((HASH, "J1"), (OTHER, "J2"))
            ]
            imports.put(service, rows, 0.0)
        options = LabelsOptions(storage=str(path))
        assert own_videos("J1", options, SERVER, Context()) == {HASH: "J1.mp4"}
        assert own_videos("J9", options, SERVER, Context()) is None

    def test_a_file_that_is_not_there_or_none_of_an_import_is_an_error(self, tmp_path):
        options = LabelsOptions(storage=str(tmp_path / "import.sqlite"))
        with pytest.raises(InputError):
            own_videos("J1", options, SERVER, Context())
        assert not (tmp_path / "import.sqlite").exists()
        (tmp_path / "import.sqlite").write_bytes(b"no database" * 100)
        with pytest.raises(CatalogError):
            own_videos("J1", options, SERVER, Context())


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "all"),
        (["C2_Hi"], "all C2_Hi"),
        (["back door", 'the "eye"', "a\\b", "Küche&c"], r'all "back door" "the \"eye\"" "a\\b" Küche&c'),
    ],
)
def test_what_the_service_is_asked_for(names, text):
    assert search_text(names) == text


def test_a_name_arrives_as_it_is(fetch):
    odd = 'Küche & "Hof" +1'
    with Cloud(jobs=[job(cameras=[{"name": odd}])]) as cloud:
        fetch(cloud)
    assert cloud.asked[0]["text"] == r'all "Küche & \"Hof\" +1"'


def made(job_id="J", status="running", shards=(), **request):
    shards = tuple(Shard(str(i), n, s, None) for i, (n, s) in enumerate(shards))
    return Job(job_id, status, request, shards, {})


class TestJobs:
    def test_progress_is_the_share_whose_manifest_is_there(self):
        known = summary_of(
            made(shards=[(2048, "complete"), (2048, "running"), (3, "missing")], item_count=4099)
        )
        assert (known["item_count"], known["shard_count"]) == (4099, 3)
        assert known["progress"] == pytest.approx(4096 / 4099)

    def test_what_a_job_does_not_say_is_none(self):
        none = dict.fromkeys(("start_time", "end_time", "item_count", "status", "progress"))
        assert summary_of(made(status="")) == {**none, "shard_count": 0}

    def test_the_documented_list(self):
        jobs = [
            made("b", item_count=1),
            made("a", earliest_date="x", shards=[(1, "missing")], status="shards_missing"),
        ]
        assert document_of(jobs).decode() == (
            '{\n  "a": {\n    "end_time": null,\n    "item_count": 1,\n    "progress": 0.0,\n    "shard_count": 1,\n'
            '    "start_time": "x",\n    "status": "shards_missing"\n  },\n  "b": {\n    "end_time": null,\n'
            '    "item_count": 1,\n    "progress": null,\n    "shard_count": 0,\n    "start_time": null,\n'
            '    "status": "running"\n  }\n}\n'
        )

    @given(
        st.lists(
            st.builds(
                made,
                st.text(st.characters(codec="ascii"), min_size=1, max_size=20),
                st.sampled_from(
                    ["running", "shards_missing", "complete", "", "some_very_long_word_of_a_service"]
                ),
                st.lists(
                    st.tuples(st.integers(0, 99_999), st.sampled_from(["missing", "complete"])), max_size=99
                ),
                earliest_date=st.sampled_from(["2016-10-09T05:02:37.000", None]),
                latest_date=st.sampled_from(["2016-10-09T06:02:37.000", "2016-11-09T06:02:37.000", "", None]),
            ),
            max_size=5,
        )
    )
    def test_the_table_fits_a_terminal(self, jobs):
        lines = table_of(jobs)
        assert max(map(len, lines)) <= 80 and "".join(lines).isprintable()
        assert len(lines) in (len(jobs) + 1, 2 * (len(jobs) + 1))

    def test_a_table(self):
        jobs = [
            made("J1", "shards_missing", [(1, "running")], earliest_date="2016-10-09T05:02:37", latest_date="2016-10-09T06:22:36"),
            made("J22", "running", [(1, "complete")] * 2, earliest_date="2016-10-09T05:02:37", latest_date="2016-10-11T06:22:36"),
        ]  # fmt: skip
        assert table_of(jobs) == [
            "job  status               items  shards  progress  time span (UTC)",
            "J1   waits for manifests      1       1      100%  2016-10-09 05:02 - 06:22",
            "J22  complete                 2       2      100%  2016-10-09 - 2016-10-11",
        ]

    def test_one_job_for_people(self):
        request = {
            "earliest_date": "2016-10-09T05:17:22-07:00",
            "cameras": {"x": {"name": "rear"}, "y": {"name": "a\x1b"}},
        }
        assert lines_of(made("J", "shards_missing", [(2048, "running"), (None, "missing")], **request)) == [
            "job       J",
            "status    waits for manifests",
            "items     2,048",
            "from      2016-10-09 12:17:22 UTC",
            "cameras   a\\x1b, rear",
            "shards    0 of 2 shards complete, 1 without manifest, 1 being analysed",
            "  shard 0: 2,048 items, being analysed",
            "  shard 1: without manifest",
        ]

    def test_shards_decide_whether_a_job_is_complete(self):
        assert is_complete(made(status="shards_missing", shards=[(1, "complete"), (1, "complete")]))
        assert not is_complete(made(status="complete", shards=[(1, "complete"), (1, "running")]))
        assert is_complete(made(status="complete")) and not is_complete(made(status=""))
        assert say_shards(made()) == "0 of 0 shards complete"

    def test_the_list_is_in_the_order_of_time_those_without_last(self, fetch):
        jobs = [
            {"job_id": "none"}, job("late", earliest_date="2016-10-09T05:00:00-07:00"),
            job("early", earliest_date="2016-10-09T11:00:00"),
        ]  # fmt: skip
        with Cloud(jobs=jobs) as cloud, connected(cloud.url, Secret(TOKEN), fetch.clock) as client:
            found = find_jobs(client, fetch.clock)
        assert [j.id for j in found] == ["early", "late", "none"]
        assert span_of(found[0])[1] - span_of(found[0])[0] == timedelta(hours=2)


class TestTheServer:
    def test_an_address_of_ones_own_wins_over_the_test_server(self, caplog):
        assert server_of(False, "") == "https://www.camio.com"
        assert server_of(True, "") == "https://test.camio.com"
        assert server_of(False, "http://127.0.0.1:1") == "http://127.0.0.1:1" and not caplog.records
        assert server_of(True, "http://127.0.0.1:1") == "http://127.0.0.1:1" and caplog.records

    def test_a_token_on_the_command_line_wins_with_a_warning(self, caplog):
        assert token_of("", " of-environment\n").reveal() == "of-environment" and not caplog.records
        assert token_of("typed-token", "of-environment").reveal() == "typed-token"
        assert "CAMIO_OAUTH_TOKEN" in caplog.text and "typed-token" not in caplog.text

    @pytest.mark.parametrize("text", ["", "  ", "two\nlines", "ümlaut-token"])
    def test_without_a_token_there_is_no_call(self, text):
        with pytest.raises(AuthError, match="CAMIO_OAUTH_TOKEN"):
            token_of("", text)

    def test_a_token_that_others_can_read_on_the_way_is_warned_about(self, caplog):
        with connected("http://camera.example", Secret("abcdef"), FakeClock()):
            pass
        assert "can be read on the way" in caplog.text

    def test_an_answer_that_points_elsewhere_is_not_followed(self, fetch):
        with Cloud(image("12:00:01.000", "dog")) as cloud, Cloud() as elsewhere:
            cloud.set_faults([f"redirect={elsewhere.url}/api/search,path=/api/search"])
            with pytest.raises(Redirected):
                fetch(cloud)
            assert elsewhere.requests() == []
