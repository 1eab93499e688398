"""`botwarden settings` lists everything and shows no secret."""

import json

import pytest
from click.testing import CliRunner

from botwarden.cli.main import group
from botwarden.persistence.embedded.places import DataDirLock, claim_data_dir, write_private
from botwarden.settings import SETTINGS

ENV = {
    "BOTWARDEN_PORT": "9999",
    "BOTWARDEN_DATABASE_URL": "postgresql://ann:hush@db/x",
    "BOTWARDEN_SECRET_KEY": "hush",
}


@pytest.fixture
def ask(tmp_path):
    """Runs the command with nothing but these variables set."""

    def ask(*words, env=None):
        clean = {setting.variable: None for setting in SETTINGS} | {
            "BOTWARDEN_DATA_DIR": str(tmp_path / "data")
        }
        return CliRunner().invoke(group, ["settings", *words], env=clean | (env or {}))

    return ask


def test_each_setting_is_listed_with_value_and_source(ask):
    """As the environment would have it, so that a line can be copied."""
    answer = ask(env=ENV)
    assert answer.exit_code == 0
    assert "BOTWARDEN_PORT=9999  (environment)" in answer.output
    assert "BOTWARDEN_HOST=127.0.0.1  (default)" in answer.output
    for setting in SETTINGS:
        assert f"{setting.variable}=" in answer.output
        assert setting.meaning in answer.output
    assert "hush" not in answer.output


def test_json_is_for_programs(ask):
    """The same facts as a list."""
    listed = {entry["name"]: entry for entry in json.loads(ask("--json", env=ENV).stdout)}
    assert set(listed) == {setting.name for setting in SETTINGS}
    assert listed["port"] == {
        "name": "port",
        "variable": "BOTWARDEN_PORT",
        "value": 9999,
        "default": 8000,
        "source": "environment",
        "meaning": listed["port"]["meaning"],
        "secret": False,
    }
    assert listed["database_url"]["value"] == "postgresql://ann:********@db/x"
    assert listed["secret_key"]["value"] == "********"


def test_what_a_running_up_derived_is_shown(ask, tmp_path):
    """While `up` holds the data directory its values are found there; afterwards they are not."""
    base = claim_data_dir(tmp_path / "data")
    write_private(base / "run.json", json.dumps({"redis_url": "unix://:hush@/run/v.sock"}))
    lock = DataDirLock(base)
    assert lock.take()
    assert "BOTWARDEN_REDIS_URL=unix://:********@/run/v.sock  (derived by up)" in ask().output
    lock.close()
    assert "derived by up" not in ask().output


def test_a_bad_value_is_one_message(ask):
    """No traceback, and a status that says so."""
    answer = ask(env={"BOTWARDEN_PORT": "x"})
    assert answer.exit_code == 1
    assert answer.output == "Error: BOTWARDEN_PORT: must be a whole number from 0 to 65535\n"


def test_a_misspelt_variable_is_warned_of(ask):
    """The list goes on."""
    answer = ask(env={"BOTWARDEN_PROT": "1"})
    assert answer.exit_code == 0
    assert "BOTWARDEN_PROT is not a setting; BOTWARDEN_PORT is." in answer.stderr
