"""The process that sends journals to MLflow: started by the first stage that has one, gone when nothing is left to do.

It alone waits for servers. One at a time works in a workspace; when it is killed, or its server is away, journals stay
where they are, and the next stage or `dalle upload` sends them.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.journal import FOLDER, PROBLEM, journals, pictures, read_events, remove_journal, tracking_uri
from harness.locks import hold_if_free, is_held, is_still, owner_of
from harness.tracker import RunFacts
from harness.tracking import MlflowRun, close_stale_runs, connect

LOCK = "uploader.lock"
POLL_SECONDS = 0.5
LINGER_SECONDS = 20.0  # for the next stage, so that a pipeline imports MLflow once
RETRY_SECONDS = 10.0
PATIENCE_SECONDS = 120.0  # of somebody who waits for an uploader at work
NICENESS = 19  # training comes first


class Upload:
    """One journal on its way; remembers how far it came."""

    def __init__(self, journal: Path) -> None:
        self.journal, self.run, self._offset = journal, _run_of(journal), 0
        self._there: MlflowRun | None = None
        self._points: list[tuple[int, int, dict[str, float]]] = []

    def advance(self, clients: "Clients") -> bool:
        """Send what is new; True when the run has ended, by its own word or because its process is gone."""
        alive = is_held(self.journal)  # before reading: what a process wrote before it ended is then read below
        offset, ended, at = self._offset, False, 0
        for event, offset in read_events(self.journal, self._offset):
            at = event["at"]
            ended |= self._send(event, clients)
        self._send_points()
        self._offset = offset
        if not (ended or alive) and self._there is not None:
            # nobody will write to this journal again: kill -9, or the machine went down
            self._there.end("KILLED", at or int(self.journal.stat().st_mtime * 1000))
        return ended or not alive

    def forget(self) -> None:
        """After a failure: ask the server again what it has, and begin anew."""
        if self._there is not None:
            self._there.stop_monitor()
        self._there, self._offset, self._points = None, 0, []

    def _send(self, event: dict[str, Any], clients: "Clients") -> bool:
        if event["event"] == "start":
            self._there = MlflowRun(clients.at(event["uri"]), RunFacts(**event["facts"]), clients.root, event["at"])
        if self._there is None:
            return False  # a power cut took the first line: nobody knows whose events these are
        match event:
            case {"event": "metrics", "at": at, "step": step, "metrics": metrics}:
                self._points.append((step, at, metrics))
            case {"event": "image", "at": at, "name": name, "step": step, "file": file}:
                self._there.image(name, step, pictures(self.journal) / file, at)
            case {"event": "text", "name": name, "content": content}:
                self._there.text(name, content)
            case {"event": "end", "at": at, "status": status}:
                self._send_points()
                self._there.end(status, at)
                return True
        return False

    def _send_points(self) -> None:
        if self._points and self._there is not None:
            self._there.send(self._points)
        self._points = []


class Clients:
    """One MLflow client a server, made when it is first needed; runs that a lost journal left RUNNING are closed then."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._clients: dict[str, Any] = {}
        self._failed: dict[str, Exception] = {}

    def at(self, uri: str | None) -> Any:
        """The client for `uri` (None: the workspace's own database); a server that failed is asked once a pass."""
        uri = uri or tracking_uri(self.root)
        if uri in self._failed:
            raise self._failed[uri]
        if uri not in self._clients:
            try:
                client = connect(self.root, uri)
                close_stale_runs(client, self.root, kept={_run_of(journal) for journal in journals(self.root)} - {None})
            except Exception as error:
                self._failed[uri] = error
                raise
            self._clients[uri] = client
        return self._clients[uri]

    def next_pass(self) -> None:
        self._failed = {}


