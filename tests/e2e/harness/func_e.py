#!/usr/bin/env python3
"""func-e, as far as Envoy can tell the difference: `func-e --run-id ID run ARGUMENTS…`.

It runs Envoy in the directory it is in itself, with the arguments as given and two more: a file to which Envoy writes
its admin address, and the run id behind `--`, where Envoy does not look. What Envoy prints goes into files named after
the run id. Directories are those of func-e's documentation; ENVOY_PATH replaces its download.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    flag, run_id, command, *arguments = sys.argv[1:]
    assert (flag, command) == ("--run-id", "run"), sys.argv
    logs = Path(os.environ["FUNC_E_STATE_HOME"], "envoy-runs", run_id)
    runtime = Path(os.environ["FUNC_E_RUNTIME_DIR"], run_id)
    for directory in (logs, runtime):
        directory.mkdir(parents=True, exist_ok=True)
    for stream, name in ((1, "stdout.log"), (2, "stderr.log")):
        os.dup2(os.open(logs / name, os.O_CREAT | os.O_WRONLY, 0o600), stream)
    arguments += ["--admin-address-path", str(runtime / "admin-address.txt"), "--", "--run-id", run_id]
    envoy = os.environ["ENVOY_PATH"]
    os.execv(envoy, [envoy, *arguments])


if __name__ == "__main__":
    main()
