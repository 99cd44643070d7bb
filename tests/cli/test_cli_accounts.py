"""Accounts at the command line: what is typed, what is asked, and that no token is ever seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib

import pytest

from camtrail.services.mapillary.sandbox import MapillarySandbox

CANARY = "CANARY-4f9a%(x)s"
CLIENT = "MLY|sandbox|sandbox"
posix = pytest.mark.skipif(os.name == "nt", reason="terminals and modes of POSIX")
REAL = "https://graph.mapillary.com"


class Ended:
    """How a call ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def box():
    with MapillarySandbox() as running:
        yield running


@pytest.fixture
def mapillary(tmp_path, monkeypatch):
    """Runs `camtrail mapillary ARGUMENTS`; nothing that it shows or keeps in the open has the canary."""
    monkeypatch.setenv("CAMTRAIL_CONFIG", str(tmp_path / "config" / "config.toml"))

    def call(*arguments, stdin="", env=None, canary=CANARY):
        command = [sys.executable, "-W", "error", "-m", "camtrail", "mapillary", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, **(env or {})}, input=stdin.encode(), capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip
        ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert canary not in ended.out and canary not in ended.err
        assert "Traceback" not in ended.err
        config = tmp_path / "config" / "config.toml"
        assert not config.exists() or canary not in config.read_text("utf-8")
        return ended

    return call


@pytest.fixture
def tokens(tmp_path):
    """What the file of tokens has, by origin and profile."""

    def read():
        path = tmp_path / "config" / "accounts" / "tokens.json"
        return json.loads(path.read_text()) if path.exists() else {}

    return read


@pytest.fixture
def profiles(tmp_path):
    """The tables of profiles in config.toml."""
    return lambda: tomllib.loads((tmp_path / "config" / "config.toml").read_text("utf-8"))["profiles"]


def host(url):
    return "@" + url.partition("://")[2]


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token.txt"
    path.write_text(f"  {CANARY}\r\n")
    return path


