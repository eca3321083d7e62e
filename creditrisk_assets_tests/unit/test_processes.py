"""A killed process is known as such, and a younger one with its id is not taken for it."""

import os
import subprocess
import sys
import time

import psutil

from creditrisk_assets.resources.processes import PROCESS_TAG, has_ended, is_dead, own_tags


def test_this_process_lives_and_a_process_of_another_machine_is_not_judged() -> None:
    tag = own_tags()[PROCESS_TAG]
    host, pid, began = tag.rsplit(":", 2)
    assert not is_dead({PROCESS_TAG: tag})
    assert is_dead({PROCESS_TAG: f"{host}:{pid}:{float(began) - 60:.2f}"}), "its id was given to a younger process"
    assert not is_dead({PROCESS_TAG: f"elsewhere:{pid}:1.00"})
    assert not is_dead({PROCESS_TAG: "1:1.00"}), "written by an earlier release"
    assert not is_dead({})


def test_a_killed_process_has_ended_also_before_its_parent_asks() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert not has_ended(child.pid, time.time())
    child.kill()
    deadline = time.monotonic() + 10
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert has_ended(child.pid, time.time())
    child.wait()
    assert has_ended(child.pid, time.time())
    assert not has_ended(os.getpid(), time.time())
