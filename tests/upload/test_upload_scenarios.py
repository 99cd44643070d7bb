"""What can go wrong between here and the service, case by case, and what must be true after each of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from camtrail.app.accounts import Accounts, authenticate_by_password
from camtrail.app.mapillary_service import origin_of
from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    CamtrailError,
    QuotaExceeded,
    SafetyRefusal,
    Unreachable,
)
from camtrail.core.secrets import Secret
from camtrail.services.mapillary.sandbox import MapillarySandbox
from camtrail.transfer.faultserver import Logged
from camtrail.transfer.http import Http, Unheard

from .rides import IMAGES, SEQUENCES, Clock, Ended, Ride, finishes

ME = "path=/me"
OFFSET = "method=GET,path=/mapillary_public_uploads/*.jpg"
BODY = "method=POST,path=/mapillary_public_uploads/*.jpg"
ONE = "method=POST,path=/mapillary_public_uploads/camtrail_[0-3]*.jpg"  # the bodies of one of the twelve
LIST = "path=/mapillary_public_uploads/*.json"
FINISH = "path=/finish_upload"
WAIT_S = 900.0  # what the service may ask for in all, by default
PER_SEQUENCE = IMAGES // SEQUENCES


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that goes wrong, and how a run ends in which it does.

    `left` are images that are not through: held, failed or not looked at.
    """

    name: str
    faults: tuple[str, ...]
    code: int = 0
    uncertain: int = 0
    left: int | None = 0  # None: some
    failed: int | None = None
    most: int = 60  # requests
    said: str = ""  # in one of the failures
    slept_s: float = 0.0  # at least, where the service asks for it
    options: dict[str, Any] = field(default_factory=dict)
    stall_s: float = 20.0


def once(name: str, action: str, where: str, **more: Any) -> Case:
    """It happens once; the run goes on as if nothing were."""
    return Case(name, (f"{action},{where},nth=1",), **more)


def always(name: str, action: str, where: str, **more: Any) -> Case:
    return Case(name, (f"{action},{where}",), **{"left": IMAGES, "most": 260, **more})


def transient() -> list[Case]:
    """What is over at the next attempt costs nothing but the attempt."""
    cases = []
    for place, where in (("offset", OFFSET), ("body", BODY), ("list", LIST), ("me", ME)):
        for status in (408, 425, 500, 502, 503, 504):
            cases.append(once(f"{status} once, {place}", f"status={status}", where))
    for place, where in (("offset", OFFSET), ("body", BODY), ("list", LIST)):
        for status in (404, 409, 410, 412):
            cases.append(once(f"{status} once, {place}", f"status={status}", where))
    actions = {
        "reset before the body": "reset=0",
        "reset mid-body, bytes kept": "reset=500",
        "reset mid-body, bytes dropped": "reset=500,keep=no",
        "reply lost": "lost",
        "truncated answer": "truncate=3",
        "answer longer than it says": "length=-3",
        "garbage": "raw=SSH-2.0-OpenSSH_9\\r\\n",
        "nothing at all": "raw=",
        "portal page": "html",
        "an early 503": "status=503,early=yes",
        "a list": "json=[]",
        "null": "json=null",
        "a text": 'json="come back later"',
        "an empty object": "json={}",
        "an error that passes": 'status=400,body={"error": {"is_transient": true\\, "message": "soon"}}',
    }
    for name, action in actions.items():
        for place, where in (("offset", OFFSET), ("body", BODY), ("list", LIST), ("me", ME)):
            cases.append(once(f"{name}, {place}", action, where))
    for name, action in {"no handle": "json={}", "an empty handle": 'json={"h": ""}', "null as handle": 'json={"h": null}',
                         "a handle of 5,000": 'json={"h": "' + "x" * 5000 + '"}'}.items():  # fmt: skip
        for place, where in (("body", BODY), ("list", f"method=POST,{LIST}")):
            cases.append(once(f"{name}, {place}", action, where))
    for value in ("999999999", "-5", '"12"', "null", "1.5", "true", "[0]"):
        cases.append(once(f"offset {value}", f'json={{"offset": {value}}}', OFFSET))
    cases.append(Case("5 % of everything but publications", (
        "status=503,rate=5%,seed=1,path=/mapillary_public_uploads/*", "reset=300,rate=5%,seed=2,path=/mapillary_public_uploads/*",
        "truncate=4,rate=5%,seed=3,path=/mapillary_public_uploads/*",
    )))  # fmt: skip
    return cases


