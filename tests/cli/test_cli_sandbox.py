"""`camtrail sandbox`: what it prints, what it serves, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path) -> Iterator[Start]:
    """Starts `camtrail sandbox ARGUMENTS`; ended with the test."""
    with ExitStack() as stack:

        def begin(*arguments: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "camtrail", "sandbox", *arguments],
                cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def first_line(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def ask(url: str, token: str = "", data: bytes | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(url, data)
    if token:
        request.add_header("Authorization", f"OAuth {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as e:
        with e:
            return e.code, json.loads(e.read())


@pytest.mark.parametrize("names", [["mapillary"], ["Mapillary", "mapillary"]])
def test_the_first_line_says_where_it_is(start, names):
    process = start(*names, "--json")
    answer = first_line(process)
    url = answer["mapillary"]["url"]
    assert answer == {
        "mapillary": {
            "url": url,
            "env": {
                "CAMTRAIL_MAPILLARY_URL": url,
                "MAPILLARY_GRAPH_API_ENDPOINT": url,
                "MAPILLARY_UPLOAD_ENDPOINT": f"{url}/mapillary_public_uploads",
                "MAPILLARY_CLIENT_TOKEN": "MLY|sandbox|sandbox",
            },
        }
    }
    assert ask(f"{url}/me?fields=username", "tester")[1]["username"] == "tester"
    assert ask(f"{url}/_sandbox/received")[1]["images"] == []


def test_all_are_served_where_none_is_named(start):
    answer = first_line(start("--json"))
    assert list(answer) == ["mapillary", "inaturalist", "camio"]
    assert ask(f"{answer['mapillary']['url']}/_sandbox/received")[0] == 200
    url = answer["inaturalist"]["url"]
    assert answer["inaturalist"]["env"] == {"CAMTRAIL_INATURALIST_URL": url}
    assert ask(f"{url}/v1/users/naturalist")[1]["results"][0]["observations_count"] == 8
    env = answer["camio"]["env"]
    assert env["CAMIO_SERVER_URL"] == answer["camio"]["url"]
    assert ask(f"{env['CAMIO_BOX_URL']}/box/settings")[1]["device_id"] == env["CAMIO_BOX_DEVICE_ID"]


def free_row(n):
    """The first of so many free ports that follow one another; below those that connections get by themselves."""
    for port in range(20_000 + os.getpid() % 9_000, 32_000, n):
        with ExitStack() as stack, suppress(OSError):
            for one in range(port, port + n):
                stack.enter_context(socket.create_server(("127.0.0.1", one)))
            return port
    raise AssertionError("no free ports")


def test_ports_follow_one_another(start):
    port = free_row(4)
    answer = first_line(start("inaturalist", "mapillary", "--json", "--port", str(port)))
    assert answer["inaturalist"]["url"] == f"http://127.0.0.1:{port}"
    assert answer["mapillary"]["url"] == f"http://127.0.0.1:{port + 2}"
    (o, *_) = ask(f"{answer['inaturalist']['url']}/v1/observations")[1]["results"]
    assert (
        o["photos"][0]["url"].startswith(f"http://127.0.0.1:{port + 1}/") or "assets" in o["photos"][0]["url"]
    )
    found = ask(
        f"{answer['mapillary']['url']}/images?bbox=-122.56,45.04,-122.551,45.045&fields=thumb_256_url", "me"
    )
    assert found[1]["data"][0]["thumb_256_url"].startswith(f"http://127.0.0.1:{port + 3}/")


def test_the_ports_of_camio_follow_one_another(start):
    port = free_row(5)
    answer = first_line(start("camio", "mapillary", "--json", "--port", str(port)))
    assert answer["camio"]["env"]["CAMIO_SERVER_URL"] == f"http://127.0.0.1:{port}"
    assert answer["camio"]["env"]["CAMIO_BOX_URL"] == f"http://127.0.0.1:{port + 1}"
    assert ask(f"http://127.0.0.1:{port + 2}/_sandbox/received")[1]["manifests"] == []
    assert answer["mapillary"]["url"] == f"http://127.0.0.1:{port + 3}"


def test_a_clock_that_stands_still(start, camtrail):
    url = first_line(start("camio", "--json", "--virtual-clock"))["camio"]["url"]
    first = ask(f"{url}/_sandbox/clock")[1]
    assert first == ask(f"{url}/_sandbox/clock")[1] and first["is_virtual"]
    moved = ask(f"{url}/_sandbox/clock", data=b'{"advance_s": 60}')[1]
    assert moved["now_s"] == pytest.approx(first["now_s"] + 60)
    ended = camtrail("sandbox", "mapillary", "--virtual-clock")
    assert ended.code == 2 and "mapillary cannot be given --virtual-clock" in ended.err


def test_bookmarks_of_ones_own(start, camtrail, tmp_path):
    (tmp_path / "a.json").write_text(
        '{"labels": {"2016-10-09T12:02:40.000-0000": {"camera": {"name": "A"}, "labels": ["cat"]}}}'
    )
    assert first_line(start("camio", "--json", "--data", str(tmp_path)))["camio"]["url"]
    ended = camtrail("sandbox", "camio", "--data", str(tmp_path / "nowhere"))
    assert ended.code == 4 and "is no folder" in ended.err and "Traceback" not in ended.err


def test_data_of_ones_own(start, camtrail, tmp_path):
    (tmp_path / "observations.json").write_text('[{"id": 5, "user": {"id": 1, "login": "ann"}}]')
    url = first_line(start("inaturalist", "--json", "--data", str(tmp_path)))["inaturalist"]["url"]
    assert ask(f"{url}/v1/observations?user_login=ann")[1]["results"] == [
        {"id": 5, "user": {"id": 1, "login": "ann"}}
    ]
    (tmp_path / "list.csv").write_text("AAAAAAAAAAAAAAAAAAAAAA,10001,45.5,9.1\n")
    url = first_line(start("mapillary", "--json", "--data", str(tmp_path)))["mapillary"]["url"]
    assert ask(f"{url}/image_ids?sequence_id={'A' * 22}", "me") == (200, {"data": [{"id": "10001"}]})
    ended = camtrail("sandbox", "--data", str(tmp_path))
    assert ended.code == 2 and "--data is for one service" in ended.err
    ended = camtrail("sandbox", "inaturalist", "--data", str(tmp_path / "nowhere"))
    assert ended.code == 4 and "observations.json: is not there" in ended.err and "Traceback" not in ended.err
    (tmp_path / "list.csv").write_text("no, list\n")
    ended = camtrail("sandbox", "mapillary", "--data", str(tmp_path))
    assert ended.code == 4 and "list.csv: line 1" in ended.err and "Traceback" not in ended.err


@pytest.mark.skipif(os.name == "nt", reason="no such signals there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_how_it_ends(start, number):
    process = start("--json")
    first_line(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, b"", b"")


@pytest.mark.skipif(os.name == "nt", reason="no such signals there")
def test_for_people(start):
    process = start()
    lines = [process.stdout.readline().decode() for _ in range(21)]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    text = "".join(lines) + out.decode()
    url = lines[0].split()[3].rstrip(";")
    assert f"    export MAPILLARY_GRAPH_API_ENDPOINT='{url}'\n" in text
    assert "    export MAPILLARY_TOKEN=anything\n" in text
    assert "    export INAT_TOKEN=anything\n" in text
    assert "    export CAMIO_BOX_DEVICE_ID='" in text and "    export CAMIO_OAUTH_TOKEN=anything\n" in text
    assert text.endswith("Ctrl-C ends it\n") and err == b""


def test_faults_and_a_token(start):
    process = start(
        "--json",
        "--fault",
        "status=503,nth=1",
        "--fault",
        'json={"offset":1,"x":2},nth=2',
        "--token",
        "T0KEN",
    )
    url = first_line(process)["mapillary"]["url"]
    assert ask(f"{url}/me", "T0KEN")[0] == 503
    assert ask(f"{url}/me", "T0KEN") == (200, {"offset": 1, "x": 2})
    assert ask(f"{url}/me", "T0KEN")[0] == 200
    assert ask(f"{url}/me", "other")[0] == 401
    assert ask(f"{url}/_sandbox/faults", data=b'["status=500"]') == (200, {"faults": ["status=500"]})
    assert ask(f"{url}/me", "T0KEN")[0] == 500
    log = ask(f"{url}/_sandbox/requests")[1]
    assert [r["status"] for r in log] == [503, 200, 200, 401, 500] and "T0KEN" not in json.dumps(log)


def test_a_port_of_ones_own_and_one_that_is_taken(start, camtrail):
    port = first_line(start("--json"))["mapillary"]["url"].rpartition(":")[2]
    ended = camtrail("sandbox", "--port", port)
    assert ended.code == 2 and f"port {port} cannot be used" in ended.err and ended.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no sandbox 'nowhere'; there are mapillary, inaturalist, camio"),
        (["--fault", "stauts=503"], "there is no action 'stauts'"),
        (["--fault", "lost,nth=0"], "nth=0 is no number from 1 on"),
        (["--port", "70000"], "'70000' is above 65535"),
    ],
)
def test_what_is_wrong_is_said(camtrail, arguments, words):
    ended = camtrail("sandbox", *arguments)
    assert ended.code == 2 and words in ended.err and "Traceback" not in ended.err


def test_help_explains_faults(camtrail):
    ended = camtrail("sandbox", "--help")
    assert ended.code == 0
    for words in ("reset=N", "lost ", "nth=1-3", "rate=5%", "[NAME]", "/_sandbox/received"):
        assert words in ended.out
    assert "sandbox" in camtrail("--help").out
