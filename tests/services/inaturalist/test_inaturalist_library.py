"""pyinaturalist, as it is installed, takes the stand-in for the service.

Its addresses are constants, so its session is given an adapter for the service's host, as `requests` has it for
proxies and tests: the adapter asks the sandbox in place of the host, and the library is none the wiser.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from camtrail.services.inaturalist.sample import LOGIN

PROGRAM = """
import json, sys
from requests.adapters import HTTPAdapter
import pyinaturalist as library
from pyinaturalist.session import get_local_session
from pyinaturalist.v2 import get_observations as get_v2

API = "https://api.inaturalist.org"

class ToSandbox(HTTPAdapter):
    def send(self, request, **more):
        assert request.url.startswith(API), request.url
        request.url = sys.argv[1] + request.url[len(API):]
        return super().send(request, **more)

session = get_local_session(
    cache_file=sys.argv[2] + "/cache.db", ratelimit_path=sys.argv[2] + "/rate.db", lock_path=sys.argv[2] + "/lock",
    per_second=50, per_minute=3000, burst=1,
)
session.mount(API, ToSandbox())
login = sys.argv[3]
found = {}
listed = library.get_observations(user_login=login, photos=True, page="all")
found["v1"] = [o["id"] for o in listed["results"]]
listed = library.get_observations(user_login=login, d1="2026-05-03", d2="2026-05-03", per_page=2, page=2,
    order_by="id", order="asc")
found["page"] = [[o["id"] for o in listed["results"]], listed["total_results"]]
client = library.iNatClient(session=session)
found["models"] = [[o.id, o.taxon and o.taxon.name, len(o.photos)] for o in
    client.observations.search(user_id=login)]
found["v2"] = [[o["id"], o.get("user")] for o in get_v2(
    user_login=login, fields={"id": True, "user": {"login": True}}, page="all")["results"]]
found["all"] = len(get_v2(user_login=login, fields="all", page="all")["results"])
found["user"] = library.get_user_by_id(login)["login"]
print(json.dumps(found))
"""


def observation(number: int) -> dict[str, object]:
    return {
        "id": number,
        "uuid": f"u{number}",
        "user": {"id": 7, "login": LOGIN},
        "observed_on": "2026-05-03",
        "time_observed_at": "2026-05-03T10:00:00+02:00",
        "location": "47,8",
        "taxon": {"id": 1, "name": "Canis latrans", "rank": "species"},
        "observation_photos": [{"id": 1, "photo": {"id": 2, "url": "https://x/photos/2/square.jpg"}}],
        "photos": [{"id": 2, "url": "https://x/photos/2/square.jpg"}],
    }


@pytest.mark.parametrize("count", [5, 450])
def test_it_pages_through_all_of_them(box, tmp_path, count):
    ids = [10 * i + 3 for i in range(count)]
    box.fill(map(observation, ids))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, box.url, str(tmp_path), LOGIN],
        capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout.decode().splitlines()[-1])
    assert found["v1"] == ids and found["page"] == [ids[2:4], count]
    assert found["models"] == [[i, "Canis latrans", 1] for i in ids]
    assert found["v2"] == [[i, {"id": 7, "login": LOGIN}] for i in ids]
    assert found["all"] == count and found["user"] == LOGIN
    assert {r.status for r in box.requests()} == {200} and {r.origin for r in box.requests()} == {"api"}
