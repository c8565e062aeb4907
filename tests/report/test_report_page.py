"""The page shows every figure and number it is given, says what they are over, and cannot be broken by a caption."""

import copy
import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from dalle.human_eval.checks import RULES
from dalle.report.completions import completion_subtitle, completion_words
from dalle.report.findings import findings, summary
from dalle.report.limits import limits
from dalle.report.overlaps import overlap_figure_words, overlap_words
from dalle.report.page import Markdown, Origin, PageFigure, Section, Table, escape, render_table, write_page
from dalle.report.human_votes import WHY_DROPPED, vote_figure_words, vote_findings, vote_words
from dalle.report.results import Compared, Results
from dalle.report.sections import FIGURES, page_sections
from dalle.report.sheet import Sheet
from dalle.report.style import save_figure
from dalle.report.tables import filter_counts, final_scores, score_words, stages
from dalle.report.verdicts import NOT_COMPARABLE

METRICS = {
    "filter_data": {"pairs/total": 1000, "pairs/kept": 877, "dropped/too_short": 100, "dropped/duplicate": 23,
                    "truth": {"too_short": {"precision": 0.987, "recall": 0.9}}},
    "train_dvae": {"valid/psnr_db": 21.34, "valid/codebook_used": 0.517, "valid/ssim": 0.8},
    "train_prior": {"valid/image_loss": 0.6543, "valid/loss": 0.7, "valid/text_loss": 1.5},
    "complete": {
        "pictures/total": 90, "pictures/reflected": 30, "pictures/recoloured": 30, "pictures/copied": 30,
        "success/dalle_best_of_1": 0.3, "success/dalle_best_of_8": 0.45, "success_low/dalle_best_of_8": 0.35,
        "success_high/dalle_best_of_8": 0.55,
        "success/dalle_best_of_1_reflected": 0.1, "success/dalle_best_of_8_reflected": 0.2,
        "success/dalle_best_of_1_recoloured": 0.3, "success/dalle_best_of_8_recoloured": 0.4,
        "success/dalle_best_of_1_copied": 0.5, "success/dalle_best_of_8_copied": 0.75,
        "success/other_caption": 0.05, "success/dvae": 0.975, "reader/accuracy": 0.998,
    },
    **{
        f"find_overlap-{domain}": {
            "overlap/rate": 0.213, "overlap/images": 213, "overlap/of_images": 1000, "overlap/planted_rate": 0.21,
            "overlap/precision": 0.986, "overlap/recall": 0.951, "overlap/average_precision": 0.998,
            "overlap/thumbnail_average_precision": 0.987,
        } for domain in ("coco", "cub")
    },
    **{
        f"evaluate-{domain}": {"fid/dalle": 60.0, "memorisation/copies_dalle": 0.015, "memorisation/copies_real": 0.21,
                               "memorisation/nearer_than_real": 0.34} for domain in ("coco", "cub")
    },
}  # fmt: skip

VOTES = {
    "votes/read": 2448, "votes/counted": 2000, "votes/checks": 400, "votes/dropped": 48, "votes/simulated": 0,
    "votes/wanted_per_caption": 5, "raters/total": 51, "dropped/too_fast": 40, "dropped/duplicate": 8,
    "realism": {"captions": 200, "majority_ours": 0.9, "majority_ours_low": 0.85, "majority_ours_high": 0.93,
                "majority_rival": 0.1},
    "match": {"captions": 200, "majority_ours": 0.5, "majority_ours_low": 0.43, "majority_ours_high": 0.57,
              "majority_rival": 0.4},
}  # fmt: skip


@pytest.fixture
def results(evaluation):
    """The same numbers in both domains."""
    rows = pd.concat([evaluation, evaluation.assign(domain="cub")], ignore_index=True)
    compared = Compared("dalle", "dfgan", "the test MS-COCO")
    metrics = copy.deepcopy({**METRICS, "tally_votes": VOTES})
    return Results(metrics=metrics, evaluation=rows, world="the test world", names={}, compared=compared)


