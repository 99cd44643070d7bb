"""A token that is looked for everywhere it must not be, whatever was run and however it went."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from camtrail.services.mapillary.sandbox import MapillarySandbox
from crashpoints import Server

from .commands import Command, Stopper
from .rides import fill

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs fork")

# Too long for the name of a user, which the sandbox takes from the token.
CANARY = f"CANARY-{random.Random(20261120).randbytes(24).hex()}"
PARTS = (CANARY, CANARY[7:31], CANARY[-24:])

TOOLS = (
    "user_process", "import_metadata_process", "geotag_process", "sequence_process", "upload_params_process",
    "insert_EXIF_ImageDescription", "process", "upload", "process_and_upload",
)  # fmt: skip
ECHO = f'body={{"error": {{"message": "bad token {CANARY}\\, it is {CANARY}"\\, "code": 190}}}}'
TROUBLE = {
    "nothing": [],
    "a token that is refused and repeated": [f"status=401,{ECHO},path=/map*"],
    "a token that is repeated at once": [f"status=400,{ECHO}"],
    "an error that repeats it": [f'status=400,body={{"error": {{"message": "{CANARY}"}}}},method=POST,path=*.jpg'],
    "upload errors that repeat it": [
        f'status=500,body={{"debug_info": {{"message": "of {CANARY}"}}}},method=POST,path=*.jpg'
    ],
    "a redirect that carries it": [f"redirect=FOREIGN/x?access_token={CANARY},path=/map*"],
    "a redirect at once": [f"redirect=FOREIGN/x?access_token={CANARY}"],
    "a redirect to a host of its name": [f"redirect=https://{CANARY}.example.com/"],
    "a page that holds it": [f"html,body=<title>{CANARY}</title>"],
    "an offset that is it": [f'json={{"offset": "{CANARY}"}},method=GET,path=*.jpg'],
    "an answer that is it": [f'json="{CANARY}",path=/me'],
    "garbage that is it": [f"raw={CANARY}\\r\\n\\r\\n,path=/me"],
    "a publication of which nobody knows": ["lost,path=/finish_upload"],
    "nothing answers": ["reset=0"],
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("base") / "ride", 4)


# The service is asked again for the account, which takes 2 s.
PATIENT = ("a page that holds it", "an answer that is it", "garbage that is it", "nothing answers")


def found_in(folder: Path, allowed: tuple[str, ...] = ()) -> list[str]:
    """Files below a folder that hold a part of the token, by content or name."""
    return [
        str(path)
        for path in folder.rglob("*")
        if str(path.relative_to(folder)) not in allowed
        and (any(p in path.name for p in PARTS) or (path.is_file() and holds(path.read_bytes())))
    ]


def holds(data: bytes | str) -> bool:
    text = data if isinstance(data, bytes) else data.encode()
    return any(part.encode() in text for part in PARTS)


def given(source: str, command: Command) -> tuple[dict[str, str], tuple[str, ...]]:
    """The environment of a command whose token comes from somewhere, and the files that may hold it."""
    home = command.home
    if source == "environment":
        return {"MAPILLARY_TOKEN": CANARY}, ()
    env = {"MAPILLARY_TOKEN": ""}
    if source == "file":
        (home / "token").write_text(CANARY + "\n")
        done = command(
            "mapillary",
            "authenticate",
            "--token-file",
            home / "token",
            "--user_name",
            "tester",
            "-v",
            env=env,
        )
        assert done.code == 0 and not holds(done.text), done
        tokens = ".config/camtrail/accounts/tokens.json"
        assert (home / tokens).stat().st_mode & 0o077 == 0
        return env, ("token", tokens)
    old = home / ".config/mapillary/config"
    old.parent.mkdir(parents=True)
    old.write_text(
        f"[tester]\nMAPSettingsUsername = tester\nMAPSettingsUserKey = 1\nuser_upload_token = {CANARY}\n"
    )
    return env, (".config/mapillary/config",)


@pytest.mark.parametrize(
    ("source", "trouble"),
    [
        (source, trouble)
        for source in ("environment", "file", "old file")
        for trouble in TROUBLE
        if source == "environment" or trouble not in PATIENT
    ],
)
def test_it_is_nowhere(
    server: Server, base: Path, tmp_path: Path, foreign: MapillarySandbox, trouble: str, source: str
) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "ride"))
    before = len(foreign.requests())
    with Stopper() as box:
        command = Command(server, tmp_path, box)
        env, allowed = given(source, command)
        box.set_faults(fault.replace("FOREIGN", foreign.url) for fault in TROUBLE[trouble])
        lines: list[tuple[str | Path, ...]] = [
            ("mapillary", "process_and_upload", folder, "--user_name", "tester", "-v", "--max-attempts", "2"),
        ]
        if trouble not in PATIENT:
            lines += [("mapillary", "upload", folder, "-v", "--json", "--max-attempts", "2")]
        if trouble in ("nothing", "a token that is repeated at once"):
            lines += [("mapillary", tool, folder, "--user_name", "tester", "-v") for tool in TOOLS]
            lines += [
                ("mapillary", "edit_config", "--user_name", "tester", "MAPSettingsEmail=a@example.com", "-v"),
                ("mapillary", "authenticate", "--user_name", "other", "-v"),
                ("mapillary", "authenticate", "--delete", "--user_name", "other", "-v"),
                ("status", folder, "-v"), ("why", folder / "IMG_000.jpg", "-v"), ("undo", folder, "-v"),
                ("export", folder, "-o", tmp_path / "made.geojson", "-v"), ("report", folder, "-o", tmp_path / "made.html", "-v"),
                ("process", folder, "--report", tmp_path / "more.html", "-v"),
            ]  # fmt: skip
        for line in lines:
            done = command(*line, env=env)
            assert not holds(done.text), (line, done)
            assert done.code != 1 and "Traceback" not in done.text, (line, done)
            assert done.code in (0, 2, 3, 5, 6, 11), (line, done)
        if source != "old file":  # that one is for the real service only
            assert any(r.authorization for r in box.requests())
    assert not found_in(tmp_path, allowed)
    assert len(foreign.requests()) == before


def test_nobody_sees_it_in_the_list_of_processes(base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "ride"))
    seen: set[bytes] = set()
    with Stopper(faults=["delay=1"]) as box:
        env = {**os.environ, **box.environment(), "MAPILLARY_TOKEN": CANARY}
        line = [
            sys.executable,
            "-m",
            "camtrail",
            "mapillary",
            "process_and_upload",
            str(folder),
            "--user_name",
            "tester",
            "-v",
        ]
        process = subprocess.Popen(
            line, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

        def look() -> None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:  # it has ended meanwhile
                    continue

        box.when = look
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert any(b"process_and_upload" in line for line in seen)
    assert not holds(said) and not any(map(holds, seen))


def test_no_option_takes_it(server: Server, base: Path, tmp_path: Path) -> None:
    with Stopper() as box:
        command = Command(server, tmp_path, box)
        for option in ("--jwt", "--user_password"):
            done = command("mapillary", "authenticate", option, CANARY)
            assert done.code == 2 and not holds(done.text), done
        assert not box.requests()


def test_it_is_not_in_json_either(server: Server, base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "ride"))
    with Stopper(faults=[f"status=401,{ECHO}"]) as box:
        done = Command(server, tmp_path, box).upload(folder, env={"MAPILLARY_TOKEN": CANARY})
        assert done.code == 6 and not holds(json.dumps(done.json)), done
        assert "bad token" in done.text
