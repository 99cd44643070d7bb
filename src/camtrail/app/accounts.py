"""Accounts of services: who uploads, and with which token.

What is no secret stands in `config.toml` as `[profiles.NAME]`, with the keys that the older programs document. Tokens
are kept apart from it, under the origin they were got for (`app/tokens.py`): a token of the real service is never
handed out for a rehearsal, nor the other way round.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from camtrail.app import ini
from camtrail.app.tokens import Keyring, TokenFile, guarded
from camtrail.core.clock import Clock
from camtrail.core.errors import FolderBusy, InputError, StorageError, UsageError
from camtrail.core.fs import FileSystem, RealFileSystem
from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.metadata import safeio

__all__ = [
    "REAL_ORIGIN",
    "TOKEN_KEY",
    "Accounts",
    "Profile",
    "authenticate",
    "authenticate_by_password",
    "edit_ini",
    "is_secret",
]

log = logging.getLogger(__name__)

REAL_ORIGIN = "https://graph.mapillary.com"
"""The origin of a profile that names none: everybody's own service, no rehearsal."""

TOKEN_KEY = "user_upload_token"  # noqa: S105 - the name of the key
"""What the older programs call the token in their INI files."""

_FIELDS = {
    "MAPSettingsUsername": "user_name",
    "MAPSettingsUserKey": "user_key",
    "MAPSettingsEmail": "email",
    "organization_key": "organization_key",
    "MAPOrganizationKey": "organization_key",
}
_OLD_FIELDS = ("user_permission_hash", "user_signature_hash")  # of the upload of 2018, which is gone
_ORIGIN, _TOKEN_IN, _IN_KEYRING = "origin", "token_in", "keyring"
_READ = frozenset((*_FIELDS, _ORIGIN, _TOKEN_IN, TOKEN_KEY))
_LONGEST_NAME = 100
_REHEARSAL = "MLY_sandbox_sandbox"  # what mapillary_tools calls the profiles that it has from our stand-in
_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Profile:
    """An account of a service, under the name its user gave it. What is not known is "".

    `user_name` is the account's name at the service, `user_key` its id there.
    """

    name: str
    user_name: str = ""
    user_key: str = ""
    organization_key: str = ""
    has_token: bool = False
    where: str = ""  # the file it stands in
    email: str = ""
    origin: str = REAL_ORIGIN


def is_secret(key: str) -> bool:
    """Whether what such a key holds must not be seen."""
    return any(word in key.lower() for word in ("token", "secret", "hash", "password"))


