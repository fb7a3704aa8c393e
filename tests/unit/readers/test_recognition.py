"""Which reader takes a file, where nobody says it: none fails at what it does not know."""

import os
from pathlib import Path

import pytest

from archbench.cli.main import main

WORDS = ("--params", "1e6", "--tokens", "D", "--loss", "loss", "--arch", "gpt2", "--batch-tokens", "4096")
MEANT = ("--param-convention", "total", "--track", "causal")
NAMES = ("x.csv", "x.tsv", "x.json", "x.jsonl", "x.parquet", "x.log", "x.txt", "x.db", "x.wandb", "x", "é b.csv",
         "trainer_state.json", "events.out.tfevents.1.host")  # fmt: skip


@pytest.mark.parametrize(
    "saved", [b"", b"\n", b"\0\0\0", b",", b"\xff\xfe", b"Step", b'"', b'Step,"a - loss', b"[", b"{}", b"\x89PNG\r\n"]
)
def test_no_reader_takes_a_file_of_nothing_for_its_own_and_none_fails_at_it(
    tmp_path: Path, saved: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in NAMES:
        (tmp_path / name).write_bytes(saved)
    for file in sorted(tmp_path.iterdir()):
        with pytest.raises(SystemExit) as ended:
            main(["import", str(file), *WORDS, *MEANT, "--runs", str(tmp_path / "runs")])
        told = capsys.readouterr().err
        assert ended.value.code == 2, told
        assert told.splitlines()[-1].startswith(f"archbench: {file}: "), told
    assert not (tmp_path / "runs").exists()


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(SystemExit) as ended:
        main(["import", str(tmp_path / "x.csv"), *WORDS, *MEANT, "--runs", str(tmp_path / "runs")])
    assert ended.value.code == 2
    assert "x.csv: is neither a file nor a folder" in capsys.readouterr().err
