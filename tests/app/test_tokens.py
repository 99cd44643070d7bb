"""Tokens are kept for their owner only, and under the origin they were got for."""

from __future__ import annotations

import json
import logging
import os
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.app.tokens import Keyring, TokenFile, guarded
from camtrail.core.errors import StorageError, UsageError
from camtrail.core.fs import Access, RealFileSystem
from camtrail.core.secrets import Secret

FS = RealFileSystem()
posix = pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


class MemoryRing:
    """A keyring in memory."""

    def __init__(self):
        self.kept = {}

    def get_password(self, service, name):
        return self.kept.get((service, name))

    def set_password(self, service, name, password):
        self.kept[service, name] = password

    def delete_password(self, service, name):
        del self.kept[service, name]


class BrokenRing:
    """A keyring that does not answer."""

    def get_password(self, *_):
        raise OSError("no bus")

    set_password = delete_password = get_password


@pytest.fixture(params=["file", "keyring"])
def store(request, tmp_path):
    return TokenFile(FS, str(tmp_path / "accounts")) if request.param == "file" else Keyring(MemoryRing())


class TestEveryStore:
    def test_a_token_is_for_its_origin_and_profile(self, store):
        for origin, name, text in (
            ("https://a", "rob", "one"),
            ("https://b", "rob", "two"),
            ("https://a", "ann", "3"),
        ):
            store.put(origin, name, Secret(text))
        assert store.get("https://a", "rob") == Secret("one")
        assert store.get("https://b", "rob") == Secret("two")
        assert store.get("https://b", "ann") is None
        store.put("https://a", "rob", Secret("new"))
        assert store.get("https://a", "rob") == Secret("new")
        assert store.remove("https://a", "rob")
        assert store.get("https://a", "rob") is None
        assert store.get("https://a", "ann") == Secret("3") and store.get("https://b", "rob") == Secret("two")

    @pytest.mark.parametrize("text", ["100%", "%(home)s", "MLY|1|ü…", "a'b\"c\\", "é" * 300])
    def test_any_character(self, store, text):
        store.put("https://a", "ü%s", Secret(text))
        found = store.get("https://a", "ü%s")
        assert found is not None and found.reveal() == text


@given(st.dictionaries(st.tuples(TEXTS, TEXTS), TEXTS, max_size=8))
def test_the_file_gives_back_what_was_put(tmp_path_factory, tokens):
    folder = str(tmp_path_factory.mktemp("tokens") / "accounts")
    for (origin, name), token in tokens.items():
        TokenFile(FS, folder).put(origin, name, Secret(token))
    for (origin, name), token in tokens.items():
        found = TokenFile(FS, folder).get(origin, name)
        assert found is not None and found.reveal() == token
    for origin in {o for o, _ in tokens}:
        assert TokenFile(FS, folder).names(origin) == {n for o, n in tokens if o == origin}


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_modes_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        TokenFile(FS, str(tmp_path / "config" / "accounts")).put("https://a", "rob", Secret("x"))
    finally:
        os.umask(before)
    folder = tmp_path / "config" / "accounts"
    assert [p.name for p in folder.iterdir()] == ["tokens.json"]
    assert (folder / "tokens.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "config").stat().st_mode & 0o777 == 0o700


@posix
def test_looser_modes_are_tightened_with_a_warning_once(tmp_path, caplog):
    store = TokenFile(FS, str(tmp_path / "accounts"))
    store.put("https://a", "rob", Secret("x"))
    (tmp_path / "accounts").chmod(0o755)
    (tmp_path / "accounts" / "tokens.json").chmod(0o644)
    assert store.get("https://a", "rob") == Secret("x")
    assert (tmp_path / "accounts").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "accounts" / "tokens.json").stat().st_mode & 0o777 == 0o600
    assert [r.levelno for r in caplog.records] == [logging.WARNING] * 2
    assert "tokens.json: others on this machine could read it" in caplog.text
    store.get("https://a", "rob")
    assert len(caplog.records) == 2


@posix
def test_modes_that_cannot_be_changed_are_told(tmp_path, caplog):
    class Fixed(RealFileSystem):
        def make_private(self, path):
            raise OSError(30, "Read-only file system")

    store = TokenFile(Fixed(), str(tmp_path))
    (tmp_path / "tokens.json").write_text('{"https://a": {"rob": "x"}}')
    tmp_path.chmod(0o700)
    (tmp_path / "tokens.json").chmod(0o644)
    assert store.get("https://a", "rob") == Secret("x")
    assert "can read it, and that cannot be changed" in caplog.text


