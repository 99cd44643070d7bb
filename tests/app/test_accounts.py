"""Accounts: what is no secret in config.toml, tokens apart and bound to their origin, older files read only."""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import threading
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.app.accounts import (
    REAL_ORIGIN,
    TOKEN_KEY,
    Accounts,
    Profile,
    authenticate,
    authenticate_by_password,
    edit_ini,
    is_secret,
)
from camtrail.app.mapillary_service import me_of, origin_of
from camtrail.app.tokens import Keyring
from camtrail.core.clock import RealClock
from camtrail.core.errors import (
    AuthError,
    CamtrailError,
    FolderBusy,
    StorageError,
    Unreachable,
    UnreadableFile,
    UsageError,
)
from camtrail.core.fs import RealFileSystem
from camtrail.core.secrets import Secret
from camtrail.services.mapillary.sandbox import MapillarySandbox

from .test_tokens import BrokenRing, MemoryRing

FS = RealFileSystem()
SANDBOX = "http://127.0.0.1:8080"
posix = pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
OLD = "[rob]\nMAPSettingsUsername = rob\nMAPSettingsUserKey = 1\nuser_upload_token = old%token\n"
CONFIG = """# my settings
[options]   # of every run
preset = 'modern'

[profiles.work]  # the office
MAPSettingsUsername = "rob"
other = [1, 2]

[else]
x = 2020-01-01
"""


@pytest.fixture
def config(tmp_path):
    return tmp_path / "config" / "config.toml"


@pytest.fixture
def made(config, tmp_path):
    """Accounts of an origin, with the older programs' files below `home`."""

    def make(origin=REAL_ORIGIN, **more):
        return Accounts(str(config), origin, **{"home": [str(tmp_path / "home")], "keyring": False, **more})

    return make


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def old_file(tmp_path, text=OLD, name="config"):
    path = write(tmp_path / "home" / "mapillary" / name, text)
    path.chmod(0o600)
    return path


def revealed(token):
    return token.reveal() if token is not None else None


class TestProfiles:
    def test_nothing_yet(self, made, config):
        accounts = made()
        assert accounts.profiles() == []
        assert accounts.find("rob") is None and accounts.only() is None
        assert accounts.token(None, REAL_ORIGIN) is None
        assert not config.parent.exists()

    def test_what_was_put_is_found(self, made, config):
        put = made().put(Profile("work", "rob", "1", "77", email="r@x.org"), Secret("100%ü"))
        assert put == Profile("work", "rob", "1", "77", True, str(config), "r@x.org")
        accounts = made()
        assert accounts.profiles() == [put]
        assert accounts.find("work") == accounts.find("rob") == accounts.only() == put
        assert revealed(accounts.token(put, REAL_ORIGIN)) == "100%ü"
        assert "100%" not in config.read_text("utf-8")

    def test_two_profiles(self, made):
        accounts = made()
        accounts.put(Profile("a", "ann"), Secret("of ann"))
        accounts.put(Profile("ann", "bob"), Secret("of bob"))
        assert [p.name for p in accounts.profiles()] == ["a", "ann"]
        assert accounts.only() is None
        assert accounts.find("ann").user_name == "bob"  # the profile's own name comes first
        assert accounts.find("bob").name == "ann"
        assert revealed(accounts.token(accounts.find("a"), REAL_ORIGIN)) == "of ann"
        assert revealed(accounts.token(accounts.find("ann"), REAL_ORIGIN)) == "of bob"

    def test_without_a_user_name_the_profile_is_named_like_the_user(self, made):
        made().edit("rob", {"organization_key": "5"})
        assert made().only() == dataclasses.replace(
            Profile("rob", "rob", organization_key="5"), where=made().config_path
        )

    def test_what_is_not_said_again_stays(self, made):
        accounts = made()
        accounts.put(Profile("work", "rob", "1", "77"), Secret("token"))
        assert accounts.put(Profile("work", "rob", "1")).organization_key == "77"
        assert revealed(accounts.token(accounts.find("work"), REAL_ORIGIN)) == "token"
        other = accounts.put(Profile("work", "ann", "2"))  # what was another user's has no business here
        assert (other.user_name, other.organization_key, other.has_token) == ("ann", "", False)
        assert accounts.token(other, REAL_ORIGIN) is None

    def test_removed_with_its_token(self, made, config):
        accounts = made()
        accounts.put(Profile("work", "rob"), Secret("token"))
        accounts.put(Profile("other", "ann"), Secret("token2"))
        assert accounts.remove("work") and not accounts.remove("work")
        assert [p.name for p in accounts.profiles()] == ["other"]
        accounts.edit("work", {"organization_key": "1"})
        assert accounts.token(accounts.find("work"), REAL_ORIGIN) is None
        assert "work" not in (config.parent / "accounts" / "tokens.json").read_text()

    @pytest.mark.parametrize("name", ["", " rob", "a\nb", "\u202erob", "x" * 101])
    def test_names_that_cannot_be(self, made, name, config):
        with pytest.raises(UsageError, match="no name of a profile"):
            made().put(Profile(name), Secret("CANARY"))
        assert not config.exists()

    @pytest.mark.parametrize("name", ["rob", "Röb Ü", "a.b", "a@b", "写真", 'quo"te', "profiles"])
    def test_names_that_can(self, made, name):
        made().put(Profile(name, "rob"), Secret("token of it"))
        assert revealed(made().token(made().find(name), REAL_ORIGIN)) == "token of it"
        assert made().remove(name)


