"""The short form of python -m tests.load: under more than it can take, a server answers, and does not swell."""

from pathlib import Path

from tests.load.scenes import all_scenes, opened


def test_a_server_under_load_answers_and_does_not_swell(tmp_path: Path):
    server = opened(tmp_path, CREWSHIP_QUEUE="30")
    told = all_scenes(server, 0.04, lambda line: print(line))
    assert server.stop() == 0
    assert [figures.scene for figures in told] == [
        "idle streams",
        "slow readers",
        "slow writers",
        "loud neighbour",
        "flood",
    ]
    for figures in told:
        assert figures.health, figures.told()
        assert figures.memory_most - figures.memory_before < 100, figures.told()
    assert set(told[-1].answers) == {202, 503}, told[-1].told()