def figure_files(folder):
    names = []
    for name in FIGURES:
        per_domain = name in ("samples", "memorisation", "best_of", "rerank_curves", "caption_accuracy", "blur_curves",
                               "overlap", "finetune_prior", "train_dfgan")
        names.extend([f"{name}-coco", f"{name}-cub"] if per_domain else [name])
    for name in names:
        save_figure(Sheet(80, name, "").figure, folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in names}


def test_page_contains_every_figure_once_and_is_byte_identical(tmp_path, results):
    figures = figure_files(tmp_path / "reports" / "figures")
    page = tmp_path / "reports" / "README.md"
    pages = []
    for _ in range(2):
        write_page(page, "DALL-E", summary(results), page_sections(results, figures, {}))
        pages.append(page.read_bytes())
    assert pages[0] == pages[1]
    text = page.read_text()
    for name in figures:
        assert text.count(f'src="figures/{name}.png" width="900"') == 1
    numbers = [int(number) for number in re.findall(r"\*\*Figure (\d+)\.", text)]
    assert numbers == list(range(1, len(figures) + 1))
    captions = [line for line in text.splitlines() if "FID and Inception score against blur" in line and line.startswith("**")]
    assert len(captions) == 2
    for caption in captions:
        assert all(words in caption for words in ("EfficientNet-Lite0", "300 images", "best of 8", "PIL", "standard deviation"))


def test_one_blur_radius_is_no_error_of_the_page(tmp_path, results):
    figures = figure_files(tmp_path / "reports" / "figures")
    table = results.evaluation
    unblurred = dataclasses.replace(results, evaluation=table[table["blur_radius"] == 0])
    page = tmp_path / "reports" / "README.md"
    write_page(page, "DALL-E", summary(unblurred), page_sections(unblurred, figures, {}))
    text = page.read_text()
    assert "FID and Inception score against blur" not in text and "without blur; lines are one standard deviation" in text


def test_a_figure_that_is_not_there_or_unknown_is_named(tmp_path, results):
    with pytest.raises(ValueError, match=r"world\.png"):
        section = Section(title="t", figures=[PageFigure(file=tmp_path / "world.png", title="w", caption="c", origin=None)])
        write_page(tmp_path / "README.md", "t", "s", [section])
    assert not (tmp_path / "README.md").exists()
    with pytest.raises(ValueError, match="'loss_curve'"):
        page_sections(results, {"loss_curve": tmp_path / "x.png"}, {})


def test_summary_is_computed_from_the_metrics(results):
    text = summary(results)
    for number in ("1,000", "877", "21.3 dB", "52%", "0.654", "70.0", "60.0", "50%", "80%", "300 images", "the test world"):
        assert number in text
    results.metrics["train_dvae"]["valid/psnr_db"] = 12.75
    assert "12.8 dB" in summary(results)


def test_findings_follow_the_numbers(results):
    verdicts = {(row[0][:12], row[1][:4]): row[2] for row in findings(results).rows}
    assert verdicts["Reranking mo", "coco"] == "FID held; IS held"
    assert verdicts["Against the ", "coco"] == "held"  # ours falls by 4 a step, the baseline by 1
    assert verdicts["Leaving out ", "coco"] == "held"  # 0.05 with a deviation of 0.1 is less than 5 % of 60
    assert verdicts["The speciali", "FID "] == "could not be judged"  # both domains have the same numbers
    assert {verdicts["Zero-shot on", domain] for domain in ("coco", "cub:")} == {NOT_COMPARABLE}
    worse = results.evaluation.copy()
    best = (worse["candidates"] == 8) & (worse["metric"] == "fid") & (worse["domain"] == "cub") & (worse["model"] == "dalle")
    worse.loc[best, "value"] += 50
    changed = Results(metrics=METRICS, evaluation=worse, world="w", names={})
    verdicts = {(row[0][:12], row[1][:4]): row[2] for row in findings(changed).rows}
    assert verdicts["Reranking mo", "cub:"] == "FID did not hold; IS held"
    assert verdicts["The speciali", "FID "] == "held"