class TestOrigins:
    def test_a_token_never_leaves_its_origin(self, made):
        real, box = made(), made(SANDBOX + "/")
        one = real.put(Profile("rob", "rob", "1"), Secret("of the real one"))
        other = box.put(Profile("rob", "sandy", "2"), Secret("of the sandbox"))
        assert (one.origin, other.origin) == (REAL_ORIGIN, SANDBOX)
        for accounts in (real, box):
            assert revealed(accounts.token(one, REAL_ORIGIN)) == "of the real one"
            assert revealed(accounts.token(other, SANDBOX)) == "of the sandbox"
            assert accounts.token(one, SANDBOX) is None
            assert accounts.token(other, REAL_ORIGIN) is None
            assert accounts.token(one, REAL_ORIGIN + ".example.com") is None
        assert real.profiles() == [one] and box.profiles() == [other]
        assert box.find("rob@127.0.0.1:8080") == other
        again = box.put(dataclasses.replace(other, name="rob@127.0.0.1:8080"))
        assert again == other and box.profiles() == [other]

    def test_a_rehearsal_leaves_the_real_profile_alone(self, made):
        real, box = made(), made(SANDBOX)
        one = real.put(Profile("rob", "rob", "1"), Secret("token"))
        box.put(Profile("rob", "sandy", "2"), Secret("other"))
        assert box.remove("rob") and not box.remove("rob")
        assert real.profiles() == [one]
        assert revealed(real.token(one, REAL_ORIGIN)) == "token"

    def test_an_origin_that_was_changed_by_hand_gives_no_token(self, made, config):
        made().put(Profile("rob", "rob"), Secret("token"))
        config.write_text(config.read_text() + f'origin = "{SANDBOX}"\n')
        box = made(SANDBOX)
        assert box.find("rob").has_token is False
        assert box.token(box.find("rob"), SANDBOX) is None

    def test_a_profile_of_another_origin_written_by_hand(self, made, config):
        write(config, f'[profiles.test]\norigin = "{SANDBOX.upper()}/"\n')
        box = made(SANDBOX)
        box.put(Profile("test", "sandy"), Secret("token"))
        assert list(tomllib.loads(config.read_text())["profiles"]) == ["test"]
        assert revealed(box.token(box.only(), SANDBOX)) == "token"
        assert made().profiles() == []

    def test_a_name_that_a_profile_of_another_origin_has(self, made, config):
        write(config, f'[profiles.test]\norigin = "{SANDBOX}"\nMAPSettingsUserKey = "1"\n')
        before = config.read_text()
        with pytest.raises(UsageError, match="test: is a profile of another service"):
            made().put(Profile("test", "rob"), Secret("token"))
        assert not made().remove("test")
        assert config.read_text() == before and made().profiles() == []
        assert not (config.parent / "accounts" / "tokens.json").exists()

    def test_the_environment_wins_for_whatever_origin(self, made):
        made().put(Profile("rob", "rob"), Secret("kept"))
        accounts = made(environment_token=Secret("given"))
        assert accounts.is_from_environment and not made().is_from_environment
        for profile in (accounts.only(), None):
            for origin in (REAL_ORIGIN, SANDBOX):
                assert revealed(accounts.token(profile, origin)) == "given"

    def test_the_real_origin_is_that_of_the_client(self):
        assert origin_of("") == REAL_ORIGIN
        assert origin_of(f"{SANDBOX}/") == SANDBOX


