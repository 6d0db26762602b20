"""The end of a reply that cannot be finished: a stream gets an event and `[DONE]`."""

import json

from starlette.types import Receive, Scope, Send

from slmmux.gateway.failures import Failure
from slmmux.gateway.operations.record import Record


async def end_early(
    record: Record, failure: Failure, scope: Scope, receive: Receive, send: Send
) -> None:
    """Say why, as far as the reply has not been sent.

    Args:
        record: of the request.
        failure: what its client is told.
        scope: of the request.
        receive: of the request.
        send: that notes what is sent.
    """
    if record.complete:
        return
    if record.status == 0:
        await failure.response()(scope, receive, send)
    elif record.streams:
        last = f"data: {json.dumps(failure.to_json())}\n\ndata: [DONE]\n\n".encode()
        await send({"type": "http.response.body", "body": last, "more_body": False})
    # Of any other reply a part was sent: the connection closes, and the client sees that.
