"""Both nodes' keys are renewed while visitors write."""

from __future__ import annotations

from itertools import pairwise

import pytest

from shoestring.lab.database_drill import (
    fresh_number,
    ids,
    settle,
    through_the_address,
    writing,
)
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from tests.lab.database.words import WAIT, rows_on_both

pytestmark = pytest.mark.lab
GAP_SECONDS = 1.0
IDENTITY = "/var/lib/shoestring/identity"


def test_keys_are_renewed_under_writes_without_an_outage(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    before = {own(alpha), own(beta)}
    with writing(through_the_address(pair, fresh_number())) as ledger:
        count = len(ids(alpha))
        wait_until(lambda: len(ids(alpha)) > count + 100, WAIT, "rows are written")
        assert "new identities" in shoestring(alpha, "rekey")
        count = len(ids(alpha))
        wait_until(lambda: len(ids(alpha)) > count + 100, WAIT, "writes go on")
        ledger.end()
    moments = sorted(at for _, at in ledger.acknowledged)
    assert max(later - at for at, later in pairwise(moments)) < GAP_SECONDS
    assert before.isdisjoint({own(alpha), own(beta)})
    assert (believed(alpha), believed(beta)) == (own(beta), own(alpha))
    assert pair.holder() == "alpha"
    shoestring(alpha, "database", "link")
    settle(pair)
    assert {row for row, _ in ledger.acknowledged} <= rows_on_both(pair)


def own(host: Host) -> str:
    return host.run(["cat", f"{IDENTITY}/certificate.pem"]).out


def believed(host: Host) -> str:
    return host.run(["cat", f"{IDENTITY}/peer.pem"]).out
