"""The process that sends journals to MLflow: started by the first stage that has one, gone when nothing is left to do.

It alone waits for servers. One at a time works in a workspace; when it is killed, or its server is away, journals stay
where they are, and the next stage or `dalle upload` sends them.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness.journal import FOLDER, PROBLEM, journals, pictures, read_events, remove_journal, tracking_uri
from harness.locks import hold, is_held
from harness.tracker import RunFacts
from harness.tracking import MlflowRun, close_stale_runs, connect

LOCK = "uploader.lock"
POLL_SECONDS = 0.5
LINGER_SECONDS = 20.0  # for the next stage, so that a pipeline imports MLflow once
RETRY_SECONDS = 10.0
NICENESS = 10


class Upload:
    """One journal on its way; remembers how far it came."""

    def __init__(self, journal: Path) -> None:
        self.journal, self._offset = journal, 0
        self._run: MlflowRun | None = None
        self._points: list[tuple[int, int, dict[str, float]]] = []

    def advance(self, clients: "Clients") -> bool:
        """Send what is new; True when the run has ended, by its own word or because its process is gone."""
        alive = is_held(self.journal)  # before reading: what a process wrote before it ended is then read below
        offset, ended, at = self._offset, False, 0
        self._points = []
        for event, offset in read_events(self.journal, self._offset):
            at = event["at"]
            ended |= self._send(event, clients)
        self._send_points()
        self._offset = offset
        if not (ended or alive):
            self._end_killed(at)
        return ended or not alive

    def forget(self) -> None:
        """After a failure: ask the server again what it has, and begin anew."""
        if self._run is not None:
            self._run.stop_monitor()
        self._run, self._offset = None, 0

    def _send(self, event: dict[str, Any], clients: "Clients") -> bool:
        match event:
            case {"event": "start", "at": at, "uri": uri, "facts": facts}:
                self._run = MlflowRun(clients.at(uri), RunFacts(**facts), clients.root, at)
            case {"event": "metrics", "at": at, "step": step, "metrics": metrics}:
                self._points.append((step, at, metrics))
            case {"event": "image", "at": at, "name": name, "step": step, "file": file}:
                self._run.image(name, step, pictures(self.journal) / file, at)
            case {"event": "text", "name": name, "content": content}:
                self._run.text(name, content)
            case {"event": "end", "at": at, "status": status}:
                self._send_points()
                self._run.end(status, at)
                return True
        return False

    def _send_points(self) -> None:
        if self._points:
            self._run.send(self._points)
            self._points = []

    def _end_killed(self, at: int) -> None:
        """Nobody will write to this journal again: kill -9, or the machine went down."""
        if self._run is not None:
            self._run.end("KILLED", at or int(self.journal.stat().st_mtime * 1000))


class Clients:
    """One MLflow client a server, made when it is first needed; runs that a lost journal left RUNNING are closed then."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._clients: dict[str, Any] = {}

    def at(self, uri: str) -> Any:
        if uri not in self._clients:
            client = connect(self.root, uri)
            close_stale_runs(client, self.root, kept={_run_of(journal) for journal in journals(self.root)})
            self._clients[uri] = client
        return self._clients[uri]


class Uploads:
    """All journals of a workspace."""

    def __init__(self, root: Path) -> None:
        self._root, self._clients = root, Clients(root)
        self._uploads: dict[Path, Upload] = {}

    def advance(self) -> str | None:
        """Send what is new of every journal and remove those that are done; the first failure, if there was one."""
        problem = None
        for journal in journals(self._root):
            upload = self._uploads.setdefault(journal, Upload(journal))
            try:
                done = upload.advance(self._clients)
            except Exception as error:  # whatever a server or a library can raise; the journal is still there
                upload.forget()
                problem = problem or _first_line(error)
                continue
            if done:
                remove_journal(journal)
                del self._uploads[journal]
        _note(self._root / FOLDER / PROBLEM, problem)
        return problem


def start_uploader(root: Path) -> None:
    """Let an uploader work on `root` in the background, if none does: it survives the stage, its terminal and DVC."""
    folder = root / FOLDER
    if not folder.is_dir() or is_held(folder / LOCK):
        return
    sources = str(Path(__file__).parents[1])
    path = os.pathsep.join([sources, *filter(None, [os.environ.get("PYTHONPATH")])])
    with open(folder / "uploader.log", "w") as log:
        subprocess.Popen(
            [sys.executable, "-m", "harness.uploader", str(root)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def upload_finished(root: Path) -> str | None:
    """Wait until the journals of all ended runs are sent, by the uploader at work or here; the problem, if there is one."""
    while True:
        waiting = [journal for journal in journals(root) if not is_held(journal)]
        if not waiting:
            return None
        if is_held(root / FOLDER / LOCK) and not (root / FOLDER / PROBLEM).exists():
            time.sleep(POLL_SECONDS / 5)
            continue
        with hold(root / FOLDER / LOCK, what="the uploader", wait=True):
            return Uploads(root).advance()


def serve(root: Path) -> None:
    """Send everything until no stage lives and nothing is left, or a server has failed for longer than a stage lives."""
    uploads, idle_since = Uploads(root), time.monotonic()
    while (root / FOLDER).is_dir():
        problem = uploads.advance()
        if any(is_held(journal) for journal in journals(root)):
            idle_since = time.monotonic()
        if time.monotonic() - idle_since > LINGER_SECONDS:
            return
        time.sleep(RETRY_SECONDS if problem else POLL_SECONDS)


def main() -> None:
    root = Path(sys.argv[1])
    os.nice(NICENESS)  # training comes first
    try:
        with hold(root / FOLDER / LOCK, what="the uploader", wait=False):
            serve(root)
    except ValueError:  # another one was quicker
        pass


def _run_of(journal: Path) -> str | None:
    return next((event["facts"]["run"] for event, _ in read_events(journal, 0) if event["event"] == "start"), None)


def _note(path: Path, problem: str | None) -> None:
    if problem is None:
        path.unlink(missing_ok=True)
    elif path.parent.is_dir():
        path.write_text(problem + "\n", encoding="utf-8")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


if __name__ == "__main__":
    main()