@pytest.mark.parametrize("what", ["accounts", "tokens.json"])
def test_what_belongs_to_somebody_else_is_refused(tmp_path, what):
    class Foreign(RealFileSystem):
        def access(self, path):
            return super().access(path)._replace(is_ours=not path.endswith(what))

    folder = str(tmp_path / "accounts")
    TokenFile(FS, folder).put("https://a", "rob", Secret("x"))
    store = TokenFile(Foreign(), folder)
    for call in (
        lambda: store.get("https://a", "rob"), lambda: store.put("https://a", "rob", Secret("y")),
        lambda: store.remove("https://a", "rob"), lambda: store.names("https://a"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match="belongs to somebody else"):
            call()


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_was_given_away_is_refused(tmp_path):
    store = TokenFile(FS, str(tmp_path / "accounts"))
    store.put("https://a", "rob", Secret("x"))
    os.chown(store.path, 12345, 12345)
    with pytest.raises(UsageError, match="belongs to somebody else"):
        store.get("https://a", "rob")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"https://a": []}', '{"https://a": {"rob": 1}}', "\xff"])
def test_a_damaged_file_is_refused_without_its_text(tmp_path, text):
    store = TokenFile(FS, str(tmp_path / "accounts"))
    store.put("https://a", "rob", Secret("CANARY"))
    with open(store.path, "w", encoding="latin-1") as file:
        file.write(text)
    with pytest.raises(UsageError, match=r"tokens\.json: is damaged; move it away"):
        store.get("https://a", "rob")


def test_a_disk_that_refuses(tmp_path):
    class Unknowable(RealFileSystem):
        def access(self, path) -> Access:
            raise OSError(5, "Input/output error")

    with pytest.raises(StorageError, match="Input/output"):
        guarded(Unknowable(), str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be made"):
        TokenFile(FS, str(tmp_path / "file" / "accounts")).put("https://a", "rob", Secret("x"))


class TestKeyring:
    def test_one_that_does_not_answer_never_raises(self):
        ring = Keyring(BrokenRing())
        assert ring.put("https://a", "rob", Secret("x")) is False
        assert ring.get("https://a", "rob") is None
        assert ring.remove("https://a", "rob") is False

    def test_one_that_keeps_nothing_says_so(self):
        class Forgetful(MemoryRing):
            def set_password(self, *_):
                pass

        assert Keyring(Forgetful()).put("https://a", "rob", Secret("x")) is False

    def test_what_is_not_there_is_gone(self):
        assert Keyring(MemoryRing()).remove("https://a", "rob") is True

    @pytest.mark.parametrize(
        ("module", "backends", "is_used"),
        [
            ("keyring.backends.fail", (), False), ("keyring.backends.null", (), False),
            ("keyring.backends.chainer", [], False), ("keyring.backends.chainer", [MemoryRing()], True),
            ("keyring.backends.SecretService", (), True),
        ],
    )  # fmt: skip
    def test_only_a_real_one_is_used(self, monkeypatch, module, backends, is_used):
        backend = type("Ring", (MemoryRing,), {"__module__": module, "backends": backends})()
        fake = types.SimpleNamespace(get_keyring=lambda: backend)
        monkeypatch.setitem(sys.modules, "keyring", fake)
        assert Keyring().put("https://a", "rob", Secret("x")) is is_used

    def test_without_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "keyring", None)
        assert Keyring().put("https://a", "rob", Secret("x")) is False

    def test_the_library_itself(self, monkeypatch):
        """The installed one, with a backend that its own configuration names."""
        keyring = pytest.importorskip("keyring")
        from keyring.backend import KeyringBackend

        class Ring(MemoryRing, KeyringBackend):
            priority = 0  # never chosen by itself

            def __init__(self):
                MemoryRing.__init__(self)

        before = keyring.get_keyring()
        keyring.set_keyring(Ring())
        try:
            assert Keyring().put("https://a", "rob", Secret("x"))
            assert keyring.get_password("camtrail https://a", "rob") == "x"
        finally:
            keyring.set_keyring(before)


def test_the_file_is_plain_json(tmp_path):
    store = TokenFile(FS, str(tmp_path / "accounts"))
    store.put("https://a", "rob", Secret("ü"))
    with open(store.path, encoding="ascii") as file:
        assert json.load(file) == {"https://a": {"rob": "ü"}}
