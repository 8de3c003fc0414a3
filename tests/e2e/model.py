"""A model's end of the wire: an OpenAI-compatible server on loopback, the only thing in the tests that is not real."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ["Agents ", "need ", "a ", "home."]


class Model(BaseHTTPRequestHandler):
    """Calls the tool `web_search` once if it is offered one, then answers in a few words; streams when asked to.

    A prompt that wants thoughts and actions as text gets them as text.
    """

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        faults = self.server.faults  # type: ignore[attr-defined]
        if faults:
            self._fail(faults.pop(0))
            return
        if self.headers.get("Authorization") != "Bearer sk-of-the-tests":
            self._answer(401, {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}})
            return
        searched = any(message["role"] == "tool" for message in body["messages"])
        message: dict[str, Any] = {"role": "assistant", "content": "".join(WORDS)}
        if body.get("tools") and not searched:
            arguments = json.dumps({"query": "AI agents 2024"})
            call = {"id": "call_1", "type": "function", "function": {"name": "web_search", "arguments": arguments}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        elif "Final Answer:" in str(body["messages"]):
            message["content"] = _in_words(body["messages"])
        if body.get("stream"):
            self._stream(message)
            return
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        self._answer(200, {**self._head("chat.completion"), "choices": [choice], "usage": usage})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": int(time.time()), "model": "gpt-4o-mini"}

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _fail(self, fault: int | str) -> None:
        """A status, or a text that is no JSON."""
        if isinstance(fault, int):
            self._answer(fault, {"error": {"message": f"the model answers {fault}", "type": "fault"}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(fault.encode())

    def _stream(self, message: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        calls = [{**call, "index": 0} for call in message.get("tool_calls", [])]
        deltas = [{"role": "assistant", "tool_calls": calls}] if calls else [{"content": word} for word in WORDS]
        for delta in [*deltas, {}]:
            end = None if delta else "stop"
            choice = {"index": 0, "delta": delta, "finish_reason": end}
            chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")


def _in_words(messages: list[dict[str, Any]]) -> str:
    """What a model says that was taught to call tools in words: first the call, and after it the answer."""
    said = [str(message["content"]) for message in messages if message["role"] == "assistant"]
    if "Action Input:" not in str(messages) or any("Action Input:" in each for each in said):
        return f"Thought: I now can give a great answer\nFinal Answer: {''.join(WORDS)}"
    return 'Thought: I should look\nAction: web_search\nAction Input: {"query": "AI agents 2024"}'


@contextmanager
def model(*faults: int | str) -> Iterator[str]:
    """The base URL of a running model; its first answers are the faults, statuses or texts that are no JSON."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    server.faults = list(faults)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
