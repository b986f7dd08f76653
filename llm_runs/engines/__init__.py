"""Engines: they draw responses to prompts under the weights last pushed to them. Nothing is learned.

`CachedEngine` samples any model of transformers (`CopiedEngine` where its learner is sharded), `VLLMEngine`
does so with vLLM, and `Canary` checks that an engine has the learner's weights. The engine of tiny models is
`llm_runs.tiny.StackedEngine`. Names load on first use.
"""

from typing import TYPE_CHECKING

from banditrft.lazy import lazy

if TYPE_CHECKING:
    from llm_runs.engines.cached import CachedEngine, CopiedEngine
    from llm_runs.engines.canary import Canary, StaleWeightsError
    from llm_runs.engines.drawing import draws
    from llm_runs.engines.vllm import VLLMEngine

_HOMES = {
    "CachedEngine": "llm_runs.engines.cached",
    "Canary": "llm_runs.engines.canary",
    "CopiedEngine": "llm_runs.engines.cached",
    "StaleWeightsError": "llm_runs.engines.canary",
    "VLLMEngine": "llm_runs.engines.vllm",
    "draws": "llm_runs.engines.drawing",
}
__all__ = ["CachedEngine", "Canary", "CopiedEngine", "StaleWeightsError", "VLLMEngine", "draws"]
__getattr__, __dir__ = lazy(__name__, _HOMES)
