"""Models behind an HTTP endpoint that speaks OpenAI's chat completions: vLLM, Ollama, llama.cpp, and paid services."""

import base64
import json
import logging
import os
import time
from typing import Any

from PIL import Image

from hoprior.common.reading import interpreting, parse_json
from hoprior.errors import HopriorError
from hoprior.language.describe.chat import image_bytes
from hoprior.language.describe.exchange import within_time
from hoprior.language.schema import Json

logger = logging.getLogger(__name__)

KEY_VARIABLES = ("HOPRIOR_API_KEY", "OPENAI_API_KEY")
TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""HTTP states after which the same question may be answered."""
MAX_WAIT = 30.0
"""Seconds between two tries, whatever a server asks for."""
MAX_ANSWER = 4 << 20
"""Bytes."""


class Endpoint:
    """A chat model at a URL. What is asked leaves this machine if the URL does.

    Args:
        url: up to the version, `http://localhost:8000/v1` (vLLM, llama.cpp) or `http://localhost:11434/v1` (Ollama).
        model: as the server calls it.
        api_key: if the server wants one; HOPRIOR_API_KEY or OPENAI_API_KEY of the environment without.
        timeout: seconds that one answer may take, from first to last byte.
        retries: tries after the first, for servers that are busy, slow or broken for a moment.
        backoff: seconds before the first of them; twice as long before each next one.
    """

    def __init__(
        self,
        url: str,
        model: str,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 3,
        backoff: float = 1.0,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise HopriorError(f"endpoint '{url}': an address starts with http:// or https://")
        if timeout <= 0 or retries < 0 or backoff < 0:
            raise HopriorError(f"endpoint {url}: timeout {timeout} must be above 0, retries and backoff at least 0")
        self.url, self.model = url.rstrip("/"), model
        self.api_key = api_key or next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)
        self.timeout, self.retries, self.backoff = timeout, retries, backoff

    @property
    def name(self) -> str:
        """The model and where it is."""
        return f"{self.model} at {self.url}"

    def answer(self, prompt: str, image: Image.Image | None = None, schema: Json | None = None) -> str:
        """See `Chat`. It asks again while the server is busy, broken or silent.

        Raises:
            HopriorError: no answer after all tries, or the server refuses the question.
        """
        body = json.dumps(self._body(prompt, image, schema)).encode()
        reason = ""
        for attempt in range(self.retries + 1):
            try:
                return _text_of(self._post(body))
            except _Passing as passing:
                reason = str(passing)
                wait = min(max(passing.wait, self.backoff * 2**attempt), MAX_WAIT)
            if attempt < self.retries:
                logger.info("%s: %s; trying again in %.1f s", self.name, reason, wait)
                time.sleep(wait)
        raise HopriorError(
            f"{self.url}: no answer from {self.model} after {self.retries + 1} tries ({reason}): is the server"
            " running, is this its address, and has it loaded the model?"
        )

    def _body(self, prompt: str, image: Image.Image | None, schema: Json | None) -> Json:
        content: Any = prompt
        if image is not None:
            picture = base64.b64encode(image_bytes(image)).decode()
            content = [
                {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}},
                {"type": "text", "text": prompt},
            ]
        body: Json = {"model": self.model, "messages": [{"role": "user", "content": content}], "temperature": 0}
        if schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "affordance", "schema": schema, "strict": True},
            }
        return body

    def _post(self, body: bytes) -> bytes:
        """The server's answer to one request, within the time that it has."""
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        reply = within_time(f"{self.url}/chat/completions", body, headers, self.timeout, MAX_ANSWER)
        if isinstance(reply, TimeoutError):
            raise _Passing(f"no whole answer within {self.timeout:g} s") from reply
        if isinstance(reply, Exception):
            raise _Passing(_connection_fault(reply)) from reply
        if len(reply.content) > MAX_ANSWER:
            raise HopriorError(f"{self.url}: the answer is longer than {MAX_ANSWER >> 20} MiB: not a chat")
        if reply.status in TRY_AGAIN:
            after = reply.retry_after
            raise _Passing(f"HTTP {reply.status}", float(after) if after.isdecimal() and len(after) < 10 else 0.0)
        if 300 <= reply.status < 400:
            # Prompt and picture were meant for this server and go to no other.
            raise HopriorError(f"{self.url}: the server sends on to another address: give the one that answers itself")
        if reply.status != 200:
            said = " ".join(reply.content.decode(errors="replace").split())[:200]
            raise HopriorError(f"{self.url}: the server refuses {self.model} (HTTP {reply.status}: {said})")
        return reply.content


class _Passing(Exception):
    """A fault that may be over in a moment; `wait` seconds, if the server says so."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def _text_of(content: bytes) -> str:
    """The message in a chat completion."""
    try:
        with interpreting("the answer"):
            text = parse_json(content, "the answer")["choices"][0]["message"]["content"]
    except HopriorError as error:
        raise _Passing("an answer that is no chat completion") from error
    if not isinstance(text, str) or not text.strip():
        raise _Passing("an empty answer")
    return text


def _connection_fault(error: Exception) -> str:
    words = str(error)
    for sign, meaning in (
        ("refused", "connection refused"),
        ("resolve", "no such host"),
        ("aborted", "the connection broke off"),
        ("broken", "the connection broke off"),
    ):
        if sign in words:
            return meaning
    return type(error).__name__
