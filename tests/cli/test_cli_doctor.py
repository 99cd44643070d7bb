"""`camtrail doctor`: what it finds, what it says of it, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.app import doctor as app
from camtrail.app.context import Context
from camtrail.core.clock import RealClock
from camtrail.core.errors import UsageError

ROOT = Path(__file__).parents[2]
NAMES = {
    "Python", "camtrail", "numpy", "Pillow", "OpenCV", "urllib3", "SQLite", "exiftool", "ffmpeg", "time zones",
    "configuration", "data folder", "cache folder", "configuration folder", "tokens", "keyring", "clock", "locale",
}  # fmt: skip


def by_name(camtrail, *arguments, code=0, **env):
    ended = camtrail("doctor", *arguments, "--json", env=env)
    assert ended.code == code, ended
    return {check["name"]: check for check in ended.json["checks"]}


def test_what_is_in_order(camtrail, clean):
    ended = camtrail("doctor", "--json")
    assert (ended.code, ended.err) == (0, "")
    said = ended.json
    checks = said["checks"]
    assert {c["name"] for c in checks} >= NAMES
    assert {f"extra {name}" for name in app.EXTRAS} <= {c["name"] for c in checks}
    assert all(set(c) == {"name", "verdict", "said", "hint"} and c["said"] for c in checks)
    verdicts = [c["verdict"] for c in checks]
    assert said["counts"] == {v: verdicts.count(v) for v in ("ok", "note", "NO")}
    assert said["counts"]["NO"] == 0 and said["failures"] == [] and said["command"] == "doctor"
    assert list(clean.iterdir()) == []  # it makes nothing


def test_for_people(camtrail):
    ended = camtrail("doctor")
    assert ended.code == 0 and "\x1b" not in ended.out
    *lines, last = ended.out.splitlines()
    assert last == "camtrail is ready"
    assert all(line[:6] in ("  ok  ", "note  ", "  NO  ") for line in lines)
    assert camtrail("doctor", "-q").out == ""


@pytest.mark.skipif(os.name == "nt", reason="there is no such terminal")
def test_it_fits_a_terminal(tmp_path):
    from screens import on_terminal

    screen = on_terminal([sys.executable, "-m", "camtrail", "doctor"], tmp_path, {"HOME": "/tmp"})
    assert screen.code == 0
    assert not screen.has_wrapped
    assert "80 columns, colours" in " ".join(screen.lines)


def test_extras_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = {
        name: of
        for name, of in project["optional-dependencies"].items()
        if name not in ("all", "dev", "docs")
    }
    assert set(app.EXTRAS) == set(listed)
    for name, (distributions, adds) in app.EXTRAS.items():
        assert [d.partition(">")[0] for d in listed[name]] == list(distributions) and adds


WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from camtrail.cli.main import main
main()
"""


def without(modules: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, modules, *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    """Nothing that the tests themselves are told by."""
    monkeypatch.delenv("CAMTRAIL_REQUIRE_TOOLS", raising=False)


@pytest.mark.parametrize("module", ["cv2", "PIL", "urllib3", "msgspec", "tzfpy", "rich"])
def test_what_is_missing(module):
    ended = without(module, "doctor")
    assert ended.returncode == 10, ended.stderr
    bad = [line for line in ended.stdout.splitlines() if line.startswith("  NO  ")]
    assert bad and all("pip install" in line for line in bad)
    assert "to be put right" in ended.stdout.splitlines()[-1]


def test_what_is_missing_is_told_also_where_variables_are_set(monkeypatch):
    monkeypatch.setenv("CAMTRAIL_MAX_GAP", "20min")
    test_what_is_missing("msgspec")


@pytest.mark.parametrize("module", ["numpy", "platformdirs"])
def test_what_nothing_runs_without(module):
    ended = without(module, "doctor")
    assert ended.returncode == 10
    assert (
        ended.stderr
        == f"camtrail: {module} is not installed, and camtrail needs it; pip install --force-reinstall camtrail\n"
    )


def test_a_library_that_is_too_old(monkeypatch):
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["numpy>=99.1", "click>=1"])
    found = {c.name: c for c in app.doctor([], around(), Context()).checks}
    assert (found["numpy"].verdict, found["click"].verdict) == ("NO", "ok")
    assert "is older than 99.1" in found["numpy"].said and found["numpy"].hint == "pip install 'numpy>=99.1'"