def quick_watchdog() -> list[Case]:
    """What does not move is given up, which takes real time: 0.3 s each here."""
    cases = [
        once("stall, body", "stall=1", BODY),
        once("stall, offset", "stall=1", OFFSET),
        once("stall, list", "stall=1", LIST),
        once("drip, body", "drip=100", BODY),
        once("drip, me", "drip=100", ME),
        once("answer shorter than it says, body", "length=5", BODY),
        once("stall, finish", "stall=1", FINISH, code=5, uncertain=PER_SEQUENCE),
        once("drip, finish", "drip=100", FINISH, code=5, uncertain=PER_SEQUENCE),
        once("body read slowly", "slow=200", BODY),
    ]
    return [replace(case, stall_s=0.3) for case in cases]


def rejected() -> list[Case]:
    """A permanent no to one image holds its sequence; the others go out."""
    held = {"code": 3, "left": PER_SEQUENCE, "failed": 1, "said": "move it away"}
    return [
        *(Case(f"{status} for one image", (f"status={status},{ONE}",), **held) for status in (400, 413, 422)),
        *(Case(f"{status} for ever for one image", (f"status={status},{ONE}",), **held) for status in (404, 410)),
        *(
            Case(f"{status} for ever for one image", (f"status={status},{ONE}",), code=5, left=PER_SEQUENCE, failed=1)
            for status in (408, 409, 412, 425, 500, 502, 503, 504)
        ),
        Case("an early 400 for one image", (f"status=400,early=yes,{ONE}",), **held),
        Case("400 for a list", (f"status=400,method=POST,{LIST},nth=1",), code=3, left=PER_SEQUENCE, said="run again"),
        Case("400 for a publication", (f"status=400,{FINISH},nth=1",), code=3, left=PER_SEQUENCE, said="run again"),
        Case("404 for a publication", (f"status=404,{FINISH},nth=1",), code=3, left=PER_SEQUENCE, said="run again"),
    ]  # fmt: skip


def auth() -> list[Case]:
    """A token that is refused ends the run at once."""
    token = "run camtrail mapillary authenticate"
    return [
        *(always(f"{s}, me", f"status={s}", ME, code=6, most=1, said=token) for s in (401, 403)),
        *(always(f"{s}, offset", f"status={s}", OFFSET, code=6, most=10, said=token) for s in (401, 403)),
        *(always(f"{s}, body", f"status={s}", BODY, code=6, most=15, said=token) for s in (401, 403)),
        always("401, list", "status=401", LIST, code=6, most=40, said=token),
        always("401, finish", "status=401", FINISH, code=6, most=40, said=token),
        once(
            "code 190, body",
            'status=400,body={"error": {"code": 190}}',
            BODY,
            code=6,
            left=IMAGES,
            said=token,
        ),
    ]


