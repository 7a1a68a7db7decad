"""`POST /v1/chat/completions`: one paid model call, streamed or whole.

The first visible delta is awaited before headers go out, so a refusal has a real status code. After it the channel
never changes: a broken stream ends with an error event and without `[DONE]`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import orjson
import structlog
from aiohttp import web

from core import billing, calls, router, settings
from core.adapters import UpstreamError
from core.chat import Call, Finish, FinishReason, UsageDelta
from core.chat.assemble import Assembler
from core.chat.tokens import estimate_messages
from core.kit.errors import BadInput, Unavailable, UpstreamFailed
from core.kit.ids import RequestId
from core.kit.scope import current
from web.bodies import read_object
from web.keys import REQUEST_ID
from web.leaving import ClientLeft, unless_client_leaves
from web.v1.auth import caller_of
from web.v1.codecs import openai_chat as codec
from web.v1.errors import error_object

log = structlog.get_logger()

BODY_LIMIT_BYTES = 33 * 1024 * 1024
MAX_KEY_LENGTH = 120


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer one chat completion in the caller's form."""
    account = await caller_of(request)
    body = await read_object(request, limit_bytes=BODY_LIMIT_BYTES)
    call = codec.read(body)
    if current().draining:
        raise Unavailable("draining")
    request_id = request[REQUEST_ID]
    audience = router.Audience.of(account)
    model = router.model(call.model, audience)
    quote = billing.quote(
        model,
        estimate_messages(call.messages, call.tools),
        call.options.max_output or model.profile.max_output,
        settings.get(settings.CREDITS_PER_UNIT),
    )
    deadline_s = float(settings.get(settings.TURN_S))
    named = request.headers.get("Idempotency-Key", "")
    if len(named) > MAX_KEY_LENGTH:
        raise BadInput("field_too_long", field="Idempotency-Key", limit=MAX_KEY_LENGTH)
    held = await calls.reserve(
        calls.Payer.of(account),
        quote,
        key=f"v1:{account.id}:{named or request_id}",
        owner=current().owner,
        expires_in=timedelta(seconds=deadline_s + 300),
        reason=billing.Reason.API,
        work=None,
    )
    paid = calls.paid_stream(call, held, audience=audience, request_id=request_id, deadline_s=deadline_s)
    try:
        if call.stream:
            return await unless_client_leaves(request, f"call {request_id}", _stream(request, call, paid))
        return await unless_client_leaves(request, f"call {request_id}", _whole(call, paid, request_id))
    except ClientLeft:
        log.info("call.client_left", request=request_id)
        return web.Response(status=499)


async def _whole(
    call: Call, stream: contextlib.AbstractAsyncContextManager[calls.PaidStream], request_id: RequestId
) -> web.Response:
    async with stream as paid:
        await paid.open()
        if paid.dialect == codec.DIALECT:
            answer = _with_usage(paid.body(), paid)
        else:
            assembler = Assembler()
            reason = FinishReason.STOP
            async for delta in paid.deltas():
                assembler.feed(delta)
                if isinstance(delta, Finish):
                    reason = delta.reason
            created = int(current().clock.now().timestamp())
            answer = orjson.dumps(
                codec.completion(
                    assembler.parts(), reason, paid.usage, request_id=request_id, model=call.model, created=created
                )
            )
        await _settle(paid, call, request_id)
    return web.Response(body=answer, content_type="application/json", headers={"X-Request-Id": request_id})


async def _stream(
    request: web.Request, call: Call, stream: contextlib.AbstractAsyncContextManager[calls.PaidStream]
) -> web.StreamResponse:
    request_id = request[REQUEST_ID]
    async with stream as paid:
        await paid.open()
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
                "X-Request-Id": request_id,
            }
        )
        await response.prepare(request)
        frames = (_relayed if paid.dialect == codec.DIALECT else _encoded)(call, paid, request_id)
        try:
            async with contextlib.aclosing(frames):  # type: ignore[type-var]
                async for frame in frames:
                    await response.write(frame)
        except UpstreamError as error:
            log.warning("call.cut", request=request_id, fault=error.fault)
            await response.write(codec.event(error_object(UpstreamFailed("upstream_cut", fault=error.fault))))
        await _settle(paid, call, request_id)
        with contextlib.suppress(ConnectionResetError):
            await response.write_eof()
        return response


async def _settle(paid: calls.PaidStream, call: Call, request_id: RequestId) -> None:
    """Charge now; where the database cannot, the answer still goes out, and the block's end tries again for a while."""
    try:
        await paid.settle(None, memo=_memo(call, request_id))
    except Exception as failure:
        log.warning("call.settled_later", request=request_id, error=type(failure).__name__)


def _with_usage(body: bytes, paid: calls.PaidStream) -> bytes:
    """The upstream's own answer; with our count where it tells no usage, since readers expect one."""
    if not paid.estimated:
        return body
    told = orjson.loads(body)
    if told.get("usage"):
        return body
    return orjson.dumps({**told, "usage": codec.usage_object(paid.usage)})


async def _relayed(call: Call, paid: calls.PaidStream, request_id: RequestId) -> AsyncIterator[bytes]:
    """The upstream's own events; the usage that a caller asked for is ours where the upstream told none."""
    wanted = call.raw is not None and codec.wants_usage(call.raw.body)
    async with contextlib.aclosing(paid.frames()) as frames:
        async for frame in frames:
            if wanted and frame.strip() == codec.DONE.strip() and paid.estimated:
                yield _writer(call, request_id).usage(paid.usage)
            yield frame


async def _encoded(call: Call, paid: calls.PaidStream, request_id: RequestId) -> AsyncIterator[bytes]:
    """The chunks of a channel of another dialect; `[DONE]` only after the family's own end sign."""
    writer = _writer(call, request_id)
    async with contextlib.aclosing(paid.deltas()) as deltas:
        async for delta in deltas:
            if not isinstance(delta, UsageDelta):
                yield writer.write(delta)
    if call.raw is not None and codec.wants_usage(call.raw.body):
        yield writer.usage(paid.usage)
    yield codec.DONE


def _writer(call: Call, request_id: RequestId) -> codec.ChunkWriter:
    return codec.ChunkWriter(request_id=request_id, model=call.model, created=int(current().clock.now().timestamp()))


def _memo(call: Call, request_id: RequestId) -> dict[str, str]:
    return {"door": "api", "request": request_id, "model": call.model}
