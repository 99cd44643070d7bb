"""Files that are fetched in several attempts, over real connections, from servers that misbehave."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camtrail.core.clock import RealClock
from camtrail.core.errors import (
    BadAnswer,
    CamtrailError,
    QuotaExceeded,
    SafetyRefusal,
    ServiceError,
    StorageError,
    Unreachable,
)
from camtrail.core.fs import RealFileSystem
from camtrail.core.secrets import Secret
from camtrail.metadata.safeio import Part
from camtrail.transfer import http as http_module
from camtrail.transfer.addresses import is_here, is_loopback, is_near, is_public
from camtrail.transfer.faultserver import FaultServer, Reply
from camtrail.transfer.fetch import Fetched, discard, fetch
from camtrail.transfer.http import Http, Redirected
from camtrail.transfer.retry import Gone

END = b"-the end-"


def content(size, seed=0):
    """Bytes that end as what is fetched here ends, and in which each place is another."""
    made = hashlib.shake_256(seed.to_bytes(4, "big")).digest(max(size - len(END), 0))
    return made + END


def no_end(source):
    tail = source.read_at(max(0, source.size - len(END)), len(END))
    return None if tail == END else "it has no end"


class Store:
    """An app that gives one file, with ranges, as RFC 9110 has it; each part of that can be left out or bent."""

    def __init__(self, data):
        self.data = data
        self.etag = '"v1"'
        self.modified = None
        self.knows_ranges = True
        self.knows_if_range = True
        self.chunked = False
        self.status = 206
        self.missing = 0  # so many bytes from the beginning of a part
        self.bent = {}  # headers of a 206 in place of the right ones; None: left out
        self.asked = []

    def __call__(self, request):
        self.asked.append(dict(request.headers))
        headers = {"Content-Type": "image/jpeg"}
        if self.etag:
            headers["ETag"] = self.etag
        if self.modified:
            headers["Last-Modified"] = self.modified
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        condition = request.headers.get("if-range")
        is_changed = self.knows_if_range and condition is not None and condition != self.etag
        if asked is None or not self.knows_ranges or is_changed:
            return Reply(200, self._body(self.data), headers)
        start, size = int(asked[1]), len(self.data)
        if start >= size:
            return Reply(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        headers = {k: v for k, v in {**headers, **self.bent}.items() if v is not None}
        return Reply(self.status, self._body(self.data[start + self.missing :]), headers)

    def _body(self, data):
        return iter([data[:1000], data[1000:]]) if self.chunked else data


class Place:
    """A server with one file, a client for it, and where the file goes."""

    def __init__(self, folder, data, **options):
        self.store = Store(data)
        self.server = FaultServer({"images": self.store})
        self.url = f"{self.server.url('images')}/a.jpg?signed=secret-in-query"
        options = {"stall_s": 0.4, "least_bytes_per_s": 1} | options
        self.http = Http(
            [self.server.url("images")], user_agent="camtrail/test", clock=RealClock(), **options
        )
        self.path = str(folder / "a.part")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()
        self.server.close()

    def fetch(self, fs=None, **more):
        return fetch(self.http, self.url, fs or RealFileSystem(), self.path, **{"damage": no_end, **more})

    def cut(self, missing):
        """One attempt of which so many bytes at the end do not come."""
        self.server.set_faults([f"truncate={missing}"])
        with pytest.raises(Unreachable):
            self.fetch()
        self.server.set_faults([])

    @property
    def bytes(self):
        return Path(self.path).read_bytes()

    @property
    def names(self):
        return sorted(os.listdir(os.path.dirname(self.path)))

    def has(self, data):
        """Whether the file is there, whole, with its tag, and nothing else."""
        return self.bytes == data and self.names == ["a.part", "a.part.tag"]


@pytest.fixture
def place(tmp_path):
    with Place(tmp_path, content(100_000)) as place:
        yield place


FAULTS = st.one_of(
    st.integers(1, 70_000).map(lambda n: f"truncate={n}"),
    st.integers(1, 3000).map(lambda n: f"length=-{n}"),
    st.sampled_from([
        "lost", "reset=0", "html", 'json={"error":{"code":2}}', "status=500", "status=503", "status=403", "status=404",
        "status=206", "status=204", "status=416", "status=429,retry-after=0", "stall=0", "length=7",
        "raw=HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nabc", "raw=nonsense", "raw=",
        "raw=HTTP/1.1 200 OK\\r\\n\\r\\nuntil the end",
        "raw=HTTP/1.1 200 OK\\r\\nContent-Encoding: gzip\\r\\nContent-Length: 3\\r\\n\\r\\nabc",
        "raw=HTTP/1.1 206 Part\\r\\nContent-Range: bytes 5-9/10\\r\\nContent-Length: 5\\r\\n\\r\\nabcde",
        'raw=HTTP/1.1 206 Part\\r\\nETag: "v1"\\r\\nContent-Range: bytes 0-9/10\\r\\nContent-Length: 5\\r\\n\\r\\nabcde',
    ]),
)  # fmt: skip


class TestWhatComes:
    def test_is_whole_and_known_by_its_hash(self, place):
        data = place.store.data
        assert place.fetch() == Fetched(len(data), hashlib.sha256(data).hexdigest(), 0)
        assert place.has(data)

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        size=st.sampled_from([10, 1000, 65_000, 1_100_000]),
        faults=st.lists(FAULTS, max_size=4),
        etag=st.sampled_from(['"v1"', 'W/"v1"', None]),
        chunked=st.booleans(),
        knows_ranges=st.booleans(),
    )
    def test_is_right_or_an_error_whatever_the_server_does(
        self, tmp_path_factory, size, faults, etag, chunked, knows_ranges
    ):
        data = content(size)
        with Place(tmp_path_factory.mktemp("x"), data, stall_s=0.1) as place:
            place.store.etag, place.store.chunked, place.store.knows_ranges = etag, chunked, knows_ranges
            place.server.set_faults([f"{fault},nth={n}" for n, fault in enumerate(faults, 1)])
            for _ in range(3 * len(faults) + 1):
                try:
                    fetched = place.fetch()
                    break
                except (ServiceError, SafetyRefusal):
                    continue
            assert fetched.sha256 == hashlib.sha256(data).hexdigest()
            assert place.has(data)

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        cuts=st.lists(st.integers(1, 299_999), min_size=1, max_size=5).map(lambda c: sorted(c, reverse=True)),
        chunked=st.booleans(),
    )
    def test_comes_only_once_however_often_it_is_cut(self, tmp_path_factory, cuts, chunked):
        data = content(300_000)
        with Place(tmp_path_factory.mktemp("x"), data) as place:
            place.store.chunked = chunked
            for missing in cuts:
                if len(data) - missing > (os.path.getsize(place.path) if os.path.exists(place.path) else 0):
                    place.cut(missing)
            assert place.fetch().resumed_bytes == len(data) - cuts[-1]
            assert place.has(data)
            starts = [int(h.get("range", "bytes=0-")[6:-1]) for h in place.store.asked]
            assert starts == sorted(starts) and starts[-1] == len(data) - cuts[-1]

    def test_is_asked_for_without_anything_of_ours(self, place):
        place.fetch()
        (asked,) = place.store.asked
        assert sorted(asked) == ["accept", "accept-encoding", "host", "user-agent"]

    @pytest.mark.parametrize("data", [b"", b"<html>", content(50)[:-1], b"\xff\xd8"])
    def test_that_is_not_what_was_asked_for_is_none(self, place, data):
        place.store.data = data
        with pytest.raises(BadAnswer, match="no end") as e:
            place.fetch()
        assert e.value.retryable and place.names == []

    @pytest.mark.parametrize(("most", "chunked"), [(99_999, False), (99_999, True), (10, False)])
    def test_that_is_too_long_is_none(self, place, most, chunked):
        place.store.chunked = chunked
        with pytest.raises(BadAnswer, match="more than"):
            place.fetch(most_bytes=most)
        assert place.names == []
        assert place.fetch(most_bytes=100_000).size == 100_000

    @pytest.mark.parametrize("size", [90, 700_000])
    def test_that_is_longer_than_it_says_is_none(self, place, size):
        place.store.data = content(size) + END
        place.server.set_faults([f"length=-{len(END)}"])  # what is left ends as it should
        with pytest.raises(BadAnswer, match="more than it says"):
            place.fetch()
        assert place.names == []

    def test_leaves_other_files_alone(self, place, tmp_path):
        (tmp_path / "mine").write_bytes(b"mine")
        (tmp_path / "a.part").symlink_to(tmp_path / "mine")
        place.fetch()
        assert (tmp_path / "mine").read_bytes() == b"mine" and place.bytes == place.store.data

    def test_of_many_threads_is_each_its_own(self, tmp_path):
        with Place(tmp_path, content(50_000)) as place:
            got = {}

            def one(name):
                path = str(tmp_path / name)
                got[name] = fetch(place.http, place.url, RealFileSystem(), path, damage=no_end)

            threads = [threading.Thread(target=one, args=(str(n),)) for n in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(got) == 20 and {f.sha256 for f in got.values()} == {
                hashlib.sha256(place.store.data).hexdigest()
            }


class TestARefusal:
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ("status=401", Gone),
            ("status=403", Gone),
            ("status=404", Gone),
            ("status=410", Gone),
            ("status=500", Unreachable),
            ("status=503", Unreachable),
            ("status=429,retry-after=7", QuotaExceeded),
            ("status=204", BadAnswer),
            ("redirect=http://elsewhere.example/x", Redirected),
            ("html", BadAnswer),
            ("json={}", BadAnswer),
            ("html,body=<p>", BadAnswer),
            ("raw=HTTP/1.1 200 OK\\r\\n\\r\\nabc", BadAnswer),
            ("lost", Unreachable),
            ("stall=0", Unreachable),
        ],
    )
    @pytest.mark.parametrize("has_part", [False, True])
    def test_names_itself_and_costs_nothing_that_came(self, place, fault, error, has_part):
        if has_part:
            place.cut(40_000)
        place.server.set_faults([fault])
        with pytest.raises(error) as e:
            place.fetch()
        assert "\n" not in str(e.value) and "secret-in-query" not in str(e.value)
        assert not place.names or "a.part.tag" in place.names
        place.server.set_faults([])
        assert place.fetch().resumed_bytes == (60_000 if has_part else 0)
        assert place.has(place.store.data)

    @pytest.mark.parametrize("wrong", [7, 70_000])
    def test_for_more_than_there_is_ends_with_what_there_is(self, place, wrong):
        place.server.set_faults([f"length={wrong}"])
        with pytest.raises(Unreachable, match="stopped moving"):
            place.fetch()
        place.server.set_faults([])
        with pytest.raises(BadAnswer, match="does not go on"):
            place.fetch()
        assert place.names == []
        place.fetch()
        assert place.has(place.store.data)


class TestAPart:
    def test_is_gone_on_with_under_the_condition_that_it_is_the_same(self, place):
        place.cut(40_000)
        assert place.fetch().resumed_bytes == 60_000
        asked = place.store.asked[-1]
        assert (asked["range"], asked["if-range"]) == ("bytes=60000-", '"v1"')

    @pytest.mark.parametrize("size", [100_000, 90_000, 60_000, 110_000])
    @pytest.mark.parametrize("knows_if_range", [True, False])
    @pytest.mark.parametrize("etags", [('"v1"', '"v2"'), ('"v1"', None), (None, '"v1"'), (None, None)])
    def test_of_something_else_is_never_gone_on_with(self, place, size, knows_if_range, etags):
        place.store.etag, place.store.knows_if_range = etags[0], knows_if_range
        place.store.modified = "Mon, 01 Jan 2024 00:00:00 GMT"
        place.cut(40_000)
        place.store.etag, place.store.data = etags[1], content(size, seed=1)
        place.store.modified = "Tue, 02 Jan 2024 00:00:00 GMT"
        try:
            place.fetch()
        except BadAnswer:
            assert place.names == []
            place.fetch()
        assert place.has(place.store.data)

    @pytest.mark.parametrize(
        "bent",
        [
            {"Content-Range": None},
            {"Content-Range": ""},
            {"Content-Range": "bytes 60001-99999/100000"},
            {"Content-Range": "bytes 0-99999/100000"},
            {"Content-Range": "bytes 60000-99998/100000"},
            {"Content-Range": "bytes 60000-99999/*"},
            {"Content-Range": "bytes 60000-99999/100001"},
            {"Content-Range": "bytes */100000"},
            {"Content-Range": "bytes 60000-99999/100000, bytes 0-0/100000"},
            {"Content-Range": "bytes=60000-99999/100000"},
            {"Content-Range": "bytes 60000-99999/99999999999999999999"},
            {"Content-Range": "bytes ٦0000-99999/100000"},
            {"ETag": '"v2"'},
            {"ETag": None},
            {"ETag": 'W/"v1"'},
            {"Content-Type": "multipart/byteranges; boundary=x", "Content-Range": None},
        ],
    )
    def test_is_not_gone_on_with_where_the_answer_is_another(self, place, bent):
        place.cut(40_000)
        place.store.bent = bent
        with pytest.raises(BadAnswer, match="does not go on") as e:
            place.fetch()
        assert e.value.retryable and place.names == []
        assert place.fetch().resumed_bytes == 0
        assert place.has(place.store.data)

    def test_is_not_gone_on_with_where_there_should_be_none(self, place):
        place.cut(40_000)
        place.store.status = 416
        with pytest.raises(BadAnswer, match="does not go on"):
            place.fetch()
        assert place.names == []

    @pytest.mark.parametrize("chunked", [True, False])
    def test_is_not_whole_where_the_rest_is_shorter_than_it_should_be(self, place, chunked):
        place.cut(40_000)
        place.store.missing, place.store.chunked = 100, chunked
        with pytest.raises(BadAnswer, match="99900 bytes in place of 100000"):
            place.fetch()
        assert place.names == []

    def test_never_stands_beside_the_tag_of_another(self, place):
        class Watching(RealFileSystem):
            def create(self, path, private=False):
                if path == place.path:
                    seen.append(os.path.exists(path + ".tag"))
                return super().create(path, private)

        seen = []
        place.cut(40_000)
        place.store.knows_ranges = False
        place.fetch(Watching())
        assert seen == [False] and place.has(place.store.data)

    def test_begins_anew_where_the_server_knows_no_ranges(self, place):
        place.cut(40_000)
        place.store.knows_ranges = False
        assert place.fetch().resumed_bytes == 0
        assert place.has(place.store.data)

    def test_without_an_etag_is_known_by_its_size_and_time(self, place):
        place.store.etag, place.store.modified = None, "Mon, 01 Jan 2024 00:00:00 GMT"
        place.cut(40_000)
        assert place.fetch().resumed_bytes == 60_000
        assert "if-range" not in place.store.asked[-1]

    def test_is_not_known_by_its_size_alone(self, place):
        place.store.etag = None
        place.cut(40_000)
        assert place.names == []
        place.store.data = content(100_000, seed=1)
        assert place.fetch().resumed_bytes == 0 and place.has(place.store.data)

    def test_of_which_nothing_is_known_is_not_kept(self, place):
        place.store.etag, place.store.chunked = None, True
        place.server.set_faults(["raw=HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n9\\r\\nabc"])
        with pytest.raises(Unreachable):
            place.fetch()
        assert place.names == []

    def test_that_is_whole_already_needs_no_request(self, place):
        place.store.data = content(300_000)
        fetched = place.fetch()
        asked = len(place.store.asked)
        again = place.fetch()
        assert (again.sha256, again.resumed_bytes) == (fetched.sha256, 300_000)
        assert len(place.store.asked) == asked and place.has(place.store.data)

    def test_that_is_whole_and_has_other_bytes_begins_anew(self, place):
        place.fetch()
        Path(place.path).write_bytes(bytes(50_000) + place.store.data[50_000:])
        assert place.fetch().resumed_bytes == 0 and place.has(place.store.data)

    @pytest.mark.parametrize(
        "tag",
        [b"", b"{", b"[]", b"null", b'{"size": "5"}', b'{"size": true}', b'{"size": -1}', b'{"etag": "v1"}', b"\xff",
         b'{"etag": "\\"a\\r\\nX: y\\""}', b'{"size": 59999}', b"[" * 4096, b'{"size": 1e5}'],
    )  # fmt: skip
    def test_with_a_tag_that_is_none_begins_anew(self, place, tag):
        place.cut(40_000)
        Path(place.path + ".tag").write_bytes(tag)
        assert place.fetch().resumed_bytes == 0
        assert "range" not in place.store.asked[-1]
        assert place.has(place.store.data)

    def test_without_its_tag_begins_anew(self, place):
        place.cut(40_000)
        os.unlink(place.path + ".tag")
        assert place.fetch().resumed_bytes == 0 and place.has(place.store.data)

    def test_does_not_get_the_tag_of_an_older_one(self, place):
        Path(place.path + ".tag").write_text('{"size": 100000, "etag": null, "modified": null}')
        place.fetch()
        assert place.has(place.store.data)

    def test_is_gone_on_with_only_where_it_is_a_file(self, tmp_path):
        (tmp_path / "mine").write_bytes(b"mine")
        (tmp_path / "link").symlink_to(tmp_path / "mine")
        (tmp_path / "folder").mkdir()
        for name in ("link", "folder", "nothing"):
            with pytest.raises(StorageError):
                Part(RealFileSystem(), str(tmp_path / name)).resume()
        assert (tmp_path / "mine").read_bytes() == b"mine"

    def test_can_be_discarded(self, place):
        place.cut(40_000)
        assert place.names == ["a.part", "a.part.tag"]
        for _ in range(2):
            discard(RealFileSystem(), place.path)
            assert place.names == []


_KILLED = """
import sys
from camtrail.core.clock import RealClock
from camtrail.core.fs import RealFileSystem
from camtrail.transfer.fetch import fetch
from camtrail.transfer.http import Http

