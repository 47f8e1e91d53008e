"""The check behind an upload: POST a picture, and get its label, what the app should do, and why.

    uvicorn --app-dir examples --limit-concurrency 16 fastapi_upload:app
    curl -F picture=@examples/chat_grooming.png -F age=child http://127.0.0.1:8000/check

Only an answer with status 200 and the label "safe" may be shown. Any other answer, and none at all, means: do not show.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from fastapi import FastAPI, Form, HTTPException, Request, UploadFile
from pydantic import BaseModel
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kidsnanny import Pipeline

LARGEST = 20 * 2**20
"""Bytes of a request's body."""
MultiPartParser.spool_max_size = LARGEST  # uploads stay in memory: a larger one would be written to a temporary file

logging.basicConfig(format="%(asctime)s %(message)s")
logging.getLogger("kidsnanny").setLevel(logging.INFO)  # a hash, format, size and label; no file name and no text


class Answer(BaseModel):
    label: Literal["safe", "review", "unsafe"]
    action: Literal["show", "warn", "block", "support"]
    why: str
    """For people. It quotes what is written in the picture, so show it as plain text."""


class BodyLimit:
    """Stops reading a request whose body is larger than LARGEST, whatever its Content-Length says."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = LARGEST

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, f"The upload is larger than {LARGEST:,} bytes; send a smaller picture.")
            return message

        await self.app(scope, counted, send)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with Pipeline() as pipeline:  # once a process: loading the models is the slow part
        app.state.pipeline = pipeline.warm_up()
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(BodyLimit)


@app.post("/check")
async def check(
    request: Request, picture: UploadFile, age: Annotated[Literal["child", "preteen", "teen"], Form()] = "preteen"
) -> Answer:
    """A file that is no picture, or a broken one, is answered like any other: with "review". An exception becomes
    status 500, which has no label."""
    pipeline: Pipeline = request.app.state.pipeline
    verdict = await pipeline.acheck(await picture.read(), name=picture.filename, policy=age)
    return Answer(label=verdict.label, action=verdict.action, why=str(verdict))
