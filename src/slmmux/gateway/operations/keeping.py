"""A reload loads no weights that are loaded: engines that would be the same go on.

An engine is then in what was served and in what is; the last one that has it closes it.
"""

from typing import Protocol, runtime_checkable

from slmmux.engines.base import Engine, Pool
from slmmux.gateway.operations.guarded import unguarded


@runtime_checkable
class Lasting(Protocol):
    """An engine that is dear to start."""

    def stands_for(self, other: object) -> bool:
        """Whether it runs, and is what the other engine would start."""


def kept(new: Pool, old: Pool) -> Pool:
    """The new pool, with engines of the old one where they are as good.

    Args:
        new: nothing was sent to its engines.
        old: that is served.
    """
    lasting = [e for e in map(unguarded, old.engines.values()) if isinstance(e, Lasting)]

    def best(engine: Engine) -> Engine:
        return next((known for known in lasting if known.stands_for(engine)), engine)

    instead = {engine: best(engine) for engine in new.engines.values()}
    return Pool(new.models, {name: instead[engine] for name, engine in new.engines.items()})


async def close_all_but(pool: Pool, staying: Pool) -> None:
    """Close the engines of a pool that the other pool does not have."""
    needed = set(map(unguarded, staying.engines.values()))
    for engine in dict.fromkeys(map(unguarded, pool.engines.values())):
        if engine not in needed:
            await engine.close()
