"""What is kept comes back as it was or not at all; what was used is counted by all runs together."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.catalog.cache import Cache, Limit
from camtrail.core.errors import CatalogError, QuotaExceeded, StorageError, UsageError
from camtrail.core.fs import RealFileSystem

KEY = "GET https://api.example.org/v1/x?y=1"
MINUTE = Limit(60, 60, "the 60 requests of a minute")
DAY = Limit(10_000, 86_400, "the 10,000 requests of a day")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at_s = 1_800_000_000.25

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "cache" / "service")


@pytest.fixture
def opened(folder, clock):
    """Opens the cache; all that were opened are closed with the test."""
    made = []

    def again(**options):
        made.append(Cache(folder, RealFileSystem(), clock, **options))
        return made[-1]

    yield again
    for cache in made:
        cache.close()


def files(folder):
    return sorted(os.path.join(at, n) for at, _, names in os.walk(f"{folder}/files") for n in names)


class TestKeeping:
    def test_what_was_put_comes_back_in_the_next_run(self, opened):
        assert opened().get(KEY) is None
        opened().put(KEY, b"answer", ".json")
        assert opened().get(KEY) == b"answer"

    def test_a_later_value_replaces_an_earlier_one(self, opened, folder):
        cache = opened()
        for value in (b"first", b"", b"the third"):
            cache.put(KEY, value)
            assert cache.get(KEY) == value
        assert cache.size_bytes == len(b"the third") and len(files(folder)) == 1

    def test_keys_of_any_text(self, opened):
        cache = opened()
        keys = ["a", "A", "ä", "a/../b", "x" * 5000, "nul\0", "\udcff"]
        for i, key in enumerate(keys):
            cache.put(key, b"%d" % i)
        assert [cache.get(key) for key in keys] == [b"%d" % i for i in range(len(keys))]

    def test_only_what_may_grow_old_does(self, opened, clock):
        cache = opened()
        cache.put(KEY, b"answer")
        clock.sleep(300)
        assert cache.get(KEY, 300) == b"answer"
        clock.sleep(1)
        assert cache.get(KEY, 300) is None
        assert cache.get(KEY) == b"answer"

    def test_what_was_kept_in_the_future_is_old(self, opened, clock):
        cache = opened()
        cache.put(KEY, b"answer")
        clock.at_s -= 86_400
        assert cache.get(KEY, 300) is None and cache.get(KEY) == b"answer"

    def test_bypassed_it_is_fetched_anew_and_kept(self, opened):
        opened().put(KEY, b"old")
        cache = opened(bypass=True)
        assert cache.get(KEY, 300) is None and cache.get(KEY) == b"old"
        cache.put(KEY, b"new")
        assert opened().get(KEY, 300) == b"new"

    def test_offline_nothing_is_too_old(self, opened, clock):
        opened().put(KEY, b"answer")
        clock.sleep(10**7)
        cache = opened(offline=True)
        assert cache.get(KEY, 300) == b"answer" and cache.offline

    def test_not_both(self, opened):
        with pytest.raises(UsageError, match="offline"):
            opened(offline=True, bypass=True)

    @pytest.mark.skipif(os.name == "nt", reason="no such modes there")
    def test_for_its_owner_only(self, opened, folder):
        opened().put(KEY, b"answer", ".json")
        (file,) = files(folder)
        assert file.endswith(".json")
        modes = [stat.S_IMODE(os.stat(p).st_mode) for p in (folder, file)]
        assert modes == [0o700, 0o600]


class TestRoom:
    def test_what_was_not_used_for_the_longest_time_goes(self, opened, clock, folder):
        cache = opened(most_bytes=1000)
        for i in range(10):
            cache.put(f"k{i}", bytes(100))
            clock.sleep(4000)
        assert cache.get("k0") is not None
        clock.sleep(4000)
        cache.put("k10", bytes(100))
        left = [i for i in range(11) if cache.get(f"k{i}") is not None]
        assert left == [0, *range(3, 11)]
        assert cache.size_bytes == 900 == sum(os.path.getsize(f) for f in files(folder))

    def test_what_is_larger_than_all_of_it_is_not_kept(self, opened):
        cache = opened(most_bytes=10)
        cache.put(KEY, bytes(11))
        assert cache.get(KEY) is None and cache.size_bytes == 0

    def test_two_runs_know_of_each_other_when_it_is_full(self, opened, folder, clock):
        one, other = opened(most_bytes=1000), opened(most_bytes=1000)
        for i in range(8):
            one.put(f"a{i}", bytes(100))
            clock.sleep(1)
            other.put(f"b{i}", bytes(100))
            clock.sleep(1)
        one.put("c", bytes(900))
        assert sum(os.path.getsize(f) for f in files(folder)) <= 1000


class TestDamage:
    @pytest.mark.parametrize("data", [b"", b"answe", b"answeR", b"answer and more"])
    def test_other_bytes_are_not_handed_out(self, opened, folder, data):
        cache = opened()
        cache.put(KEY, b"answer")
        (file,) = files(folder)
        with open(file, "wb") as out:
            out.write(data)
        assert cache.get(KEY) is None and files(folder) == [] and cache.size_bytes == 0
        cache.put(KEY, b"answer")
        assert cache.get(KEY) == b"answer"

    def test_a_file_that_is_gone(self, opened, folder):
        cache = opened()
        cache.put(KEY, b"answer")
        os.unlink(files(folder)[0])
        assert cache.get(KEY) is None
        assert opened().get(KEY) is None

    def test_a_damaged_database_is_an_empty_cache(self, opened, folder, caplog):
        cache = opened()
        cache.put(KEY, b"answer")
        cache.close()
        with open(f"{folder}/cache.sqlite", "r+b") as out:
            out.write(b"no database at all" * 10)
        cache = opened()
        assert cache.get(KEY) is None and files(folder) == []
        cache.put(KEY, b"answer")
        assert cache.get(KEY) == b"answer"

    def test_damage_while_it_is_open(self, opened, folder):
        cache = opened()
        meter = cache.meter("x", [MINUTE])
        cache.put(KEY, b"answer")
        size = os.path.getsize(f"{folder}/cache.sqlite")
        with open(f"{folder}/cache.sqlite", "r+b") as out:
            out.write(b"\xa5" * size)
        assert cache.get(KEY) is None
        assert meter.take() == 0
        cache.put(KEY, b"answer")
        assert cache.get(KEY) == b"answer"

    def test_a_newer_one_is_left_alone(self, opened, folder):
        import sqlite3

        opened().close()
        db = sqlite3.connect(f"{folder}/cache.sqlite")
        db.execute("PRAGMA user_version=99")
        db.close()
        with pytest.raises(CatalogError, match="newer"):
            opened()

    def test_no_folder_for_it(self, opened, tmp_path):
        (tmp_path / "cache").write_bytes(b"a file")
        with pytest.raises(StorageError, match="cannot be made") as e:
            opened()
        assert "folder" in e.value.hint

    def test_a_disk_that_is_full_is_said_once(self, folder, clock, caplog):
        class Full(RealFileSystem):
            def create(self, path, private=False):
                raise OSError(28, "No space left on device")

        with Cache(folder, Full(), clock) as cache:
            for i in range(3):
                cache.put(f"k{i}", b"x")
                assert cache.get(f"k{i}") is None
        assert [r.levelname for r in caplog.records] == ["WARNING"]


class TestMeter:
    def test_it_counts_over_runs(self, opened, clock):
        for _ in range(60):
            assert opened().meter("x", [MINUTE, DAY]).take() == 0
        wait_s = opened().meter("x", [MINUTE, DAY]).take()
        assert 59 < wait_s <= 61
        assert opened().meter("other", [MINUTE, DAY]).take() == 0
        clock.sleep(wait_s)
        assert opened().meter("x", [MINUTE, DAY]).take() == 0

    def test_a_day_that_is_spent(self, opened, clock):
        meter = opened().meter("x", [MINUTE, DAY])
        meter.add(9_999)
        clock.sleep(3_600)
        assert meter.take() == 0
        with pytest.raises(QuotaExceeded) as e:
            opened().meter("x", [MINUTE, DAY]).take()
        assert str(e.value) == (
            "the 10,000 requests of a day are used up; run again in 24 h; what was done is kept"
        )
        assert 82_000 < e.value.retry_after_s < 83_000
        assert meter.used(DAY) == 10_000
        clock.sleep(e.value.retry_after_s)
        assert meter.take() == 0

    def test_bytes_are_charged_when_they_are_known(self, opened):
        hour = Limit(5_000, 3_600, "the bytes of an hour")
        meter = opened().meter("x", [hour])
        assert meter.take() == 0
        meter.add(4_998)
        assert meter.take() == 0
        with pytest.raises(QuotaExceeded, match="the bytes of an hour are used up; run again in 61 min"):
            meter.take()

    def test_a_clock_that_was_wrong_costs_nothing(self, opened, clock):
        meter = opened().meter("x", [MINUTE, DAY])
        clock.at_s += 10**8
        meter.add(10_000)
        clock.at_s -= 10**8
        assert meter.take() == 0

    @settings(max_examples=50)
    @given(pauses=st.lists(st.sampled_from([0.0, 0.1, 0.9, 1.0, 3.0, 9.5, 30.0]), min_size=20, max_size=80))
    def test_never_more_than_the_limit_in_any_span(self, pauses):
        import tempfile

        limits = [Limit(3, 5, "three in five"), Limit(7, 30, "seven in thirty")]
        clock, taken = Clock(), []
        with tempfile.TemporaryDirectory() as at, Cache(f"{at}/c", RealFileSystem(), clock) as cache:
            meter = cache.meter("x", limits)
            for pause_s in pauses:
                clock.sleep(pause_s)
                while wait_s := meter.take():
                    assert wait_s <= 31
                    clock.sleep(wait_s)
                taken.append(clock.at_s)
        for limit in limits:
            for i, at_s in enumerate(taken):
                assert sum(at_s - limit.span_s <= t <= at_s for t in taken[: i + 1]) <= limit.amount
