"""A report of 500 questions × 5 models × 9 samples: time to write it, size, time to a chart.

Run `python benchmarks/report.py`. The replies are made up, of some 600 characters each, half of
them with a formula; models are of different strength and wrong in similar ways. Targets: written in
5 s, 10 MB, first chart in Chromium within 2 s (every process new; medians of 3). k = 3 is what the
command takes by itself; with k = 9 every recorded reply is in the page.
"""

import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slmmux.bank.imports import import_file

QUESTIONS, SAMPLES = 500, 9
SKILLS = (0.75, 0.65, 0.6, 0.5, 0.4)
WORDS = "the of number so we have then total each apples minus plus left therefore gives answer per"
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


def reply(rng: random.Random, answer: int) -> str:
    """Some 600 characters that end in an answer."""
    words = WORDS.split()
    text = " ".join(rng.choice(words) for _ in range(rng.randint(60, 160)))
    if rng.random() < 0.5:
        text += f" So $\\frac{{{rng.randint(1, 99)}}}{{{rng.randint(2, 99)}}} + x^{{2}}$ is left."
    return f"{text} The answer is {answer}."


def rows(rng: random.Random) -> list[dict[str, object]]:
    """The bank as interchange rows."""
    found: list[dict[str, object]] = []
    for question in range(QUESTIONS):
        gold, ease = rng.randint(1, 500), rng.gauss(0, 0.2)
        wrong = [rng.randint(501, 999) for _ in range(5)]
        text = f"Question {question}: {' '.join(rng.choice(WORDS.split()) for _ in range(40))}?"
        for model, skill in enumerate(SKILLS):
            chance = skill + ease + rng.gauss(0, 0.15)
            said = [gold if rng.random() < chance else rng.choice(wrong) for _ in range(SAMPLES)]
            found.append(
                {"task": "synthetic", "question_id": f"q{question:03d}", "gold": str(gold)}
                | {"kind": "number", "question": text, "model": f"model-{model}"}
                | {"samples": [reply(rng, answer) for answer in said]}
            )
    return found


def cpu() -> float:
    """CPU seconds of the processes that we waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def written(bank: Path, k: int) -> tuple[float, float, Path]:
    """Seconds that the command takes, CPU seconds, and its page."""
    page = bank.with_name(f"report-{k}.html")
    command = [str(Path(sys.executable).with_name("slmmux")), "report", "--bank", str(bank)]
    began, before = time.perf_counter(), cpu()
    subprocess.run([*command, "-k", str(k), "--out", str(page)], check=True, capture_output=True)
    return time.perf_counter() - began, cpu() - before, page


def first_chart(page: Path) -> float | None:
    """Seconds from opening the page to its first chart; None without a browser."""
    chromium = os.environ.get("SLMMUX_CHROMIUM") or shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may not be installed
    except ImportError:
        return None
    if chromium is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        tab = browser.new_page()
        began = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="commit")
        tab.wait_for_selector("figure[data-drawn] svg")
        taken = time.perf_counter() - began
        browser.close()
    return taken


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "rows.jsonl")
        lines.write_text("".join(json.dumps(row) + "\n" for row in rows(random.Random(0))))
        bank = Path(folder, "bank.db")
        import_file(bank, lines)
        print(f"{QUESTIONS} questions, {len(SKILLS)} models, {SAMPLES} samples")
        for k in (3, SAMPLES):
            runs = [written(bank, k) for _ in range(3)]
            page = runs[0][2]
            seconds = statistics.median(taken for taken, _, _ in runs)
            busy = statistics.median(used for _, used, _ in runs)
            charts = [first_chart(page) for _ in range(3)]
            seen = [taken for taken in charts if taken is not None]
            shown = f"{statistics.median(seen):.2f} s" if seen else "no Chromium or playwright"
            size = page.stat().st_size / 1e6
            print(
                f"k = {k}: written in {seconds:.2f} s ({busy:.2f} s of CPU), {size:.1f} MB, "
                f"first chart {shown}"
            )


if __name__ == "__main__":
    main()
