"""One server a folder, and who it is."""

from pathlib import Path

import pytest

from crewship.datafolder import DataFolder
from domain.errors import Unavailable


def test_a_server_keeps_its_name_and_counts_its_lives(tmp_path: Path):
    first = DataFolder.claim(tmp_path / "data")
    first.release()
    second = DataFolder.claim(tmp_path / "data")
    second.release()
    assert second.identity.server_id == first.identity.server_id
    assert (first.identity.epoch, second.identity.epoch) == (1, 2)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be used"):
        DataFolder.claim(tmp_path / "file" / "data")