class TestConfigFile:
    def test_comments_and_other_tables_stay(self, made, config):
        write(config, CONFIG)
        made().put(Profile("work", "rob", "1"), Secret("token"))
        made().put(Profile("new one", "ann"))
        text = config.read_text()
        assert [line for line in CONFIG.splitlines() if line not in text.splitlines()] == []
        assert tomllib.loads(text)["profiles"] == {
            "work": {"MAPSettingsUsername": "rob", "other": [1, 2], "MAPSettingsUserKey": "1"},
            "new one": {"MAPSettingsUsername": "ann"},
        }
        made().remove("new one")
        made().remove("work")
        left = tomllib.loads(config.read_text())
        assert left["options"] == {"preset": "modern"} and left["else"] and not left.get("profiles")

    @given(
        st.dictionaries(
            st.from_regex(r"[a-z]{1,4}( [ü-ý])?", fullmatch=True),
            st.dictionaries(st.sampled_from(["MAPSettingsUsername", "organization_key", "x y"]), st.text("aü'\"\\#", max_size=5)),
            max_size=4,
        ),
        st.sampled_from(["", "x = 1\n", "[options]\ny = 2 # z\n", "[profiles]\n", 'profiles.old = {}\n', "profiles = {a = {}}\n",
                         "[profiles.a]\n[options]\n[profiles.b]\nk = 'v'\n", "[other]\r\nx = 1\r\n"]),
    )  # fmt: skip
    def test_whatever_is_set_is_there_and_the_rest_as_before(self, tmp_path_factory, wanted, text):
        path = tmp_path_factory.mktemp("config") / "config.toml"
        path.write_text(text, newline="")
        before = tomllib.loads(text)
        accounts = Accounts(str(path), keyring=False)
        expected = before.get("profiles", {})
        for name, values in wanted.items():
            accounts.edit(name, values)
            expected.setdefault(name, {}).update(values)
            expected[name] = {k: v for k, v in expected[name].items() if v or k not in values}
        after = tomllib.loads(path.read_text(encoding="utf-8"))
        assert after.get("profiles", {}) == expected
        assert {k: v for k, v in after.items() if k != "profiles"} == {
            k: v for k, v in before.items() if k != "profiles"
        }

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[profiles", "cannot be used"), ("profiles = 3", "profiles is no table"), ("[profiles]\nrob = 'x'", "no table"),
            ("[profiles.rob]\nMAPSettingsUsername = 1.5", "MAPSettingsUsername: is no text"), ("\x00", "cannot be used"),
        ],
    )  # fmt: skip
    def test_a_broken_one_is_named_and_nothing_is_kept(self, made, config, text, words):
        write(config, text)
        for call in (
            lambda: made().profiles(),
            lambda: made().find("rob"),
            lambda: made().put(Profile("rob", "rob"), Secret("CANARY")),
            lambda: made().edit("rob", {TOKEN_KEY: "CANARY"}),
            lambda: made().remove("rob"),
        ):
            with pytest.raises(UsageError) as e:
                call()
            assert e.value.exit_code == 2
            assert str(config) in str(e.value) and words in str(e.value) and "CANARY" not in str(e.value)
        assert config.read_text() == text
        assert not (config.parent / "accounts" / "tokens.json").exists()

    def test_values_of_other_kinds_are_kept(self, made, config):
        write(config, "[profiles.rob]\nMAPSettingsUserKey = 123\n")
        assert made().only().user_key == "123"

    @posix
    @pytest.mark.parametrize("umask", [0o000, 0o077])
    def test_it_is_for_its_owner_only(self, made, config, umask):
        before = os.umask(umask)
        try:
            made().put(Profile("rob", "rob"), Secret("token"))
        finally:
            os.umask(before)
        assert config.stat().st_mode & 0o777 == 0o600
        assert config.parent.stat().st_mode & 0o777 == 0o700

    @posix
    def test_a_folder_of_others_files_keeps_its_mode(self, made, config):
        config.parent.mkdir(mode=0o755)
        made().put(Profile("rob", "rob"), Secret("token"))
        assert config.parent.stat().st_mode & 0o777 == 0o755
        assert (config.parent / "accounts").stat().st_mode & 0o777 == 0o700

    @posix
    def test_a_link_stays_one(self, made, config, tmp_path):
        target = write(tmp_path / "dotfiles" / "c.toml", "# c\n")
        config.parent.mkdir()
        config.symlink_to(target)
        made().put(Profile("rob", "rob"))
        assert config.is_symlink() and "rob" in target.read_text() and "# c" in target.read_text()

    def test_a_token_in_it_is_not_used_and_named(self, made, config, caplog):
        write(config, f"[profiles.rob]\n{TOKEN_KEY} = 'CANARY'\n")
        assert made().token(made().only(), REAL_ORIGIN) is None
        assert "take it out" in caplog.text and "CANARY" not in caplog.text

    @posix
    def test_no_configuration_at_all(self, tmp_path):
        accounts = Accounts("/dev/null", keyring=False)
        assert accounts.profiles() == []
        with pytest.raises(UsageError, match="/dev/null: is no file"):
            accounts.put(Profile("rob"))

    def test_what_cannot_be_written(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match="CAMTRAIL_CONFIG"):
            Accounts(str(tmp_path / "file" / "config.toml"), keyring=False).put(Profile("rob"))


