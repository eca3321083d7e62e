"""Start what Compose starts of the image `orchestration`, inside it, and wait until each part says that it works.

What belongs here: the processes and the questions. What does not: how the image is entered (`prove.sh`, beside this file).
"""

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path

from dagster import DagsterInstance

ASSETS, SERVING, WEBSERVER = "14000", "14001", "13000"
SECONDS = 300
ASKED = """{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"""
WORKSPACE = "/etc/creditrisk/workspace.yaml"
CODE_SERVER = ["python3", "-m", "creditrisk_assets.resources.code_server"]
COMMANDS = {
    "code server of assets": [*CODE_SERVER, "-p", ASSETS, "-m", "creditrisk_assets.definitions"],
    "code server of serving": [*CODE_SERVER, "-p", SERVING, "-m", "creditrisk_serving.definitions"],
    "webserver": ["dagster-webserver", "-h", "127.0.0.1", "-p", WEBSERVER, "-w", WORKSPACE],
    "daemon": ["dagster-daemon", "run", "-w", WORKSPACE],
}


def answer() -> tuple[list[str], list[str]]:
    """Return the code locations the webserver has loaded and the daemons that tick."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{WEBSERVER}/graphql",
        json.dumps({"query": ASKED}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=30) as told:
        data = json.load(told)["data"]
    entries = data["workspaceOrError"].get("locationEntries", [])
    loaded = [
        entry["name"]
        for entry in entries
        if (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
    ]
    daemons = [each for each in data["instance"]["daemonHealth"]["allDaemonStatuses"] if each["required"]]
    ticking = [each["daemonType"] for each in daemons if each["healthy"]]
    return sorted(loaded), sorted(ticking) if len(ticking) == len(daemons) else []


home = Path("/var/lib/creditrisk/dagster")  # SQLite: PostgreSQL is no part of the image
home.mkdir()
(home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
os.environ |= {"DAGSTER_HOME": str(home), "DAGSTER_ASSETS_HOST": "127.0.0.1", "DAGSTER_ASSETS_PORT": ASSETS}
os.environ |= {"DAGSTER_SERVING_HOST": "127.0.0.1", "DAGSTER_SERVING_PORT": SERVING}
with DagsterInstance.get():
    pass  # its tables are there now: four processes that start at once would each make them
running = {}
try:
    for name, command in COMMANDS.items():
        running[name] = subprocess.Popen(command, stdout=(Path("/tmp") / name).open("w"), stderr=subprocess.STDOUT)
    loaded, ticking, deadline = [], [], time.monotonic() + SECONDS
    while len(loaded) < 2 or not ticking:
        ended = [name for name, process in running.items() if process.poll() is not None]
        if ended or time.monotonic() > deadline:
            said = "\n".join((Path("/tmp") / name).read_text()[-1000:] for name in ended)
            raise SystemExit(f"ended: {ended or 'none'}; loaded: {loaded}; daemons that tick: {ticking}\n{said}")
        time.sleep(1)
        try:
            loaded, ticking = answer()
        except OSError:
            continue
    for port in (ASSETS, SERVING):
        subprocess.run(["dagster", "api", "grpc-health-check", "-p", port], check=True, stdout=subprocess.DEVNULL)
    print("code servers and webserver answer, loaded:", ", ".join(loaded), "- daemons tick:", ", ".join(ticking))  # noqa: T201
finally:
    for process in running.values():
        process.terminate()
