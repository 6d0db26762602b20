"""The pools that need no configuration: weights that come as packages, run embedded.

Both are prompted as base models with solved examples: on small problems SmolLM2 answers about three
times as many correctly that way as through its chat template. The demo's prompts were chosen by
benchmarks/choose_prompts.py on problems that the demo never asks; the examples are problems of the
same generator under another seed, and the validation accuracies are that benchmark's.
"""

from collections.abc import Callable

from slmmux.tasks.arithmetic import shown
from slmmux.types import Example, Model, PromptStyle

_TOPICS = ("sum", "difference", "product", "gcd", "largest", "letters")

_SHORT = (
    Example("What is 12 + 30?", "42"),
    Example("What is the capital of Spain?", "Madrid"),
    Example("Is ice colder than steam?", "yes"),
    Example("Which is an animal?\n\nA) a cup\nB) a horse\nC) a shirt", "B"),
    Example("How many sides does a square have?", "4"),
    Example("What is 9 × 6?", "54"),
)

_STATED = (
    Example("What is 12 + 30?", "12 + 30 = 42. The answer is 42."),
    Example("What is the capital of Spain?", "The answer is Madrid."),
    Example("Is ice colder than steam?", "The answer is yes."),
    Example("Which is an animal?\n\nA) a cup\nB) a horse\nC) a shirt", "The answer is (B)."),
    Example("What is 9 × 6?", "9 × 6 = 54. The answer is 54."),
)

DEFAULT_MODELS = (
    Model(
        name="smollm2-135m",
        model="smollm2-135m",
        api="completions",
        prompt=PromptStyle(examples=_SHORT),
        max_tokens=64,
    ),
    Model(
        name="gemma3-270m",
        model="gemma3-270m",
        api="completions",
        prompt=PromptStyle(examples=_STATED),
        max_tokens=64,
    ),
)


def examples(topics: tuple[str, ...]) -> tuple[Example, ...]:
    """Solved problems of these topics, each used once: those that `tasks.arithmetic` never asks."""
    stock: dict[str, list[Example]] = {}
    for problem in shown():
        example = Example(problem.question.text, problem.reference)
        stock.setdefault(str(problem.metadata["topic"]), []).append(example)
    return tuple(stock[topic].pop(0) for topic in topics)


def few_shot(
    weights: str, name: str, topics: tuple[str, ...], validation_accuracy: float | None = None
) -> Model:
    """A model of the demo: embedded weights under a few-shot prompt of these topics."""
    return Model(
        name=f"{weights.partition('-')[0]}/{name}",
        model=weights,
        api="completions",
        prompt=PromptStyle(examples=examples(topics)),
        temperature=0.5,
        max_tokens=12,
        n="seeded",
        max_concurrency=16,
        validation_accuracy=validation_accuracy,
    )


PROMPTS: dict[str, tuple[str, ...]] = {
    "mixed": _TOPICS,
    "mixed-12": _TOPICS * 2,
    "reversed": _TOPICS[::-1],
    "counting": ("gcd", "letters") * 3,
    "reckoning": ("sum", "difference", "product") * 2,
    "ends": ("gcd", "letters", "largest", "product", "sum", "sum"),
}


def demo_models() -> tuple[Model, ...]:
    """The demo's pool: the four candidates with the highest validation accuracy together."""
    chosen = (
        ("smollm2-135m", "counting", 0.368),
        ("smollm2-135m", "ends", 0.354),
        ("gemma3-270m", "reversed", 0.236),
        ("gemma3-270m", "reckoning", 0.208),
    )
    return tuple(few_shot(w, name, PROMPTS[name], accuracy) for w, name, accuracy in chosen)


def candidates() -> tuple[Model, ...]:
    """What the demo's pool was chosen from: both sets of weights under every prompt."""
    return tuple(
        few_shot(weights, name, topics)
        for weights in ("smollm2-135m", "gemma3-270m")
        for name, topics in PROMPTS.items()
    )


POOLS: dict[str, Callable[[], tuple[Model, ...]]] = {
    "default": lambda: DEFAULT_MODELS,
    "demo": demo_models,
    "candidates": candidates,
}


def built_in_models() -> dict[str, Model]:
    """Every model of every pool here, by name."""
    pools = ("candidates", "demo", "default")
    return {model.name: model for pool in pools for model in POOLS[pool]()}
