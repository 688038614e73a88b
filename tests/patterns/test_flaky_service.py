"""The flaky service answers by its script and keeps the record; scripts and their reference agree with a right breaker."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import urlopen

import pytest

from labs_lib import registry
from labs_lib.checking.evidence import Evidence, Unusable
from labs_lib.checking.observer import Observer
from labs_lib.errors import LabsError
from labs_lib.lab import Lab
from labs_lib.patterns.checks import resilience as checks
from labs_lib.patterns.flaky_service import FlakyService, ManualClock, Outage, ServiceDown

REGIONS = {367: "North", 412: "East"}


def outcome(service: FlakyService, store: int) -> str:
    try:
        return service.region_of(store)
    except (OSError, LookupError) as error:
        return type(error).__name__


def test_outages_follow_the_clock_and_every_call_is_on_record() -> None:
    clock = ManualClock(100.0)
    with FlakyService(REGIONS, [Outage(110, 120, "500"), Outage(120, 130, "dropped")], clock) as service:
        found = []
        for _ in range(4):
            found.append(outcome(service, 367))
            clock.advance(10)
        found.append(outcome(service, 1))
        with urlopen(f"{service.address}/calls") as response:
            record = json.load(response)
    assert found == ["North", "ServiceDown", "RemoteDisconnected", "North", "LookupError"]
    assert [call["answer"] for call in record] == ["200", "500", "dropped", "200", "404"]
    assert [call.at for call in service.calls] == [100, 110, 120, 130, 140]
    assert issubclass(ServiceDown, OSError) and not issubclass(LookupError, OSError)


def test_a_closed_service_refuses_connections_and_says_so_as_an_outage() -> None:
    service = FlakyService(REGIONS)
    assert service.region_of(412) == "East"
    service.close()
    service.close()
    with pytest.raises(ConnectionRefusedError):
        service.region_of(412)
    assert len(service.calls) == 1


@pytest.mark.parametrize("outage", [Outage(5, 5), Outage(5, 4), Outage(1, 2, "404"), Outage(float("nan"), 2)])
def test_a_script_that_makes_no_sense_is_refused(outage: Outage) -> None:
    with pytest.raises(LabsError, match="is no outage"):
        FlakyService(REGIONS, [outage])


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_clock_goes_forward_only(seconds: float) -> None:
    clock = ManualClock(3.0)
    with pytest.raises(LabsError, match="can't advance"):
        clock.advance(seconds)
    assert clock() == 3.0


@pytest.mark.parametrize("seed", [0, 1, 20261])
def test_scripts_show_what_their_findings_say(seed: int) -> None:
    right = [checks._right(script) for script in checks._scripts(seed)]
    assert len(right) == len(checks.BREAKER_FINDINGS)
    opening, refusing, healed, renewed, beside, callers = right
    assert [row["state"] for row in opening].count("open") == 1 and opening[-1]["state"] == "open"
    assert sum(row["outcome"] == "CircuitOpen" for row in refusing) == 4
    assert [row["during"] for row in healed].count("half-open") == 1 and healed[-1]["state"] == "closed"
    assert [row["during"] for row in renewed].count("half-open") == 2
    assert {row["other"] for row in beside} > {"CircuitOpen", None} and max(
        row["reached"] for row in beside
    ) == 2
    assert callers[-2]["outcome"].startswith("LookupError") and callers[-2]["state"] == "closed"
    assert checks._scripts(seed) == checks._scripts(seed) != checks._scripts(seed + 1)


NO_BREAKER = """
class CircuitBreaker:
    state = "closed"

    def __init__(self, failures, cooldown, clock):
        pass

    def call(self, function, *args):
        return function(*args)
"""
REFUSING = NO_BREAKER.replace("return function(*args)", "raise CircuitOpen")
IMPORT = "from labs_lib.patterns import CircuitOpen\n"


def led(source: str, script: checks.Script) -> checks.Row:
    step = registry.step("2b.3")
    evidence = Evidence("2b.3", 3, {"CircuitBreaker": {"origin": "", "source": source}})
    return checks._led(Observer(step, evidence, Lab("02_patterns", 3, Path())), script)


def test_a_breaker_is_seen_through_the_services_record() -> None:
    script = checks._scripts(3)[0]
    right, told = checks._right(script), checks._told(script)
    plain = led(NO_BREAKER, script)
    assert not plain["ended"] and all(row["reached"] == 1 for row in plain["calls"])
    assert "down, the last call left the state closed" in str(checks._departure(plain, right, told))
    refusing = led(IMPORT + REFUSING, script)["calls"]
    assert {(row["outcome"], row["reached"], row["during"]) for row in refusing} == {("CircuitOpen", 0, None)}
    other = led("def CircuitBreaker(): pass", script)
    assert "TypeError" in str(checks._departure(other, right, told))
    with pytest.raises(
        Unusable, match=r"NameError: name 'threading' is not defined \(line 3 of it\).*imports too"
    ):
        led(NO_BREAKER.replace('state = "closed"', "lock = threading.Lock()"), script)


def test_a_breaker_that_waits_loses_its_script_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    script = checks._scripts(3)[0]
    monkeypatch.setattr(Observer.child.__wrapped__, "__defaults__", (0.5,))  # type: ignore[attr-defined]
    waiting = led(
        "import time\n" + NO_BREAKER.replace("return f", "time.sleep(60)\n        return f"), script
    )
    assert waiting["calls"] == []
    found = str(checks._departure(waiting, checks._right(script), checks._told(script)))
    assert "did not come to an end: the breaker took longer than 0.5 s" in found
