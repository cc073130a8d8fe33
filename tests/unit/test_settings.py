"""Configuration: which source wins, what each value's source is, and that no damage to a file loses a limit (R6)."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perpsctl import places, settings
from perpsctl.domain.errors import ConfigError, NotBuiltYet
from perpsctl.domain.products import Environment, VenueId
from perpsctl.risk.limits import RiskLimits

WHOLE = """\
default_profile = "desk"
[profile.desk]
venue = "us"
environment = "production"
portfolio = "fa627047"
products = ["BTC-PERP", "ETH-PERP"]
live = true
[profile.desk.keys]
trade = "~/keys/trade.json"
[profile.desk.run]
interval_ms = 500
[profile.desk.limits]
position_max_share = "0.005"
gross_max_share = "0.02"
order_notional_max = "5000"
orders_per_day_max = 200
leverage_max = "2"
quiet_minutes = 45
"""


def load(home: Path, text: str | None = None, *, profile: str | None = None, **environ: str) -> settings.Profile:
    if text is not None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "perpsctl.toml").write_text(text, encoding="utf-8")
    return settings.load(profile=profile, environ={"PERPSCTL_HOME": str(home)} | environ)


def source_of(found: settings.Profile, key: str) -> str:
    return next(each.source for each in found.sources if each.key == key)


def test_without_anything_the_profile_is_the_built_in_exchange(tmp_path: Path) -> None:
    """S5: the default is the simulator."""
    found = load(tmp_path)
    assert (found.name, found.environment, found.live, found.config_exists) == ("sim", Environment.SIM, False, False)
    assert source_of(found, "venue") == "built in"
    assert source_of(found, "limits.gross_max_share") == "default"


def test_each_value_remembers_where_it_came_from(tmp_path: Path) -> None:
    found = load(tmp_path, WHOLE, PERPSCTL_LIMITS__GROSS_MAX_SHARE="0.03", PERPSCTL_RUN__INTERVAL_MS="700")
    assert found.name == "desk"
    assert found.limits.position_max_share == Decimal("0.005")
    assert found.limits.gross_max_share == Decimal("0.03")
    assert found.run.interval_ms == 700
    assert found.limits.products_allowed == ("BTC-PERP", "ETH-PERP")
    assert source_of(found, "limits.position_max_share") == "file"
    assert source_of(found, "limits.gross_max_share") == "variable PERPSCTL_LIMITS__GROSS_MAX_SHARE"
    assert source_of(found, "run.interval_ms") == "variable PERPSCTL_RUN__INTERVAL_MS"
    assert source_of(found, "limits.loss_policy") == "default"
    assert source_of(found, "keys.trade") == "file"
    assert {each.key for each in found.sources} >= {f"limits.{row.name}" for row in found.limits.as_rows()}


def test_the_profile_is_the_options_then_the_variables_then_the_files(tmp_path: Path) -> None:
    text = WHOLE + "[profile.spare]\nenvironment = 'sim'\n"
    assert load(tmp_path, text).name == "desk"
    assert load(tmp_path, text, PERPSCTL_PROFILE="spare").name == "spare"
    assert load(tmp_path, text, PERPSCTL_PROFILE="spare", profile="sim").name == "sim"


def test_another_file_can_be_named_and_must_then_be_there(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[profile.sim]\nproducts = ['SOL-PERP']\n", encoding="utf-8")
    assert load(tmp_path, PERPSCTL_CONFIG=str(other)).products == ("SOL-PERP",)
    assert settings.load(config=str(other), environ={}).products == ("SOL-PERP",)
    with pytest.raises(ConfigError, match="no configuration file"):
        load(tmp_path, PERPSCTL_CONFIG=str(tmp_path / "gone.toml"))


def test_the_working_directory_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "perpsctl.toml").write_text("[profile.sim]\nproducts = ['SOL-PERP']\n", encoding="utf-8")
    (tmp_path / ".env").write_text("PERPSCTL_LIVE=true\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = load(tmp_path / "home")
    assert (found.products, found.live) == ((), False)


def test_a_limit_keeps_every_digit_it_was_written_with(tmp_path: Path) -> None:
    digits = "0.0123456789012345678901234567"
    found = load(tmp_path, f'[profile.sim.limits]\nposition_max_share = "{digits}"\n')
    assert found.limits.position_max_share == Decimal(digits)


def test_both_venues_have_a_profile_built_in(tmp_path: Path) -> None:
    assert load(tmp_path, profile="sim").venue is VenueId.US
    assert load(tmp_path, profile="sim-global").venue is VenueId.GLOBAL


@pytest.mark.parametrize("name", ["../x", "", "a/b", "x" * 41, "é", ".exchange", "a\nb", "-x"])
def test_a_profiles_name_is_a_folders_name_and_nothing_else(tmp_path: Path, name: str) -> None:
    """H11."""
    with pytest.raises(ConfigError):
        places.profile_name(name)
    if name:
        with pytest.raises(ConfigError):
            load(tmp_path, profile=name)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PERPSCTL_LIMITS", "x"),
        ("PERPSCTL_LIMITS", '{"gross_max_share": 0.5}'),
        ("PERPSCTL_LIMITS__GROSS_MAX_SHARE", "NaN"),
        ("PERPSCTL_LIMITS__GROSS_MAX_SHARE", ""),
        ("PERPSCTL_LIMITS__GROSS_MAX_SHARE__X", "1"),
        ("PERPSCTL_LIMITS__GROSS_MAX_SHAER", "0.01"),
        ("PERPSCTL_LIVE", "perhaps"),
        ("PERPSCTL_VENUE", ""),
        ("PERPSCTL_PRODUCTS", "BTC-PERP"),
        ("PERPSCTL_LIFE", "true"),
    ],
)
def test_a_variable_that_is_not_legal_is_refused_by_name(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, **{variable: value})
    assert variable in refused.value.message or "limits" in refused.value.message or "live" in refused.value.message


def test_a_hostile_value_is_shown_escaped(tmp_path: Path) -> None:
    """S3: what a file says comes back as quoted data."""
    for text in (
        '"\\u001b]52;c;eA\\u0007" = 1',
        '[profile.sim]\n"\\u202eevil" = 1',
        "[profile.sim]\nvenue = '\x1b[2J'",
    ):
        with pytest.raises(ConfigError) as refused:
            load(tmp_path, text)
        assert refused.value.message.isprintable()


# --- R6 -----------------------------------------------------------------------------------------------

LIMIT_LINES = [
    line for line in WHOLE.splitlines() if line.split(" = ")[0] in {row.name for row in RiskLimits().as_rows()}
]
ALPHABET = "abzXZ019._-=[]{}\"'\\+eE ,:/\t\x00é\u0661"


def limits_said(found: settings.Profile) -> dict[str, str]:
    """The limits the file sets, with their values."""
    return {each.key: each.value for each in found.sources if each.source == "file" and each.key.startswith("limits.")}


@example(position=WHOLE.index("desk.limits") + 4, word="a", how="put")  # once lost every limit: another profile's table
@given(
    position=st.integers(0, len(WHOLE) - 1),
    word=st.sampled_from(ALPHABET),
    how=st.sampled_from(["put", "swap", "drop"]),
)
def test_a_damaged_file_is_refused_or_every_limit_it_names_still_stands(
    tmp_path_factory: pytest.TempPathFactory, position: int, word: str, how: str
) -> None:
    """R6: a changed digit is a changed limit, and shows; but no damage of one character makes a limit disappear."""
    if how == "drop" and WHOLE[position] == "\n":
        how = "put"
    rest = position + (0 if how == "put" else 1)
    damaged = WHOLE[:position] + ("" if how == "drop" else word) + WHOLE[rest:]
    home = tmp_path_factory.mktemp("config")
    try:
        found = load(home, damaged, profile="desk")
    except (ConfigError, NotBuiltYet):
        return
    whole, now = limits_said(load(home, WHOLE, profile="desk")), limits_said(found)
    assert set(now) == set(whole)
    touched = damaged.count("\n", 0, position)
    line = WHOLE.splitlines()[min(touched, len(WHOLE.splitlines()) - 1)]
    differing = {key for key in whole if whole[key] != now[key]}
    assert differing <= {f"limits.{line.split(' = ')[0]}"}


@pytest.mark.parametrize("line", LIMIT_LINES)
def test_a_misspelt_limit_is_refused_wherever_the_slip_is(tmp_path: Path, line: str) -> None:
    """R6: each single letter of each limit's name."""
    assert len(LIMIT_LINES) == 6
    name = line.split(" = ", maxsplit=1)[0]
    for position in range(len(name)):
        for slip in (
            name[:position] + name[position + 1 :],
            name[:position] + "q" + name[position:],
            name[:position].upper() + "Q",
        ):
            with pytest.raises(ConfigError):
                load(tmp_path, WHOLE.replace(line, line.replace(name, slip, 1)), profile="desk")
