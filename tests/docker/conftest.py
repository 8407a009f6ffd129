import subprocess
import sys
from pathlib import Path

import pytest

DOCKER = Path(__file__).parents[2] / "docker"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """What docker/prepare.py makes, with everything, twice: the second time it has nothing left to do."""
    folder = tmp_path_factory.mktemp("docker") / "secrets"
    program = (
        f"import sys; sys.path.insert(0, {str(DOCKER)!r}); import pathlib, prepare; "
        f"sys.exit(prepare.main(['--tls', '--custody'], pathlib.Path({str(folder)!r}), (sys.executable, '-m', 'streams.cli')))"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], check=True, cwd=DOCKER.parent, timeout=240)
    return folder