class TestEdit:
    def test_keys_and_the_token(self, made, config):
        profile = made().edit(
            "rob", {"MAPSettingsUsername": "Rob", "MAPOrganizationKey": "9", TOKEN_KEY: "token%"}
        )
        assert profile == Profile("rob", "Rob", "", "9", True, str(config))
        assert "token%" not in config.read_text()
        assert revealed(made().token(profile, REAL_ORIGIN)) == "token%"

    def test_empty_values_take_away(self, made):
        made().edit("rob", {"organization_key": "9", TOKEN_KEY: "token"})
        profile = made().edit("rob", {"organization_key": "", TOKEN_KEY: ""})
        assert (profile.organization_key, profile.has_token) == ("", False)
        assert made().token(profile, REAL_ORIGIN) is None

    def test_unknown_keys_are_kept_with_a_warning(self, made, config, caplog):
        made().edit("rob", {"Favourite": "x"})
        assert tomllib.loads(config.read_text())["profiles"]["rob"] == {"Favourite": "x"}
        assert "Favourite: camtrail does not know this key" in caplog.text

    @pytest.mark.parametrize(
        "key", ["user_permission_hash", "user_signature_hash", "MAPILLARY_SECRET_HASH", "Password"]
    )
    def test_other_secrets_are_not_kept(self, made, key, config):
        with pytest.raises(UsageError, match=key) as e:
            made().edit("rob", {key: "CANARY"})
        assert "CANARY" not in str(e.value) and not config.exists()

    @pytest.mark.parametrize(
        "values", [{"origin": SANDBOX}, {"token_in": "keyring"}, {"k": "a\nb"}, {"a\n": "b"}, {"": "b"}]
    )
    def test_what_cannot_be_set(self, made, values, config):
        with pytest.raises(UsageError):
            made().edit("rob", values)
        assert not config.exists()

    @pytest.mark.parametrize(
        ("key", "secret"), [("user_upload_token", True), ("X_HASH", True), ("MAPSettingsUserKey", False)]
    )
    def test_secrets_are_known_by_their_name(self, key, secret):
        assert is_secret(key) is secret


