"""Settings: where they come from, and what is said about a wrong one."""

import os
import stat

import pytest

from streams.config import is_loopback, load_settings, split_address
from streams.errors import UsageError


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """No settings of the machine, and an empty working directory."""
    for name in list(os.environ):
        if name.startswith("M1CEP_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path):
    return (tmp_path / "m1cep.toml").write_text


class TestSources:
    def test_defaults(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        settings = load_settings()
        assert settings.broker == "127.0.0.1:9092"
        assert settings.home == tmp_path / "data" / "m1cep"
        assert settings.state_dir == settings.home / "state"
        assert settings.web_port is None

    def test_home_is_below_the_users_without_xdg_and_a_relative_xdg_is_ignored(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path))
        for value in ("", "relative"):
            monkeypatch.setenv("XDG_DATA_HOME", value)
            assert load_settings().home == tmp_path / ".local" / "share" / "m1cep"

    def test_environment_goes_before_the_file_and_options_before_both(self, monkeypatch, file):
        file('broker = "127.0.0.1:1"\nweb_port = 1\nstate_dir = "from-file"\n')
        monkeypatch.setenv("M1CEP_BROKER", "127.0.0.1:2")
        monkeypatch.setenv("M1CEP_WEB_PORT", "2")
        settings = load_settings(web_port=3, home=None)
        assert (settings.broker, settings.web_port, settings.state_dir.name) == ("127.0.0.1:2", 3, "from-file")

    def test_relative_folders_do_not_move_with_the_working_directory(self, monkeypatch, tmp_path):
        monkeypatch.setenv("M1CEP_HOME", "here")
        assert load_settings().home == tmp_path / "here"

    def test_an_empty_variable_is_as_good_as_none(self, monkeypatch):
        monkeypatch.setenv("M1CEP_BROKER", "")
        assert load_settings().broker == "127.0.0.1:9092"

    def test_client_settings_name_the_broker(self, monkeypatch):
        monkeypatch.setenv("M1CEP_BROKER", "localhost:9999")
        assert load_settings().client_settings()["bootstrap_servers"] == "localhost:9999"


class TestRefused:
    @pytest.mark.parametrize(
        ("variable", "value", "said"),
        [
            ("M1CEP_BROKR", "x", "M1CEP_BROKR is not a setting; did you mean M1CEP_BROKER?"),
            ("M1CEP_BROKER", "localhost", "M1CEP_BROKER: expected host:port, got 'localhost'"),
            ("M1CEP_BROKER", "localhost:0", "M1CEP_BROKER: expected a port from 1 to 65535, got 0"),
            ("M1CEP_BROKER", "localhost:\u0661", "expected host:port"),  # a digit, but not an ASCII one
            ("M1CEP_WEB_PORT", "web", "M1CEP_WEB_PORT: input should be a valid integer"),
            ("M1CEP_ALLOW_PLAINTEXT", "perhaps", "M1CEP_ALLOW_PLAINTEXT: input should be a valid boolean"),
        ],
    )
    def test_in_the_environment(self, monkeypatch, variable, value, said):
        monkeypatch.setenv(variable, value)
        with pytest.raises(UsageError) as caught:
            load_settings()
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 2

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('brokers = "x"', "m1cep.toml: 'brokers' is not a setting; did you mean broker?"),
            ("[worker]\nagents = 2", "m1cep.toml: 'worker' is not a setting"),
            ("web_port = 70000", "m1cep.toml: web_port: input should be less than or equal to 65535"),
            ("web_port = ", "m1cep.toml is not TOML: "),
        ],
    )
    def test_in_the_file(self, file, text, said):
        file(text)
        with pytest.raises(UsageError) as caught:
            load_settings()
        assert said in str(caught.value)

    @pytest.mark.parametrize("broker", ["kafka:9092", "10.0.0.1:9092", "[2001:db8::1]:9092", "127.0.0.1.example.com:1"])
    def test_a_broker_beyond_this_machine_without_tls_unless_allowed(self, monkeypatch, broker):
        monkeypatch.setenv("M1CEP_BROKER", broker)
        with pytest.raises(UsageError, match=r"not be encrypted; set M1CEP_TLS=true .*, or M1CEP_ALLOW_PLAINTEXT=true"):
            load_settings()
        monkeypatch.setenv("M1CEP_ALLOW_PLAINTEXT", "true")
        assert load_settings().broker == broker

    def test_passwords_are_not_shown(self, monkeypatch, file):
        monkeypatch.setenv("M1CEP_DB_WRITE_URL", "postgresql://risk:hunter2@db/x")
        settings = load_settings()
        assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"
        assert settings.db_write_url.get_secret_value() == "postgresql://risk:hunter2@db/x"
        file('db_read_url = ["postgresql://risk:hunter2@db/x"]')
        with pytest.raises(UsageError, match=r"m1cep\.toml: db_read_url: ") as caught:
            load_settings()
        assert "hunter2" not in str(caught.value)

    def test_variables_that_kubernetes_adds_are_not_settings_and_no_mistake(self, monkeypatch):
        monkeypatch.setenv("M1CEP_KAFKA_SERVICE_HOST", "10.0.0.1")
        monkeypatch.setenv("M1CEP_KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1")
        load_settings()


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "parts"),
        [("localhost:9092", ("localhost", 9092)), ("[::1]:1", ("::1", 1)), ("10.0.0.1:65535", ("10.0.0.1", 65535))],
    )
    def test_are_split(self, text, parts):
        assert split_address(text) == parts

    @pytest.mark.parametrize("text", ["", ":9092", "::1:9092", "host:", "host:-1", "host:65536", "host:9 2"])
    def test_that_are_none_are_refused(self, text):
        with pytest.raises(ValueError, match="expected"):
            split_address(text)

    def test_loopback_is_told_by_the_number_not_by_the_look(self):
        assert [
            h for h in ("localhost", "127.8.9.1", "::1", "127.0.0.1.evil.com", "0.0.0.0", "1.2.3.4") if is_loopback(h)
        ] == [
            "localhost",
            "127.8.9.1",
            "::1",
        ]


class TestFolders:
    def test_are_made_for_the_owner_alone(self, tmp_path, monkeypatch):
        monkeypatch.setenv("M1CEP_HOME", str(tmp_path / "a" / "home"))
        folder = load_settings().folder("embedded", "logs")
        assert folder == tmp_path / "a" / "home" / "embedded" / "logs"
        for made in (folder, folder.parent, folder.parent.parent):
            assert stat.S_IMODE(made.stat().st_mode) == 0o700

    def test_one_that_cannot_be_made_is_a_usage_error_with_the_remedy(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("M1CEP_HOME", str(tmp_path / "file" / "home"))
        with pytest.raises(UsageError, match=r"file/home cannot be made: Not a directory; set M1CEP_HOME"):
            load_settings().folder()