def gone_for_long() -> list[Case]:
    """A service that does not come back: the run ends with 5 after a while, and what was done is kept."""
    return [
        *(always(f"{s} always, offset", f"status={s}", OFFSET, code=5) for s in (404, 409, 500, 502, 503, 504)),
        *(always(f"{s} always, body", f"status={s}", BODY, code=5) for s in (404, 409, 500, 502, 503, 504)),
        *(always(f"{s} always, list", f"status={s}", LIST, code=5) for s in (500, 503)),
        *(always(f"{s} always, me", f"status={s}", ME, code=5, most=5) for s in (400, 404, 500, 503)),
        always("reset always, body", "reset=0", BODY, code=5),
        always("reset always after 100 bytes that are dropped", "reset=100,keep=no", BODY, code=5),
        always("truncated always, offset", "truncate=3", OFFSET, code=5),
        always("portal page always", "html", "path=/*", code=5, most=5, said="login page"),
        always("portal page behind the login", "html", "path=/map*", code=5, said="text/html"),
        *(always(f"offset {v} always", f'json={{"offset": {v}}}', OFFSET, code=5)
          for v in ("999999999", "-5", '"12"', "null", "true")),
        always("offset 0 always, and the body is never enough", 'json={"offset": 0}', OFFSET, code=0, left=0),
        always("no handle, ever", "json={}", BODY, code=5),
    ]  # fmt: skip


def throttled() -> list[Case]:
    """A service that asks for a pause gets it, up to a point."""

    def slow(after: str) -> str:
        return f"status=429,retry-after={after}" if after else "status=429"

    return [
        once("429, 7 s", slow("7"), BODY, slept_s=7),
        once("429, 7.5 s", slow("7.5"), BODY, slept_s=7.5),
        once("429, a day is cut to 300 s", slow("86400"), BODY, slept_s=300),
        once("429, 10⁹ s is cut to 300 s", slow("1e9"), OFFSET, slept_s=300),
        once("429, a date that is past", slow("Wed, 21 Oct 2015 07:28:00 GMT"), BODY),
        once("429, a date in 2099", slow("Fri, 31 Dec 2099 23:59:59 GMT"), BODY),
        once("429, below nothing", slow("-5"), BODY),
        once("429, junk", slow("soon"), BODY, slept_s=10),
        once("429, nothing said", slow(""), BODY, slept_s=10),
        once("429, no number", slow("nan"), LIST, slept_s=10),
        once("429 in the body", 'status=429,body={"backoff": 20000\\, "debug_info": {"type": "RequestRateLimitedError"}}',
             BODY, slept_s=20),
        once("429, me", slow("30"), ME, slept_s=30),
        once("429, finish: made again", slow("30"), FINISH, slept_s=30),
        once("503 with a time, body", "status=503,retry-after=40", BODY, slept_s=40),
        once("503, finish: made again", "status=503", FINISH),
        always("429 always, a day", slow("86400"), BODY, code=5, most=30, slept_s=600),
        always("429 always, 0 s", slow("0"), BODY, code=5, most=120),
        always("429 always, nothing said", slow(""), OFFSET, code=5, slept_s=300),
        always("429 always, me", slow("86400"), ME, code=5, most=5),
        always("429 always, finish", slow("60"), FINISH, code=5, most=80, slept_s=400),
    ]  # fmt: skip


def redirected() -> list[Case]:
    """Nothing is sent to where an answer points."""
    cases = []
    for place, where in (("me", ME), ("offset", OFFSET), ("body", BODY), ("list", LIST), ("finish", FINISH)):
        for name, to in (("other port", "FOREIGN/x"), ("other host", "https://example.com/"), ("plain http", "http://example.com/"),
                         ("same host", "/elsewhere")):  # fmt: skip
            left = None if place == "finish" else IMAGES
            cases.append(once(f"redirect to {name}, {place}", f"redirect={to}", where, code=11, left=left,
                              said="nothing was sent there"))  # fmt: skip
    cases.append(once("302, body", "redirect=FOREIGN/x,status=302", BODY, code=11, left=IMAGES))
    return cases