class TestOlderFiles:
    def test_the_file_of_2018(self, made, tmp_path):
        path = old_file(tmp_path)
        profile = made().only()
        assert profile == Profile("rob", "rob", "1", "", True, str(path))
        assert revealed(made().token(profile, REAL_ORIGIN)) == "old%token"
        assert path.read_text() == OLD

    def test_profiles_of_a_rehearsal_are_none_of_the_service(self, made, tmp_path):
        old_file(tmp_path, "[tester]\nuser_upload_token = sandbox\n", "configs/MLY_sandbox_sandbox")
        assert made().profiles() == []

    def test_newer_ones_come_first_and_ours_before_all(self, made, tmp_path, config):
        old_file(tmp_path)
        newer = OLD.replace("old%token", "newer") + "MAPOrganizationKey = 5\n[Ann]\nuser_upload_token = a\n"
        old_file(tmp_path, newer, "configs/MLY_1_2")
        old_file(tmp_path, "[rob]\nuser_upload_token = hidden\n", "configs/.hidden")
        assert [p.name for p in made().profiles()] == ["rob", "Ann"]
        assert revealed(made().token(made().find("rob"), REAL_ORIGIN)) == "newer"
        made().edit("rob", {"MAPSettingsEmail": "r@x.org"})
        profile = made().find("rob")
        assert profile == Profile("rob", "rob", "1", "5", True, str(config), "r@x.org")
        assert revealed(made().token(profile, REAL_ORIGIN)) == "newer"  # ours has none of its own
        made().put(profile, Secret("ours"))
        assert revealed(made().token(profile, REAL_ORIGIN)) == "ours"

    def test_another_user_of_the_same_name_has_nothing_to_add(self, made, tmp_path):
        old_file(tmp_path)
        profile = made().put(Profile("rob", "rob the other", "2"))
        assert (profile.user_key, profile.has_token) == ("2", False)
        assert made().token(profile, REAL_ORIGIN) is None

    def test_they_belong_to_the_real_origin(self, made, tmp_path):
        old_file(tmp_path)
        assert made(SANDBOX).profiles() == []
        assert made(SANDBOX).token(made().only(), SANDBOX) is None

    def test_several_homes(self, config, tmp_path):
        old_file(tmp_path)
        write(tmp_path / "xdg" / "mapillary" / "config", OLD.replace("old%token", "xdg"))
        accounts = Accounts(str(config), home=[str(tmp_path / "xdg"), str(tmp_path / "home")], keyring=False)
        assert revealed(accounts.token(accounts.only(), REAL_ORIGIN)) == "xdg"

    def test_broken_ones_are_passed_over_without_their_text(self, made, tmp_path, caplog):
        old_file(tmp_path, "CANARY\n")
        old_file(tmp_path, OLD, "configs/good")
        (tmp_path / "home" / "mapillary" / "configs" / "folder").mkdir()
        assert [p.name for p in made().profiles()] == ["rob"]
        assert "config: is passed over (line 1" in caplog.text and "CANARY" not in caplog.text

    def test_bytes_that_are_no_utf8(self, made, tmp_path):
        old_file(tmp_path).write_bytes(OLD.encode() + b"MAPSettingsEmail = \xe9\n")
        assert made().only().user_name == "rob"

    @posix
    def test_a_looser_mode_is_tightened_when_its_token_is_used(self, made, tmp_path, caplog):
        path = old_file(tmp_path)
        path.chmod(0o644)
        profile = made().only()
        assert path.stat().st_mode & 0o777 == 0o644 and not caplog.records
        made().token(profile, REAL_ORIGIN)
        assert path.stat().st_mode & 0o777 == 0o600 and path.read_text() == OLD
        assert [r.levelno for r in caplog.records] == [logging.WARNING]

    def test_one_of_somebody_else_gives_no_token(self, made, tmp_path):
        class Foreign(RealFileSystem):
            def access(self, path):
                return super().access(path)._replace(is_ours="mapillary" not in path)

        old_file(tmp_path)
        foreign = made(fs=Foreign())
        with pytest.raises(UsageError, match="belongs to somebody else"):
            foreign.token(foreign.only(), REAL_ORIGIN)

    def test_they_are_not_removed(self, made, tmp_path, caplog):
        path = old_file(tmp_path)
        with pytest.raises(UsageError, match="another program's"):
            made().remove("rob")
        made().edit("rob", {"organization_key": "1"})
        assert made().remove("rob")
        assert "which is another program's" in caplog.text
        assert made().only().where == str(path) and path.read_text() == OLD


