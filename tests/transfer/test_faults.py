"""The language of faults."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import UsageError
from camtrail.transfer.faults import ACTIONS, LANGUAGE, Fault, parse

whole = st.integers(0, 10**9)
seconds = st.floats(0, 1e9, allow_nan=False)
speeds = st.floats(1e-3, 1e9, allow_nan=False)
statuses = st.integers(100, 999)
# What a text can say: characters, and bytes that are none, as the file system writes those.
texts = st.text(
    st.one_of(
        st.sampled_from('\\,\n\r\t\x00"=,path=nth=1'),
        st.characters(exclude_categories=["Cs"]),
        st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
    )
)
jsons = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(), st.just('",path=x\\')),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=5,
).map(json.dumps)
selections = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GET", "POST", "HEAD"]),
        "path": texts,
        "origin": texts,
        "nth": st.tuples(st.integers(1, 99), st.one_of(st.none(), st.integers(99, 199))),
        "rate": st.floats(0, 1),
        "seed": whole,
        "times": whole,
    },
)
yes = st.booleans()


def of(action, **more):
    """Faults of one action."""
    optional = {"amount", "text"} & more.keys()
    needed = {"action": st.just(action), **{k: more[k] for k in optional}}
    rest = {k: v for k, v in more.items() if k not in optional}
    return st.tuples(st.fixed_dictionaries(needed, optional=rest), selections).map(
        lambda two: Fault(**{**two[0], **two[1]})
    )


faults = st.one_of(
    of("status", amount=statuses, retry_after=texts, body=texts, type=texts, early=yes),
    of("reset", amount=whole, keep=yes),
    of("stall", amount=seconds),
    of("delay", amount=seconds),
    of("drip", amount=speeds),
    of("slow", amount=speeds),
    of("truncate", amount=whole),
    of("length", amount=st.integers(-99, 99)),
    of("redirect", text=texts, status=statuses),
    of("raw", text=texts),
    of("json", text=jsons, status=statuses),
    of("html", status=statuses, body=texts),
    of("lost"),
)


@given(faults)
def test_what_is_written_reads_as_the_same_fault(fault):
    assert parse(fault.spec()) == fault


@given(st.text())
def test_any_text_is_a_fault_or_an_error_that_says_what_is_wrong(text):
    try:
        assert parse(text)
    except UsageError as e:
        assert repr(text) in e.message and e.hint


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("status=503", Fault(action="status", amount=503)),
        (
            "status=503,retry-after=Fri, 31 Dec 1999 23:59:59 GMT,body={},type=a/b",
            Fault(
                action="status",
                amount=503,
                retry_after="Fri, 31 Dec 1999 23:59:59 GMT",
                body="{}",
                type="a/b",
            ),
        ),
        ("reset=0", Fault(action="reset")),
        ("reset=1000,keep=no", Fault(action="reset", amount=1000, keep=False)),
        ("stall=2min", Fault(action="stall", amount=120)),
        ("lost,method=post,path=/up/*.jpg", Fault(action="lost", method="POST", path="/up/*.jpg")),
        ("html,nth=2", Fault(action="html", nth=(2, 2))),
        ("html,nth=1-3", Fault(action="html", nth=(1, 3))),
        ("html,nth=5-", Fault(action="html", nth=(5, None))),
        ("html,rate=5%,seed=3,times=1", Fault(action="html", rate=0.05, seed=3, times=1)),
        ('json={"offset":5,"x":1},times=1', Fault(action="json", text='{"offset":5,"x":1}', times=1)),
        (
            "redirect=http://x/?a=1,2,status=301",
            Fault(action="redirect", text="http://x/?a=1,2", status=301),
        ),
        (r"raw=\x00\xff\r\n\,path=a", Fault(action="raw", text="\0\udcff\r\n,path=a")),
        ("length=-3", Fault(action="length", amount=-3)),
    ],
)
def test_reads(spec, fault):
    assert parse(spec) == fault


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "there is no action ''"),
        ("stauts=503", "there is no action 'stauts'; actions are status, reset"),
        ("status", "status needs a value"),
        ("lost=1", "lost takes no value"),
        ("status=abc", "'abc' is no HTTP status"),
        ("status=99", "'99' is no HTTP status"),
        ("reset=-1", "'-1' is below 0"),
        ("reset=1.5", "'1.5' is no whole number"),
        ("stall=soon", "'soon' is no number"),
        ("stall=-1", "'-1' is below 0"),
        ("drip=0", "'0' is no speed"),
        ("json={", "'{' is no JSON; body=TEXT sends any text"),
        ("json=" + "[" * 100_000, "is no JSON"),
        (r"raw=\q", r"\q means nothing in a text"),
        ("lost,nth=0", "nth=0 is no number from 1 on; write nth=2"),
        ("lost,nth=3-2", "nth=3-2 is no number"),
        ("lost,nth=x", "nth=x is no number"),
        ("lost,rate=101%", "rate=101% is no share"),
        ("lost,keep=no", "lost takes no keep="),
        ("reset=1,keep=perhaps", "keep= is yes or no"),
        ("lost,nth=1,nth=2", "nth= is there twice"),
        ("lost,method=P T", "'P T' is no method"),
        ("lost,foo=1", "there is no action 'lost,foo'"),
    ],
)
def test_says_what_is_wrong(spec, words):
    with pytest.raises(UsageError) as caught:
        parse(spec)
    assert words in str(caught.value)


@given(st.integers(0, 99), st.floats(0, 1))
def test_chance_is_the_same_each_time_and_as_often_as_said(seed, rate):
    fault = Fault(action="lost", rate=rate, seed=seed)
    hit = [fault.hits(n) for n in range(1, 1001)]
    assert hit == [fault.hits(n) for n in range(1, 1001)]
    assert abs(sum(hit) - 1000 * rate) < 100


def test_every_action_is_explained():
    explained = {
        line.split()[0].partition("=")[0] for line in LANGUAGE.splitlines() if line[:3].strip()[:1].islower()
    }
    assert set(ACTIONS) <= explained
    assert all(len(line) <= 98 for line in LANGUAGE.splitlines())