class Accounts:
    """The accounts of one service origin. The older programs' files are read once.

    Parameters
    ----------
    config_path : the user's `config.toml`, which need not be there
    origin : of the service: the real one, or that of a rehearsal
    home : folders in which the older programs have their `mapillary/config` and `mapillary/configs/*`, the first
        wins; they are read for the real origin only, and never written
    environment_token : wins over that of every profile, for whatever origin
    keyring : whether the system's keyring may be used; a `Keyring` stands in for the system's own

    Notes
    -----
    Every call raises UsageError where `config.toml` cannot be used or a file of tokens belongs to somebody else.
    Profiles of another origin than the real one are kept as `[profiles."NAME@HOST:PORT"]`, so that a rehearsal
    leaves the real profile alone.
    """

    def __init__(
        self,
        config_path: str,
        origin: str = REAL_ORIGIN,
        *,
        home: Sequence[str] = (),
        environment_token: Secret | None = None,
        keyring: bool | Keyring = True,
        fs: FileSystem | None = None,
    ) -> None:
        self.config_path = config_path
        self.origin = _same(origin)
        self._home = home
        self._environment_token = environment_token
        self._keyring = (Keyring() if keyring else None) if isinstance(keyring, bool) else keyring
        self._fs = fs or RealFileSystem()
        self._folder = os.path.join(os.path.dirname(os.path.abspath(config_path)), "accounts")
        self._file = TokenFile(self._fs, self._folder)

    def token_place(self, profile: Profile) -> str:
        """Where the token of a profile is kept, in words or as a path."""
        return "the system's keyring" if self._is_in_keyring(profile.name, self.origin) else self._file.path

    @property
    def is_from_environment(self) -> bool:
        """Whether a token of the environment wins over that of every profile."""
        return self._environment_token is not None

    def profiles(self) -> list[Profile]:
        """All of them: those of `config.toml` first, then those of the older programs' files."""
        with_token = self._file.names(self.origin)
        found: dict[str, Profile] = {}
        for key, table in self._tables().items():
            if _same(table.get(_ORIGIN, REAL_ORIGIN)) == self.origin:
                profile = _profile(self._name_of(key), table, self.config_path, self.origin)
                has_token = profile.name in with_token or table.get(_TOKEN_IN) == _IN_KEYRING
                found.setdefault(profile.name, dataclasses.replace(profile, has_token=has_token))
        for path, name, items in self._old:
            old = _profile(name, items, path, self.origin)
            old = dataclasses.replace(old, has_token=bool(items.get(TOKEN_KEY)))
            found[name] = _joined(found[name], old) if name in found else old
        return [p if p.user_name else dataclasses.replace(p, user_name=p.name) for p in found.values()]

    def find(self, name: str) -> Profile | None:
        """The profile of that name, else one whose user has it; None where there is neither."""
        profiles = self.profiles()
        named = [p for p in profiles if p.name == name] or [p for p in profiles if p.user_name == name]
        named = named or [p for p in profiles if self._key_of(p.name, self.origin) == name]
        return named[0] if named else None

    def only(self) -> Profile | None:
        """The profile of the origin, where there is exactly one."""
        profiles = self.profiles()
        return profiles[0] if len(profiles) == 1 else None

    def token(self, profile: Profile | None, origin: str) -> Secret | None:
        """The token to be sent to an origin for a profile; None where there is none for that origin."""
        if self._environment_token is not None:
            return self._environment_token
        if profile is None or _same(profile.origin) != _same(origin):
            return None
        origin = _same(origin)
        # What was kept in the file last is newer than what a keyring may still have.
        if token := self._file.get(origin, profile.name):
            return token
        if self._is_in_keyring(profile.name, origin):
            if self._keyring and (token := self._keyring.get(origin, profile.name)):
                return token
            log.warning("the token of %s was kept in a keyring, which does not give it", shown(profile.name))
        if (self._table(profile.name, origin) or {}).get(TOKEN_KEY):
            log.warning(
                "%s: the token of %s stands in it, where none is read from; take it out, and run "
                "camtrail mapillary authenticate",
                shown(self.config_path),
                shown(profile.name),
            )
        return self._old_token(profile) if origin == REAL_ORIGIN else None

    def _old_token(self, profile: Profile) -> Secret | None:
        for path, name, items in self._old:
            if name == profile.name and items.get(TOKEN_KEY) and _is_same_user(profile, items):
                guarded(self._fs, path)
                return Secret(items[TOKEN_KEY])
        return None

    def put(self, profile: Profile, token: Secret | None = None) -> Profile:
        """Keeps a profile of this origin, and its token; the profile as it stands now.

        What is "" in it stays as it was, unless it was another user's; so does the token where none is given.

        Raises
        ------
        UsageError
            It has no name that can be kept, or `config.toml` cannot be edited.
        StorageError
            The disk does not take it; FolderBusy where another run is at it.
        """
        keys = {key: getattr(profile, name) for key, name in _FIELDS.items() if key != "MAPOrganizationKey"}
        old = (self._table(profile.name, self.origin) or {}).get("MAPSettingsUserKey", "")
        if not old or not profile.user_key or old == profile.user_key:
            keys = {k: v for k, v in keys.items() if v}
        elif token is None:
            token = Secret("")
        return self._write(profile.name, keys, token)

    def edit(self, name: str, values: Mapping[str, str]) -> Profile:
        """Sets keys of a profile, which is made where it is missing; the profile as it stands now.

        An empty value takes its key away. The key `user_upload_token` goes to where tokens are kept. Keys that
        camtrail does not know are kept. Raises as `put` does, and UsageError for a secret that is no token.
        """
        plain: dict[str, str] = {}
        token: Secret | None = None
        for key, value in values.items():
            if key == TOKEN_KEY:
                token = Secret(value)
            elif is_secret(key):
                gone = "the service has no use for it any more; " if key in _OLD_FIELDS else ""
                raise UsageError(f"{shown(key)}: no secret is kept in config.toml", f"{gone}leave it out")
            elif key in (_ORIGIN, _TOKEN_IN):
                raise UsageError(f"{key}: is set by camtrail itself", "leave it out")
            else:
                plain["organization_key" if key == "MAPOrganizationKey" else key] = value
                if key not in _FIELDS:
                    log.warning("%s: camtrail does not know this key; it is kept", shown(key))
        return self._write(name, plain, token)

    def remove(self, name: str) -> bool:
        """Forgets a profile of this origin with its token; whether there was one.

        Raises
        ------
        UsageError
            It stands in a file of another program.
        StorageError
            As `put`.
        """
        name = self._name_of(name)
        with self._held():
            is_ours = self._table(name, self.origin) is not None
            in_keyring = self._is_in_keyring(name, self.origin)
            if is_ours:
                key = self._key_of(name, self.origin)
                self._change(lambda profiles: profiles.pop(key))
            had_token = self._file.remove(self.origin, name)
            if in_keyring:
                self._forget_in_keyring(name)
        left = next((path for path, old, _ in self._old if old == name), "")
        if left and not is_ours:
            raise UsageError(
                f"{shown(name)}: stands in {shown(left)}, which is another program's", "remove it there"
            )
        if left:
            log.warning("%s: stands in %s, too, which is another program's", shown(name), shown(left))
        return is_ours or had_token

    def _forget_in_keyring(self, name: str) -> None:
        if not (self._keyring and self._keyring.remove(self.origin, name)):
            log.warning("the keyring may still have a token of %s; remove it there", shown(name))

    def _write(self, name: str, values: Mapping[str, str], token: Secret | None) -> Profile:
        _check(name, values)
        name = self._name_of(name)
        key = self._key_of(name, self.origin)
        marks = {} if self.origin == REAL_ORIGIN else {_ORIGIN: self.origin}

        def change(profiles: Any) -> None:
            table = profiles.get(key, {})
            for k, v in {**marks, **values}.items():
                if v:
                    table[k] = v
                else:
                    table.pop(k, None)
            if in_keyring:
                table[_TOKEN_IN] = _IN_KEYRING
            elif token is not None:
                table.pop(_TOKEN_IN, None)
            if key not in profiles:
                profiles[key] = table

        with self._held():
            # What is wrong is told before anything is kept.
            if self._table(name, self.origin) is None and key in self._tables():
                raise UsageError(
                    f"{shown(name)}: is a profile of another service", "give another --user_name"
                )
            was_in_keyring = self._is_in_keyring(name, self.origin)
            in_keyring = bool(token and self._keyring and self._keyring.put(self.origin, name, token))
            if token and not in_keyring:
                self._file.put(self.origin, name, token)
            self._change(change)
            if in_keyring or token == Secret(""):
                self._file.remove(self.origin, name)
            if was_in_keyring and token is not None and not in_keyring:
                self._forget_in_keyring(name)
        return next(p for p in self.profiles() if p.name == name)

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """No other run changes accounts while the block runs."""
        with contextlib.suppress(InputError):
            if self._fs.entry(self.config_path).kind != "file":
                raise UsageError(
                    f"{shown(self.config_path)}: is no file that accounts can be kept in",
                    "name another one with CAMTRAIL_CONFIG",
                )
        try:
            self._fs.make_folder(self._folder, private=True)
        except OSError as e:
            reason = e.strerror or type(e).__name__
            raise StorageError(
                f"{shown(self._folder)}: cannot be made ({reason})", "name another place with CAMTRAIL_CONFIG"
            ) from e
        guarded(self._fs, self._folder)
        with contextlib.ExitStack() as stack:
            try:
                is_held = stack.enter_context(self._fs.lock(f"{self._folder}/lock", _WAIT_S))
            except StorageError as e:
                raise StorageError(e.message, "name another place with CAMTRAIL_CONFIG") from e
            if not is_held:
                raise FolderBusy(f"{shown(self._folder)}: another run is changing accounts", "run again")
            yield

    def _tables(self) -> dict[str, dict[str, str]]:
        """The tables below `[profiles]`, with the keys that are read."""
        _, whole = self._read()
        tables = whole.get("profiles", {})
        where = shown(self.config_path)
        if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
            raise UsageError(f"{where}: profiles is no table of tables", "write [profiles.NAME]")
        return {
            key: {
                k: _text(v, f"{where}: [profiles.{shown(key)}] {k}") for k, v in table.items() if k in _READ
            }
            for key, table in tables.items()
        }

    def _read(self) -> tuple[str, dict[str, Any]]:
        """The text of `config.toml`, and what it says."""
        try:
            self._fs.access(self.config_path)
        except (FileNotFoundError, NotADirectoryError):
            return "", {}
        except OSError:  # the reading says it better
            pass
        try:
            with self._fs.source(self.config_path) as source:
                text = source.read_at(0, source.size).decode()
            return text, tomllib.loads(text)
        except (ValueError, InputError) as e:
            reason = e.reason if isinstance(e, InputError) else str(e)
            raise UsageError(
                f"{shown(self.config_path)}: cannot be used ({reason})", "correct it or move it away"
            ) from None

    def _change(self, change: Callable[[Any], object]) -> None:
        """Edits the profiles in `config.toml`; comments and all else stay."""
        import tomlkit  # costs start-up, and only editing needs it

        text, expected = self._read()
        where = shown(self.config_path)
        change(expected.setdefault("profiles", {}))
        try:
            document = tomlkit.parse(text)
            if "profiles" not in document:
                document["profiles"] = tomlkit.table(is_super_table=True)
            change(document["profiles"])
            new = tomlkit.dumps(document)
            is_right = {"profiles": {}, **tomllib.loads(new)} == expected
        except (ValueError, TypeError, KeyError):
            is_right = False
        if not is_right:
            raise UsageError(f"{where}: its [profiles] cannot be edited", "edit it by hand")
        if new != text:
            safeio.put(self._fs, self.config_path, [new.encode()], private=True)

    def _key_of(self, name: str, origin: str) -> str:
        """What a profile is called in `config.toml`."""
        if origin == REAL_ORIGIN:
            return name
        # One that was written by hand needs no host behind its name.
        table = self._tables().get(name)
        is_plain = table is not None and _same(table.get(_ORIGIN, REAL_ORIGIN)) == origin
        return name if is_plain else name + _host(origin)

    def _table(self, name: str, origin: str) -> dict[str, str] | None:
        """What `config.toml` says of a profile of an origin; None where it has none."""
        table = self._tables().get(self._key_of(name, origin))
        is_there = table is not None and _same(table.get(_ORIGIN, REAL_ORIGIN)) == origin
        return table if is_there else None

    def _is_in_keyring(self, name: str, origin: str) -> bool:
        return (self._table(name, origin) or {}).get(_TOKEN_IN) == _IN_KEYRING

    def _name_of(self, key: str) -> str:
        return key if self.origin == REAL_ORIGIN else key.removesuffix(_host(self.origin))

    @functools.cached_property
    def _old(self) -> list[tuple[str, str, dict[str, str]]]:
        """(path, section, items) of the older programs' accounts, the newer program's first."""
        if self.origin != REAL_ORIGIN:
            return []
        found = []
        for home in self._home:
            folder = f"{home}/mapillary"
            for path in [*self._files(f"{folder}/configs"), f"{folder}/config"]:
                found += [(path, name, items) for name, items in self._sections(path).items()]
        return found

    def _files(self, folder: str) -> list[str]:
        try:
            return [
                e.path
                for e in self._fs.entries(folder)
                if e.kind == "file" and not e.name.startswith(".") and e.name != _REHEARSAL
            ]
        except InputError:
            return []

    def _sections(self, path: str) -> dict[str, dict[str, str]]:
        try:
            if self._fs.entry(path).kind != "file":
                return {}
        except InputError:
            return {}
        try:
            return ini.sections(_text_of(self._fs, path))
        except (ValueError, InputError) as e:
            reason = e.reason if isinstance(e, InputError) else str(e)
            log.warning("%s: is passed over (%s)", shown(path), reason)
            return {}