class TestKeyring:
    def test_it_takes_the_token_and_the_file_has_none(self, made, config):
        ring = MemoryRing()
        accounts = made(keyring=Keyring(ring))
        profile = accounts.put(Profile("rob", "rob"), Secret("token"))
        assert ring.kept == {(f"camtrail {REAL_ORIGIN}", "rob"): "token"}
        assert profile.has_token and revealed(accounts.token(profile, REAL_ORIGIN)) == "token"
        assert accounts.token_place(profile) == "the system's keyring"
        assert not (config.parent / "accounts" / "tokens.json").exists()
        assert accounts.remove("rob") and not ring.kept

    @pytest.mark.parametrize("ring", [False, Keyring(BrokenRing())])
    def test_without_one_the_file_has_it(self, made, config, ring):
        accounts = made(keyring=ring)
        profile = accounts.put(Profile("rob", "rob"), Secret("token"))
        assert accounts.token_place(profile) == str(config.parent / "accounts" / "tokens.json")
        assert revealed(accounts.token(profile, REAL_ORIGIN)) == "token"

    def test_the_newest_token_holds_wherever_it_is(self, made, caplog):
        ring = MemoryRing()
        with_ring, without = made(keyring=Keyring(ring)), made()
        for number, accounts in enumerate([with_ring, without, with_ring, without]):
            profile = accounts.put(Profile("rob", "rob"), Secret(f"token {number}"))
            assert revealed(with_ring.token(profile, REAL_ORIGIN)) == f"token {number}"
        with_ring.edit("rob", {TOKEN_KEY: ""})
        assert with_ring.token(profile, REAL_ORIGIN) is None

    def test_one_that_fell_silent_is_named(self, made, caplog):
        profile = made(keyring=Keyring(MemoryRing())).put(Profile("rob", "rob"), Secret("token"))
        silent = made(keyring=Keyring(BrokenRing()))
        assert profile.has_token and silent.token(profile, REAL_ORIGIN) is None
        assert "kept in a keyring, which does not give it" in caplog.text
        assert silent.remove("rob")
        assert "the keyring may still have a token of rob" in caplog.text

    def test_a_token_is_for_its_origin_there_too(self, made):
        ring = Keyring(MemoryRing())
        real, box = made(keyring=ring), made(SANDBOX, keyring=ring)
        one = real.put(Profile("rob", "rob"), Secret("real"))
        other = box.put(Profile("rob", "rob"), Secret("box"))
        assert (
            revealed(real.token(one, REAL_ORIGIN)) == "real" and revealed(box.token(other, SANDBOX)) == "box"
        )
        assert real.token(one, SANDBOX) is None and box.token(other, REAL_ORIGIN) is None


class Stopped(BaseException):
    """The program was killed."""


class Failing(RealFileSystem):
    """Its k-th changing call fails, or kills; before it happens."""

    def __init__(self, k, error):
        self.k, self.error, self.count = k, error, 0

    def _point(self):
        self.count += 1
        if self.count == self.k or (self.count > self.k > 0 and isinstance(self.error, Stopped)):
            raise self.error

    def create(self, path, private=False):
        self._point()
        return super().create(path, private)

    def make_folder(self, path, private=False):
        self._point()
        super().make_folder(path, private)

    def rename(self, old, new):
        self._point()
        super().rename(old, new)

    def remove(self, path):
        self._point()
        super().remove(path)

    def sync_folder(self, path):
        self._point()
        super().sync_folder(path)


