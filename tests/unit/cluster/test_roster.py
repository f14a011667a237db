from __future__ import annotations

import pytest

from raftstore.cluster.membership.roster import Roster
from raftstore.errors import Invalid


def test_an_address_belongs_to_one_node() -> None:
    roster = Roster("n1", {"n1": ("host1", 7420), "n2": ("::1", 7420)}, lambda: None)
    roster.check_free("host3:7420", "n3")
    roster.check_free("host1:7420", "n1")
    roster.check_free("[::1]:7420", "n3", "n2")
    with pytest.raises(Invalid, match="n2 is at"):
        roster.check_free("[::1]:7420", "n3")
    with pytest.raises(Invalid, match="not an address"):
        roster.check_free("host1", "n1")
