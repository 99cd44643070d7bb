"""How long a run waits for a service that is not there: as long as its attempts say."""

from __future__ import annotations

import pytest

from .rides import IMAGES, SEQUENCES

AWAY = "status=503,path=/mapillary_public_uploads/*,nth=1-60"


def test_by_itself_a_run_ends_within_minutes(ride):
    ride.box.set_faults([AWAY])
    ended = ride.run()
    assert ended.code == 5 and ended.slept_s < 300, ended


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_more_attempts_outlast_a_longer_pause(ride, threads):
    ride.box.set_faults([AWAY])
    ended = ride.run(max_attempts=100, number_threads=threads)
    assert ended.code == 0 and ended.counts == {"uploaded": IMAGES}, ended
    assert ended.slept_s > 60 and len(ride.published()) == IMAGES and len(ended.calls) == SEQUENCES


def test_and_have_an_end(ride):
    ride.box.set_faults(["status=503,path=/mapillary_public_uploads/*"])
    ended = ride.run(max_attempts=100)
    assert ended.code == 5 and len(ended.requests) < 4 * 100, ended