class TestFaults:
    @pytest.mark.parametrize(
        "error", [OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "broken"), Stopped()]
    )
    @pytest.mark.parametrize("act", ["put", "remove"])
    def test_whatever_call_fails_old_or_new_is_there_and_again_is_the_recovery(
        self, made, config, error, act
    ):
        k = 0
        while True:
            k += 1
            write(config, CONFIG)
            made().put(Profile("work", "rob", "1"), Secret("old token"))
            fs = Failing(k, error)
            accounts = made(fs=fs)
            try:
                if act == "put":
                    accounts.put(Profile("work", "rob", "1", "new"), Secret("new token"))
                else:
                    accounts.remove("work")
            except (CamtrailError, Stopped) as e:
                assert isinstance(e, StorageError if isinstance(error, OSError) else Stopped)
                assert "token" not in str(e) or "tokens.json" in str(e)
            profile = made().find("work")
            token = revealed(made().token(profile, REAL_ORIGIN))
            assert profile is not None or act == "remove"
            assert token in ("old token", "new token", None) and (token is not None or act == "remove")
            assert tomllib.loads(config.read_text())["options"] == {"preset": "modern"}
            made().put(Profile("work", "rob", "1", "new"), Secret("new token"))
            assert revealed(made().token(made().find("work"), REAL_ORIGIN)) == "new token"
            if fs.count < k:
                break
        assert k > 5

    def test_two_runs_at_once_lose_nothing(self, made):
        names = [f"user{i}" for i in range(12)]
        threads = [
            threading.Thread(target=lambda n=n: made().put(Profile(n, n), Secret(f"token of {n}")))
            for n in names
        ]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert {p.name for p in made().profiles()} == set(names)
        assert all(revealed(made().token(made().find(n), REAL_ORIGIN)) == f"token of {n}" for n in names)

    def test_a_lock_that_is_held(self, made):
        class Held(RealFileSystem):
            def lock(self, path, wait_s):
                return super().lock(path, 0)

        made().put(Profile("rob"))
        folder = os.path.dirname(made().config_path) + "/accounts"
        with FS.lock(f"{folder}/lock", 0), pytest.raises(FolderBusy):
            made(fs=Held()).put(Profile("ann"))

    def test_a_disk_without_locks_says_what_to_do(self, made):
        class Lockless(RealFileSystem):
            def lock(self, path, wait_s):
                raise StorageError(f"{path}: cannot be locked", "give --state-dir DIR")

        with pytest.raises(StorageError, match="CAMTRAIL_CONFIG"):
            made(fs=Lockless()).put(Profile("rob"))


class TestIniFile:
    def test_made_where_missing_and_for_its_owner(self, tmp_path):
        path = tmp_path / "new"
        before = os.umask(0)
        try:
            edit_ini(FS, str(path), "rob", {"MAPSettingsUsername": "rob", TOKEN_KEY: "100%"})
        finally:
            os.umask(before)
        assert path.read_text() == "[rob]\nMAPSettingsUsername = rob\nuser_upload_token = 100%\n"
        assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o600

    def test_the_rest_stays(self, tmp_path, caplog):
        path = write(tmp_path / "config", "# c\n" + OLD)
        path.chmod(0o644)
        edit_ini(FS, str(path), "ann", {"MAPSettingsUserKey": "2"})
        assert path.read_text() == "# c\n" + OLD + "\n[ann]\nMAPSettingsUserKey = 2\n"
        assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize(
        ("text", "section", "values", "kind"),
        [
            ("SECRET", "rob", {"k": "v"}, UsageError), ("", "a]\nb", {"k": "v"}, UsageError),
            ("", "rob", {"k": "a\nb"}, UsageError), ("", "", {"k": "v"}, UsageError),
        ],
    )  # fmt: skip
    def test_refused(self, tmp_path, text, section, values, kind):
        path = write(tmp_path / "config", text)
        path.chmod(0o600)
        with pytest.raises(kind) as e:
            edit_ini(FS, str(path), section, values)
        assert path.read_text() == text and "SECRET" not in str(e.value).replace(str(path), "")

    def test_no_folder_and_no_file(self, tmp_path):
        with pytest.raises(StorageError, match="folder is not there"):
            edit_ini(FS, str(tmp_path / "none" / "config"), "rob", {"k": "v"})
        (tmp_path / "folder").mkdir(mode=0o700)
        with pytest.raises(UnreadableFile, match="is a folder"):
            edit_ini(FS, str(tmp_path / "folder"), "rob", {"k": "v"})

    def test_what_it_writes_is_an_account(self, made, tmp_path):
        path = tmp_path / "home" / "mapillary" / "config"
        path.parent.mkdir(parents=True)
        edit_ini(FS, str(path), "rob", {TOKEN_KEY: "tok%en"})
        assert revealed(made().token(made().find("rob"), REAL_ORIGIN)) == "tok%en"


