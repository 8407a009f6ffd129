"""Asks the worker in this container whether it lives: exit code 0 when `/healthz` says so. Standard library only."""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4


def main() -> int:
    """The answer, also in words: docker keeps them for `docker inspect`."""
    url = f"http://127.0.0.1:{os.environ.get('M1CEP_WEB_PORT', '8080')}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            print(answer.read(2000).decode(errors="replace"))
    except urllib.error.HTTPError as error:
        print(f"{error.code}: {error.read(2000).decode(errors='replace')}")
        return 1
    except OSError as error:
        print(f"no answer: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
