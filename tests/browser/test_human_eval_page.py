"""A sheet in a real browser: voted by keyboard, interrupted, taken to another computer, exported; the CSV is what was chosen."""

import csv
import os
import sys
import time
from pathlib import Path

import pytest
from human_eval_page import PHONE, browser, enter, press, resize
from mlflow_table import INSTALL, programs
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

sys.path.insert(0, str(Path(__file__).parents[1] / "human_eval"))
from small_sheets import SIZE, colours, hostile_captions, plans_and_sheets  # noqa: E402

from dalle.human_eval.page import sheet_page  # noqa: E402
from dalle.human_eval.pictures import pixels  # noqa: E402

pytestmark = pytest.mark.browser
KEYS = {"left": "1", "right": "2", "neither": "0"}
COLUMNS = ["sheet_id", "rater_id", "pair_id", "question", "choice", "milliseconds", "answered_at"]
SHOWN = """
const at = (id) => document.getElementById(id);
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const colour = (id) => { canvas.drawImage(at(id), 0, 0); return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
const chosen = (id) => (document.querySelector(`#${id} [aria-pressed=true]`) || {dataset: {}}).dataset.choice || null;
return {caption: at('caption').textContent, left: colour('image-left'), right: colour('image-right'),
        realism: chosen('realism'), match: chosen('match'), count: at('count').textContent,
        active: (document.querySelector('.question.active') || {}).id};
"""
LOADED = "return ['image-left', 'image-right'].every(id => document.getElementById(id).complete)"


@pytest.fixture(scope="module", autouse=True)
def need_chromium():
    if programs() is None:
        message = f"chromium and chromedriver are not on PATH: {INSTALL}"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    """The plan of a sheet with captions that want to be scripts, what is shown of it, and its page."""
    plans, sheets = plans_and_sheets(hostile_captions())
    path = tmp_path_factory.mktemp("sheets") / "s01r1.html"
    path.write_text(sheet_page(sheets[0], SIZE), encoding="utf-8")
    return plans[0], sheets[0], path


def shown(driver) -> dict:
    WebDriverWait(driver, 10).until(lambda _: driver.execute_script(LOADED))
    return driver.execute_script(SHOWN)


def words(driver, element: str) -> str:
    return driver.find_element(By.ID, element).text