@given(
    st.lists(st.integers(0, 999), min_size=1, max_size=3),
    st.lists(st.integers(0, 999), min_size=1, max_size=3),
)
def test_versions_are_compared_number_by_number(a, b):
    text = [".".join(map(str, v)) for v in (a, b)]
    assert (app._numbers(text[0]) < app._numbers(text[1] + "+local.7")) == (a < b)


def around(**changed) -> app.Surroundings:
    return app.Surroundings(
        **{"environment": {}, "config_path": "/nowhere/c.toml", "configure": lambda: 0, **changed}
    )


def test_a_configuration_that_cannot_be_used(camtrail, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("[options]\nnonsense = 1\n")
    env = {"CAMTRAIL_CONFIG": str(config)}
    assert camtrail("status", ".", env=env).code == 2
    found = by_name(camtrail, code=7, **env)
    assert found["configuration"]["verdict"] == "NO"
    assert "there is no option 'nonsense'" in found["configuration"]["said"]
    assert found["environment"]["said"] == "CAMTRAIL_CONFIG, CAMTRAIL_KEYRING are set"
    config.write_text("[options]\nmax_gap = '1h'\ncutoff_time = 90\n")
    assert by_name(camtrail, **env)["configuration"]["said"] == f"{config} sets 2 options"
    config.write_text("no toml")
    assert camtrail("doctor", env=env).code == 7


def of_environment(camtrail, code, **env) -> list[tuple[str, str, str]]:
    """What is wrong with variables: verdict, what is said, hint."""
    ended = camtrail("doctor", "--json", env=env)
    assert ended.code == code, ended
    found = [c for c in ended.json["checks"] if c["name"] == "environment" and c["verdict"] != "ok"]
    return [(c["verdict"], c["said"], c["hint"]) for c in found]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CAMTRAIL_MAX_GAP", "soon", "'soon'"),
        ("CAMTRAIL_PRESET", "old", "'old' is not one of"),
        ("CAMTRAIL_DRY_RUN", "perhaps", "neither true nor false"),
        ("CAMTRAIL_CLUSTER_THRESHOLD", "x", "'x'"),
        ("NUMBER_THREADS", "0", "below 1"),
        ("MAX_ATTEMPTS", "many", "no whole number"),
        ("CAMTRAIL_MAPILLARY_URL", "not-a-url", "is no address of a service"),
        ("CAMTRAIL_INATURALIST_URL", "ftp://host", "is no address of a service"),
        ("CAMIO_SERVER_URL", "http://me:secret-word@host", "holds a user name or a password"),
        ("CAMIO_BOX_URL", "http://", "is no address of a service"),
    ],
)
def test_a_variable_that_is_wrong(camtrail, variable, value, said):
    ((verdict, told, hint),) = of_environment(camtrail, 7, **{variable: value})
    assert verdict == "NO" and told.startswith(f"{variable}: ") and said in told and hint
    assert "secret-word" not in told


@pytest.mark.parametrize(
    ("variable", "hint"),
    [("CAMTRAIL_MAX_GAPS", "is CAMTRAIL_MAX_GAP meant?"), ("CAMTRAIL_XYZ", "unset it: nothing reads it"),
     ("CAMTRAIL_MAPILARY_URL", "is CAMTRAIL_MAPILLARY_URL meant?")],
)  # fmt: skip
def test_a_variable_that_nothing_reads(camtrail, variable, hint):
    assert of_environment(camtrail, 0, **{variable: "1"}) == [
        ("note", f"{variable}: there is no such option", hint)
    ]


def test_variables_that_are_right(camtrail):
    env = {
        "CAMTRAIL_MAX_GAP": "1h", "CAMTRAIL_REPORT": "r.html", "CAMTRAIL_USER": "me", "NUMBER_THREADS": "8",
        "CAMTRAIL_MAPILLARY_URL": "http://127.0.0.1:8080", "CAMIO_BOX_URL": "box:8080", "CAMTRAIL_DRY_RUN": "",
    }  # fmt: skip
    assert of_environment(camtrail, 0, **env) == []