def test_what_lies_within_two_deviations_is_not_judged(results):
    """The same difference, under narrower and wider intervals, and with the spread between seeds."""
    table = results.evaluation.copy()
    fid = (table["metric"] == "fid") & (table["model"] == "dalle") & (table["blur_radius"] == 0) & (table["reference"] == "all")
    table.loc[fid, "low"], table.loc[fid, "high"] = table["value"] - 3.4, table["value"] + 3.4
    held = Results(metrics=METRICS, evaluation=table, world="w", names={})
    assert row_of(held, "Reranking", "coco")[2].startswith("FID held")  # 10 > 2 x sqrt(2) x 3.4
    table.loc[fid, "low"], table.loc[fid, "high"] = table["value"] - 3.6, table["value"] + 3.6
    open_question = Results(metrics=METRICS, evaluation=table, world="w", names={})
    assert row_of(open_question, "Reranking", "coco")[2].startswith("FID could not be judged")
    key = "evaluate-coco.csv:fid|dalle|blur=0|reference=all|candidates=8"
    seeds = Results(metrics=METRICS, evaluation=results.evaluation, world="w", names={}, seeds=pd.Series({key: 5.1}))
    assert row_of(seeds, "Reranking", "coco")[2].startswith("FID could not be judged")
    assert row_of(seeds, "Reranking", "cub")[2].startswith("FID held")


def test_what_limits_the_run_is_said_from_the_reader_to_the_first_sample(results):
    table = results.evaluation
    right = table[(table["metric"] == "caption_accuracy") & (table["model"] == "dalle")]
    floors = table[(table["model"] == "dvae") & (table["metric"] == "fid")]
    known = pd.concat(
        [table, right.assign(metric="oracle_accuracy", value=0.97), floors.assign(model="real", value=10.0)], ignore_index=True
    )
    rows = {row[1]: row[2] for row in limits(Results(metrics={}, evaluation=known, world="w", names={})).rows if row[0] == "coco"}
    assert rows["the reader: real pictures"].startswith("97%") and rows["the candidates: any of 8 right"].startswith("97%")
    assert rows["CLIP's choice among 8"].startswith("80%") and rows["the prior: the first sample"].startswith("50%")
    assert rows["captions with combinations never seen in training"].startswith("CLIP's choice 70%")
    assert rows["fine detail that the codes do not hold (blur radius 2)"] == "FID 28.0 for the dVAE's reconstructions, 10.0 for real images"
    assert limits(Results(metrics={}, evaluation=table.iloc[:0], world="w", names={})).rows == []


def test_precision_that_real_images_lack_too_is_left_out(results):
    table = results.evaluation
    ours = table[(table["metric"] == "fid") & (table["model"] == "dalle") & (table["blur_radius"] == 0) & (table["candidates"] == 8)]
    ours = ours[ours["reference"] == "all"].assign(metric="precision", value=0.01, low=0.0, high=0.02)
    for level, said in ((0.012, "–"), (0.6, "0.01 (0.00 to 0.02)")):
        rows = pd.concat([table, ours, ours.assign(model="real", value=level, candidates=1)], ignore_index=True)
        found = Results(metrics={}, evaluation=rows, world="w", names={})
        scores = final_scores(found)
        mine = next(row for row in scores.rows if row[:2] == ("coco", "DALL-E"))
        assert mine[scores.header.index("Precision ↑")] == said
        assert ("carry no signal" in score_words(found)[0]) == (said == "–")


@pytest.mark.parametrize("variety", ["canonical", "rich"])
def test_the_page_says_which_world_it_is(results, variety, tmp_path):
    of = Results(metrics=METRICS, evaluation=results.evaluation, world="w", names={}, variety=variety)
    (world,) = [section for section in page_sections(of, {}, {}) if section.title == "The world"]
    assert f"is {variety}" in world.text[0] and "whole cells of the dVAE's grid" in world.text[0]
    assert not [section for section in page_sections(results, {}, {}) if section.title == "The world"]


def test_samples_come_first_then_reranking_then_verdicts(results, tmp_path):
    titles = [section.title for section in page_sections(results, figure_files(tmp_path), {})]
    assert titles[:5] == ["Samples", "Reranking", "The paper and this run", "What limits this run", "Scores"]


def row_of(results, start, domain=""):
    """The one finding that begins so, on this domain."""
    (row,) = [row for row in findings(results).rows if row[0].startswith(start) and row[1].startswith(domain)]
    return row


