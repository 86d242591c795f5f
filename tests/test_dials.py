"""The dials: what is let in, and what is told about everything else."""

import shutil
import time
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.dials import Dials, check_traits, load_dials
from orchestration.errors import InputError
from orchestration.project import dbt_project_file

SHIPPED = Path(__file__).parents[1] / "seeds"
OULAD = Path(__file__).parents[2] / "shared" / "data" / "oulad" / "seeds"

GOOD = {
    "tracked_events": [
        "event_key,event_name,property_name,property_value,feature",
        "ai_edited,AI Edit Applied,,,ai",
        "uploaded,Video Uploaded,,,library",
        "branded,Branding Updated,enabled,true,branding",
    ],
    "score_models": [
        "score_model,window_days,curve,account_status,account_plan,description",
        "default,30,exponential,,,Everyone",
        "weekly,7,winsorized,paid,team,Paying teams",
    ],
    "engagement_weights": [
        "score_model,event_key,weight,daily_cap,valid_from,valid_to",
        "default,ai_edited,5,,,2026-01-31",
        "default,ai_edited,7.5,10,2026-02-01,",
        "weekly,uploaded,1,,,",
    ],
    "activation_steps": [
        (
            "step_key,step_name,level,event_key,trait,trait_value,count_of,min_count,within_days,"
            "expires_after_days,weight,feature,is_flagship,account_status,account_plan,"
            "valid_from,valid_to"
        ),
        "first_upload,Uploaded,user,uploaded,,,,,,,,library,,,,,",
        "edits_with_ai,Edits with AI,account,ai_edited,,,users,3,28,60,2.5,ai,true,paid,team,,",
        "is_admin,Runs the account,user,,role,admin,,,,,,,false,,,,2026-06-30",
        "is_admin,Runs the account,user,,role,owner,,,,,,,false,,,2026-07-01,2026-12-31",
    ],
    "flag_rules": [
        "flag_key,entity,kind,severity,is_enabled,parameters,title,playbook",
        'dormant,account,risk,high,TRUE,"{""min_silent_days"": 21}",Silent,Call them',
        "champion,user,opportunity,low,false,,Champion,",
    ],
    "exclusions": [
        "entity,column,pattern,reason",
        "user,email,*@own.example,staff",
        "account,account_id,test-*,",
    ],
}


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    folder = tmp_path / "seeds"
    folder.mkdir()
    for name, lines in GOOD.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def add(seeds: Path, name: str, *rows: str) -> int:
    """Append rows and give the line number of the first."""
    with (seeds / f"{name}.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{row}\n" for row in rows)
    return len(GOOD[name]) + 1