url, path = sys.argv[1:]
with Http([url], user_agent="camtrail/test", clock=RealClock()) as http:
    fetch(http, url + "/a", RealFileSystem(), path, damage=lambda source: None)
"""


_KILLED_AT = """
import os, sys
from camtrail.core.clock import RealClock
from camtrail.core.fs import RealFileSystem
from camtrail.transfer.fetch import fetch
from camtrail.transfer.http import Http

url, path, left = sys.argv[1], sys.argv[2], int(sys.argv[3])

def changed():
    global left
    left -= 1
    if left == 0:
        os._exit(9)

class Killed(RealFileSystem):
    def create(self, path, private=False):
        file = super().create(path, private)
        changed()
        return File(file)

    def remove(self, path):
        super().remove(path)
        changed()

class File:
    def __init__(self, file):
        self.file = file

    def write(self, data):
        self.file.write(data)
        changed()

    def close(self):
        self.file.close()
        changed()

with Http([url], user_agent="camtrail/test", clock=RealClock()) as http:
    fetch(http, url + "/a", Killed(), path, damage=lambda source: None)
"""


class TestAKill:
    @pytest.mark.parametrize("come", [1, 70_000, 1_000_000])
    def test_costs_nothing_that_came(self, tmp_path, come):
        data, path = content(2_000_000), tmp_path / "a.part"
        goes_on, is_there = threading.Event(), threading.Event()

        def app(request):
            if "range" in request.headers:
                return store(request)

            def pieces():
                yield data[:come]
                is_there.set()
                goes_on.wait()
                yield data[come:]

            return Reply(200, pieces(), {"ETag": '"v1"', "Content-Length": str(len(data))})

        store = Store(data)
        with FaultServer({"images": app}) as server:
            url = server.url("images")
            command = [sys.executable, "-c", _KILLED, url, str(path)]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
                assert is_there.wait(60)
                while not path.exists() or path.stat().st_size < come:
                    assert process.poll() is None
                process.send_signal(signal.SIGKILL)
            goes_on.set()
            with Http([url], user_agent="camtrail/test", clock=RealClock()) as http:
                fetched = fetch(http, f"{url}/a", RealFileSystem(), str(path), damage=no_end)
        assert fetched == Fetched(len(data), hashlib.sha256(data).hexdigest(), come)
        assert path.read_bytes() == data and sorted(os.listdir(tmp_path)) == ["a.part", "a.part.tag"]

    @pytest.mark.parametrize("size", [20_000, 1_200_000])
    def test_never_costs_a_file_that_came_whole(self, place, size):
        """Killed behind each single change of a file."""
        data = place.store.data = content(size)
        whole = 0
        for k in range(1, 60):
            for name in place.names:
                os.unlink(os.path.join(os.path.dirname(place.path), name))
            command = [sys.executable, "-c", _KILLED_AT, place.server.url("images"), place.path, str(k)]
            if subprocess.run(command, check=False).returncode == 0:
                break
            if os.path.exists(place.path) and os.path.getsize(place.path) == size:
                whole, asked = whole + 1, len(place.store.asked)
                assert place.fetch().sha256 == hashlib.sha256(data).hexdigest()
                assert len(place.store.asked) == asked
        assert whole >= 2 and k > 5


class Failing(RealFileSystem):
    """A file system whose k-th changing call fails."""

    def __init__(self, k):
        self.left = k

    def point(self):
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def create(self, path, private=False):
        self.point()
        return FailingFile(self, super().create(path, private))

    def open_end(self, path):
        self.point()
        return FailingFile(self, super().open_end(path))

    def remove(self, path):
        self.point()
        super().remove(path)


class FailingFile:
    def __init__(self, fs, file):
        self.fs, self.file = fs, file

    def write(self, data):
        try:
            self.fs.point()
        except OSError:
            self.file.write(data[: len(data) // 2])
            raise
        self.file.write(data)

    def close(self):
        self.file.close()
        self.fs.point()


class TestADiskThatIsFull:
    @pytest.mark.parametrize("size", [1000, 1_100_000])
    @pytest.mark.parametrize("has_part", [False, True])
    def test_is_named_and_the_next_run_goes_on(self, tmp_path_factory, size, has_part):
        data = content(size)
        for k in range(1, 60):
            with Place(tmp_path_factory.mktemp("x"), data) as place:
                if has_part:
                    place.cut(size // 2)
                failing = Failing(k)
                try:
                    place.fetch(failing)
                except StorageError as e:
                    assert "full" in e.message
                else:
                    assert failing.left > 0
                    break
                assert place.fetch().sha256 == hashlib.sha256(data).hexdigest()
                assert place.has(data)
        assert k > 3

    def test_for_what_is_only_useful_later_is_not_what_is_told(self, place):
        class NoTag(RealFileSystem):
            def create(self, path, private=False):
                if path.endswith(".tag"):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().create(path, private)

        place.server.set_faults(["truncate=40000"])
        with pytest.raises(Unreachable):
            place.fetch(NoTag())

    def test_is_no_matter_of_the_connection(self, place):
        with pytest.raises(StorageError):
            place.fetch(Failing(3))
        assert len(place.store.asked) == 1


class TestPlacesThatAnAnswerNames:
    @pytest.fixture
    def images(self, tmp_path):
        with Place(tmp_path, content(1000)) as place:
            yield place

    def got(self, pointed_by, url, tmp_path, **more):
        options = {"user_agent": "camtrail/test", "clock": RealClock(), "connect_s": 5}
        with Http([], pointed_by=pointed_by, **options) as http:
            return http.request("GET", url, **more)

    @pytest.mark.parametrize("service", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"])
    def test_are_asked_where_the_service_is_on_this_machine(self, images, tmp_path, service):
        answer = self.got(service, images.url, tmp_path)
        assert answer.body == images.store.data

    @pytest.mark.parametrize(
        "service",
        [
            "https://graph.example",
            "http://graph.example",
            "https://127.0.0.1:9",
            "http://10.0.0.1",
            "http://8.8.8.8",
        ],
    )
    def test_are_not_asked_in_plain_text_by_another_service(self, images, tmp_path, service):
        with pytest.raises(SafetyRefusal, match="encryption"):
            self.got(service, images.url, tmp_path)
        assert images.store.asked == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_are_not_asked_on_this_machine_by_a_service_elsewhere(self, images, tmp_path, host):
        port = images.server.url("images").rpartition(":")[2]
        with pytest.raises(SafetyRefusal, match="no service has reason") as e:
            self.got("https://graph.example", f"https://{host}:{port}/x?token=1", tmp_path)
        assert e.value.exit_code == 11 and "token" not in str(e.value)
        assert images.store.asked == []

    @pytest.mark.parametrize(
        "url",
        ["file:///etc/passwd", "ftp://a/b", "http://user:word@127.0.0.1/", "https://a@b/", "//127.0.0.1/", "", "x",
         "http://127.0.0.1:9?x", "http://127.0.0.1:9#x", "http://", "https:///a", "http://127.0.0.1:0/"],
    )  # fmt: skip
    def test_that_are_none_are_refused(self, tmp_path, url):
        with pytest.raises(SafetyRefusal) as e:
            self.got("http://127.0.0.1:9", url, tmp_path)
        assert "word" not in str(e.value)

    @pytest.mark.parametrize("url", ["https://images.example/x", "http://127.0.0.1:9/"])
    def test_are_refused_where_no_service_was_named(self, tmp_path, url):
        with pytest.raises(SafetyRefusal, match="none of the places"):
            self.got(None, url, tmp_path)

    @pytest.mark.parametrize(
        "more", [{"headers": {"Authorization": Secret("OAuth abcdefgh")}}, {"body": b"x"}]
    )
    def test_get_nothing_of_ours(self, images, tmp_path, more):
        with pytest.raises(ValueError):
            self.got("http://127.0.0.1:9", images.url, tmp_path, **more)
        assert images.store.asked == []

    @pytest.mark.parametrize("most", [1, 0])
    def test_keep_their_connections_as_long_as_they_are_few(self, images, monkeypatch, most):
        monkeypatch.setattr(http_module, "_MOST_PLACES", most)
        options = {"user_agent": "camtrail/test", "clock": RealClock()}
        with Http([], pointed_by="http://127.0.0.1:9", **options) as http:
            for _ in range(3):
                assert http.request("GET", images.url).status == 200
            (place,) = http._places.values()
            assert len(place.idle) == most

    def test_in_plain_text_are_on_this_machine(self, images, tmp_path, monkeypatch):
        asked = []
        monkeypatch.setattr(http_module, "is_loopback", asked.append)
        with pytest.raises(SafetyRefusal, match="no service has reason"):
            self.got("http://127.0.0.1:9", images.url, tmp_path)
        assert asked == ["127.0.0.1"] and images.store.asked == []

    @pytest.mark.parametrize(
        ("address", "public"),
        [("8.8.8.8", True), ("2a03:2880::1", True), ("127.0.0.1", False), ("127.9.9.9", False), ("::1", False),
         ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False),
         ("fe80::1", False), ("fe80::1%2", False), ("fd00::1", False), ("0.0.0.0", False), ("::", False),
         ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False), ("::ffff:127.0.0.1", False),
         ("::ffff:169.254.169.254", False), ("::ffff:8.8.8.8", True), ("ff02::1", False), ("240.0.0.1", False)],
    )  # fmt: skip
    def test_are_public_or_not(self, address, public):
        assert is_public(address) is public
        assert is_near(address) is not public

    def test_are_known_to_be_near_only_by_their_address(self):
        assert [is_near(h) for h in ("localhost", "127.0.0.1.example.org", "a", "")] == [
            True,
            False,
            False,
            False,
        ]
        assert [is_here(h) for h in ("localhost", "::1", "10.0.0.1", "a", "8.8.8.8")] == [
            True,
            True,
            False,
            False,
            False,
        ]
        assert is_loopback("::ffff:127.0.0.1")


class TestASink:
    def test_is_asked_once_also_on_a_connection_that_was_kept(self, place):
        place.server.set_faults(["truncate=10,nth=2"])
        assert place.http.request("GET", place.url).status == 200
        asked, taken = [], []

        def sink(status, headers):
            asked.append((status, headers["etag"]))
            return taken.append

        with pytest.raises(Unreachable):
            place.http.request("GET", place.url, sink=sink)
        assert asked == [(200, '"v1"')] and b"".join(taken) == place.store.data[:-10]

    def test_that_wants_nothing_leaves_an_answer_of_bounded_size(self, place):
        def asked():
            return place.http.request("GET", place.url, sink=lambda status, headers: None, most_bytes=1 << 30)

        assert asked().body == place.store.data
        place.store.data = bytes((1 << 20) + 1)
        with pytest.raises(BadAnswer, match="more than 1048576 bytes"):
            asked()

    def test_may_raise_what_it_likes(self, place):
        class Full(CamtrailError):
            pass

        def take(piece):
            raise Full("x")

        with pytest.raises(Full):
            place.http.request("GET", place.url, sink=lambda status, headers: take)
        assert place.http.request("GET", place.url).body == place.store.data
