"""What an evaluation writes never replaces anything else."""

import os

import pytest
from planted_paths import noise

from embedding_geometry.perception.frames import write_animation
from embedding_geometry.perception.outputs import check_outputs


def test_outputs_replace_nothing_but_earlier_outputs(tmp_path):
    file, link, pipe = tmp_path / "a.gif", tmp_path / "link", tmp_path / "pipe"
    write_animation(noise(2), file, {})
    link.symlink_to(tmp_path / "nothing")
    os.mkfifo(pipe)
    for output, message in (
        (file, "a.gif is there and is no earlier output"),
        (link, "link is a link or a pipe"),
        (pipe, "pipe is a link or a pipe"),
        (tmp_path, "is a folder; name the file"),
    ):
        for outputs in ((output, None), (None, output)):
            with pytest.raises(ValueError, match=message):
                check_outputs(*outputs)
    with pytest.raises(ValueError, match="for both the CSV and the JSON"):
        check_outputs(tmp_path / "x", tmp_path / "new/../x")
