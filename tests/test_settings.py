"""Settings: where each value comes from, what is refused, and what is never shown."""

import re
from pathlib import Path

import pytest

from botwarden.errors import Invalid
from botwarden.settings import (
    SETTINGS,
    Settings,
    Source,
    masked,
    problems_for_serve,
    unknown_variables,
)

GOOD_KEY = "Xq7vR2mK9pLw4sTz8bNc3hJf6dGy1aEu"
PRODUCTION = {
    "BOTWARDEN_DATABASE_URL": "postgresql://u:p@db/x",
    "BOTWARDEN_REDIS_URL": "redis://r:6379/0",
    "BOTWARDEN_SECRET_KEY": GOOD_KEY,
}


def refused(env, overrides=None):
    """Return the names that are refused."""
    with pytest.raises(Invalid) as caught:
        Settings.from_env(env, overrides)
    return {error.field for error in caught.value.errors}


def test_without_a_word_everything_has_its_default():
    """An empty environment is enough."""
    settings = Settings.from_env({"HOME": "/home/ann"})
    assert (settings.host, settings.port, settings.registration) == ("127.0.0.1", 8000, "open")
    assert set(settings.sources.values()) == {Source.DEFAULT}


def test_the_command_line_comes_before_the_environment_before_up_before_the_default():
    """The nearer to the person, the stronger."""
    env, derived = {"BOTWARDEN_PORT": "2"}, {"port": 3, "database_url": "postgresql://u:p@/x"}
    settings = Settings.from_env(env, {"port": 1}, derived)
    assert (settings.port, settings.sources["port"]) == (1, Source.COMMAND_LINE)
    settings = Settings.from_env(env, {"port": None}, derived)
    assert (settings.port, settings.sources["port"]) == (2, Source.ENVIRONMENT)
    settings = Settings.from_env({"BOTWARDEN_PORT": ""}, {}, derived)
    assert (settings.port, settings.sources["port"]) == (3, Source.UP)
    assert settings.sources["database_url"] is Source.UP
    assert settings.sources["host"] is Source.DEFAULT


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("port", "65536"), ("port", "eight"), ("port", "80.5"), ("speed", "0"), ("speed", "nan"),
        ("speed", "inf"), ("registration", "maybe"), ("secure_cookies", "perhaps"), ("log_level", "loud"),
        ("market", "bull"), ("database_url", "mysql://u:p@db/x"), ("redis_url", "localhost:6379"),
        ("paper_url", "127.0.0.1:8001"), ("cors_origins", "https://a.example,b.example"),
        ("keep_events_days", "0"), ("recv_window_ms", "60001"), ("reset_reactivates", "none"), ("bots", "-1"),
        ("stream_heartbeat_s", "16"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_the_name_of_its_variable(name, raw):
    """The variable and the rule are told, the value is not: it may be a secret."""
    variable = f"BOTWARDEN_{name.upper()}"
    with pytest.raises(Invalid) as caught:
        Settings.from_env({variable: raw})
    assert str(caught.value).startswith(f"{variable}: must be ")
    if "://" in raw:
        assert raw not in str(caught.value)


def test_every_bad_value_is_told_at_once():
    """One look is enough to mend them all; what came from the command line is called by its option."""
    assert refused({"BOTWARDEN_PORT": "x", "BOTWARDEN_SPEED": "0"}, {"keep_events_days": -1}) == {
        "BOTWARDEN_PORT",
        "BOTWARDEN_SPEED",
        "--keep-events-days",
    }


def test_values_have_their_types():
    """Texts of the environment become what the program works with."""
    settings = Settings.from_env(
        {
            "BOTWARDEN_SECURE_COOKIES": "yes",
            "BOTWARDEN_CORS_ORIGINS": "https://a.example, https://b.example,",
            "BOTWARDEN_REPLAY": "one.csv:/two",
            "BOTWARDEN_PREVIOUS_SECRET_KEYS": "old,older",
            "BOTWARDEN_TOKEN_HOURS": "1.5",
        }
    )
    assert settings.secure_cookies is True
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.replay == (Path("one.csv").absolute(), Path("/two"))
    assert settings.previous_secret_keys == ("old", "older")
    assert settings.token_hours == 1.5


def test_options_may_be_given_as_they_are():
    """The command line hands over typed values, and empty lists where nothing was said."""
    settings = Settings.from_env({}, {"replay": (Path("/a"),), "secure_cookies": True, "cors_origins": ()})
    assert settings.replay == (Path("/a"),)
    assert settings.secure_cookies is True
    assert settings.sources["cors_origins"] is Source.DEFAULT


def test_a_secret_may_be_in_a_file(tmp_path):
    """BOTWARDEN_<NAME>_FILE names a file that holds the secret."""
    (tmp_path / "key").write_text(GOOD_KEY + "\n")
    settings = Settings.from_env({"BOTWARDEN_SECRET_KEY_FILE": str(tmp_path / "key")})
    assert settings.secret_key == GOOD_KEY
    assert refused({"BOTWARDEN_SECRET_KEY_FILE": str(tmp_path / "absent")}) == {"BOTWARDEN_SECRET_KEY"}


def test_no_secret_shows():
    """Neither the settings' own text nor what is shown of them holds a secret."""
    secrets = {setting.variable: f"hush-{setting.name}" for setting in SETTINGS if setting.secret}
    secrets |= {name: f"{url}://u:hush@h/x" for name, url in (
        ("BOTWARDEN_DATABASE_URL", "postgresql"),
        ("BOTWARDEN_DATABASE_DIRECT_URL", "postgresql"),
        ("BOTWARDEN_REDIS_URL", "redis"),
    )}  # fmt: skip
    settings = Settings.from_env(secrets)
    shown = [str(settings.shown(setting.name)) for setting in SETTINGS]
    assert "hush" not in repr(settings) + " ".join(shown)


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("", ""),
        ("anything", "********"),
        ("postgresql://ann:pw@db:5432/x?password=pw", "postgresql://ann:********@db:5432/x"),
        ("redis://db:6379/0", "redis://db:6379/0"),
        ("unix://:pw@/run/v.sock?db=1", "unix://:********@/run/v.sock"),
        (("a", "b"), "********"),
    ],
)
def test_of_a_url_only_the_way_is_shown(secret, shown):
    """Where a URL leads helps to find mistakes; its password helps nobody."""
    assert masked(secret) == shown