def problems(seeds: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_dials(seeds)
    return [line.removeprefix(f"{seeds}/") for line in caught.value.problems]


def test_rows_come_typed_in_file_order_with_defaults_in_empty_cells(seeds: Path) -> None:
    dials = load_dials(seeds)

    first, ai, admin, owner = dials.activation_steps
    assert (first.level, first.event_key, first.trait) == ("user", "uploaded", None)
    assert (first.count_of, first.min_count, first.weight) == ("events", 1, Decimal(1))
    assert (first.within_days, first.expires_after_days, first.is_flagship) == (None, None, False)
    assert (ai.count_of, ai.min_count, ai.within_days) == ("users", 3, 28)
    assert (ai.expires_after_days, ai.weight, ai.is_flagship) == (60, Decimal("2.5"), True)
    assert (ai.account_status, ai.account_plan) == ("paid", "team")
    assert (admin.trait_value, admin.valid_to) == ("admin", date(2026, 6, 30))
    assert (owner.trait_value, owner.valid_from, owner.line) == ("owner", date(2026, 7, 1), 5)
    assert [weight.daily_cap for weight in dials.engagement_weights] == [None, 10, None]
    assert [model.window_days for model in dials.score_models] == [30, 7]
    assert dials.tracked_events[2].property_value == "true"
    dormant, champion = dials.flag_rules
    assert dormant.is_enabled
    assert dormant.parameters == {"min_silent_days": 21}
    assert not champion.is_enabled
    assert (champion.parameters, champion.playbook) == ({}, "")
    assert dials.exclusions[0].pattern == "*@own.example"


def test_the_shipped_dials_are_right() -> None:
    dials = load_dials(SHIPPED)

    assert {model.score_model for model in dials.score_models} >= {"default"}
    assert [rule.flag_key for rule in dials.flag_rules if rule.is_enabled] == [
        "falling_engagement",
        "dormant",
        "high_engagement_low_activation",
        "stalled_activation",
        "value_drift",
        "flagship_unused",
        "champion_gone",
        "single_user_dependency",
        "trial_stalled",
        "renewal_at_risk",
        "trial_ready_for_sales",
        "upsell_ready",
        "social_proof",
        "user_fading",
        "onboarding_gap",
        "champion",
    ]
    assert check_traits(dials, ["user_id", "email", "role"], ["group_id", "plan"]) == []


def test_dials_of_another_product_load(tmp_path: Path) -> None:
    if not OULAD.is_dir():
        pytest.skip(f"no data set at {OULAD}")
    for file in (*OULAD.glob("*.csv"), SHIPPED / "flag_rules.csv"):
        shutil.copyfile(file, tmp_path / file.name)

    dials = load_dials(tmp_path)

    assert len(dials.engagement_weights) == 12
    assert dials.engagement_weights[3].valid_to == date(2014, 12, 31)
    assert [step.step_key for step in dials.activation_steps] == [
        "opened_course",
        "read_content",
        "joined_forum",
        "used_resources",
        "used_data_tool",
        "enrolled",
        "reads_regularly",
        "talks",
    ]


@pytest.mark.parametrize(
    ("name", "row", "problem"),
    [
        # required cells
        ("tracked_events", ",Video Cut,,,", "column event_key: is empty"),
        ("exclusions", "user,email,,staff", "column pattern: is empty"),
        ("score_models", "big,30,,,,", "column curve: is empty"),
        # one of a few words
        (
            "activation_steps",
            "s,S,acount,uploaded,,,,,,,,,,,,,",
            "column level: 'acount' is not one of user, account; nearest: 'account'",
        ),
        (
            "activation_steps",
            "s,S,user,uploaded,,,dys,,,,,,,,,,",
            "column count_of: 'dys' is not one of events, days, users; nearest: 'days'",
        ),
        (
            "activation_steps",
            "s,S,user,uploaded,,,,,,,,,,Paid,,,",
            (
                "column account_status: 'Paid' is not one of paid, trial, canceled, expired, "
                "unknown; nearest: 'paid'"
            ),
        ),
        (
            "score_models",
            "big,30,exponental,,,",
            (
                "column curve: 'exponental' is not one of exponential, winsorized; "
                "nearest: 'exponential'"
            ),
        ),
        (
            "score_models",
            "big,30,winsorized,cancelled,,",
            (
                "column account_status: 'cancelled' is not one of paid, trial, canceled, expired, "
                "unknown; nearest: 'canceled'"
            ),
        ),
        (
            "exclusions",
            "usr,email,*x,",
            "column entity: 'usr' is not one of user, account; nearest: 'user'",
        ),
        (
            "flag_rules",
            "stalled_activation,account,risks,high,,,T,",
            "column kind: 'risks' is not one of risk, opportunity; nearest: 'risk'",
        ),
        (
            "flag_rules",
            "stalled_activation,account,risk,hihg,,,T,",
            "column severity: 'hihg' is not one of low, medium, high; nearest: 'high'",
        ),
        (
            "activation_steps",
            "s,S,user,uploaded,,,,,,,,,yes,,,,",
            "column is_flagship: 'yes' is neither true nor false",
        ),
        # numbers
        (
            "engagement_weights",
            "default,uploaded,0,,,",
            "column weight: 0 is not above 0 and below 1000000",
        ),
        (
            "engagement_weights",
            "default,uploaded,-3,,,",
            "column weight: -3 is not above 0 and below 1000000",
        ),
        (
            "engagement_weights",
            "default,uploaded,1.00005,,,",
            "column weight: 1.00005 has more than 4 decimals",
        ),
        (
            "engagement_weights",
            "default,uploaded,ten,,,",
            "column weight: 'ten' is not a number",
        ),
        (
            "engagement_weights",
            "default,uploaded,1,0,,",
            "column daily_cap: '0' is not a whole number from 1 to 1000000000",
        ),
        (
            "activation_steps",
            "s,S,user,uploaded,,,,2.5,,,,,,,,,",
            "column min_count: '2.5' is not a whole number from 1 to 1000000000",
        ),
        (
            "activation_steps",
            "s,S,user,uploaded,,,,,-7,,,,,,,,",
            "column within_days: '-7' is not a whole number from 1 to 36500",
        ),
        (
            "activation_steps",
            "s,S,user,uploaded,,,,,,0,,,,,,,",
            "column expires_after_days: '0' is not a whole number from 1 to 36500",
        ),
        (
            "activation_steps",
            "s,S,user,uploaded,,,,,,,nan,,,,,,",
            "column weight: 'nan' is not a number",
        ),
        (
            "score_models",
            "big,91,winsorized,,,",
            "column window_days: 91 is more than the 90 days that make a member",
        ),
        (
            "score_models",
            "big,0,winsorized,,,",
            "column window_days: '0' is not a whole number from 1 to 36500",
        ),
        # dates
        (
            "engagement_weights",
            "default,uploaded,1,,2026-02-30,",
            "column valid_from: '2026-02-30' is not a date as YYYY-MM-DD",
        ),
        (
            "engagement_weights",
            "default,uploaded,1,,,20260101",
            "column valid_to: '20260101' is not a date as YYYY-MM-DD",
        ),
        (
            "engagement_weights",
            "default,uploaded,1,,2026-02-02,2026-02-01",
            "column valid_to: 2026-02-01 is before valid_from 2026-02-02",
        ),
        # validity
        (
            "engagement_weights",
            "weekly,uploaded,2,,2026-01-01,2026-01-31",
            "column valid_from: the validity of weekly uploaded overlaps that in line 4",
        ),
        (
            "activation_steps",
            "is_admin,Runs it,user,,role,boss,,,,,,,,,,2026-06-30,2026-06-30",
            "column valid_from: the validity of is_admin overlaps that in line 4",
        ),
        # duplicates
        (
            "score_models",
            "weekly,14,winsorized,,,",
            "column score_model: 'weekly' is there twice, first in line 3",
        ),
        (
            "flag_rules",
            "dormant,account,risk,low,,,Again,",
            "column flag_key: 'dormant' is there twice, first in line 2",
        ),
        (
            "tracked_events",
            "branded,Branding Updated,enabled,true,branding",
            "column event_key: the row repeats line 4",
        ),
        (
            "exclusions",
            "user,email,*@own.example,again",
            "column entity: the row repeats line 2",
        ),
        (
            "tracked_events",
            "uploaded,File Uploaded,,,files",
            "column feature: 'files', but line 3 gives uploaded the feature 'library'",
        ),
        # keys of other files
        (
            "engagement_weights",
            "defualt,uploaded,1,,,",
            "column score_model: 'defualt' is not a key in score_models.csv; nearest: 'default'",
        ),
        (
            "activation_steps",
            "s,S,user,ai_edt,,,,,,,,,,,,,",
            "column event_key: 'ai_edt' is not a key in tracked_events.csv; nearest: 'ai_edited'",
        ),
        # steps
        (
            "activation_steps",
            "s,S,user,uploaded,role,,,,,,,,,,,,",
            "column trait: is given beside event_key; a step has one of them",
        ),
        (
            "activation_steps",
            "s,S,user,,,,,,,,,,,,,,",
            "column event_key: is empty, and so is trait; a step needs one of them",
        ),
        (
            "activation_steps",
            "s,S,user,uploaded,,admin,,,,,,,,,,,",
            "column trait_value: is given, but trait is empty",
        ),
        (
            "activation_steps",
            "s,S,user,uploaded,,,users,,,,,,,,,,",
            "column count_of: 'users' is for steps at level account; nearest: 'days'",
        ),
        (
            "activation_steps",
            "is_admin,Runs it,account,,plan,,,,,,,,,,,2027-01-01,",
            "column level: 'account', but line 4 gives is_admin the level 'user'",
        ),
        (
            "activation_steps",
            '"a,b",S,user,uploaded,,,,,,,,,,,,,',
            "column step_key: 'a,b' has a comma, which separates the keys in missing_steps",
        ),
        # events
        (
            "tracked_events",
            "a|b,Video Cut,,,",
            "column event_key: 'a|b' has a |, which separates the keys that an event counts for",
        ),
        (
            "tracked_events",
            "cut,Video Cut,,true,",
            "column property_value: is given, but property_name is empty",
        ),
        # flags
        (
            "flag_rules",
            "stalled_activaton,account,risk,high,,,T,",
            "column flag_key: 'stalled_activaton' is not a flag; nearest: 'stalled_activation'",
        ),
        (
            "flag_rules",
            "stalled_activation,user,risk,high,,,T,",
            "column entity: 'user', but stalled_activation is 'account'",
        ),
        (
            "flag_rules",
            "stalled_activation,account,opportunity,high,,,T,",
            "column kind: 'opportunity', but stalled_activation is 'risk'",
        ),
        (
            "flag_rules",
            'stalled_activation,account,risk,high,,"{""min_days"": 0}",T,',
            "column parameters: 'min_days' is 0; a flag takes at least 1 day",
        ),
        (
            "flag_rules",
            'stalled_activation,account,risk,high,,"{""cooldown_days"": 1.5}",T,',
            "column parameters: 'cooldown_days' is 1.5; days are whole",
        ),
        (
            "flag_rules",
            'stalled_activation,account,risk,high,,"{""min_contract_days"": -7}",T,',
            "column parameters: 'min_contract_days' is -7; no threshold is below 0",
        ),
        (
            "flag_rules",
            'stalled_activation,account,risk,high,,"{""max_activation_rate"": 50}",T,',
            "column parameters: 'max_activation_rate' is 50; a share is a part of 1: 0.8, not 80",
        ),
        (
            "flag_rules",
            'champion_gone,account,risk,high,,"{""min_top_share"": 1.5}",T,',
            "column parameters: 'min_top_share' is 1.5; a share is a part of 1: 0.8, not 80",
        ),
        (
            "flag_rules",
            'social_proof,account,opportunity,low,,"{""min_engagement_score"": 101}",T,',
            "column parameters: 'min_engagement_score' is 101; a score is at most 100",
        ),
        (
            "flag_rules",
            'stalled_activation,account,risk,high,,"{""min_contract_day"": 1}",T,',
            (
                "column parameters: 'min_contract_day' is not a parameter of stalled_activation; "
                "nearest: 'min_contract_days'"
            ),
        ),
        (
            "flag_rules",
            'stalled_activation,account,risk,high,,"{""min_contract_days"": ""long""}",T,',
            "column parameters: 'min_contract_days' is neither a number nor true or false",
        ),
        (
            "flag_rules",
            'stalled_activation,account,risk,high,,"{""min_contract_days"": true}",T,',
            "column parameters: 'min_contract_days' must be a number",
        ),
        (
            "flag_rules",
            "stalled_activation,account,risk,high,,[180],T,",
            'column parameters: is not a JSON object such as {"min_silent_days": 14}',
        ),
        (
            "flag_rules",
            f"stalled_activation,account,risk,high,,{'[' * 100_000},T,",
            "column parameters: is nested too deeply",
        ),
        (
            "flag_rules",
            "stalled_activation,account,risk,high,,{180},T,",
            (
                "column parameters: is not JSON: Expecting property name enclosed in double "
                "quotes: line 1 column 2 (char 1)"
            ),
        ),
        # cells and rows
        (
            "engagement_weights",
            "default, uploaded,1,,,",
            "column event_key: ' uploaded' has blanks around it",
        ),
        (
            "tracked_events",
            "cut,Video Cut,,,NULL",
            "column feature: 'NULL' is not a value; leave the cell empty",
        ),
        ("engagement_weights", "default,uploaded,1,,", "has 5 cells, the header has 6"),
        ("engagement_weights", ",,,,,", "is a row without any value"),
    ],
)
def test_one_wrong_row_is_told_once_with_its_place(
    seeds: Path, name: str, row: str, problem: str
) -> None:
    line = add(seeds, name, row)

    assert problems(seeds) == [f"{name}.csv:{line}: {problem}"]


def test_every_problem_of_every_file_is_told_at_once_in_file_order(seeds: Path) -> None:
    add(seeds, "exclusions", "bot,email,*x,")
    add(seeds, "engagement_weights", "daily,uploadd,many,0,2026-13-01,")
    add(seeds, "tracked_events", "cut,,,,", "cut,Video Cut,,,")

    assert problems(seeds) == [
        "tracked_events.csv:5: column event_name: is empty",
        "engagement_weights.csv:5: column weight: 'many' is not a number",
        (
            "engagement_weights.csv:5: column daily_cap: "
            "'0' is not a whole number from 1 to 1000000000"
        ),
        "engagement_weights.csv:5: column valid_from: '2026-13-01' is not a date as YYYY-MM-DD",
        (
            "engagement_weights.csv:5: column score_model: 'daily' is not a key in "
            "score_models.csv; nearest: 'weekly'"
        ),
        (
            "engagement_weights.csv:5: column event_key: 'uploadd' is not a key in "
            "tracked_events.csv; nearest: 'uploaded'"
        ),
        "exclusions.csv:4: column entity: 'bot' is not one of user, account; nearest: 'account'",
    ]


def test_a_row_with_a_wrong_cell_still_gives_its_key_to_other_files(seeds: Path) -> None:
    line = add(seeds, "tracked_events", "cut,Video Cut,,now,")
    add(seeds, "engagement_weights", "default,cut,1,,,")

    assert problems(seeds) == [
        f"tracked_events.csv:{line}: column property_value: is given, but property_name is empty"
    ]


def test_a_model_named_default_is_needed(seeds: Path) -> None:
    for name in ("score_models", "engagement_weights"):
        path = seeds / f"{name}.csv"
        path.write_text(path.read_text().replace("default", "defaults"))

    assert problems(seeds) == [
        "score_models.csv:1: column score_model: no model is named 'default'; nearest: 'defaults'"
    ]


def test_the_longest_window_follows_the_member_days(
    seeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = dbt_project_file()
    monkeypatch.setattr("orchestration.dials.dbt_project_file", lambda: project)
    project["vars"]["member_days"] = 30
    load_dials(seeds)
    project["vars"]["member_days"] = 29
    with pytest.raises(InputError, match="window_days: 30 is more than the 29 days"):
        load_dials(seeds)


def test_files_and_folder_must_be_there(seeds: Path) -> None:
    (seeds / "exclusions.csv").rename(seeds / "exclusion.csv")
    (seeds / "flag_rules.csv").unlink()
    (seeds / "flag_rules.csv").mkdir()
    (seeds / "tracked_events.csv").write_bytes(b"")

    assert problems(seeds) == [
        (
            "tracked_events.csv:1: is empty; expected the columns event_key, event_name, "
            "property_name, property_value, feature"
        ),
        "flag_rules.csv: cannot be read: Is a directory",
        "exclusions.csv: the file is missing; nearest: 'exclusion.csv'",
    ]
    with pytest.raises(InputError, match="no-such-folder: is not a folder"):
        load_dials(seeds / "no-such-folder")


def test_wrong_columns_are_told_beside_wrong_cells_but_not_once_per_row(seeds: Path) -> None:
    path = seeds / "tracked_events.csv"
    path.write_text(
        "event_ky,event_name,property_name,property_value,feature,feature\nuploaded,,,,x,x\n"
    )
    add(seeds, "engagement_weights", "default,uploaded,0,,,")

    assert problems(seeds) == [
        "tracked_events.csv:1: 'event_ky' is not a column of this file; nearest: 'event_key'",
        "tracked_events.csv:1: column feature: is there twice",
        "tracked_events.csv:1: column event_key: is missing",
        "tracked_events.csv:2: column event_name: is empty",
        "engagement_weights.csv:5: column weight: 0 is not above 0 and below 1000000",
    ]


@pytest.mark.parametrize(("sign", "told"), [(";", "';'"), ("\t", "tabs"), ("|", "'|'")])
def test_of_a_file_with_another_separator_only_that_is_told(
    sign: str, told: str, seeds: Path
) -> None:
    path = seeds / "exclusions.csv"
    rows = "entity,column,pattern,reason\nuser,email,a@b,\nuser,email,c@d,one, two\n"
    path.write_text(rows.replace(",", sign))

    assert problems(seeds) == [f"exclusions.csv:1: cells are separated by {told}, not by commas"]


def test_an_optional_column_must_be_there_and_may_be_empty(seeds: Path) -> None:
    path = seeds / "exclusions.csv"
    path.write_text("entity,column,pattern\nuser,email,*@our.example\n")

    assert problems(seeds) == [
        "exclusions.csv:1: column reason: is missing; its cells may be empty"
    ]


def test_a_line_is_the_physical_one_where_the_record_begins(seeds: Path) -> None:
    path = seeds / "score_models.csv"
    path.write_bytes(
        b"\xef\xbb\xbfscore_model,window_days,curve,account_status,account_plan,description\r\n"
        b"\r\n"
        b'default,30,exponential,,,"two\r\nlines ""quoted"""\r\n'
        b"\r\n"
        b'"big\nger",0,winsorized,,,\r\n'
    )
    (seeds / "engagement_weights.csv").write_text("\n".join(GOOD["engagement_weights"][:3]))

    assert problems(seeds) == [
        "score_models.csv:6: column window_days: '0' is not a whole number from 1 to 36500"
    ]
    path.write_bytes(path.read_bytes().replace(b",0,", b",9,"))
    assert load_dials(seeds).score_models[0].description == 'two\r\nlines "quoted"'
    assert load_dials(seeds).score_models[1].line == 6


def test_a_message_stays_one_line_whatever_the_cell_holds(seeds: Path) -> None:
    add(seeds, "engagement_weights", 'default,"up\nloaded",1,,,')

    assert problems(seeds) == [
        (
            "engagement_weights.csv:5: column event_key: 'up\\nloaded' is not a key in "
            "tracked_events.csv; nearest: 'uploaded'"
        )
    ]


def test_text_that_is_no_csv_or_no_utf8_is_told_with_its_line(seeds: Path) -> None:
    add(seeds, "exclusions", 'user,email,"*x,')
    path = seeds / "tracked_events.csv"
    path.write_bytes(path.read_bytes() + b"cut,Sch\xf6n,,,\n")

    assert problems(seeds) == [
        "tracked_events.csv:5: is not UTF-8 text",
        "exclusions.csv:4: is not CSV: unexpected end of data",
    ]


def test_the_fingerprint_is_of_what_the_dials_say(seeds: Path) -> None:
    before = load_dials(seeds).fingerprint
    assert len(before) == 64

    (seeds / "engagement_weights.csv").write_bytes(
        b"\xef\xbb\xbfevent_key,weight,score_model,valid_to,valid_from,daily_cap\r\n\r\n"
        b'"ai_edited",5.0,default,2026-01-31,"",\r\n'
        b"ai_edited,7.50,default,,2026-02-01,10\r\n\r\n"
        b"uploaded,1,weekly,,,\r\n"
    )
    rules = (seeds / "flag_rules.csv").read_text()
    assert '"": 21}' in rules
    (seeds / "flag_rules.csv").write_text(rules.replace('"": 21}', '"": 21.0}'))
    assert load_dials(seeds).fingerprint == before

    add(seeds, "engagement_weights", "ai_edited,1,weekly,,,")
    after = load_dials(seeds).fingerprint
    assert after != before

    path = seeds / "activation_steps.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(rows)]))
    assert load_dials(seeds).fingerprint not in (before, after)


def test_traits_are_looked_up_in_the_raw_columns(seeds: Path) -> None:
    add(
        seeds,
        "activation_steps",
        "has_plan,Has a plan,account,,Plan,,,,,,,,,,,,",
        "has_team,Has a team,user,,tem,,,,,,,,,,,,",
        "known,Known,user,,user_id,,,,,,,,,,,,",
    )
    add(seeds, "exclusions", "account,plann,free,", "user,plan,free,", "account,Group_Id,x-*,")
    dials: Dials = load_dials(seeds)

    told = check_traits(
        dials, ["id", "user_id", "EMAIL", " Role ", "team", "_load_id"], ["group_id", "PLAN"]
    )

    assert [line.removeprefix(f"{seeds}/") for line in told] == [
        (
            "activation_steps.csv:7: column trait: 'tem' is not a trait in raw identifies; "
            "nearest: 'team'"
        ),
        (
            "activation_steps.csv:8: column trait: 'user_id' is not a trait in raw identifies; "
            "nearest: 'email'"
        ),
        (
            "exclusions.csv:4: column column: 'plann' is neither account_id nor a trait in raw "
            "groups; nearest: 'plan'"
        ),
        (
            "exclusions.csv:5: column column: 'plan' is neither user_id nor a trait in raw "
            "identifies; nearest: 'user_id'"
        ),
    ]


def test_a_thousand_wrong_rows_are_told_within_two_seconds(seeds: Path) -> None:
    add(seeds, "tracked_events", *(f"key_{n},Event {n},,," for n in range(300)))
    add(seeds, "engagement_weights", *(f"default,kex_{n}_,0,,x," for n in range(1000)))

    begin = time.monotonic()
    assert len(problems(seeds)) == 3000
    assert time.monotonic() - begin < 2