def _same(origin: str) -> str:
    """The form in which two spellings of one origin are equal."""
    return origin.strip().rstrip("/").lower()


def _host(origin: str) -> str:
    return "@" + origin.partition("://")[2]


def _text(value: Any, where: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # ids are numbers that people write without quotes
    if not isinstance(value, str):
        raise UsageError(f"{where}: is no text", "put it in quotes")
    return value


def _text_of(fs: FileSystem, path: str) -> str:
    with fs.source(path) as source:
        return source.read_at(0, source.size).decode("utf-8", "surrogateescape")


def _profile(name: str, items: Mapping[str, str], where: str, origin: str) -> Profile:
    known: dict[str, Any] = {field: items[key] for key, field in reversed(_FIELDS.items()) if items.get(key)}
    return dataclasses.replace(Profile(name, where=where, origin=origin), **known)


def _joined(ours: Profile, old: Profile) -> Profile:
    """Our profile with what only the older program knows; another user's has nothing to add."""
    if ours.user_key and old.user_key and ours.user_key != old.user_key:
        return ours
    more = {
        f: getattr(ours, f) or getattr(old, f) for f in ("user_name", "user_key", "organization_key", "email")
    }
    return dataclasses.replace(ours, has_token=ours.has_token or old.has_token, **more)


def _is_same_user(profile: Profile, items: Mapping[str, str]) -> bool:
    key = items.get("MAPSettingsUserKey", "")
    return not key or not profile.user_key or key == profile.user_key


def _check(name: str, values: Mapping[str, str]) -> None:
    if not name or name != name.strip() or shown(name) != name or len(name) > _LONGEST_NAME:
        raise UsageError(
            f"{shown(name[:_LONGEST_NAME])!r} is no name of a profile", "give another --user_name"
        )
    for key, value in values.items():
        if not key or shown(key) != key:
            raise UsageError(f"{shown(key)!r} is no name of a key", "write KEY=VALUE")
        if shown(value) != value:
            raise UsageError(f"{shown(key)}: its value has characters that cannot be seen", "type it again")


def edit_ini(fs: FileSystem, path: str, section: str, values: Mapping[str, str]) -> None:
    """Sets keys in a section of an INI file of the older programs' form, which is made where it is missing.

    Other sections, keys and comments stay; the file is for its owner only afterwards.

    Raises
    ------
    UsageError
        It belongs to somebody else, is no INI file, or takes no such section, key or value.
    UnreadableFile
        It cannot be read.
    StorageError
        It cannot be written.
    """
    text = _text_of(fs, path) if guarded(fs, path) else ""
    _check(section, values)
    try:
        new = ini.edited(text, section, values)
    except ValueError as e:
        raise UsageError(f"{shown(path)}: is no INI file of accounts ({e})", "name another file") from None
    safeio.put(fs, path, [new.encode("utf-8", "surrogateescape")], private=True)


def authenticate(
    accounts: Accounts,
    me: Callable[[Secret], tuple[str, str]],
    *,
    name: str = "",
    token: Secret | None = None,
    login: Callable[[str, Secret], tuple[Secret, str]] | None = None,
    email: str = "",
    password: Secret | None = None,
) -> Profile:
    """The profile that is kept for a token, which the service was asked about; or for an e-mail and a password.

    Parameters
    ----------
    me : (id, user name) of who a token belongs to, as the service says
    name : of the profile; "" for the user name
    token : a ready one; None where there are e-mail and password
    login : (token, id) for an e-mail and a password, as the service gives it

    Raises
    ------
    AuthError
        The service does not know the token, or the password is wrong; nothing is kept.
    """
    if token is None:
        if login is None or password is None:
            raise TypeError("a token, or a login with e-mail and password")
        token, _ = login(email, password)
    user_key, user_name = me(token)
    profile = Profile(name or user_name, user_name, user_key, email=email, origin=accounts.origin)
    return accounts.put(profile, token)


def authenticate_by_password(
    accounts: Accounts,
    name: str,
    email: str,
    password: Secret,
    *,
    client_token: Secret,
    base_url: str,
    clock: Clock,
) -> Profile:
    """The profile that is kept for an e-mail and a password at Mapillary. Raises as `authenticate` does."""
    from camtrail.app.mapillary_service import login_of, me_of  # brings the network, which few need

    return authenticate(
        accounts,
        me_of(base_url, clock),
        name=name,
        login=login_of(base_url, client_token, clock),
        email=email,
        password=password,
    )
