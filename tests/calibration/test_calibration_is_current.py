"""The committed calibration results belong to the code as it is."""

import json

from calibration.collector import FILE, FOLDER, Rate, page
from calibration.fingerprint import analysis


def results():
    return json.loads((FOLDER / FILE).read_text(encoding="utf-8"))


def test_every_result_was_measured_on_the_code_as_it_is():
    stale = [name for name, of in results().items() if of["code"] != analysis().fingerprint(of["measures"])]
    assert not stale, "the code of these has changed since: run `make calibration`"


def test_the_page_shows_the_results_beside_it():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == page(results())


def test_intervals_were_measured_on_enough_data_sets():
    for name, of in results().items():
        for rate in of["rates"]:
            if rate["kind"] == "coverage":
                assert rate["sets"] is None or rate["sets"] >= 2000, (name, rate)


def test_every_interval_of_the_tests_was_measured_from_five_to_thirty_two_seeds():
    for name, of in results().items():
        if all(analysis().locate(entry)[0].startswith("analysis.inference") for entry in of["measures"]):
            seeds = {rate["n"] for rate in of["rates"] if rate["kind"] == "coverage"}
            assert seeds >= {5, 8, 16, 32} or not seeds, name


def test_what_undercovers_by_more_than_three_points_is_refused():
    for name, of in results().items():
        for rate in of["rates"]:
            if rate["kind"] == "coverage" and not rate["refused"]:
                error = Rate(**rate).error
                assert rate["rate"] >= rate["nominal"] - (0 if rate["exact"] else 0.03) - 3 * error, (
                    name,
                    rate,
                )