@pytest.mark.parametrize(
    ("fid", "words"),
    [
        (60.0, "behind by 5.0"),
        (55.2, "behind by 0.2, within two standard deviations"),
        (54.8, "ahead by 0.2, within two standard deviations"),
        (40.0, "ahead by 15.0"),
    ],
)
def test_the_gap_to_the_gan_is_said_whichever_way_it_falls(results, fid, words):
    table = results.evaluation
    ours = (table["model"] == "dalle") & (table["metric"] == "fid") & (table["candidates"] == 8) & (table["blur_radius"] == 0)
    for column, off in (("value", 0.0), ("low", -0.1), ("high", 0.1)):
        table.loc[ours & (table["reference"] == "all"), column] = fid + off
    for domain in ("coco", "cub"):
        _, measured, said = row_of(results, "Zero-shot on", domain)
        assert f"FID {fid:.1f}, of DF-GAN 55.0: {words} (" in measured and said == NOT_COMPARABLE
        assert "not zero-shot" not in measured
    assert f"DF-GAN reaches 55.0 there: DALL-E is {words}." in summary(results)
    own = Results(metrics=METRICS, evaluation=table, world="the training split of CUB", names={})
    assert "not zero-shot, DALL-E knows the training split of CUB" in row_of(own, "Zero-shot on", "cub")[1]


def test_without_a_gan_the_specialised_domain_is_judged_by_the_reconstructions(results):
    alone = Results(
        metrics=METRICS, evaluation=results.evaluation[results.evaluation["model"] != "df_gan"], world="w", names={}
    )
    assert "reconstructions" in row_of(alone, "The specialised domain")[1]
    assert not any(row[0].startswith("Zero-shot on") for row in findings(alone).rows)


def test_fine_tuning_and_chance_are_told_by_their_numbers(results):
    assert not any(row[0].startswith(("Fine-tuning", "Samples show")) for row in findings(results).rows)
    table = results.evaluation
    best = table[(table["model"] == "dalle") & (table["candidates"] == 8) & (table["domain"] == "cub")]
    tuned = best[best["metric"] == "fid"].assign(model="dalle_finetuned", value=best["value"] - 20)
    right = best[best["metric"] == "caption_accuracy"]
    chance = right[right["reference"] == "all"].assign(metric="caption_accuracy_shuffled", value=0.1, low=0.05, high=0.15)
    gan = [row.assign(model="df_gan", candidates=1, value=0.12, low=0.09, high=0.2) for row in (right, chance)]
    everything = pd.concat([table, tuned, chance, *gan], ignore_index=True)
    more = Results(metrics=METRICS, evaluation=everything, world="w", names={})
    assert row_of(more, "Fine-tuning")[1:] == (
        "cub: FID 60.0 → 40.0 by fine-tuning on its training split; DF-GAN 55.0", "held here; no number to compare"
    )
    _, measured, verdict = row_of(more, "Samples show")
    assert measured.startswith("cub: DALL-E 80% (70% to 90%), with captions shuffled 10.0% (at most 15.0%); DF-GAN 12%")
    assert verdict == "DALL-E: held; DF-GAN: could not be judged"
    assert "dalle_finetuned" not in more.baselines("cub")


def test_completions_are_told_by_kind_with_what_comes_under_another_caption(results):
    assert completion_subtitle(results) == (
        "as asked, from the first sample to the best of 8: reflected 10% → 20% of 30, recoloured 30% → 40% of 30, "
        "copied 50% → 75% of 30"
    )
    assert "Of 90 pictures completed from their top, 30% of first samples, 45% of the best of 8" in summary(results)
    assert "99.8% of fresh pictures, and still on 97.5%" in completion_words(results)
    row = next(row for row in findings(results).rows if row[0].startswith("Image-to-image"))
    assert "30% → 45% as asked from N = 1 to 8, 5% as another caption asks" in row[1] and row[2] == "held"
    results.metrics["complete"]["success/other_caption"] = 0.4
    row = next(row for row in findings(results).rows if row[0].startswith("Image-to-image"))
    assert row[2] == "could not be judged", "the interval reaches what another caption gets"