class Uploads:
    """All journals of a workspace."""

    def __init__(self, root: Path) -> None:
        self._root, self._clients = root, Clients(root)
        self._uploads: dict[Path, Upload] = {}

    def advance(self) -> str | None:
        """Send what is new of every journal and remove those that are done; the first failure, if there was one.

        The attempts of a run go in their order: where one cannot be sent, those after it wait.
        """
        problem, waiting = None, set()
        self._clients.next_pass()
        for journal in journals(self._root):
            upload = self._uploads.setdefault(journal, Upload(journal))
            if upload.run in waiting:
                continue
            try:
                if upload.advance(self._clients):
                    remove_journal(journal)
                    del self._uploads[journal]
            except Exception as error:  # whatever a server or a library can raise; the journal is still there
                upload.forget()
                waiting.add(upload.run)
                problem = problem or _first_line(error)
                self._note(problem)
        if problem is None:
            self._note(None)
        return problem

    def _note(self, problem: str | None) -> None:
        """Leave word for stages, which ask for it, and for who waits."""
        path = self._root / FOLDER / PROBLEM
        try:
            if problem is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(problem + "\n", encoding="utf-8")
        except OSError:
            pass  # the folder is gone, or the disk is full: nobody can be told here


def start_uploader(root: Path) -> None:
    """Let an uploader work on `root` in the background, if none does: it survives the stage, its terminal and DVC.

    Where none can be started, that costs one warning line, never the stage.
    """
    folder = root / FOLDER
    try:
        if is_held(folder / LOCK):
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
    except OSError as error:
        print(f"WARNING: {folder}: {error}: this run waits there for 'dalle upload'", file=sys.stderr)


def upload_finished(root: Path) -> str | None:
    """Wait until the journals of all ended runs are sent, by the uploader at work or here; the problem, if there is one."""
    start, said = time.time(), False
    while any(not is_held(journal) for journal in journals(root)):
        with hold_if_free(root / FOLDER / LOCK) as lock:
            if lock is not None:
                return Uploads(root).advance()
        if (problem := _problem_since(root, start)) is not None:
            return problem
        if time.time() - start > PATIENCE_SECONDS:
            return f"the uploader (process {owner_of(root / FOLDER / LOCK)}) is still at work on them"
        if time.time() - start > 2 and not said:
            print(f"waiting for the uploader (process {owner_of(root / FOLDER / LOCK)})", file=sys.stderr)
            said = True
        time.sleep(POLL_SECONDS / 5)
    return None


def serve(root: Path, still_ours: Callable[[], bool]) -> None:
    """Send everything until no stage has lived for a while; what cannot be sent by then stays for whoever comes next."""
    uploads, idle_since = Uploads(root), time.monotonic()
    while still_ours():
        problem = uploads.advance()
        if _alive(root):
            idle_since = time.monotonic()
        if time.monotonic() - idle_since > LINGER_SECONDS:
            return
        time.sleep(RETRY_SECONDS if problem else POLL_SECONDS)


def main() -> None:
    root = Path(sys.argv[1])
    os.nice(NICENESS)
    while (root / FOLDER).is_dir():
        with hold_if_free(root / FOLDER / LOCK) as lock:
            if lock is None:  # another one was quicker
                return
            serve(root, lambda: is_still(lock, root / FOLDER / LOCK))
        if not _alive(root):  # a stage that began while the lock was still held has started no uploader of its own
            return


def _alive(root: Path) -> bool:
    return any(is_held(journal) for journal in journals(root))


def _problem_since(root: Path, start: float) -> str | None:
    """What the uploader at work has met since `start`."""
    path = root / FOLDER / PROBLEM
    try:
        return path.read_text(encoding="utf-8").strip() if path.stat().st_mtime >= start else None
    except OSError:
        return None


def _run_of(journal: Path) -> str | None:
    return next((event["facts"]["run"] for event, _ in read_events(journal, 0) if event["event"] == "start"), None)


def _first_line(error: Exception) -> str:
    """What went wrong, without the password that a server's address may hold."""
    line = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return re.sub(r"//[^/@\s]+@", "//", line)


if __name__ == "__main__":
    main()
