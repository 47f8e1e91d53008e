"""An OpenAI-compatible server on this machine that answers as it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ChatServer:
    """Answers every question with `answer`: a text, or the status of a refusal.

    What it was asked is in `asked`, and the keys that it was shown in `keys`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answer: str | int | None = ""
        self.ended = "stop"
        self.models = ["base", "base-with-lora"]
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    def reply(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "GET" and path == "/v1/models":
            return 200, {"data": [{"id": name} for name in self.models]}
        self.asked.append(json.loads(body))
        if isinstance(self.answer, int):
            return self.answer, {"error": "no"}
        return 200, {"choices": [{"message": {"content": self.answer}, "finish_reason": self.ended}]}


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """One that listens until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            found.keys.append(self.headers["Authorization"])
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            status, answer = found.reply(self.command, self.path, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found = ChatServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()
