"""`mapillary authenticate` and `mapillary edit_config`: accounts, and the questions that are asked for them."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from camtrail.app import accounts as app
from camtrail.app.accounts import TOKEN_KEY, Accounts, Profile, edit_ini, is_secret
from camtrail.cli.options import config_path
from camtrail.cli.terminal import Run, verb
from camtrail.core.bytes import unreadable
from camtrail.core.clock import Clock
from camtrail.core.errors import AuthError, UsageError
from camtrail.core.names import plain, shown
from camtrail.core.secrets import Secret, redacted

__all__ = ["access_of_environment", "accounts_of_environment", "authenticate", "edit_config"]

log = logging.getLogger(__name__)

_MOST_TOKEN_BYTES = 1 << 16
_TRIES = 3
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_OFF = ("0", "off", "no", "false")
_DASHBOARD = "https://www.mapillary.com/dashboard/developers"
_NEEDS_APP = "a login with e-mail and password needs an app's client token in MAPILLARY_CLIENT_TOKEN"


def access_of_environment() -> tuple[Accounts, str, Secret | None]:
    """(accounts, address of the service, client token of an app), as environment and configuration say it.

    The address is "" for the real service; the client token, which a login by password needs, may be None.
    """
    from camtrail.app.mapillary_service import is_guarded, origin_of

    base_url = os.environ.get("CAMTRAIL_MAPILLARY_URL", "").strip()
    origin = origin_of(base_url)
    if not is_guarded(origin):
        log.warning("%s: what is sent there, the token included, can be read on the way", shown(origin))
    accounts = Accounts(
        config_path(),
        origin,
        home=_config_homes(),
        environment_token=_secret_of("MAPILLARY_TOKEN"),
        keyring=os.environ.get("CAMTRAIL_KEYRING", "").strip().lower() not in _OFF,
    )
    return accounts, base_url, _secret_of("MAPILLARY_CLIENT_TOKEN")


def accounts_of_environment() -> tuple[Accounts, str]:
    """(accounts, address of the service), as environment and configuration say it."""
    accounts, base_url, _ = access_of_environment()
    return accounts, base_url


def _config_homes() -> tuple[str, ...]:
    # The older programs look below the home folder only, whatever XDG_CONFIG_HOME says.
    usual = os.path.join(os.path.expanduser("~"), ".config")
    return tuple(dict.fromkeys(h for h in (os.environ.get("XDG_CONFIG_HOME", ""), usual) if h))


def _secret_of(variable: str) -> Secret | None:
    text = os.environ.get(variable, "")
    return _token(text, variable) if text.strip() else None


def _token(text: str, where: str) -> Secret:
    """The token that a text holds. Raises UsageError, without showing it."""
    token = text.strip()
    if not token:
        raise UsageError(f"{where}: has no token in it")
    if not token.isprintable() or " " in token:
        raise UsageError(f"{where}: has blanks or lines in it, so it is no token", "give the token alone")
    return Secret(token)


def _never(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        flag = param.opts[0]
        raise click.UsageError(
            f"{flag} is not taken: what stands on the command line can be seen by others on this machine and "
            "stays in the shell's history; camtrail mapillary authenticate asks at a terminal, or give it --token-file "
            "FILE (- for standard input), or set MAPILLARY_TOKEN",
            ctx,
        )


_NEVER = [
    click.Option(["--jwt"], hidden=True, callback=_never, expose_value=False, is_eager=True),
    click.Option(["--user_password"], hidden=True, callback=_never, expose_value=False, is_eager=True),
]


def _account_verb(
    name: str, about: str, metavar: str, *options: click.Option
) -> Callable[[Callable[[Run, tuple[str, ...], dict[str, Any]], int]], click.Command]:
    """A command that needs no PATH, with options of its own that no variable of the environment sets."""

    def made(body: Callable[[Run, tuple[str, ...], dict[str, Any]], int]) -> click.Command:
        command = verb(name, about, metavar=metavar)(body)
        argument = command.params[0]
        assert isinstance(argument, click.Argument)
        argument.required, argument.metavar = False, metavar
        command.params[1:1] = [*options, *_NEVER]
        return command

    return made


@_account_verb(
    "authenticate",
    "Get a token for an account, or check one, and keep it under the name of a profile. Without options it asks.",
    "",
    click.Option(["--user_name"], metavar="PROFILE", help="name of the profile [default: the account's name]"),
    click.Option(["--user_email"], metavar="E-MAIL", help="log in with this e-mail; the password is asked for"),
    click.Option(["--token-file"], metavar="FILE", help="keep the token that this file holds; - is standard input"),
    click.Option(["--delete"], is_flag=True, help="forget the profile and its token"),
)  # fmt: skip
def authenticate(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """A profile out of a token or a password."""
    start_s = run.context.clock.monotonic_s()
    name, email, file = (values[key] or "" for key in ("user_name", "user_email", "token_file"))
    if paths:
        raise UsageError("authenticate takes no arguments", "a token is given with --token-file FILE or -")
    if (email and file) or (values["delete"] and (email or file)):
        raise UsageError("--token-file, --user_email and --delete exclude each other", "give one of them")
    accounts, base_url, client_token = access_of_environment()
    if values["delete"]:
        profile = _forget(accounts, name)
        what = f"forgot {shown(profile)} and its token"
        return _end(run, "authenticate", what, accounts.config_path, start_s, profile=plain(profile))
    clock = run.context.clock
    kept = _authenticated(accounts, base_url, client_token, clock, name=name, email=email, file=file)
    return _end(
        run, "authenticate", _in_words(kept, accounts), accounts.config_path, start_s, **_as_data(kept)
    )


def _authenticated(
    accounts: Accounts, base_url: str, client_token: Secret | None, clock: Clock, *, name: str, email: str, file: str
) -> Profile:  # fmt: skip
    from camtrail.app.mapillary_service import me_of

    token = None if file or email else _secret_of("MAPILLARY_TOKEN")
    if file:
        token = _token(_read_secret(file, "token"), _named(file))
    if token is None:
        if not _can_ask():
            raise UsageError(
                "there is no terminal to ask at, and no token",
                "give --token-file FILE (or - for standard input), or set MAPILLARY_TOKEN",
            )
        email = email or _ask_email(client_token)
        if email:
            return _by_password(accounts, base_url, client_token, clock, name, email)
        token = _token(click.prompt("Token", hide_input=True, err=True), "the answer")
    return app.authenticate(accounts, me_of(base_url, clock), name=name, token=token)


def _ask_email(client_token: Secret | None) -> str:
    """The e-mail to log in with; "" where a ready token is to be asked for."""
    if client_token is None:
        click.echo(f"{_NEEDS_APP} (from {_DASHBOARD}); a ready token works without", err=True)
        return ""
    answer = click.prompt("E-mail (none: give a ready token)", default="", show_default=False, err=True)
    return str(answer).strip()


def _by_password(
    accounts: Accounts, base_url: str, client_token: Secret | None, clock: Clock, name: str, email: str
) -> Profile:
    if client_token is None:
        raise UsageError(_NEEDS_APP, f"make one at {_DASHBOARD}, or give a ready token without --user_email")
    tries = 0
    while True:
        tries += 1
        password = Secret(click.prompt("Password", hide_input=True, err=True))
        try:
            return app.authenticate_by_password(
                accounts, name, email, password, client_token=client_token, base_url=base_url, clock=clock
            )
        except AuthError as e:
            if tries == _TRIES:
                raise
            click.echo(redacted(f"camtrail: {e}"), err=True)


def _forget(accounts: Accounts, name: str) -> str:
    """The name of the profile that is gone."""
    found = accounts.find(name) if name else accounts.only()
    if found is None and name and accounts.remove(name):
        return name  # a token without a profile
    if found is None:
        known = ", ".join(shown(p.name) for p in accounts.profiles()) or "none"
        which = f"there is no profile {shown(name)}" if name else "which profile is not said"
        raise UsageError(which, f"give --user_name; there are: {known}")
    accounts.remove(found.name)
    return found.name


def _in_words(profile: Profile, accounts: Accounts) -> str:
    who = f"{shown(profile.user_name)} (id {shown(profile.user_key)})" if profile.user_key else "the account"
    place = shown(accounts.token_place(profile))
    words = f"{who} is profile {shown(profile.name)} in {shown(profile.where)}; its token is in {place}"
    if accounts.is_from_environment:
        words += "; MAPILLARY_TOKEN is used in its place as long as it is set"
    return words


def _as_data(profile: Profile) -> dict[str, Any]:
    return {
        "profile": plain(profile.name),
        "user_name": plain(profile.user_name),
        "user_key": plain(profile.user_key),
        "has_token": profile.has_token,
        "origin": profile.origin,
    }


def _end(run: Run, command: str, words: str, path: str, start_s: float, **more: Any) -> int:
    run.end()
    if run.json:
        elapsed_s = round(run.context.clock.monotonic_s() - start_s, 3)
        answer = {
            "command": f"mapillary {command}",
            "counts": {},
            "failures": [],
            "outputs": [plain(path)],
            "notes": [],
        }
        click.echo(json.dumps({**answer, "elapsed_s": elapsed_s, **more}))
    elif not run.quiet:
        click.echo(words)
    return 0


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _read_secret(file: str, what: str) -> str:
    """What a file or, for `-`, standard input holds; asked for without echo where that is a terminal."""
    if file == "-" and _can_ask():
        answer: str = click.prompt(what, hide_input=True, err=True)
        return answer
    if file == "-":
        data = sys.stdin.buffer.read(_MOST_TOKEN_BYTES + 1)
    else:
        try:
            with open(file, "rb") as opened:  # it may be a pipe
                data = opened.read(_MOST_TOKEN_BYTES + 1)
        except OSError as e:
            raise unreadable(file, e) from e
    try:
        if len(data) <= _MOST_TOKEN_BYTES:
            return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    raise UsageError(f"{_named(file)}: holds no {what}")


def _named(file: str) -> str:
    return "standard input" if file == "-" else shown(file)


@_account_verb(
    "edit_config",
    "Set KEYs of a profile in the user's config.toml, or of a section in the INI file PATH. Without any it asks. "
    f"KEY=@FILE and KEY=- read a secret ({TOKEN_KEY}) from a file or standard input; KEY= takes one away.",
    "[PATH] [KEY=VALUE]…",
    click.Option(["--user_name"], metavar="PROFILE", help="name of the profile or section"),
)
def edit_config(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Keys of a profile."""
    start_s = run.context.clock.monotonic_s()
    path, pairs = _sorted_out(paths)
    name = values["user_name"] or ""
    accounts, _ = accounts_of_environment()
    if pairs:
        given = {key: _value(key, text) for key, text in pairs}
        name = name or _only_name(accounts, path)
    else:
        name, given = _asked(name)
    where = path or accounts.config_path
    words = f"set {', '.join(map(shown, given))} of {shown(name)} in {shown(where)}"
    if path:
        edit_ini(run.context.fs, path, name, given)
        return _end(run, "edit_config", words, where, start_s, profile=plain(name), keys=list(given))
    found = accounts.find(name)
    profile = accounts.edit(found.name if found else name, given)
    if given.get(TOKEN_KEY):
        words += f"; the token is in {shown(accounts.token_place(profile))}"
    return _end(run, "edit_config", words, where, start_s, profile=plain(name), keys=list(given))