def test_every_variable_that_an_option_has_is_known():
    import click

    from camtrail.cli import doctor, main

    def variables(command: click.Command, context: click.Context) -> set[str]:
        found = {p.envvar for p in command.params if isinstance(p.envvar, str)}
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                found |= variables(command.get_command(context, name), context)
        return found

    (root,) = [v for v in vars(main).values() if isinstance(v, click.Group)]
    assert variables(root, click.Context(root)) <= {o.env for o in doctor._options()}


def test_a_configuration_that_is_named_and_not_there(camtrail, tmp_path):
    check = by_name(camtrail, CAMTRAIL_CONFIG=str(tmp_path / "gone.toml"))["configuration"]
    assert check["verdict"] == "note" and "which CAMTRAIL_CONFIG names" in check["said"]


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of other systems are not moved so")
def test_a_folder_that_cannot_be_written(camtrail, tmp_path):
    (tmp_path / "file").write_text("")
    data = tmp_path / "file" / "share"
    found = by_name(camtrail, code=7, XDG_DATA_HOME=str(data))
    assert found["data folder"]["verdict"] == "NO"
    assert found["data folder"]["hint"] == f"make {tmp_path}/file a folder that you may write"
    assert found["cache folder"]["verdict"] == "ok"


@pytest.mark.skipif(os.name == "nt", reason="rights of files are others there")
def test_tokens_that_others_can_read(camtrail, tmp_path):
    accounts = tmp_path / "accounts"
    accounts.mkdir(mode=0o700)
    file = accounts / "tokens.json"
    file.write_text('{"https://graph.mapillary.com": {"me": "very-secret-token"}}')
    file.chmod(0o644)
    env = {"CAMTRAIL_CONFIG": str(tmp_path / "config.toml"), "MAPILLARY_TOKEN": "other-secret-token"}
    ended = camtrail("doctor", env=env)
    assert (
        ended.code == 0
        and f"note  tokens                {file}: others on this machine can read it" in ended.out
    )
    assert "secret" not in ended.out + ended.err
    assert "CAMTRAIL_CONFIG, CAMTRAIL_KEYRING, MAPILLARY_TOKEN are set" in ended.out
    assert file.stat().st_mode & 0o777 == 0o644  # it only looks
    file.chmod(0o600)
    assert by_name(camtrail, **env)["tokens"]["verdict"] == "ok"


def test_the_state_of_a_folder(camtrail, photos):
    assert by_name(camtrail, "photos")["state of photos"]["said"].startswith("photos/.camtrail (")
    camtrail("scan", "photos")
    said = by_name(camtrail, "photos")["state of photos"]["said"]
    assert said.startswith(f"{photos}/.camtrail (") and "when it is needed" not in said
    missing = by_name(camtrail, "gone", code=4)["state of gone"]
    assert (missing["verdict"], missing["said"]) == ("NO", "is not there")


class Fixed(RealClock):
    """A clock that stands at one moment."""

    def __init__(self, at_s: float) -> None:
        self._at_s = at_s

    def now_s(self) -> float:
        return self._at_s


@pytest.mark.parametrize(("at_s", "verdict"), [(0.0, "note"), (1e9, "note"), (4.2e9, "note")])
def test_a_clock_that_is_wrong(at_s, verdict):
    found = {c.name: c for c in app.doctor([], around(), Context(clock=Fixed(at_s))).checks}
    assert found["clock"].verdict == verdict and "set the machine's clock" in found["clock"].hint
    assert {c.name: c for c in app.doctor([], around(), Context()).checks}["clock"].verdict == "ok"


def test_letters_that_cannot_be_shown(camtrail):
    found = by_name(camtrail, PYTHONIOENCODING="latin-1")
    assert found["locale"]["verdict"] == "note" and "LC_ALL=C.UTF-8" in found["locale"]["hint"]


def test_what_configure_raises_is_told():
    def broken() -> int:
        raise UsageError("it\x1b is bad", "mend it")

    done = app.doctor([], around(configure=broken), Context())
    assert done.exit_code() == 7
    (failure,) = done.result.failures
    assert (failure.item, failure.message, failure.hint) == ("configuration", "it\\x1b is bad", "mend it")


NOBODY = """
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"):
        raise SystemExit(f"asked {event}")
sys.addaudithook(hook)
from camtrail.cli.main import main
main()
"""


def test_nobody_is_asked():
    done = subprocess.run(
        [sys.executable, "-c", NOBODY, "doctor", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["NO"] == 0
