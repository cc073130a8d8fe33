"""What cannot be meant is refused before anything is started or sent, with its own exit code and one document."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from perpsctl.places import exchange_folder
from perpsctl.simulator import launcher
from tests.cli.conftest import Ask, process
from tests.cli.schemas import invalid

PLACE = ("order", "place", "--product", "BTC-PERP", "--side", "buy")
LIMIT = (*PLACE, "--size", "0.01", "--price", "60000")
HOSTILE_NUMBERS = [
    "NaN", "sNaN", "Infinity", "-Infinity", "1e999999999", "1e-999999999", "1_000", "१२३", "０.０１", "", " ", "0x10", "1,5",
    "1.", ".5", "+1", "--1", "1e", "9" * 41, "0." + "0" * 60 + "1", "9" * 5000, "1\n", "1\x00", "1\u202e0", "True", "$1", "1/3",
]  # fmt: skip


def no_simulator() -> bool:
    return launcher.status(exchange_folder()) is None and not Path(exchange_folder()).exists()


@pytest.mark.parametrize("number", HOSTILE_NUMBERS)
@pytest.mark.parametrize("option", ["--size", "--price", "--stop-price", "--contracts"])
def test_a_hostile_number_is_a_usage_error_and_starts_nothing(ask: Ask, option: str, number: str) -> None:
    """H1, H2: wherever an operator can type a number."""
    words = {"--size": (*PLACE, "--price", "60000"), "--contracts": (*PLACE, "--price", "60000")}.get(option, LIMIT)
    said = ask(*words, f"{option}={number}")
    assert (said.code, said.error["code"]) == (2, "usage")
    assert len(said.error["message"]) < 200
    assert no_simulator()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((*PLACE, "--size", "0", "--price", "60000"), id="zero size"),
        pytest.param((*PLACE, "--size=-0.01", "--price", "60000"), id="negative size"),
        pytest.param((*PLACE, "--contracts", "0", "--price", "60000"), id="zero contracts"),
        pytest.param((*PLACE, "--contracts", "1.5", "--price", "60000"), id="half a contract"),
        pytest.param((*PLACE, "--size", "0.01", "--price", "0"), id="zero price"),
        pytest.param((*PLACE, "--size", "0.01", "--price=-5"), id="negative price"),
        pytest.param((*PLACE, "--price", "60000"), id="no size"),
        pytest.param((*LIMIT, "--contracts", "1"), id="size and contracts"),
        pytest.param((*PLACE, "--size", "0.01"), id="limit without a price"),
        pytest.param((*LIMIT, "--type", "market"), id="market with a price"),
        pytest.param((*PLACE, "--size", "0.01", "--type", "market", "--tif", "gtc"), id="market gtc"),
        pytest.param((*PLACE, "--size", "0.01", "--type", "market", "--post-only"), id="market post-only"),
        pytest.param((*LIMIT, "--post-only", "--tif", "ioc"), id="post-only and ioc"),
        pytest.param((*LIMIT, "--post-only", "--tif", "fok"), id="post-only and fok"),
        pytest.param((*LIMIT, "--tif", "gtd"), id="gtd without expires"),
        pytest.param((*LIMIT, "--tif", "gtc", "--expires", "2999-01-01T00:00:00Z"), id="expires without gtd"),
        pytest.param((*LIMIT, "--expires", "2020-01-01T00:00:00Z"), id="expires in the past"),
        pytest.param((*LIMIT, "--expires", "tomorrow"), id="no time"),
        pytest.param((*LIMIT, "--expires", "0001-01-01T00:00:00+23:59"), id="before time began"),
        pytest.param((*LIMIT, "--expires", "２０２７-01-01T00:00:00Z"), id="foreign digits in a time"),
        pytest.param((*LIMIT, "--type", "stop-limit"), id="stop-limit without a stop price"),
        pytest.param((*LIMIT, "--stop-price", "60005"), id="limit with a stop price"),
        pytest.param((*LIMIT, "--type", "unrecognised"), id="the word for an unknown type"),
        pytest.param((*LIMIT, "--tif", "unrecognised"), id="the word for an unknown tif"),
        pytest.param((*LIMIT, "--type", "iceberg"), id="no such type"),
        pytest.param((*LIMIT, "--side", "long"), id="no such side"),
        pytest.param((*LIMIT, "--wait", "20"), id="duration without a unit"),
        pytest.param((*LIMIT, "--wait", "-1s"), id="negative duration"),
        pytest.param((*LIMIT, "--wait", "1e9s"), id="duration with an exponent"),
        pytest.param((*LIMIT, "--wait", "999999999d"), id="duration of ages"),
        pytest.param((*LIMIT, "--client-order-id", "short"), id="client id too short"),
        pytest.param((*LIMIT, "--client-order-id", "x" * 65), id="client id too long"),
        pytest.param((*LIMIT, "--client-order-id", "../../etc/passwd"), id="client id with a path"),
        pytest.param((*LIMIT, "--client-order-id", "abc\x1b]52;c;eA==\x07defgh"), id="client id with OSC 52"),
        pytest.param((*LIMIT, "--product", "../BTC"), id="product with a path"),
        pytest.param((*LIMIT, "--product", "BTC\nPERP"), id="product with a newline"),
        pytest.param((*LIMIT, "--product", ""), id="empty product"),
        pytest.param((*LIMIT, "--product", "B" * 10_000), id="huge product"),
        pytest.param((*LIMIT, "--sideways"), id="unknown option"),
        pytest.param((*LIMIT, "surplus"), id="surplus argument"),
        pytest.param(("order", "place"), id="nothing"),
        pytest.param((*LIMIT, "--format"), id="format without a value"),
        pytest.param(("order", "vanish"), id="unknown command"),
        pytest.param(("vanish",), id="unknown group"),
        pytest.param(("order", "cancel"), id="cancel nothing"),
        pytest.param(("order", "cancel", "a/b"), id="cancel a path"),
        pytest.param(("order", "cancel", "..%2f"), id="cancel an escaped path"),
        pytest.param(("order", "cancel", ""), id="cancel an empty id"),
        pytest.param(("order", "cancel", "x\r\ny"), id="cancel with a newline"),
        pytest.param(("order", "cancel-all", "--product", "a/b"), id="cancel-all of a path"),
        pytest.param(("order", "show", "\u202eabc"), id="show bidi"),
        pytest.param(("order", "edit", "abcdefgh"), id="edit to nothing"),
        pytest.param(("order", "edit", "a/b", "--price", "5"), id="edit a path"),
        pytest.param(("order", "resolve", "--decide", "not-sent"), id="decide without an id"),
        pytest.param(("order", "resolve", "abcdefgh", "--decide", "../x", "--reason", "r"), id="decide a path"),
        pytest.param(("products", "show", "a/b"), id="product path"),
        pytest.param(("products", "book", "BTC-PERP", "--depth", "0"), id="depth zero"),
        pytest.param(("products", "book", "BTC-PERP", "--depth", "abc"), id="depth of letters"),
        pytest.param(("products", "candles", "BTC-PERP", "--granularity", "7m"), id="granularity"),
        pytest.param(("fills", "list", "--limit", "0"), id="no fills"),
        pytest.param(("fills", "list", "--limit", "9" * 5000), id="limit of 5,000 digits"),
        pytest.param(("positions", "close", "--product", "a/b"), id="close a path"),
        pytest.param(("positions", "flatten", "--wait", "soon"), id="flatten soon"),
        pytest.param(("run", "--for", "60"), id="run without a unit"),
        pytest.param(("run", "--ticks", "0"), id="no ticks"),
        pytest.param(("run", "--interval", "x"), id="interval"),
        pytest.param(("run", "--product", "a/b"), id="run on a path"),
        pytest.param(("run", "--strategy", "../evil"), id="strategy path"),
        pytest.param(("run", "--strategy", "os:system"), id="strategy that is no entry point"),
        pytest.param(("killswitch", "release"), id="release without a reason"),
        pytest.param(("killswitch", "release", "--ack", " "), id="release for nothing"),
        pytest.param(("killswitch", "release", "--ack", "x" * 501), id="release with a novel"),
        pytest.param(("killswitch", "engage", "--wait", "x"), id="engage with a bad wait"),
        pytest.param(("killswitch", "engage", "--reason", "x" * 100_000), id="engage with a huge reason"),
        pytest.param(("sim", "start", "--speed", "NaN"), id="speed NaN"),
        pytest.param(("sim", "start", "--speed", "0"), id="speed zero"),
        pytest.param(("sim", "start", "--calendar", "x"), id="calendar"),
        pytest.param(("sim", "start", "--dedupe", "x"), id="dedupe"),
        pytest.param(("sim", "start", "--replay", "/no/such/file"), id="replay of nothing"),
        pytest.param(("sim", "start", "--from", "2022-01-21T21:30:00Z"), id="from without replay"),
        pytest.param(("sim", "start", "--from", "x"), id="from nowhen"),
        pytest.param(("sim", "start", "--http-port", "99999"), id="port"),
        pytest.param(("sim", "start", "--maker-fee", "1e999999999"), id="fee"),
        pytest.param(("sim", "reset"), id="reset of nothing"),
        pytest.param(("sim", "set", "../x"), id="set a path"),
        pytest.param(("sim", "fault", "arm", "N1", "--nth", "0"), id="fault before the first"),
        pytest.param(("--format", "xml", "order", "list"), id="no such format"),
        pytest.param((*LIMIT, "--format", "junit"), id="junit of an order"),
        pytest.param(("order", "cancel-all", "--format", "junit"), id="junit of cancels"),
        pytest.param(("journal", "backup"), id="backup to nowhere"),
    ],
)
def test_what_cannot_be_meant_is_exit_2_and_starts_nothing(ask: Ask, run: Ask, words: tuple[str, ...]) -> None:
    if "junit" in words:
        said = run(*words)
        assert (said.code, said.out) == (2, "")
        assert "junit" in said.err
    else:
        error = ask(*words)
        assert error.code == 2
        assert error.error["code"] in {"usage", "not_built_yet"}
        assert error.error["message"].isprintable()
        assert error.err == ""
    assert no_simulator()
    assert not (exchange_folder().parent / "sim").exists()


def test_every_form_tells_an_error_once(run: Ask) -> None:
    for wanted in ("json", "jsonl"):
        said = run("order", "vanish", "--format", wanted)
        assert (said.code, said.err) == (2, "")
        assert invalid(json.loads(said.out)) == []
        assert (said.out.count("\n") == 1) == (wanted == "jsonl")
    for wanted in ("table", "markdown", "junit"):
        said = run("order", "vanish", "--format", wanted)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith("error: No such command")
    assert run("--format", "json", "order").code == 2  # a group alone is a document too
    assert invalid(json.loads(run("--format", "json", "order").out)) == []
    assert invalid(json.loads(run("--version", "--format", "json").out)) == []
    assert run("--version").out.startswith("perpsctl ")
    assert run().out.startswith("Usage: perpsctl")


def test_a_refused_engage_says_that_nothing_was_latched(ask: Ask) -> None:
    ask("killswitch", "engage", "--wait", "x")
    assert not list(exchange_folder().parent.glob("*/killswitch.latch"))


def test_a_retired_id_is_answered_with_its_successor_without_asking_anyone(ask: Ask) -> None:
    for name in ("BTC-PERP-INTX", "eth-perp-intx"):
        said = ask("products", "show", name)
        assert said.code == 2
        assert f"use {name.upper().removesuffix('-INTX')}" in said.error["fix"]
    assert no_simulator()


# --- configuration and keys (7) -----------------------------------------------------------------------


def write_config(home: Path, text: str | bytes) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    path = home / "perpsctl.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param('defualt_profile = "sim"', "defualt_profile", id="unknown key at the top"),
        pytest.param("[profile.sim]\nvenu = 'us'", "venu", id="unknown key of a profile"),
        pytest.param("[profile.sim.limits]\nposition_max_shar = '0.01'", "position_max_shar", id="misspelt limit"),
        pytest.param("[profile.sim.limits]\nposition_max_share = 'NaN'", "position_max_share", id="limit NaN"),
        pytest.param(
            "[profile.sim.limits]\nposition_max_share = '1_0'", "position_max_share", id="limit with underscores"
        ),
        pytest.param("[profile.sim.limits]\nposition_max_share = '-1'", "position_max_share", id="negative limit"),
        pytest.param("[profile.sim.limits]\nposition_max_share = 1e999999999", "position_max_share", id="huge limit"),
        pytest.param("[profile.sim.limits]\nposition_max_share = true", "position_max_share", id="boolean limit"),
        pytest.param("[profile.sim.keys]\ntrad = 'x'", "keys", id="unknown key purpose"),
        pytest.param("[profile.sim]\nvenue = 'mars'", "venue", id="no such venue"),
        pytest.param("[profile.sim]\nenvironment = 'prod'", "environment", id="no such environment"),
        pytest.param("[profile.sim]\nlive = 'perhaps'", "live", id="live is no word"),
        pytest.param("[profile.sim.run]\ninterval_ms = 1", "interval_ms", id="interval too short"),
        pytest.param("[profile.'../x']\nvenue = 'us'", "profile", id="profile with a path"),
        pytest.param("profile = 3", "profiles are tables", id="profile is a number"),
        pytest.param("[profile.sim\n", "not TOML", id="broken TOML"),
        pytest.param(b"\xff\xfe[profile]", "cannot be read", id="not UTF-8"),
        pytest.param("default_profile = 'gone'", "gone", id="default names no profile"),
        pytest.param("default_profile = ['sim']", "default_profile", id="default is a list"),
        pytest.param("a = " + "[" * 5000 + "]" * 5000, "not TOML", id="deep nesting"),
    ],
)
def test_a_configuration_that_is_not_legal_is_exit_7_and_names_the_key(
    ask: Ask, perpsctl_home: Path, text: str | bytes, says: str
) -> None:
    write_config(perpsctl_home, text)
    said = ask(*LIMIT)
    assert (said.code, said.error["code"]) == (7, "config")
    assert says in said.error["message"]
    assert no_simulator()


@pytest.mark.parametrize(
    "words", [("--profile", "../x"), ("--profile", "nowhere"), ("--profile", ""), ("--config", "/no/such/file.toml")]
)
def test_a_profile_or_file_that_is_not_there_is_exit_7(ask: Ask, words: tuple[str, str]) -> None:
    if words == ("--profile", ""):
        assert ask("config", "show", *words).code in {0, 7}  # an empty option is no option
    else:
        assert (ask("config", "show", *words).code, ask(*LIMIT, *words).code) == (7, 7)
    assert no_simulator()


def test_a_configuration_that_cannot_be_read_is_exit_7(ask: Ask, perpsctl_home: Path) -> None:
    write_config(perpsctl_home, "")
    (perpsctl_home / "perpsctl.toml").unlink()
    (perpsctl_home / "perpsctl.toml").mkdir()
    assert ask("config", "show").code == 7


@pytest.mark.parametrize("name", ["PERPSCTL_PROFLIE", "PERPSCTL_LIMITS", "PERPSCTL_", "PERPSCTL_LIMITS__GROSS"])
def test_an_unknown_variable_is_exit_7(ask: Ask, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    said = ask("limits", "show")
    assert said.code == 7
    assert no_simulator()


@pytest.mark.parametrize(
    "place",
    ["mysql://ada:pepper@h/x", "postgresql://ada:pep/per@h/x", "postgresql://h/x?password=pepper", "env:no name"],
)
def test_a_journal_elsewhere_that_is_no_address_is_exit_7_and_its_password_is_not_told_S1(
    ask: Ask, perpsctl_home: Path, place: str
) -> None:
    write_config(perpsctl_home, f"[profile.sim]\njournal = '{place}'")
    said = ask("config", "show")
    assert (said.code, said.error["code"]) == (7, "config")
    assert "pep" not in str(said.error)
    assert no_simulator()


def test_a_journal_elsewhere_is_shown_without_its_password_and_one_that_is_not_there_is_exit_8_S1(
    ask: Ask, perpsctl_home: Path
) -> None:
    write_config(perpsctl_home, "[profile.sim]\njournal = 'postgresql://ada:pepper@127.0.0.1:1/x'")
    shown = ask("config", "show")
    assert "postgresql://127.0.0.1:1/x" in str(shown.data)
    assert "pepper" not in str(shown.data)
    said = ask("journal", "info")
    assert (said.code, said.error["code"]) == (8, "journal_unavailable")
    assert "PostgreSQL at 127.0.0.1/x cannot be reached" in said.error["message"]
    assert "pepper" not in str(said.error)
    launcher.stop(exchange_folder())


def test_the_sandbox_takes_no_order_and_no_run_and_is_not_even_asked(ask: Ask, perpsctl_home: Path) -> None:
    write_config(perpsctl_home, "[profile.box]\nenvironment = 'sandbox'\nportfolio = 'p'")
    placed = ask(*LIMIT, "--profile", "box")
    assert (placed.code, placed.data["outcome"]) == (3, "denied")
    assert placed.data["denials"][0]["observed"] == "sandbox"
    edited = ask("order", "edit", "abcdefgh", "--price", "5", "--profile", "box")
    assert (edited.code, edited.data["outcome"]) == (3, "denied")
    ran = ask("run", "--profile", "box")
    assert (ran.code, ran.error["code"]) == (2, "usage")


@pytest.mark.parametrize("live", ["", "live = true\n"])
@pytest.mark.parametrize("turned", [(), ("--live", "--yes")])
def test_production_takes_no_entry_without_its_keys_turned_and_its_token(
    ask: Ask, perpsctl_home: Path, live: str, turned: tuple[str, ...]
) -> None:
    """Design 2: `live` in the profile, --live on the call and a token; none of them is asked of the network."""
    write_config(perpsctl_home, f"[profile.p]\nenvironment = 'production'\nportfolio = 'p'\n{live}")
    codes: set[str] = set()
    for words in (LIMIT, ("order", "edit", "abcdefgh", "--price", "5")):
        placed = ask(*words, "--profile", "p", *turned)
        codes = {each["code"] for each in placed.data["denials"]}
        assert (placed.code, placed.data["outcome"]) == (3, "denied")
        assert "preflight_token_missing" in codes
        assert ("live_not_enabled" in codes) == (not (live and turned))
    ran = ask("run", "--profile", "p", *turned)
    assert (ran.code, ran.data["summary"]) == (3, None)
    assert {each["code"] for each in ran.data["denials"]} == codes


def test_production_asks_before_it_destroys_and_without_a_terminal_that_is_exit_2(
    ask: Ask, perpsctl_home: Path
) -> None:
    write_config(perpsctl_home, "[profile.p]\nenvironment = 'production'\nportfolio = 'p'\nlive = true")
    for words in (("order", "cancel-all"), ("positions", "flatten"), ("positions", "close", "--product", "BTC-PERP")):
        said = ask(*words, "--profile", "p")
        assert (said.code, said.error["fix"]) == (2, "add --yes")


def bad_keys(folder: Path) -> dict[str, Path]:
    whole = {"name": "organizations/x/apiKeys/y", "privateKey": "not a key at all"}
    files = {name: folder / f"{name}.json" for name in ("missing", "short", "damaged", "readable", "empty")}
    files["short"].write_bytes(b"x" * 30)
    files["damaged"].write_text(json.dumps(whole), encoding="utf-8")
    files["readable"].write_text(json.dumps(whole), encoding="utf-8")
    files["empty"].write_bytes(b"")
    for name, path in files.items():
        if path.exists():
            path.chmod(0o644 if name == "readable" else 0o600)
    return files


@pytest.mark.parametrize("which", ["missing", "short", "damaged", "readable", "empty"])
def test_a_key_that_cannot_be_used_is_exit_7_and_says_what_is_wrong(
    ask: Ask, perpsctl_home: Path, tmp_path: Path, which: str
) -> None:
    key = bad_keys(tmp_path)[which]
    write_config(perpsctl_home, f"[profile.p]\nenvironment = 'production'\nportfolio = 'p'\nkeys.trade = '{key}'")
    said = ask("order", "list", "--profile", "p")
    assert said.code == 7
    assert said.error["code"] == "credentials"
    assert said.error["fix"]


# --- what needs the venue's word (2), and the property of all of them ---------------------------------


@pytest.mark.slow
def test_what_the_venues_grid_forbids_names_the_nearest_legal_values_and_sends_nothing(
    exchange: Path, ask: Ask
) -> None:
    def refused(*words: str) -> Any:
        said = ask(*PLACE, *words)
        assert said.code == 2
        return said.error

    off = refused("--size", "0.015", "--price", "60000")
    assert (off["code"], off["field"], off["nearest"]) == ("off_grid", "size", ["0.01", "0.02"])
    off = refused("--size", "0.01", "--price", "60001")
    assert (off["code"], off["field"], off["nearest"]) == ("off_grid", "price", ["60000", "60005"])
    assert "60000 or 60005" in off["fix"]
    off = refused("--size", "0.01", "--price", "60000", "--stop-price", "60001", "--type", "stop-limit")
    assert (off["code"], off["field"]) == ("off_grid", "stop price")
    assert refused("--size", "0.001", "--price", "60000")["code"] in {"off_grid", "size_rounds_to_zero"}
    assert refused("--size", "1000000", "--price", "60000")["code"] == "usage"
    assert refused("--contracts", "9" * 38, "--price", "60000")["code"] == "usage"
    unknown = ask("order", "place", "--product", "DOGE-PERP", "--side", "buy", "--size", "1", "--price", "1")
    assert (unknown.code, "BTC-PERP" in unknown.error["fix"]) == (2, True)
    assert ask("order", "show", "nobody-knows-it").code == 2
    assert ask("order", "edit", "nobody-knows-it", "--price", "5").code == 2
    assert ask("order", "resolve", "nobody-knows-it").code == 2
    assert ask("sim", "start", "--seed", "99").code == 2
    assert ask("sim", "fault", "arm", "no_such_fault").code == 2
    assert ask("sim", "set", "weather", "sunny=true").code == 2
    assert ask("sim", "set", "price", "product_id=BIP-20DEC30-CDE", "price=NaN").code == 2
    assert ask("sim", "set", "price", "nonsense").code == 2

    assert ask("sim", "book").data["orders"] == []
    assert ask("order", "list", "--all").data["intents"] == []


@pytest.mark.slow
def test_every_ending_of_a_process_leaves_one_document_and_no_traceback(exchange: Path) -> None:
    for words in (("order", "list"), ("order", "vanish"), LIMIT[:-2], ("products", "show", "NOPE-PERP")):
        ended = process(*words, "--format", "json", home=exchange)
        json.loads(ended.stdout)
        assert "Traceback" not in ended.stderr
        assert ended.returncode in {0, 2}
    assert os.environ["PERPSCTL_HOME"] == str(exchange)