def unheard_of() -> list[Case]:
    """Publications whose answer is lost are not made again; nobody knows what became of them."""
    answers = {
        "500": "status=500", "502": "status=502", "504": "status=504", "408": "status=408", "409": "status=409",
        "reset before": "reset=0", "reset mid-body": "reset=30", "reply lost": "lost", "truncated answer": "truncate=3",
        "answer longer than it says": "length=-3", "garbage": "raw=nonsense", "portal page": "html",
        "no cluster": "json={}", "a list": "json=[]", "null as cluster": 'json={"cluster_id": null}',
    }  # fmt: skip
    return [
        *(once(f"{name}, finish", action, FINISH, code=5, uncertain=PER_SEQUENCE, said="--retry-uncertain")
          for name, action in answers.items()),
        always("reply lost always, finish", "lost", FINISH, code=5, uncertain=IMAGES, left=0, most=40),
        always("500 always, finish", "status=500", FINISH, code=5, uncertain=IMAGES, left=0, most=40),
    ]  # fmt: skip


CASES = [
    Case("nothing", (), most=34),
    *transient(), *quick_watchdog(), *rejected(), *auth(), *gone_for_long(), *throttled(), *redirected(), *unheard_of(),
]  # fmt: skip


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, ride: Ride, foreign: MapillarySandbox, caplog: pytest.LogCaptureFixture) -> None:
    before, asked_before = sums(ride), len(foreign.requests())
    ride.box.set_faults(fault.replace("FOREIGN", foreign.url) for fault in case.faults)
    ride.stall_s = case.stall_s
    ended = ride.run(**case.options)
    ride.stall_s = 20.0
    report = f"{case.faults}: {ended}"
    assert ended.code == case.code, report
    if case.left is not None:
        uploaded = IMAGES - case.left - case.uncertain
        assert ended.counts["uploaded"] == uploaded or ended.done is None, report
    assert ended.counts["uncertain"] == case.uncertain, report
    if case.failed is not None:
        assert ended.counts["failed"] == case.failed, report
    assert len(ended.requests) <= case.most, report
    assert case.slept_s <= ended.slept_s < max(case.slept_s, WAIT_S) + 200, report
    assert any(case.said in f"{f.message}; {f.hint}" for f in ended.failures) or not case.said, report
    holds(ride, ended, report)

    # The same command is the recovery.
    ride.box.set_faults([])
    again = ride.run()
    report = f"again, after {case.faults}: {again}"
    if case.uncertain:
        assert again.code == 5 and not finishes(again.requests), report
        assert again.counts["uncertain"] == case.uncertain, report
        assert again.counts["uploaded"] + again.counts["already_uploaded"] == IMAGES - case.uncertain
        assert any("--retry-uncertain" in f.hint for f in again.failures), report
        holds(ride, again, report)
        again = ride.run(retry_uncertain=True)
        report = f"again with --retry-uncertain, after {case.faults}: {again}"
        assert set(ride.published().values()) <= {1, 2} and len(ride.published()) == IMAGES, report
    else:
        assert ride.times() == [1] * IMAGES and ride.published() == Counter(
            dict.fromkeys(ride.published(), 1)
        ), report
    assert again.code == 0, report
    last = ride.run()
    assert last.code == 0 and last.counts == {"already_uploaded": IMAGES} and len(last.requests) == 1, last

    arrived = {image["sha256"] for image in ride.box.received()["images"]}
    assert sums(ride) == before and arrived == set(before.values())
    assert len(foreign.requests()) == asked_before
    assert ride.token not in caplog.text


def sums(ride: Ride) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(ride.folder.glob("*.jpg"))}