def problems(driver) -> list[str]:
    """What the console says, refused loads and scripts among it."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def exported(driver, downloads: Path, name: str) -> list[dict[str, str]]:
    press(driver, "e")
    WebDriverWait(driver, 10).until(lambda _: (downloads / name).is_file())
    time.sleep(0.1)
    with (downloads / name).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames == COLUMNS
    (downloads / name).rename(downloads / f"{time.time_ns()}.csv")
    return rows


def wanted(plan, model: str = "dalle") -> list[tuple[str, str]]:
    """What a rater chooses who sees through it: `model` is more realistic, and matches except in every third pair."""
    answers = []
    for place, pair in enumerate(plan.pairs):
        side = "left" if pair.left in (model, "real") else "right"
        answers.append((side, "neither" if place % 3 == 0 else side))
    return answers


def test_a_whole_sheet_by_keyboard(sheet, tmp_path):
    """Votes, undoes, reloads, closes the browser, goes on, exports; imports elsewhere and exports the same."""
    plan, content, page = sheet
    answers, half = wanted(plan), len(plan.pairs) // 2
    seen = []

    def vote(driver, place: int) -> None:
        on_screen = shown(driver)
        seen.append((on_screen["caption"], on_screen["left"], on_screen["right"]))
        assert on_screen["count"] == f"Pair {place + 1} of {len(plan.pairs)}"
        press(driver, *(KEYS[answer] for answer in answers[place]))
        after = shown(driver)
        assert (after["realism"], after["match"]) == answers[place]

    with browser(tmp_path / "profile", tmp_path / "home") as driver:
        driver.get(page.as_uri())
        press(driver, Keys.TAB, "=cmd", Keys.ENTER)
        assert "only letters, digits" in words(driver, "rater-problem")
        driver.refresh()
        enter(driver, "ann-7@lab.org")
        # the second question waits for the first, neither is no answer to the first, and undo goes back across pairs
        press(driver, "0")
        assert shown(driver)["realism"] is None and shown(driver)["active"] == "realism"
        press(driver, "2", "1")
        assert (shown(driver)["realism"], shown(driver)["match"]) == ("right", "left")
        press(driver, Keys.ENTER, Keys.BACKSPACE)
        assert (shown(driver)["realism"], shown(driver)["match"], shown(driver)["active"]) == ("right", None, "match")
        press(driver, Keys.BACKSPACE)
        assert shown(driver)["realism"] is None and shown(driver)["active"] == "realism"
        for place in range(half):
            if place:
                press(driver, Keys.ENTER)
            vote(driver, place)
        driver.refresh()
        assert f"{2 * half} of {2 * len(plan.pairs)} answers by ann-7@lab.org" in words(driver, "kept")
        assert problems(driver) == []
    with browser(tmp_path / "profile", tmp_path / "work") as driver:  # another day
        driver.get(page.as_uri())
        press(driver, Keys.TAB, Keys.ENTER)
        for place in range(half, len(plan.pairs)):
            vote(driver, place)
            press(driver, Keys.ARROW_RIGHT)
        assert words(driver, "overview-title") == "Complete. Now export"
        # the last answer is changed by going back to it, and changed again
        press(driver, Keys.ARROW_LEFT, KEYS["left" if answers[-1][0] == "right" else "right"])
        first = {(row["pair_id"], row["question"]): row for row in exported_from_pairs(driver, tmp_path / "work")}
        press(driver, Keys.ARROW_LEFT, KEYS[answers[-1][0]], "s")
        rows = exported(driver, tmp_path / "work", "votes-s01r1-ann-7@lab.org.csv")
        changed = [row for row in rows if row["choice"] != first[row["pair_id"], row["question"]]["choice"]]
        assert [(row["pair_id"], row["question"]) for row in changed] == [(content.pairs[-1].pair_id, "realism")]
        assert int(changed[0]["milliseconds"]) > int(first[content.pairs[-1].pair_id, "realism"]["milliseconds"])
        assert problems(driver) == []
        kept = max((tmp_path / "work").glob("*.csv"))
    check_rows(rows, plan, content, seen)
    with browser(tmp_path / "elsewhere", tmp_path / "elsewhere-files") as driver:
        driver.get(page.as_uri())
        driver.find_element(By.TAG_NAME, "summary").click()
        driver.find_element(By.ID, "import").send_keys(str(kept))
        WebDriverWait(driver, 10).until(lambda _: words(driver, "import-result"))
        assert words(driver, "import-result").startswith(f"{len(rows)} of {len(rows)} answers were taken over")
        driver.find_element(By.ID, "begin").click()
        assert exported(driver, tmp_path / "elsewhere-files", "votes-s01r1-ann-7@lab.org.csv") == rows
        assert problems(driver) == []


def exported_from_pairs(driver, downloads: Path) -> list[dict[str, str]]:
    press(driver, "s")
    return exported(driver, downloads, "votes-s01r1-ann-7@lab.org.csv")


def check_rows(rows, plan, content, seen) -> None:
    """Every vote, translated back through the plan to a model, is the one that was meant; the screen showed that pair."""
    assert [(row["pair_id"], row["question"]) for row in rows] == [
        (pair.pair_id, question) for pair in content.pairs for question in ("realism", "match")
    ]
    assert {(row["sheet_id"], row["rater_id"]) for row in rows} == {("s01r1", "ann-7@lab.org")}
    for place, (placed, pair) in enumerate(zip(plan.pairs, content.pairs, strict=True)):
        assert seen[place] == (pair.caption, *(pixels(png)[0, 0].tolist() for png in (pair.left, pair.right)))
        realism, match = rows[2 * place], rows[2 * place + 1]
        assert getattr(placed, realism["choice"]) in ("dalle", "real")
        assert match["choice"] == ("neither" if place % 3 == 0 else realism["choice"])
    ours = {tuple(colour) for colour in colours(len(hostile_captions()), 0)[:, 0, 0].tolist()}
    for place, placed in enumerate(plan.pairs):
        if placed.kind in ("pair", "repeat"):
            assert tuple(seen[place][1 + (rows[2 * place]["choice"] == "right")]) in ours
    assert all(row["milliseconds"].isdigit() and int(row["milliseconds"]) < 60_000 for row in rows)
    times = [time.strptime(row["answered_at"].partition(".")[0], "%Y-%m-%dT%H:%M:%S") for row in rows]
    assert all(abs(time.mktime(answered) - time.mktime(time.gmtime())) < 600 for answered in times)


def test_on_a_phone_everything_fits_and_can_be_touched(sheet, tmp_path):
    _, content, page = sheet
    with browser(tmp_path / "profile", tmp_path) as driver:
        resize(driver, PHONE)
        driver.get(page.as_uri())
        for step in ("start", "pair", "overview"):
            widths = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
            assert widths == [PHONE[0], PHONE[0]], step
            heights = driver.execute_script(
                "return [...document.querySelectorAll('button, input, summary')].filter(e => e.offsetParent && e.type !== 'file')"
                ".map(e => e.getBoundingClientRect().height)"
            )
            assert min(heights) >= 44, step
            if step == "start":
                driver.find_element(By.ID, "rater").send_keys("b")
                driver.find_element(By.ID, "begin").click()
            elif step == "pair":
                shown(driver)
                sides = driver.execute_script(
                    "return ['image-left', 'image-right'].map(id => document.getElementById(id).getBoundingClientRect().toJSON())"
                )
                assert sides[0]["top"] == sides[1]["top"] and sides[0]["right"] < sides[1]["left"] and sides[0]["width"] >= 150
                bottom = driver.execute_script("return document.getElementById('next').getBoundingClientRect().bottom")
                assert bottom <= PHONE[1]  # a pair needs no scrolling
                for question, choice in (("realism", "left"), ("match", "neither")):
                    driver.find_element(By.CSS_SELECTOR, f"#{question} [data-choice={choice}]").click()
                assert (shown(driver)["realism"], shown(driver)["match"]) == ("left", "neither")
                driver.find_element(By.ID, "to-overview").click()
        missing = driver.find_elements(By.CSS_SELECTOR, "#missing-pairs button")
        assert [button.text for button in missing] == [str(place + 2) for place in range(len(content.pairs) - 1)]
        missing[4].click()
        assert shown(driver)["count"] == f"Pair 6 of {len(content.pairs)}"
        assert problems(driver) == []


def test_without_storage_the_page_says_so_and_goes_on(sheet, tmp_path):
    _, content, page = sheet
    with browser(tmp_path / "profile", tmp_path / "files") as driver:
        refuse = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refuse})
        driver.get(page.as_uri())
        assert "does not let the page keep your answers" in words(driver, "warning")
        enter(driver, "c")
        time.sleep(0.4)
        press(driver, "1", "0", "s")
        rows = exported(driver, tmp_path / "files", "votes-s01r1-c.csv")
        # the second question could not be answered while the first was thought about
        assert 400 <= int(rows[0]["milliseconds"]) < 10_000 and int(rows[1]["milliseconds"]) < 400
        assert [(row["pair_id"], row["choice"]) for row in rows] == [(content.pairs[0].pair_id, word) for word in ("left", "neither")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row | {"sheet_id": "s09r9"}, "line 2 is of sheet s09r9, this is s01r1"),
        (lambda row: row | {"pair_id": "0" * 12}, "line 2 names pair 000000000000, which is not on this edition of the sheet"),
        (lambda row: row | {"question": "taste"}, "line 2 asks taste"),
        (lambda row: row | {"question": "realism", "choice": "neither"}, "line 2 answers neither"),
        (lambda row: row | {"milliseconds": "-3"}, "line 2 has no whole number of milliseconds"),
        (lambda row: row | {"rater_id": "<img src=x>"}, "line 2 has no valid rater_id"),
        (lambda row: {"a": "b"}, "its first line is not sheet_id,rater_id"),
    ],
)
def test_a_file_that_does_not_belong_here_is_refused(sheet, tmp_path, shared_browser, change, message):
    _, content, page = sheet
    row = dict(zip(COLUMNS, ("s01r1", "d", content.pairs[0].pair_id, "match", "left", "5", "2026-11-26T10:00:00Z"), strict=True))
    row = change(row)
    file = tmp_path / "votes.csv"
    file.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8")
    shared_browser.get(page.as_uri())
    shared_browser.find_element(By.TAG_NAME, "summary").click()
    shared_browser.find_element(By.ID, "import").send_keys(str(file))
    WebDriverWait(shared_browser, 10).until(lambda _: words(shared_browser, "import-result"))
    assert words(shared_browser, "import-result").startswith(f"votes.csv was not taken: {message}")
    assert words(shared_browser, "begin") == "Start"  # nothing came in


@pytest.fixture(scope="module")
def shared_browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    with browser(folder / "profile", folder) as driver:
        yield driver
