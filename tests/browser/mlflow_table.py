"""MLflow's own table of runs in a real browser: one row a run, the columns asked for, as text and as a picture.

`python tests/browser/mlflow_table.py --database mlflow.db --out reports/mlflow_ui.png` makes the README's picture; the test
beside this file reads the same table. Nothing leaves the machine: the server listens on 127.0.0.1, telemetry is off, and
the browser resolves no other name.
"""

import argparse
import base64
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

STAGE = "evaluate@coco"
COLUMNS = ("params.train_dvae.beta.end", "params.train_dvae.tau.end", "metrics.fid/dalle_best_of_64")
INSTALL = "apt-get install -y --no-install-recommends chromium chromium-driver"
SECONDS = 120  # for the server to start, and for a page to show its rows
LOADS = 3  # of the page within that time
FIRST_COLUMNS = ("attributes.`Run Name`", "runDateAndNestInfo")
WIDTH = 290  # of a column asked for: its whole name can be read, and three of them make a table 1400 pixels wide
SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1680,1000",
)

# what the page keeps between visits: no assistant over the table, the light theme
PREFERENCES = {
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "databricks-dark-mode-pref": "light",
    "_mlflow_dark_mode_toggle_enabled": "false",
}
# a cell's last line: the first one of a run's name is its colour
READ_TABLE = """
const rows = {};
for (const cell of document.querySelectorAll('.ag-row [col-id]')) {
    const row = cell.closest('.ag-row').getAttribute('row-index');
    (rows[row] = rows[row] || {})[cell.getAttribute('col-id').replaceAll('`', '')] = cell.innerText.trim().split('\\n').pop();
}
return Object.keys(rows).sort((a, b) => a - b).map(row => rows[row]);
"""
TABLE_CORNERS = """
const root = document.querySelector('.ag-root').getBoundingClientRect();
const right = Math.max(...[...document.querySelectorAll('.ag-header-cell')].map(cell => cell.getBoundingClientRect().right));
const bottom = Math.max(...[...document.querySelectorAll('.ag-row')].map(row => row.getBoundingClientRect().bottom));
return [root.left, root.top, Math.min(right, root.right), bottom];
"""


def programs() -> tuple[str, str] | None:
    """Paths of Chromium and its driver, or None where one of them is missing."""
    found = shutil.which("chromium"), shutil.which("chromedriver")
    return found if all(found) else None


@contextmanager
def mlflow_ui(database: Path) -> Iterator[str]:
    """The address of `mlflow ui` on a copy of the database: a migration or a view must not change the original."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "mlflow.db"
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)  # with what still is in the write-ahead log
        port = _free_port()
        command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--port", str(port)]
        command += ["--backend-store-uri", f"sqlite:///{copy}"]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
        with open(Path(folder) / "server.log", "w+") as log:
            server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
            try:
                _wait_until_healthy(server, port, Path(log.name))
                yield f"http://127.0.0.1:{port}"
            finally:
                server.terminate()
                server.wait(timeout=SECONDS)


@contextmanager
def chromium() -> Iterator[Chrome]:
    """A headless browser with an empty profile, which keeps a log of its requests."""
    found = programs()
    if found is None:
        raise FileNotFoundError(f"chromium and chromedriver must be on PATH: {INSTALL}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = found[0]
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        driver = Chrome(options=options, service=Service(found[1]))  # a path: Selenium then looks for no driver on the net
        try:
            yield driver
        finally:
            driver.quit()


def open_table(driver: Chrome, address: str, experiment_id: str, *, stage: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """Show the finished and unfinished runs of a stage with these columns; the texts of the table, one mapping a run.

    Columns are `params.NAME`, `metrics.NAME` or `attributes.NAME`. The filter is part of the page's address; the columns are
    in the page's local storage, which is read back and changed in that one place, as a click on each of them would do.
    """
    driver.get(f"{address}/health")
    _store(driver, PREFERENCES)
    page = f"{address}/#/experiments/{experiment_id}/runs?searchFilter=" + quote(f"tags.`dvc.stage` = '{stage}'")
    driver.get(page)
    key, state = WebDriverWait(driver, SECONDS).until(_stored_view)
    quoted = [f"{kind}.`{name}`" for kind, _, name in (column.partition(".") for column in columns)]
    # widths are taken for the columns of an order only
    state |= {"selectedColumns": quoted, "columnOrder": [*FIRST_COLUMNS, *quoted], "columnWidths": dict.fromkeys(quoted, WIDTH)}
    for _ in range(LOADS):
        driver.get(f"{address}/health")  # where no script of the page can write its own columns over these
        _store(driver, {key: json.dumps(state)})
        driver.get(page)
        try:
            return WebDriverWait(driver, SECONDS / LOADS).until(lambda _: _complete_table(driver, columns))
        except TimeoutException:
            seen = driver.execute_script(READ_TABLE) or driver.execute_script("return document.body.innerText")[:2000]
    raise TimeoutException(
        f"MLflow shows no runs of {stage}, or none of them has all of {', '.join(columns)}. The page shows {seen}, "
        f"and keeps {driver.execute_script('return localStorage.getItem(arguments[0])', key)}"
    )


def picture(driver: Chrome, path: Path) -> None:
    """A PNG of the table alone, from its header to its last row."""
    left, top, right, bottom = driver.execute_script(TABLE_CORNERS)
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top, "scale": 1}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "clip": clip})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(shot["data"]))


def requested_addresses(driver: Chrome) -> set[str]:
    """Every address that the pages asked for so far."""
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    return {message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"}


def experiment_id(database: Path, name: str) -> str:
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute("SELECT experiment_id FROM experiments WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ValueError(f"{database} has no experiment {name!r}")
    return str(row[0])


def _stored_view(driver: Chrome) -> tuple[str, dict] | None:
    """The key and the value under which the page keeps its columns; it writes them once the runs are there."""
    for key, value in driver.execute_script("return Object.entries(localStorage)"):
        if "-ExperimentPage-" in key and "selectedColumns" in value:
            return key, json.loads(value)
    return None


def _complete_table(driver: Chrome, columns: Sequence[str]) -> list[dict[str, str]] | None:
    table = driver.execute_script(READ_TABLE)
    return table if table and all(column in row for row in table for column in columns) else None


def _store(driver: Chrome, values: dict[str, str]) -> None:
    driver.execute_script("for (const [key, value] of Object.entries(arguments[0])) localStorage.setItem(key, value)", values)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_until_healthy(server: subprocess.Popen, port: int, log: Path) -> None:
    opener, end = build_opener(ProxyHandler({})), time.monotonic() + SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            opener.open(f"http://127.0.0.1:{port}/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"mlflow ui did not start:\n{log.read_text()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--experiment", default="dalle")
    parser.add_argument("--stage", default=STAGE)
    parser.add_argument("--columns", nargs="+", default=COLUMNS)
    options = parser.parse_args()
    experiment = experiment_id(options.database, options.experiment)
    with mlflow_ui(options.database) as address, chromium() as driver:
        for row in open_table(driver, address, experiment, stage=options.stage, columns=options.columns):
            print(*(f"{column} = {row[column]}" for column in options.columns), sep="  ")
        picture(driver, options.out)


if __name__ == "__main__":
    main()