class TestAuthenticate:
    def test_a_ready_token(self, made):
        asked = []

        def me(token):
            asked.append(token.reveal())
            return "1", "rob"

        profile = authenticate(made(), me, token=Secret("good"))
        assert (profile.name, profile.user_name, profile.user_key) == ("rob", "rob", "1")
        assert asked == ["good"] and revealed(made().token(profile, REAL_ORIGIN)) == "good"
        assert authenticate(made(), me, token=Secret("good"), name="work").name == "work"
        assert [p.name for p in made().profiles()] == ["rob", "work"]

    def test_a_token_that_is_refused_is_not_kept(self, made, config):
        def me(token):
            raise AuthError("no")

        with pytest.raises(AuthError):
            authenticate(made(), me, token=Secret("bad"))
        assert not config.parent.exists()

    def test_misuse(self, made):
        with pytest.raises(TypeError):
            authenticate(made(), lambda token: ("1", "rob"))

    def test_against_the_sandbox(self, made):
        with MapillarySandbox() as box:
            accounts = made(box.url)
            profile = authenticate(accounts, me_of(box.url, RealClock()), token=Secret("sandy"))
            assert profile.user_name == "sandy" and profile.user_key
            assert profile.origin == box.url and profile.has_token
            assert authenticate(accounts, me_of(box.url, RealClock()), token=Secret("sandy")) == profile

    def test_by_password_against_the_sandbox(self, made):
        with MapillarySandbox() as box:
            accounts = made(box.url)
            given = {"client_token": Secret("MLY|sandbox|sandbox"), "base_url": box.url, "clock": RealClock()}
            profile = authenticate_by_password(accounts, "work", "rob@example.org", Secret("right"), **given)
            assert profile.name == "work" and profile.email == "rob@example.org" and profile.user_key
            token = accounts.token(profile, box.url)
            assert token is not None and box.received()["logins"] == 1
            with pytest.raises(AuthError) as e:
                authenticate_by_password(accounts, "other", "rob@example.org", Secret("wrong"), **given)
            assert e.value.exit_code == 6 and "wrong" not in str(e.value).replace("wrong password", "")
            assert [p.name for p in accounts.profiles()] == ["work"]

    @pytest.mark.parametrize("fault", ["status=503,path=/me,times=1", "reset=0,path=/me,times=1"])
    def test_a_hiccup_of_the_service_is_survived(self, made, fault):
        class Quick(RealClock):
            def sleep(self, seconds):
                pass

        with MapillarySandbox(faults=[fault]) as box:
            profile = authenticate(made(box.url), me_of(box.url, Quick()), token=Secret("sandy"))
            assert profile.user_name == "sandy"

    def test_a_service_that_is_not_there(self, made):
        class Quick(RealClock):
            def sleep(self, seconds):
                pass

        with MapillarySandbox() as box:
            url = box.url
        with pytest.raises(Unreachable):
            authenticate(made(url), me_of(url, Quick()), token=Secret("sandy"))

    def test_another_token_is_refused(self, made, config):
        with MapillarySandbox(token="right one") as box, pytest.raises(AuthError) as e:
            authenticate(made(box.url), me_of(box.url, RealClock()), token=Secret("CANARY-1"))
        assert "CANARY" not in str(e.value) and not config.exists()
