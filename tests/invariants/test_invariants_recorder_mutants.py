"""The soak of the recorder finds what it is for: each rule that is broken on purpose shows as a page that
is stale, or another's. Some of them in every run, all in a long one (UNCORK_SOAK above 1).
"""

import random
from pathlib import Path

import pytest

from support.recorded_project import recorded_site
from support.recorded_reads import Wrong
from support.recorded_soak import Soak
from support.recorder_mutants import MUTANTS
from support.soak import FACTOR

MOST_READS = 30_000

FOUND = [name for name, mutant in MUTANTS.items() if mutant.always or FACTOR > 1]


@pytest.mark.parametrize("name", FOUND)
def test_a_broken_rule_is_found(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    mutant = MUTANTS[name]
    with recorded_site(tmp_path, workers=2, mutant=mutant) as site:
        run = Soak(site, random.randrange(2**31), kills=False)
        with pytest.raises(Wrong) as found:
            run.run(MOST_READS)
    with capsys.disabled():
        print(f"\n{name}: {type(found.value).__name__.lower()} after {run.counts['reads']} reads", end=" ")
