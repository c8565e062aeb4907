"""A sheet of the human evaluation in a real browser, as a rater sees it.

`python tests/browser/human_eval_page.py --sheet human_eval/sheets/s01r1.html --out reports/human_eval.png` makes the README's
picture. Nothing leaves the machine: the page is a file, and the browser resolves no name.
"""

import argparse
import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow_table import INSTALL, SWITCHES, programs
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

DESKTOP, PHONE = (900, 900), (360, 740)
SCALE = 2  # device pixels a page pixel


@contextmanager
def browser(profile: Path, downloads: Path, *switches: str) -> Iterator[Chrome]:
    """A headless browser that keeps its storage in `profile` and saves files in `downloads`."""
    found = programs()
    if found is None:
        raise FileNotFoundError(f"chromium and chromedriver must be on PATH: {INSTALL}")
    options = ChromeOptions()
    options.binary_location = found[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    for switch in (*SWITCHES, f"--user-data-dir={profile}", *switches):
        options.add_argument(switch)
    driver = Chrome(options=options, service=Service(found[1]))  # a path: Selenium then looks for no driver on the net
    try:
        yield driver
    finally:
        driver.quit()


def resize(driver: Chrome, size: tuple[int, int]) -> None:
    """The page's own width and height, which a window cannot make as small as a phone's."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": SCALE, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": size == PHONE})


def enter(driver: Chrome, rater: str) -> None:
    """From the first page to the pairs, by keyboard."""
    press(driver, Keys.TAB, rater, Keys.ENTER)


def press(driver: Chrome, *keys: str) -> None:
    """Keys, to whatever has the focus."""
    actions = ActionChains(driver, duration=0)
    for key in keys:
        actions.send_keys(key)
    actions.perform()


def picture(driver: Chrome, path: Path) -> None:
    """A PNG of the whole page, also of what would have to be scrolled to."""
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(shot["data"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--keys", default="1", help="what is pressed on the first pair: 1, 2, 0, or s for the overview")
    parser.add_argument("--start", action="store_true", help="the page of instructions instead")
    parser.add_argument("--phone", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, browser(Path(folder), Path(folder)) as driver:
        resize(driver, PHONE if options.phone else DESKTOP)
        driver.get(options.sheet.resolve().as_uri())
        if not options.start:
            enter(driver, "rater-7")
            press(driver, *options.keys)
        picture(driver, options.out)


if __name__ == "__main__":
    main()
