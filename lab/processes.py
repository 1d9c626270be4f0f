"""Starts processes and stops them, whatever happens in between."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 5
LOG_TAIL_LINES = 20


class Failure(Exception):
    """Ends the program with a message instead of a traceback."""


class Process:
    """One child process; its output goes to a log file."""

    def __init__(self, name, command, log):
        self.name = name
        self.log = log
        with open(log, "wb") as output:
            # A session of its own: Ctrl-C reaches only the parent, which then
            # stops its children in order.
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_until(self, is_ready, every=0.05):
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if self.child.poll() is not None:
                raise self.failure(f"ended with exit code {self.child.returncode}")
            if time.monotonic() > deadline:
                raise self.failure(f"is not ready after {START_SECONDS} s")
            time.sleep(every)

    def failure(self, what):
        lines = Path(self.log).read_text(errors="replace").splitlines()
        tail = "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])
        return Failure(f"{self.name} {what}. The end of {self.log}:\n{tail}")

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Processes:
    """A context manager: leaving it stops every process, the last one first."""

    def __init__(self):
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self.running:
            self.running.pop().stop()

    def start(self, name, command, log):
        process = Process(name, command, log)
        self.running.append(process)
        return process

    def check(self):
        """Fails if a process has ended by itself."""
        for process in self.running:
            if process.child.poll() is not None:
                raise process.failure(f"ended with exit code {process.child.returncode}")


def require_free(port, purpose):
    with socket.socket() as probe:
        # As Envoy does: a connection of the last run that lingers is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Failure(
                f"port {port} of 127.0.0.1 is taken ({error.strerror}); the demo needs it for {purpose}. "
                f"To see who has it: ss -ltnp 'sport = :{port}'"
            ) from error


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers_ok(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False