def test_completions_that_nobody_can_judge_are_not_judged(results):
    results.metrics["complete"] = {"pictures/total": 6}
    assert completion_subtitle(results) == "pictures taken in order, completions not picked by hand"
    assert completion_words(results) == "" and "completed" not in summary(results)
    assert not any(row[0].startswith("Image-to-image") for row in findings(results).rows)


@pytest.mark.parametrize(
    ("stage", "key"), [("train_dvae", "valid/psnr_db"), ("train_prior", "valid/image_loss"), ("filter_data", "pairs/kept")]
)
def test_missing_metric_is_named(results, stage, key):
    del results.metrics[stage][key]
    with pytest.raises(ValueError, match=f"'{stage}': '{key}' is missing"):
        summary(results)


def test_stages_that_did_not_run_are_left_out(results):
    few = Results(metrics={}, evaluation=results.evaluation.iloc[:0], world="w", names={})
    assert summary(few) == "" and findings(few).rows == []
    assert [section.title for section in page_sections(few, {}, {})] == ["The paper and this run", "Where the numbers come from"]


def test_the_page_says_what_limits_caption_accuracy(results, tmp_path):
    def words(of):
        (section,) = [part for part in page_sections(of, {"caption_accuracy-coco": tmp_path / "x.png"}, {}) if part.figures]
        return section.figures[0].caption

    assert "what the codes allow" not in words(results)
    through_dvae = results.evaluation[results.evaluation["model"] == "real"].assign(model="dvae", value=0.84)
    known = Results(
        metrics=results.metrics, evaluation=pd.concat([results.evaluation, through_dvae], ignore_index=True), world="w", names={}
    )
    assert "through the dVAE are right in 84%" in words(known) and "first samples are in 50%" in words(known)


def test_tables_show_the_numbers(results):
    counts = filter_counts(results)
    assert counts["rule"].tolist() == ["too_short", "duplicate"] and counts["words"].tolist() == ["too few words", "same pair again"]
    assert counts["dropped"].tolist() == [100, 23] and counts["left"].tolist() == [900, 877]
    assert counts["precision"].iloc[0] == 0.987 and np.isnan(counts["recall"].iloc[1])
    scores = final_scores(results)
    ours = next(row for row in scores.rows if row[:2] == ("coco", "DALL-E"))
    assert dict(zip(scores.header, ours, strict=True)) == {
        "domain": "coco", "model": "DALL-E", "best of": "8", "images": "300",
        "FID ↓": "60.0 ± 0.1", "Inception score ↑": "12.00 ± 0.10", "Caption accuracy ↑": "80.0% (70.0% to 90.0%)",
    }  # fmt: skip
    stage_names = [row[0] for row in stages(results).rows]
    assert stage_names == [
        "`filter_data`", "`find_overlap-coco`", "`find_overlap-cub`", "`train_dvae`", "`train_prior`", "`complete`",
        "`evaluate-coco`", "`evaluate-cub`", "`tally_votes`",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["a|b", "# big", "1. first", "- item", "+ item", "*x* _y_ `z`", "<img src=x>", "[a](b)", "$5$ ~~no~~", "&lt;"]
)
def test_markup_in_captions_is_shown_as_it_is(text):
    """Undoing the escapes as a Markdown reader would gives the text back, and no mark is left bare."""
    escaped = escape(text)
    bare = re.sub(r"\\[!-/:-@\[-`{-~]|&(?:amp|lt|gt);", "", escaped)
    assert not re.search(r"[|*_`<>\[\]$~]|^(#|- |\+ |\d+\. )", bare)
    entities = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
    assert re.sub(r"\\(\W|_)|&(?:amp|lt|gt);", lambda match: match[1] or entities[match[0]], escaped) == text


def test_escape_leaves_plain_words_numbers_and_markdown_alone():
    assert escape("21.3 dB, 2009\n and 4") == "21.3 dB, 2009 and 4"
    assert escape(Markdown("[a](b)")) == "[a](b)"


def test_table_rows_are_as_long_as_the_header():
    text = render_table(Table(header=("name", "N"), rows=[("a|b", "1")], numbers=("N",)))
    assert text.splitlines() == ["| name | N |", "| --- | ---: |", r"| a\|b | 1 |"]
    with pytest.raises(ValueError, match="name, N"):
        render_table(Table(header=("name", "N"), rows=[("a",)]))