def _sorted_out(arguments: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """(PATH or "", the KEY=VALUE in their order). No message repeats a value: it may be a token."""
    paths: list[str] = []
    pairs: list[tuple[str, str]] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or os.path.exists(argument):
            paths.append(argument)
        elif not _KEY.fullmatch(key):
            raise UsageError(f"{shown(key)}: is no name of a key", "write KEY=VALUE")
        else:
            pairs.append((key, value))
    if len(paths) > 1:
        raise UsageError("there is more than one PATH", "write KEY=VALUE, with = and no blanks around it")
    if paths and os.path.isdir(paths[0]):
        raise UsageError(f"{shown(paths[0])}: is a folder", "name an INI file, or leave PATH out")
    return (paths[0] if paths else ""), pairs


def _value(key: str, text: str) -> str:
    if not is_secret(key):
        return text.strip()
    if text == "-" or text.startswith("@"):
        file = text.removeprefix("@")
        return _token(_read_secret(file, key), _named(file)).reveal()
    if text.strip():
        log.warning(
            "%s: what stands on the command line can be seen by others on this machine and stays in the shell's "
            "history; camtrail mapillary authenticate is the safe way, or %s=@FILE",
            key,
            key,
        )
        return _token(text, key).reveal()
    return ""


def _only_name(accounts: Accounts, path: str) -> str:
    only = accounts.only() if not path else None
    if only is None:
        raise UsageError("which profile is not said", "give --user_name")
    return only.name


def _asked(name: str) -> tuple[str, dict[str, str]]:
    """Name and keys, from who sits at the terminal or from the lines of standard input."""
    given: dict[str, str] = {}
    name = name or _ask("User name (the profile's)") or ""
    while name and (key := _ask("Key (none or d: that is all)")) not in (None, "", "d"):
        if not _KEY.fullmatch(key):
            raise UsageError(f"{shown(key)}: is no name of a key", "write one such as MAPSettingsUsername")
        value = _ask(f"Value of {key}", hidden=is_secret(key))
        if value is None:
            raise UsageError(f"{key}: standard input ends before its value")
        given[key] = _token(value, key).reveal() if is_secret(key) and value else value
    if not given:
        raise UsageError("there is nothing to set", "give --user_name NAME KEY=VALUE, or type at a terminal")
    return name, given


def _ask(what: str, *, hidden: bool = False) -> str | None:
    """An answer without blanks around it, "" for an empty one; None where standard input ends."""
    if _can_ask():
        answer = click.prompt(what, default="", show_default=False, hide_input=hidden, err=True)
        return str(answer).strip()
    line = sys.stdin.readline()
    return line.strip() if line else None