def holds(ride: Ride, ended: Ended, report: str) -> None:
    """What is true after any run."""
    published = ride.published()
    # No silent success, and no silent loss: every photo is somewhere.
    if ended.code == 0:
        assert len(published) == IMAGES, report
    assert not published or max(published.values()) == 1, report
    if ended.counts:
        assert sum(ended.counts.values()) == IMAGES, report
        named = {f.item for f in ended.failures}
        photos = {str(p) for p in ride.folder.glob("*.jpg")}
        assert len(named & photos) == ended.counts["failed"], report
        told = ended.counts["uploaded"] + ended.counts["already_uploaded"]
        assert told <= len(published) <= told + ended.counts["uncertain"], report
    # A publication is made once, unless the one before surely was none.
    last: dict[str, str] = {}
    for handle, said in ended.calls:
        assert last.get(handle, "unheard").endswith("unheard"), report
        last[handle] = said
    assert len(last) <= SEQUENCES, report
    # Failures are for people: one line that says what happened, one that says what to do.
    for failure in ended.failures:
        assert failure.code != "bug" and failure.message and failure.hint, report
        assert "\n" not in failure.message + failure.hint and "Error" not in failure.message, report
    assert all(_is_ours(request) for request in ended.requests), report


def _is_ours(request: Logged) -> bool:
    return request.authorization and not request.cookie


@pytest.mark.parametrize("refusals", [2, 99])
def test_a_publication_whose_connection_is_refused_was_none(
    ride: Ride, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    """The upload goes on elsewhere, so that one host can be away while the other is there."""
    left = refusals
    request = Http.request

    def refusing(http: Http, method: str, url: str, **more: Any) -> Any:
        nonlocal left
        if url.endswith("/finish_upload") and left > 0:
            left -= 1
            raise Unheard("127.0.0.1:9 cannot be reached (Connection refused)", "run again")
        return request(http, method, url, **more)

    monkeypatch.setattr(Http, "request", refusing)
    ended = ride.run()
    assert ended.code == (0 if refusals == 2 else 5), ended
    assert ended.counts == ({"uploaded": IMAGES} if refusals == 2 else {"held": IMAGES}), ended
    holds(ride, ended, str(ended))
    left = 0
    again = ride.run()
    assert again.code == 0 and ride.times() == [1] * IMAGES, again


class TestLogin:
    def login(self, ride: Ride) -> Accounts:
        accounts = Accounts(str(ride.home / "config.toml"), origin_of(ride.box.url), keyring=False)
        authenticate_by_password(
            accounts, "anna", "anna@example.com", Secret("correct-horse"), client_token=Secret("MLY|client|token"),
            base_url=ride.box.url, clock=Clock(),
        )  # fmt: skip
        return accounts

    @pytest.mark.parametrize("where", ["path=/login", "path=/me"])
    @pytest.mark.parametrize(
        "to", ["FOREIGN/login", "https://example.com/", "http://example.com/", "/elsewhere"]
    )
    def test_that_is_redirected_goes_nowhere_else(
        self, ride: Ride, foreign: MapillarySandbox, where: str, to: str
    ) -> None:
        before = len(foreign.requests())
        ride.box.set_faults([f"redirect={to.replace('FOREIGN', foreign.url)},{where}"])
        with pytest.raises(SafetyRefusal, match="nothing was sent there"):
            self.login(ride)
        assert len(foreign.requests()) == before and not list(ride.home.glob("**/tokens.json"))
        ride.box.set_faults([])
        assert self.login(ride).find("anna") is not None

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ("status=401", AuthError), ("status=503,times=1", None), ("status=500", Unreachable), ("html", BadAnswer),
            ("json=[]", BadAnswer), ('json={"access_token": 5}', BadAnswer), ("lost,times=1", None), ("reset=0", Unreachable),
            ("status=429,retry-after=5,times=1", None), ("status=429,retry-after=86400", QuotaExceeded),
        ],
    )  # fmt: skip
    def test_that_fails_keeps_nothing(
        self, ride: Ride, fault: str, error: type[CamtrailError] | None
    ) -> None:
        ride.box.set_faults([f"{fault},path=/login"])
        if error is not None:
            with pytest.raises(error) as caught:
                self.login(ride)
            assert "correct-horse" not in str(caught.value) and len(ride.box.requests()) <= 5
            assert not list(ride.home.glob("**/tokens.json"))
        ride.box.set_faults([])
        assert self.login(ride).find("anna") is not None
