"""Every kind of fault that the switchboard has is played at every endpoint that `serve` asks."""

import pytest

from exporter.simulator.faults import Fault, FaultKind, Label
from exporter.simulator.kinds import RULES
from tests import test_faults_of_the_roster as roster
from tests import test_faults_of_tokens_and_throttles as waits
from tests import test_faults_that_fail_polls as polls
from tests import test_faults_that_polls_survive as survived

_PLAYED: dict[Label, list[Fault]] = {
    Label.STATUSES: [
        *(fault for faults in polls.FAILING.values() for fault in faults),
        *survived.RETRIED,
        *survived.STRANGE,
        *(throttle.fault for throttle in waits.THROTTLES),
        waits.EXPIRED,
    ],
    Label.USERS: [
        *(fault for faults in roster.FAILING.values() for fault in faults),
        *roster.HARMLESS,
        *waits.ROSTER_THROTTLES,
        waits.EXPIRED,
    ],
    Label.TOKEN: [fault for faults in waits.NO_TOKEN.values() for fault in faults],
}


@pytest.mark.parametrize("label", _PLAYED, ids=lambda label: label.value)
def test_every_kind_of_fault_is_played(label: Label) -> None:
    assert {fault.kind for fault in _PLAYED[label]} == {kind for kind in FaultKind if label in RULES[kind].labels}
