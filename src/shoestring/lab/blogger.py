"""Somebody who writes a blog on a real WordPress: logs in, posts, edits, uploads, again and again.

Run as a program in the visitors' namespace; ends when its standard input does. Prints one JSON
object: what the application has acknowledged, and how often it was not. A request that fails is
never repeated as it is; whoever is logged out logs in again, and that is counted.
"""

from __future__ import annotations

import argparse
import http.cookiejar
import json
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import asdict, dataclass, field

ANSWER_SECONDS = 5.0
PAUSE_SECONDS = 0.1
ROUNDS_MAX = 2000
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


@dataclass
class Diary:
    """What was acknowledged: posts with their last content, uploads with their path and time."""

    posts: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, float] = field(default_factory=dict)
    logins: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    doubtful: list[str] = field(default_factory=list)


class Blogger:
    """One person with a browser's cookies."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self._base = f"http://{address}"
        self._user, self._password = user, password
        self._open = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        ).open
        self._nonce = ""
        self.diary = Diary()

    def _ask(
        self, path: str, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        request = urllib.request.Request(f"{self._base}{path}", data, headers or {})  # noqa: S310
        with self._open(request, timeout=ANSWER_SECONDS) as answer:
            body: bytes = answer.read()
        return body

    def _log_in(self) -> None:
        self._ask("/wp-login.php")
        form = {"log": self._user, "pwd": self._password, "testcookie": "1", "wp-submit": "Log In"}
        self._ask("/wp-login.php", urllib.parse.urlencode(form).encode())
        self._nonce = self._ask("/wp-admin/admin-ajax.php?action=rest-nonce").decode().strip()
        self.diary.logins += 1

    def _rest(self, route: str, data: bytes, headers: dict[str, str]) -> dict[str, object]:
        given = {"X-WP-Nonce": self._nonce, **headers}
        found: dict[str, object] = json.loads(
            self._ask(f"/?rest_route=/wp/v2/{route}", data, given)
        )
        return found

    def _json(self, route: str, body: dict[str, str]) -> dict[str, object]:
        return self._rest(route, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _post(self, number: int) -> None:
        text = f"written in round {number}"
        made = self._json(
            "posts", {"title": f"Post {number}", "content": text, "status": "publish"}
        )
        self.diary.posts[str(made["id"])] = text

    def _edit(self, number: int) -> None:
        if self.diary.posts:
            post, text = list(self.diary.posts)[-1], f"edited in round {number}"
            self.diary.doubtful.append(post)
            self._json(f"posts/{post}", {"content": text})
            self.diary.doubtful.remove(post)
            self.diary.posts[post] = text

    def _upload(self, number: int) -> None:
        name = f"picture-{number}.png"
        headers = {
            "Content-Type": "image/png",
            "Content-Disposition": f'attachment; filename="{name}"',
        }
        made = self._rest("media", PIXEL, headers)
        path = str(made["source_url"]).split("/wp-content/uploads/")[1]
        self.diary.uploads[path] = time.time()

    def run(self, ended: threading.Event) -> None:
        """Write until told to end."""
        for number in range(ROUNDS_MAX):
            for step in (self._post, self._edit, self._upload):
                if ended.wait(PAUSE_SECONDS):
                    return
                self._try(step, number)

    def _try(self, step: object, number: int) -> None:
        assert callable(step)
        try:
            if not self._nonce:
                self._log_in()
            step(number)
        except urllib.error.HTTPError as error:
            self._failed(f"status {error.code}")
            if error.code in (401, 403):
                self._nonce = ""
        except (OSError, ValueError, KeyError) as error:
            self._failed(type(error).__name__)

    def _failed(self, why: str) -> None:
        self.diary.failed[why] = self.diary.failed.get(why, 0) + 1


def main() -> None:
    """Write, then print the diary."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    said = parser.parse_args()
    ended = threading.Event()
    blogger = Blogger(said.address, said.user, said.password)
    thread = threading.Thread(target=blogger.run, args=(ended,), daemon=True)
    thread.start()
    sys.stderr.write("writing\n")
    sys.stderr.flush()
    sys.stdin.read()
    ended.set()
    thread.join(3 * ANSWER_SECONDS)
    json.dump(asdict(blogger.diary), sys.stdout)


if __name__ == "__main__":
    main()