def test_production_needs_three_things():
    """Each thing that is missing is named; with all of them there is nothing to say."""
    assert problems_for_serve(Settings.from_env(PRODUCTION)) == []
    for name in PRODUCTION:
        env = {key: value for key, value in PRODUCTION.items() if key != name}
        (problem,) = problems_for_serve(Settings.from_env(env))
        assert problem.startswith(f"{name} is missing.")


def test_what_a_running_up_derived_is_no_production():
    """`serve` beside `up` must not slip onto the embedded database."""
    settings = Settings.from_env({}, {}, {"database_url": "postgresql://u:p@/x", "secret_key": GOOD_KEY})
    assert len(problems_for_serve(settings)) == 3


@pytest.mark.parametrize(
    "key", ["x9Y", "a" * 40, "changeme" * 8, "abababab" * 5, "botwarden-secret-key-0123456789-xyz"]
)
def test_a_weak_secret_is_unsafe(key):
    """Short, monotonous or well-known keys are refused, without being repeated."""
    for variable in ("BOTWARDEN_SECRET_KEY", "BOTWARDEN_PREVIOUS_SECRET_KEYS"):
        problems = problems_for_serve(Settings.from_env(PRODUCTION | {variable: key}))
        assert len(problems) == 1
        assert problems[0].startswith(variable)
        assert key not in problems[0]


def test_a_misspelt_variable_is_noticed():
    """What looks like a setting and is none is told, with the likely one."""
    lines = unknown_variables({"BOTWARDEN_REGISTRATON": "closed", "BOTWARDEN_PORT": "1", "PATH": "/bin"})
    assert lines == ["BOTWARDEN_REGISTRATON is not a setting; BOTWARDEN_REGISTRATION is."]
    assert unknown_variables({"BOTWARDEN_SECRET_KEY_FILE": "x", "BOTWARDEN_PYTHON": "x"}) == []


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_says_what_it_means(setting):
    """One sentence each."""
    assert re.fullmatch(r"[A-Z].*\.", setting.meaning)


def test_the_data_directory_follows_the_platform():
    """Root's data is the system's, a user's is the user's."""
    from botwarden.persistence.embedded import default_data_dir

    env = {"HOME": "/home/ann"}
    assert default_data_dir(env, root=True) == Path("/var/lib/botwarden")
    assert default_data_dir(env, root=False, platform="linux") == Path("/home/ann/.local/share/botwarden")
    assert default_data_dir(env | {"XDG_DATA_HOME": "/x"}, root=False, platform="linux") == Path(
        "/x/botwarden"
    )
    assert default_data_dir(env, root=False, platform="darwin") == Path(
        "/home/ann/Library/Application Support/botwarden"
    )