def test_a_figure_says_what_it_was_made_from(tmp_path):
    save_figure(Sheet(80, "x", "").figure, tmp_path / "x.png")
    table = Table(header=("stage", "made", "md5"), rows=[("train_dvae", "models/dvae", "0" * 32)])
    origin = Origin(text="Parameters: beta.end: 1.65 -> <0>", table=table)
    figure = PageFigure(file=tmp_path / "x.png", title="t", caption="c", origin=origin)
    write_page(tmp_path / "README.md", "T", "s", [Section(title="t", figures=[figure])])
    folded = (tmp_path / "README.md").read_text().split("<details>")[1]
    assert "beta.end: 1.65 -&gt; &lt;0&gt;" in folded and f"| train\\_dvae | models/dvae | {'0' * 32} |" in folded
    assert folded.strip().endswith("</details>")


def test_the_overlap_is_said_with_what_is_known_of_it(results):
    rows = {(row[0][:10], row[1][:4]): row for row in findings(results).rows}
    claim, measured, verdict = rows["About 21% ", "coco"]
    assert "21% of MS-COCO's" in claim and verdict == "planted so; found as planted"
    assert measured == "coco: 21.3% found; 21.0% were planted, precision 98.6%, recall 95.1%"
    words = overlap_words(results)
    assert "On cub its order has an average precision of 99.80%; that of 16 × 16 thumbnails has 98.70%." in words[1]
    results.metrics["find_overlap-coco"]["overlap/recall"] = 0.94
    results.metrics["find_overlap-cub"] = {"overlap/rate": 0.1, "overlap/images": 4, "overlap/of_images": 40}
    rows = {(row[0][:10], row[1][:4]): row for row in findings(results).rows}
    assert rows["About 21% ", "coco"][2] == "planted so; not found as planted"
    assert rows["About 12% ", "cub:"][2] == "another training set"
    assert rows["About 12% ", "cub:"][1] == "cub: 10.0% found"
    assert "only a look at them can tell" in overlap_figure_words("cub", results)[1]
    del results.metrics["find_overlap-coco"], results.metrics["find_overlap-cub"]
    assert overlap_words(results) == []
    assert not any("evaluation images are in" in row[0] for row in findings(results).rows)


def test_votes_are_told_with_what_does_not_count_and_beside_the_papers(results):
    (words,) = vote_words(results)
    assert "Of 2,448 votes of 51 raters 2,000 count" in words
    assert "48 do not count: 8 given twice, 40 of raters too fast" in words
    (_, realism, verdict), (claim, match, other) = vote_findings(results)
    assert "the test MS-COCO: 90.0% (85.0% to 93.0%) of 200 captions, 10.0% for DF-GAN" in realism and verdict == "held"
    assert "93.3%" in claim and match.startswith("the test MS-COCO: 50.0%") and other == "could not be judged"
    assert vote_figure_words(results)[0].startswith("DALL-E against DF-GAN")


def test_simulated_votes_are_called_so_wherever_they_are_told_and_are_no_finding(results):
    results.metrics["tally_votes"] |= {"votes/simulated": 1, "votes/simulated_unreadable_captions": 12}
    first, _ = vote_words(results)
    assert first.startswith("SIMULATED: nobody has voted") and "Of 12 captions, which it cannot read" in first
    assert "SIMULATED" in vote_figure_words(results)[1]
    rows = vote_findings(results)
    assert all("SIMULATED" in measured and verdict == "simulated: says nothing" for _, measured, verdict in rows)


def test_without_votes_nothing_is_claimed(results):
    results.metrics["tally_votes"] = {"votes/read": 0, "votes/counted": 0, "votes/simulated": 0}
    assert vote_words(results)[0].startswith("No votes yet") and vote_findings(results) == []
    assert "No votes count yet" in vote_figure_words(results)[1]
    del results.metrics["tally_votes"]
    assert vote_words(results) == vote_findings(results) == []


def test_every_rule_that_drops_a_vote_has_words():
    assert list(WHY_DROPPED) == list(RULES)
