"""Settings for hooks: where they come from, and what Camio takes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.app.hook_data import check_camio, hook_data, redacted, unseen
from camtrail.core import secrets
from camtrail.core.errors import InputError, UsageError
from camtrail.core.fs import RealFileSystem
from camtrail.services.camio.wire import IMAGE_KEYS

FS = RealFileSystem()
SAMPLE = Path(__file__).parents[2] / "examples" / "batch_import" / "samples" / "sample_hook_data.json"
keys = st.sampled_from("abcde")
objects = st.dictionaries(keys, st.integers() | st.dictionaries(keys, st.integers()))


@given(of_file=objects, of_text=objects)
def test_the_text_wins_key_by_key_at_the_top(of_file, of_text, tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "data.json"
    file.write_text(json.dumps(of_file))
    made = hook_data(json.dumps(of_text), str(file), FS)
    assert made.data == {**of_file, **of_text}
    assert made.warnings == ()


def test_nothing_given_is_nothing():
    assert hook_data(None, None, FS).data == {}
    assert hook_data(None, None, FS).cameras == {}


def test_the_sample_is_what_camio_takes():
    made = hook_data(None, str(SAMPLE), FS)
    assert made.warnings == ()
    assert check_camio(made.data) == []
    assert list(made.cameras) == ["camera_name_1", "camera_name_2"]


def test_a_trailing_comma_is_said_with_file_line_and_column(tmp_path):
    file = tmp_path / "data.json"
    file.write_text(SAMPLE.read_text().replace("        }\n    },", "        },\n    },"))
    made = hook_data(None, str(file), FS)
    assert made.data == json.loads(SAMPLE.read_text())
    (warning,) = made.warnings
    assert str(file) in warning and "line 19, column 10" in warning


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_editors_may_write_any_unicode(encoding, tmp_path):
    file = tmp_path / "data.json"
    file.write_bytes('{"cameras": {"Straße": {}}}'.encode(encoding))
    assert list(hook_data(None, str(file), FS).cameras) == ["Straße"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[]", "no JSON object"),
        (b'{"a": 1\n"b": 2}', "line 2, column 1"),
        (b"", "line 1, column 1"),
        (b'{"a": "\xff"}', "no text in UTF-8"),
        (None, "is not there"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_ends_with_4(content, said, tmp_path):
    file = tmp_path / "data.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as e:
        hook_data("{}", str(file), FS)
    assert str(file) in str(e.value) and said in str(e.value)
    assert e.value.exit_code == 4


@pytest.mark.parametrize(("text", "said"), [("[1]", "no JSON object"), ("{'a': 1}", "line 1, column 2")])
def test_a_text_that_cannot_be_used_ends_with_2(text, said):
    with pytest.raises(UsageError) as e:
        hook_data(text, None, FS)
    assert said in str(e.value) and e.value.exit_code == 2


def test_secrets_are_seen_by_nobody():
    text = json.dumps(
        {
            "access_token": "canary-111",
            "device_id": "canary-222",
            "cameras": {"c": {"Password": "canary-333"}},
        }
    )
    made = hook_data(text, None, FS)
    assert "canary" not in json.dumps(redacted(made.data))
    assert "canary" not in secrets.redacted(text)
    assert made.data["access_token"] == "canary-111"
    assert redacted({"plan": "plus", "list": ["canary-111"], "access_token": ""}) == {
        "plan": "plus", "list": ["***"], "access_token": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        {"plan": "gold"}, {"plan": 1}, {"img_x_size": "1280"}, {"img_x_size": True}, {"img_y_size": -1},
        {"img_y_size": 1.5}, {"access_token": 5}, {"device_id": []}, {"ip_address": 10}, {"test": "yes"},
        {"full_paths": 1}, {"server_url": {}}, {"cameras": []}, {"cameras": {"c": 1}}, {"cameras": {"c": {"plan": "x"}}},
        {"cameras": {"c": {"img_x_size_extraction": "big"}}}, {"cameras": {"c": {"timezone": 1}}},
    ],
)  # fmt: skip
def test_values_that_camio_cannot_take_are_refused_by_name(data):
    with pytest.raises(UsageError, match="hook data: ") as e:
        check_camio(data)
    inner = data.get("cameras")
    key = (
        next(iter(inner["c"]))
        if isinstance(inner, dict) and isinstance(inner["c"], dict)
        else next(iter(data))
    )
    assert key in e.value.message


@given(st.dictionaries(st.sampled_from(IMAGE_KEYS), st.integers(0, 8000) | st.none()))
def test_any_sizes_of_pictures_will_do(sizes):
    assert check_camio({**sizes, "cameras": {"c": sizes}, "plan": "PRO"}) == []


def test_what_camio_does_not_know_is_said():
    warnings = check_camio({"plann": "pro", "cameras": {"c": {"img_z_size": 1, "timezone": "Europe/Berlin"}}})
    assert [w.split(" is no ")[0] for w in warnings] == [
        "hook data: plann",
        "hook data: cameras.c.img_z_size",
    ]


def test_cameras_without_videos_are_said():
    data = {"cameras": {"front": {}, "fornt": {}}}
    assert unseen(data, ["front", "back"]) == ["hook data: no video is of camera fornt"]
    assert unseen({}, ["front"]) == []
