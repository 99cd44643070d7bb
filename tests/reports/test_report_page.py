from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.reports.page import MARK, Column, element, figure, file_url, image, joined, page, section, table

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</title></style></script><!--",
    "{{7*7}}${7*7}<%= 7 %>",
    "\x1b[31mred\x07",
    "\u202egpj.exe",
    "&lt;b&gt;&#60;",
    "caf\udce9\ud800\0\n",
]


def hashes(texts) -> set[str]:
    return {"'sha256-" + base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() + "'" for t in texts}


def policy(read_page) -> dict[str, list[str]]:
    (meta,) = [a for a in read_page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    parts = [part.split() for part in meta["content"].split(";")]
    return {name: values for name, *values in parts}


def test_the_policy_allows_inline_blocks_by_hash_alone(read) -> None:
    document = b"".join(
        page("t", ["x"], styles=["p{margin:0}"], scripts=["let a=1<2&&3>2;", "let b"], data={"d": 1})
    )
    seen = read([document])
    raw = document.decode()
    styles = re.findall(r"<style>(.*?)</style>", raw, re.DOTALL)
    scripts = re.findall(r"<script>(.*?)</script>", raw, re.DOTALL)
    allowed = policy(seen)
    assert len(styles) == len(scripts) == 2
    assert set(allowed.pop("style-src")) == hashes(styles)
    assert set(allowed.pop("script-src")) == hashes(scripts)
    assert allowed == {
        "default-src": ["'none'"],
        "img-src": ["data:", "file:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }


def test_without_scripts_none_is_allowed(read) -> None:
    assert policy(read(page("t", [])))["script-src"] == ["'none'"]


def test_the_mark_and_the_encoding_stand_first() -> None:
    head = next(page("t" * 600, []))[:512]
    assert head.startswith(b"<!doctype html>")
    assert b'<meta charset="utf-8">' in head
    assert MARK in head


def test_landmarks_and_language(read) -> None:
    seen = read(
        page("Title", [section("a", "First", "text")], lead=[element("nav", "way", aria_label="Way")])
    )
    assert seen.all("html") == [{"lang": "en"}]
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(seen.all(landmark)) == 1
    assert seen.all("section") == [{"id": "a", "aria-labelledby": "a-heading"}]
    assert seen.all("h2") == [{"id": "a-heading"}]
    assert {"class": "skip", "href": "#main"} in seen.all("a")


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_stays_text(read, attack: str) -> None:
    plain = read(page("t", parts_of("x"), lead=["x"], data={"key": "x"}))
    seen = read(page(attack, parts_of(attack), lead=[attack], data={"key": attack}))
    assert [(tag, set(a)) for tag, a in seen.tags] == [(tag, set(a)) for tag, a in plain.tags]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", seen.text)
    assert json.loads(seen.inline("script")[0]) == attack


def parts_of(text: str):
    yield text
    yield section("s", text, text, element("p", text, title=text, aria_label=text, data_x=text))
    yield table(
        text, [Column(text, "name"), Column(text, "number"), Column("b", "line")], [(text, text, text)]
    )
    yield figure(text, image(b"\xff\xd8\xff", text, text), image(b"GIF89a", text))
    yield joined([text, text], text)
    yield element("a", text, href=file_url("/p/" + text.replace("\ud800", "").replace("\0", ""), "/p"))


@pytest.mark.parametrize(
    "href",
    ["javascript:alert(1)", "JavaScript:x", " javascript:x", "data:text/html,x", "//host/x", "/x", "x", "", "-a",
     "vbscript:x", "\x01javascript:x", "file:///etc/passwd"],
)  # fmt: skip
def test_links_that_are_not_relative_or_http_are_refused(href: str) -> None:
    with pytest.raises(ValueError, match="no link"):
        element("a", "x", href=href)
    with pytest.raises(ValueError, match="no link"):
        element("img", alt="", src=href)


@pytest.mark.parametrize("href", ["./a", "./../a", "#a", "https://example.org/", "http://example.org/"])
def test_links_that_are_allowed(href: str) -> None:
    assert f'href="{href}"' in element("a", "x", href=href).text


@pytest.mark.parametrize(
    "name", ["onclick", "style", "srcdoc", "srcset", "formaction", "xlink_href", "ping", "a b"]
)
def test_attributes_that_act_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no attribute"):
        element("p", **{name: "x"})


@pytest.mark.parametrize(
    "tag", ["script", "style", "iframe", "form", "base", "meta", "object", "use", "foreignObject", "p><b"]
)
def test_tags_that_act_are_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="no tag"):
        element(tag)


def test_bare_and_absent_attributes() -> None:
    assert element("details", "x", open=True, hidden=False, id=None, class_="c").text == (
        '<details open class="c">x</details>'
    )
    assert element("br").text == "<br>"


@pytest.mark.parametrize("text", ["</script>", "</STYLE >", "<!-- x", "a\r\nb", "\0"])
def test_inline_blocks_that_would_end_early_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must not hold"):
        list(page("t", [], scripts=[text]))
    with pytest.raises(ValueError, match="must not hold"):
        list(page("t", [], styles=[text]))


def test_data_is_json_without_nan(read) -> None:
    value = {"a": ["</script><script>", "<!--", "é\u2028", 1.5, None]}
    assert json.loads(read(page("t", [], data={"d": value})).inline("script")[0]) == value
    with pytest.raises(ValueError, match="JSON"):
        list(page("t", [], data={"d": math.nan}))


def test_a_table_is_one_for_screen_readers_and_keyboards(read) -> None:
    columns = [Column("Name", "name"), Column("Size", "number")]
    seen = read(page("t", [table("Files", columns, [("a", "1"), ("b", element("b", "2"))])]))
    assert {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "Files"} in seen.all("div")
    assert [a["scope"] for a in seen.all("th")] == ["col", "col", "row", "row"]
    assert ("caption", "Files") in seen.texts
    assert seen.all("td") == [{"class": "n"}, {"class": "n"}]


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="argument"):
        table("t", [Column("a"), Column("b")], [("1",)])


@pytest.mark.parametrize(
    ("path", "folder", "url"),
    [
        ("/p/a b.jpg", "/p", "./a%20b.jpg"),
        ("/p/javascript:x", "/p", "./javascript%3Ax"),
        ("/p/-a", "/p", "./-a"),
        ("/p/a?b#c%41.jpg", "/p", "./a%3Fb%23c%2541.jpg"),
        ("/p/\"'<>&.jpg", "/p", "./%22%27%3C%3E%26.jpg"),
        ("/q/é.jpg", "/p/r", "./../../q/%C3%A9.jpg"),
        (os.fsdecode(b"/p/caf\xe9\n"), "/p", "./caf%E9%0A"),
        ("/p/\ud800", "/p", None),
    ],
)
def test_file_url(path: str, folder: str, url: str | None) -> None:
    assert file_url(path, folder) == url


@given(st.binary(min_size=1, max_size=30))
def test_file_url_leads_back_to_any_name(name: bytes) -> None:
    name = name.replace(b"/", b"_").replace(b"\0", b"_")
    if name in (b".", b".."):
        return
    url = file_url(os.fsdecode(b"/p/" + name), "/p")
    assert url is not None and re.fullmatch(r"\./[A-Za-z0-9_.~%-]+", url)
    assert unquote_to_bytes(url[2:]) == name


def test_an_image_is_embedded_with_its_words() -> None:
    assert image(b"\xff\xd8\xff\xe0", 'a "b"').text == (
        '<img alt="a &quot;b&quot;" decoding="async" src="data:image/jpeg;base64,/9j/4A==">'
    )
    assert image(b"<svg onload=x>", "a").text == "<span>[a]</span>"