class TestAuthenticate:
    def test_a_token_of_a_file(self, mapillary, box, tokens, profiles, token_file, tmp_path):
        ended = mapillary("authenticate", "--user_name", "rob", "--token-file", "token.txt", "-v",
                          env={"CAMTRAIL_MAPILLARY_URL": box.url})  # fmt: skip
        assert ended.code == 0, ended.err
        assert (
            f"is profile rob in {tmp_path}/config/config.toml; its token is in {tmp_path}/config/acc"
            in ended.out
        )
        assert tokens() == {box.url: {"rob": CANARY}}
        (table,) = profiles().values()
        assert list(profiles()) == ["rob" + host(box.url)] and table["origin"] == box.url
        assert table["MAPSettingsUserKey"]

    @pytest.mark.parametrize("how", ["file", "stdin", "environment", "pipe"])
    def test_json_and_the_account_name_as_profile(self, mapillary, box, tokens, token_file, how):
        env = {"CAMTRAIL_MAPILLARY_URL": box.url}
        arguments = {"file": ["--token-file", token_file], "stdin": ["--token_file", "-"], "environment": [],
                     "pipe": ["--token-file", "/dev/stdin"]}[how]  # fmt: skip
        if how == "environment":
            env["MAPILLARY_TOKEN"] = "sandy"
        if how == "pipe" and os.name == "nt":
            pytest.skip("has no such name")
        token_file.write_text("sandy\n")
        ended = mapillary("authenticate", "--json", *arguments, stdin="sandy\n", env=env)
        assert ended.code == 0, ended.err
        answer = ended.json
        assert (answer["command"], answer["failures"], answer["has_token"]) == (
            "mapillary authenticate",
            [],
            True,
        )
        assert (answer["profile"], answer["user_name"], answer["origin"]) == ("sandy", "sandy", box.url)
        assert len(answer["outputs"]) == 1 and answer["elapsed_s"] >= 0
        assert tokens() == {box.url: {"sandy": "sandy"}}

    def test_a_token_that_the_service_does_not_know(self, mapillary, tokens, token_file, tmp_path):
        with MapillarySandbox(token="another") as box:
            for more in ([], ["-v", "--json"]):
                ended = mapillary(
                    "authenticate", "--token-file", token_file, *more, env={"CAMTRAIL_MAPILLARY_URL": box.url}
                )
                assert ended.code == 6
        assert not (tmp_path / "config").exists()

    def test_a_service_that_repeats_the_token(self, mapillary, token_file):
        said = json.dumps({"error": {"message": f"Malformed access token {CANARY}", "code": 190}})
        with MapillarySandbox(faults=[f"status=401,path=/me,body={said}"]) as box:
            for more in ([], ["-v", "--json"]):
                ended = mapillary(
                    "authenticate", "--token-file", token_file, *more, env={"CAMTRAIL_MAPILLARY_URL": box.url}
                )
                assert ended.code == 6, ended.err

    def test_delete(self, mapillary, box, tokens, token_file, profiles):
        env = {"CAMTRAIL_MAPILLARY_URL": box.url}
        for name in ("rob", "ann"):
            assert (
                mapillary("authenticate", "--user_name", name, "--token-file", token_file, env=env).code == 0
            )
        ended = mapillary("authenticate", "--delete", env=env)
        assert ended.code == 2 and "there are: rob, ann" in ended.err
        ended = mapillary("authenticate", "--delete", "--user_name", "rob", env=env)
        assert (ended.code, ended.out) == (0, "forgot rob and its token\n")
        assert tokens() == {box.url: {"ann": CANARY}} and list(profiles()) == ["ann" + host(box.url)]
        assert mapillary("authenticate", "--delete", "--user_name", "rob", env=env).code == 2
        assert mapillary("authenticate", "--delete", "--json", env=env).json["profile"] == "ann"
        assert tokens() == {}

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "give --token-file FILE (or - for standard input), or set MAPILLARY_TOKEN"),
            (["--jwt", CANARY], "--jwt is not taken"), ([f"--jwt={CANARY}"], "--token-file FILE"),
            (["--user_password", CANARY], "stays in the shell's history"), (["--USER-PASSWORD", CANARY], "is not taken"),
            (["--user_email", "r@x.org", "--user_password", CANARY], "is not taken"),
            ([CANARY], "authenticate takes no arguments"), (["--token", CANARY], "No such option"),
            (["--token-file", "-"], "standard input: has no token"), (["--token-file", "t", "--delete"], "exclude each other"),
            (["--user_email", "r@x.org", "--token-file", "t"], "exclude each other"),
            (["--user_email", "r@x.org"], "there is no terminal to ask at"),
            (["--token-file", "two.txt"], "two.txt: has blanks or lines in it"), (["--token-file", "empty.txt"], "no token in it"),
            (["--token-file", "bin.txt"], "holds no token"), (["--token-file", "big.txt"], "holds no token"),
            (["--delete", "--user_name", "nobody"], "there is no profile nobody"),
        ],
    )  # fmt: skip
    def test_usage(self, mapillary, tmp_path, arguments, words):
        (tmp_path / "two.txt").write_text(f"{CANARY}\n{CANARY}\n")
        (tmp_path / "empty.txt").write_text("\n")
        (tmp_path / "bin.txt").write_bytes(b"\xff\xfe" + CANARY.encode())
        (tmp_path / "big.txt").write_text(CANARY * 10_000)
        env = {"CAMTRAIL_MAPILLARY_URL": "http://127.0.0.1:9"}
        ended = mapillary("authenticate", *arguments, "-v", "--json", env=env)
        assert (ended.code, words in ended.err) == (2, True), ended.err
        assert not (tmp_path / "config").exists() or not list((tmp_path / "config").rglob("*.toml"))

    @pytest.mark.parametrize("file", ["none.txt", "."])
    def test_a_token_file_that_cannot_be_read(self, mapillary, file):
        ended = mapillary("authenticate", "--token-file", file)
        assert ended.code == 4 and file in ended.err

    def test_a_token_in_the_environment_that_is_none(self, mapillary):
        ended = mapillary("authenticate", env={"MAPILLARY_TOKEN": f"{CANARY} {CANARY}"})
        assert ended.code == 2 and "MAPILLARY_TOKEN: has blanks" in ended.err

    def test_a_broken_configuration_is_named(self, mapillary, tmp_path, box, token_file):
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "config.toml").write_text("[profiles")
        ended = mapillary("authenticate", "--token-file", token_file, env={"CAMTRAIL_MAPILLARY_URL": box.url})
        assert ended.code == 2 and "config.toml: cannot be used" in ended.err

    def test_an_address_that_is_none(self, mapillary, token_file):
        ended = mapillary(
            "authenticate", "--token-file", token_file, env={"CAMTRAIL_MAPILLARY_URL": "nonsense"}
        )
        assert ended.code == 2 and "nonsense" in ended.err

    @posix
    def test_the_command_line_of_a_running_call_has_no_token(self, tmp_path, box, monkeypatch):
        """What others see of a process: the name of the file, not what it holds."""
        monkeypatch.setenv("CAMTRAIL_CONFIG", str(tmp_path / "config.toml"))
        box.set_faults(["stall=0.3,path=/me,times=1"])
        os.mkfifo(tmp_path / "pipe")
        with subprocess.Popen(
            [sys.executable, "-m", "camtrail", "mapillary", "authenticate", "--token-file", tmp_path / "pipe"],
            env={**os.environ, "CAMTRAIL_MAPILLARY_URL": box.url}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as run:  # fmt: skip
            (tmp_path / "pipe").write_text(CANARY)
            if os.path.isdir("/proc/self"):
                with open(f"/proc/{run.pid}/cmdline", "rb") as file:
                    assert CANARY.encode() not in file.read()
            out, _ = run.communicate(timeout=30)
        assert CANARY.encode() not in out


class TestEditConfig:
    def test_keys_of_a_profile(self, mapillary, profiles, tmp_path):
        ended = mapillary(
            "edit_config", "--user_name", "rob", "MAPSettingsUsername=rob", "organization_key=77"
        )
        assert ended.code == 0, ended.err
        assert ended.out == (
            f"set MAPSettingsUsername, organization_key of rob in {tmp_path}/config/config.toml\n"
        )
        assert profiles() == {"rob": {"MAPSettingsUsername": "rob", "organization_key": "77"}}
        assert (
            mapillary("edit_config", "organization_key=", "MAPSettingsUserKey=1=2").code == 0
        )  # the only profile
        assert profiles() == {"rob": {"MAPSettingsUsername": "rob", "MAPSettingsUserKey": "1=2"}}

    def test_json(self, mapillary, tmp_path):
        answer = mapillary("edit-config", "--json", "--user_name", "rob", "MAPSettingsUserKey=1").json
        assert (answer["command"], answer["profile"], answer["keys"]) == (
            "mapillary edit_config",
            "rob",
            ["MAPSettingsUserKey"],
        )
        assert answer["outputs"] == [f"{tmp_path}/config/config.toml"]

    @pytest.mark.parametrize("value", ["@token.txt", "-", "@-"])
    def test_a_token_from_a_file_or_standard_input(self, mapillary, tokens, profiles, token_file, value):
        ended = mapillary(
            "edit_config", "--user_name", "rob", f"user_upload_token={value}", stdin=CANARY + "\n"
        )
        assert ended.code == 0 and "warning" not in ended.err
        assert tokens() == {REAL: {"rob": CANARY}} and profiles() == {"rob": {}}

    def test_a_token_on_the_command_line_works_with_a_warning(self, mapillary, tokens):
        ended = mapillary("edit_config", "--user_name", "rob", f"user_upload_token={CANARY}")
        assert ended.code == 0
        assert (
            "can be seen by others on this machine" in ended.err
            and "authenticate is the safe way" in ended.err
        )
        assert tokens() == {REAL: {"rob": CANARY}}
        assert mapillary("edit_config", "user_upload_token=").code == 0
        assert tokens() == {}

    def test_an_ini_file(self, mapillary, tmp_path, tokens):
        (tmp_path / "old").write_text("# c\n[ann]\nx = 1\n")
        ended = mapillary("edit_config", "old", "--user_name", "rob", "MAPSettingsUsername=rob", "user_upload_token=-",
                          "Other=a=b", stdin=CANARY)  # fmt: skip
        assert ended.code == 0, ended.err
        assert ended.out == "set MAPSettingsUsername, user_upload_token, Other of rob in old\n"
        assert (tmp_path / "old").read_text() == (
            f"# c\n[ann]\nx = 1\n\n[rob]\nMAPSettingsUsername = rob\nuser_upload_token = {CANARY}\nOther = a=b\n"
        )
        assert os.name == "nt" or (tmp_path / "old").stat().st_mode & 0o777 == 0o600
        assert not (tmp_path / "config" / "config.toml").exists() and tokens() == {}

    def test_a_file_whose_name_has_an_equals_sign(self, mapillary, tmp_path):
        (tmp_path / "a=b").write_text("")
        assert mapillary("edit_config", "a=b", "--user_name", "rob", "k=v").code == 0
        assert (tmp_path / "a=b").read_text() == "[rob]\nk = v\n"

    @pytest.mark.parametrize("where", [[], ["old"]])
    def test_answers_in_standard_input(self, mapillary, tmp_path, tokens, profiles, where):
        lines = ["rob", "MAPSettingsUsername", "rob", "user_upload_token", CANARY, "d", "not read"]
        for end in ([*lines], lines[:5], [*lines[:5], ""]):
            ended = mapillary("edit_config", *where, stdin="\n".join([*end, ""]))
            assert ended.code == 0, ended.err
        if where:
            text = f"[rob]\nMAPSettingsUsername = rob\nuser_upload_token = {CANARY}\n"
            assert (tmp_path / "old").read_text() == text
        else:
            assert tokens() == {REAL: {"rob": CANARY}} and profiles() == {
                "rob": {"MAPSettingsUsername": "rob"}
            }

    @pytest.mark.parametrize(
        ("arguments", "stdin", "words"),
        [
            ([], "", "there is nothing to set"), (["old"], "", "there is nothing to set"), ([], "rob\nd\n", "nothing to set"),
            ([], "rob\nuser_upload_token\n", "standard input ends before its value"), ([], "rob\nno key\nx\n", "no key: is no name"),
            (["a=1"], "", "which profile is not said"), (["old", "a=1"], "", "give --user_name"),
            (["--user_name", "rob", "user_upload_token", CANARY], "", "more than one PATH"),
            (["--user_name", "rob", "=x"], "", "is no name of a key"), (["--user_name", "rob", "a b=x"], "", "is no name of a key"),
            (["--user_name", "rob", f"user_permission_hash={CANARY}"], "", "no secret is kept in config.toml"),
            (["--user_name", "rob", f"user_upload_token={CANARY} {CANARY}"], "", "has blanks or lines"),
            (["--user_name", "rob", "user_upload_token=@empty.txt"], "", "empty.txt: has no token"),
            (["--user_name", "a\nb", "k=v"], "", "is no name of a profile"), (["--jwt", CANARY], "", "--jwt is not taken"),
            (["--user_name", "rob", "origin=http://x"], "", "is set by camtrail itself"), (["."], "", "is a folder"),
            (["broken", "--user_name", "rob", "k=v"], "", "broken: is no INI file"),
        ],
    )  # fmt: skip
    def test_usage(self, mapillary, tmp_path, arguments, stdin, words):
        (tmp_path / "empty.txt").write_text("")
        (tmp_path / "broken").write_text(CANARY)
        (tmp_path / "broken").chmod(0o600)
        ended = mapillary("edit_config", *arguments, "-v", "--json", stdin=stdin)
        assert (ended.code, words in ended.err) == (2, True), ended.err
        assert not (tmp_path / "config" / "config.toml").exists() and not (tmp_path / "old").exists()

    def test_unknown_keys_are_kept_with_a_warning(self, mapillary, profiles):
        ended = mapillary("edit_config", "--user_name", "rob", "Favourite=x")
        assert ended.code == 0 and "warning: Favourite: camtrail does not know this key" in ended.err
        assert profiles() == {"rob": {"Favourite": "x"}}

    def test_a_profile_of_the_older_file_is_edited_in_ours(self, mapillary, clean, profiles):
        old = clean / ".config" / "mapillary" / "config"
        old.parent.mkdir(parents=True)
        old.write_text(f"[rob]\nuser_upload_token = {CANARY}\n")
        assert mapillary("edit_config", "organization_key=5").code == 0
        assert profiles() == {"rob": {"organization_key": "5"}}
        assert old.read_text() == f"[rob]\nuser_upload_token = {CANARY}\n"

    def test_where_xdg_says(self, mapillary, tmp_path, profiles):
        old = tmp_path / "xdg" / "mapillary" / "config"
        old.parent.mkdir(parents=True)
        old.write_text("[xavier]\nuser_upload_token = x\n")
        assert (
            mapillary(
                "edit_config", "organization_key=5", env={"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
            ).code
            == 0
        )
        assert list(profiles()) == ["xavier"]


@posix
class TestTerminal:
    """Questions at a terminal of its own; what is secret is not shown while it is typed."""

    def typed(self, tmp_path, arguments, answers, env):
        """(exit code, everything the terminal showed)."""
        import pty

        master, slave = pty.openpty()
        child = (
            "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR));"  # it becomes the process's own terminal
            "sys.argv = ['camtrail', *sys.argv[1:]]; from camtrail.cli.main import main; main()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", child, "mapillary", *arguments],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=tmp_path,
            env={**os.environ, "CAMTRAIL_CONFIG": str(tmp_path / "config" / "config.toml"), **env},
        ) as run:  # fmt: skip
            os.close(slave)
            try:
                seen = "".join(self.talk(master, list(answers)))
            except BaseException:
                run.kill()
                raise
            finally:
                os.close(master)
        return run.returncode, seen

    def talk(self, master, answers):
        """What the terminal shows, piece by piece; each question that was expected gets its answer."""
        import select

        unread = ""
        while True:
            assert select.select([master], [], [], 30)[0], f"it waits; the terminal shows {unread!r}"
            try:
                piece = os.read(master, 1 << 16).decode(errors="replace")
            except OSError:  # the other end is closed
                piece = ""
            if not piece:
                assert not answers, f"was not asked: {answers}"
                return
            yield piece
            unread += piece
            last = unread.rpartition("\n")[2]
            if answers and last.startswith(answers[0][0]) and last.endswith(": "):
                _, answer = answers.pop(0)
                unread = ""
                os.write(master, answer.encode() + b"\n")

    def test_a_ready_token(self, tmp_path, box, tokens):
        code, seen = self.typed(
            tmp_path, ["authenticate"], [("Token", CANARY)], {"CAMTRAIL_MAPILLARY_URL": box.url}
        )
        assert code == 0, seen
        assert list(tokens()[box.url].values()) == [CANARY] and CANARY not in seen
        assert "mapillary.com/dashboard/developers" in seen

    def test_email_and_password(self, tmp_path, box, tokens):
        env = {"CAMTRAIL_MAPILLARY_URL": box.url, "MAPILLARY_CLIENT_TOKEN": CLIENT}
        answers = [("E-mail", "rob@example.org"), ("Password", "wrong"), ("Password", CANARY)]
        code, seen = self.typed(tmp_path, ["authenticate", "--user_name", "rob"], answers, env)
        assert code == 0, seen
        assert CANARY not in seen and list(tokens()[box.url]) == ["rob"]
        assert box.received()["logins"] == 1

    def test_a_password_that_stays_wrong(self, tmp_path, box, tokens):
        env = {"CAMTRAIL_MAPILLARY_URL": box.url, "MAPILLARY_CLIENT_TOKEN": CLIENT}
        answers = [("Password", "wrong")] * 3
        code, seen = self.typed(tmp_path, ["authenticate", "--user_email", "r@x.org"], answers, env)
        assert code == 6, seen
        assert tokens() == {}

    def test_no_email_means_a_token(self, tmp_path, box, tokens):
        env = {"CAMTRAIL_MAPILLARY_URL": box.url, "MAPILLARY_CLIENT_TOKEN": CLIENT}
        code, seen = self.typed(tmp_path, ["authenticate"], [("E-mail", ""), ("Token", CANARY)], env)
        assert code == 0 and CANARY not in seen
        assert list(tokens()[box.url].values()) == [CANARY]

    def test_an_email_without_the_token_of_an_app(self, tmp_path, box):
        code, seen = self.typed(
            tmp_path, ["authenticate", "--user_email", "r@x.org"], [], {"CAMTRAIL_MAPILLARY_URL": box.url}
        )
        assert code == 2 and "MAPILLARY_CLIENT_TOKEN" in seen and "dashboard/developers" in seen

    def test_edit_config_asks(self, tmp_path, tokens, profiles):
        answers = [
            ("User name", "rob"), ("Key", "MAPSettingsUsername"), ("Value of MAPSettingsUsername", "Rob"),
            ("Key (none or d: that is all): ", "user_upload_token"), ("Value of user_upload_token", CANARY), ("Key", "d"),
        ]  # fmt: skip
        code, seen = self.typed(tmp_path, ["edit_config"], answers, {})
        assert code == 0, seen
        assert CANARY not in seen
        assert tokens() == {REAL: {"rob": CANARY}} and profiles() == {"rob": {"MAPSettingsUsername": "Rob"}}

    def test_an_interrupted_question_changes_nothing(self, tmp_path):
        code, _ = self.typed(tmp_path, ["edit_config"], [("User name", "rob"), ("Key", "\x03")], {})
        assert code == 130 and not (tmp_path / "config").exists()


def test_a_token_in_a_message_of_any_kind_is_blanked(monkeypatch, capsys):
    import click

    from camtrail.cli import main as cli
    from camtrail.core.errors import UsageError
    from camtrail.core.secrets import Secret

    said = f"bad {Secret(CANARY).reveal()} given"
    for error in (click.UsageError(said), UsageError(said), ZeroDivisionError(said)):

        def raising(*_, error=error, **__):
            raise error

        monkeypatch.setattr(cli.cli, "main", raising)
        assert cli._ended() in (1, 2)
        err = capsys.readouterr().err
        assert "bad *** given" in err and CANARY not in err


class TestPlainHttp:
    """An address that its user named may be http; what that means is said once."""

    @pytest.mark.parametrize("url", ["http://192.0.2.1:9", "http://box.invalid"])
    def test_away_from_this_machine_is_told(self, mapillary, tmp_path, url):
        (tmp_path / "token").write_text("sandy")
        env = {"CAMTRAIL_MAPILLARY_URL": url}
        ended = mapillary("edit-config", "--user_name", "rob", "MAPSettingsUserKey=1", env=env)
        assert ended.code == 0 and ended.err.count("can be read on the way") == 1

    @pytest.mark.parametrize(
        "url", ["", "https://box.invalid", "http://127.0.0.1:9", "http://[::1]:9", "http://localhost"]
    )
    def test_is_nothing_to_tell_here(self, mapillary, url):
        env = {"CAMTRAIL_MAPILLARY_URL": url}
        ended = mapillary("edit-config", "--user_name", "rob", "MAPSettingsUserKey=1", env=env)
        assert ended.code == 0 and ended.err == ""
