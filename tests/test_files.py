"""Whatever moment a save is killed at, the folder holds the old version or the new one, whole."""

import os
import subprocess
import sys

import pytest

from ostinato import files
from ostinato.files import SaveError, settle, write_together

OLD = {"a": b"old a", "b": b"old b"}
NEW = {"a": b"new a, longer", "b": b"new b"}

# ends the process, as a power cut would, at the n-th call that touches the disk
SCRIPT = """
import os, sys
from pathlib import Path
from ostinato import files
left = int(sys.argv[2])
def counted(function):
    def call(*args, **kwargs):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return function(*args, **kwargs)
    return call
os.replace, os.fsync, files._new = counted(os.replace), counted(os.fsync), counted(files._new)
Path.unlink, Path.open = counted(Path.unlink), counted(Path.open)
files.write_together(Path(sys.argv[1]), {"a": b"new a, longer", "b": b"new b"})
"""


def content(folder):
    settle(folder)
    return {name: (folder / name).read_bytes() for name in OLD}


def test_a_kill_at_any_moment_leaves_one_whole_version(tmp_path):
    seen = []
    for moment in range(60):
        folder = tmp_path / str(moment)
        write_together(folder, OLD)
        command = [sys.executable, "-c", SCRIPT, str(folder), str(moment)]
        code = subprocess.run(command, check=False).returncode
        assert code in (0, 9)
        seen.append(content(folder))
        # and the next save is not disturbed by what was left over
        write_together(folder, OLD)
        assert content(folder) == OLD
        assert sorted(p.name for p in folder.iterdir()) == ["a", "b"]
        if code == 0:
            break
    else:
        pytest.fail("the save never came to its end")
    assert all(one in (OLD, NEW) for one in seen)
    assert seen[0] == OLD
    assert seen[-1] == NEW
    assert len(seen) > 10


def test_a_disk_that_is_full_leaves_the_old_version(tmp_path):
    resource = pytest.importorskip("resource")
    write_together(tmp_path, OLD)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SaveError, match=r"could not save \(File too large\).*intact"):
            write_together(tmp_path, {"a": b"new", "b": b"x" * 5000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert content(tmp_path) == OLD
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_place_that_cannot_be_written_to_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="could not save"):
        write_together(tmp_path / "file" / "folder", OLD)


def test_files_that_are_not_named_stay(tmp_path):
    write_together(tmp_path, OLD)
    write_together(tmp_path, {"b": b"new b"})
    assert content(tmp_path) == {"a": b"old a", "b": b"new b"}


def test_a_reader_in_between_finishes_the_renaming(tmp_path, monkeypatch):
    write_together(tmp_path, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(files, "settle", lambda folder: None)
        write_together(tmp_path, NEW)
    assert {name: (tmp_path / name).read_bytes() for name in OLD} == OLD
    # another reader was faster with one of them
    os.replace(tmp_path / ".a.new", tmp_path / "a")
    assert content(tmp_path) == NEW
