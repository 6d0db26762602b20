"""The text of a new `slmmux.toml`: the default pool, and an entry for each common server.

In the file, `# ` begins an explanation and `#` without a space a setting that is switched off.
"""

from dataclasses import dataclass

HEAD = """\
# slmmux: several small language models answer together; the most confident one wins.
#
# Lines that begin with "#" and no space are settings that are switched off: take the "#" away to
# switch them on. `slmmux check` tells what each model can do and what is wrong with it.
# API keys stay out of this file: api_key_env names the environment variable with the key, or
# api_key_file the file. Relative paths start from this file's folder.
#
# Every model may have these keys (with the defaults):
#   name = the model's id          base_url = "embedded"     api = "chat" or "completions"
#   temperature = 0.3              top_p = 1.0               max_tokens = 1024
#   max_concurrency = 8            requests at once to the model's endpoint
#   n = "auto"                     several samples in one request only when stopping is "off";
#                                  "seeded": always (`slmmux check` says where that works);
#                                  "never": one request a sample
#   price_per_mtok_in, price_per_mtok_out    money per million tokens, for the cost of a run
#   validation_accuracy            0 to 1, all models or none: settles ties between them
#   few_shot_file                  JSON Lines with "question" and "answer"
#   prompt                         {system = "…", instruction = "…", stop = ["…"]} and examples
"""

SETTINGS = """\
[mux]
k = 3                    # samples from each model, at most
rule = "mux"             # "pooled_vote": the most common answer of all samples
stopping = "exact"       # "off": always all of them; {risk = 0.05}: approximate, fewer still
schedule = "balanced"    # "draws": fewest samples; "waves": fewest round trips
quorum = 1               # models that must have an answer
seed = 0
#deadline = 60.0         # seconds for a question
#profile = "profile.toml" # what `slmmux search --write` chose: models, k and the rule
#abstain_below = 0.6     # hold back answers that are less sure than this
#escalate_to = "gpt-4.1-nano"  # and ask this model then, which is not of the pool otherwise

[sampling]
#max_concurrency = 64    # requests at once, to all endpoints together
#request_timeout = 120.0 # seconds
#max_attempts = 5        # for each request
#max_retry_time = 60.0   # seconds that the attempts of one request may take together

# How `slmmux serve` runs; docs/configuration.md says more.
[gateway]
#host = "127.0.0.1"      # another address takes API keys: `slmmux keys add NAME`
#port = 8000
#hosts = []              # names that it may be called by, beside addresses and localhost
#keys_file = "keys.db"   # API keys and what they have used; else the user's own file
#max_requests = 1024     # answered at once
#max_waiting = 1024      # that wait for a place; further ones get status 429
#max_wait = 30.0         # seconds that one waits for a place
#drain_time = 30.0       # seconds that open requests have when it stops
#max_deadline = 600.0    # seconds for one request, at most
#max_draws = 500         # samples that one request may ask for
#max_body_mb = 8.0       # size of a request
#breaker_failures = 8    # failed calls in a row after which an endpoint is left alone
#breaker_wait = 10.0     # seconds until one call tries it again
#slow_call = 60.0        # a call that was given up after so many seconds counts as failed
#bank = "samples.db"     # keep every sample
#redact_prompts = false  # without the questions
#log = "plain"           # "json": one object a line
#log_prompts = false     # tell in the log what was asked
#traces = false          # OpenTelemetry (extra otel)
"""

DEFAULT_POOL = """\
# The default pool: two small models that run inside slmmux (`slmmux models list` has stronger
# ones). Models this small answer best when they continue a text of solved questions.
[[models]]
name = "smollm2-135m"
model = "smollm2-135m"
api = "completions"
max_tokens = 64

[[models.prompt.examples]]
question = "What is 12 + 30?"
answer = "42"

[[models.prompt.examples]]
question = "What is the capital of Spain?"
answer = "Madrid"

[[models.prompt.examples]]
question = "Is ice colder than steam?"
answer = "yes"

[[models.prompt.examples]]
question = "Which is an animal?\\n\\nA) a cup\\nB) a horse\\nC) a shirt"
answer = "B"

[[models.prompt.examples]]
question = "How many sides does a square have?"
answer = "4"

[[models.prompt.examples]]
question = "What is 9 × 6?"
answer = "54"

[[models]]
name = "gemma3-270m"
model = "gemma3-270m"
api = "completions"
max_tokens = 64

[[models.prompt.examples]]
question = "What is 12 + 30?"
answer = "12 + 30 = 42. The answer is 42."

[[models.prompt.examples]]
question = "What is the capital of Spain?"
answer = "The answer is Madrid."

[[models.prompt.examples]]
question = "Is ice colder than steam?"
answer = "The answer is yes."

[[models.prompt.examples]]
question = "Which is an animal?\\n\\nA) a cup\\nB) a horse\\nC) a shirt"
answer = "The answer is (B)."

[[models.prompt.examples]]
question = "What is 9 × 6?"
answer = "9 × 6 = 54. The answer is 54."
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A server's ready entry.

    Attributes:
        about: how to start it, or where it is; comment lines.
        toml: its `[[models]]` table.
        api_key_env: the variable that must be set.
    """

    about: str
    toml: str
    api_key_env: str | None = None


ENTRIES = {
    "vllm": Entry(
        "# vLLM: vllm serve Qwen/Qwen2.5-7B-Instruct",
        """\
[[models]]
name = "qwen2.5-7b"
model = "Qwen/Qwen2.5-7B-Instruct"
base_url = "http://localhost:8000/v1"
max_concurrency = 32
prompt = {system = "Think step by step, then give the answer."}
""",
    ),
    "ollama": Entry(
        "# Ollama: ollama pull llama3.2:3b",
        """\
[[models]]
name = "llama3.2-3b"
model = "llama3.2:3b"
base_url = "http://localhost:11434/v1"
n = "never"
max_concurrency = 2
""",
    ),
    "llama.cpp": Entry(
        "# llama.cpp: llama-server -m model.gguf --parallel 8",
        """\
[[models]]
name = "llama.cpp"
model = "default"
base_url = "http://localhost:8080/v1"
n = "seeded"
""",
    ),
    "lmstudio": Entry(
        "# LM Studio: load a model, then start the server in the developer tab",
        """\
[[models]]
name = "lmstudio-gemma"
model = "gemma-3-4b-it"
base_url = "http://localhost:1234/v1"
n = "never"
max_concurrency = 1
""",
    ),
    "openai": Entry(
        "# OpenAI",
        """\
[[models]]
name = "gpt-4.1-nano"
model = "gpt-4.1-nano"
base_url = "https://api.openai.com/v1"
api_key_env = "OPENAI_API_KEY"
price_per_mtok_in = 0.10
price_per_mtok_out = 0.40
""",
        "OPENAI_API_KEY",
    ),
    "together": Entry(
        "# Together",
        """\
[[models]]
name = "together-qwen2.5-7b"
model = "Qwen/Qwen2.5-7B-Instruct-Turbo"
base_url = "https://api.together.xyz/v1"
api_key_env = "TOGETHER_API_KEY"
""",
        "TOGETHER_API_KEY",
    ),
    "openrouter": Entry(
        "# OpenRouter",
        """\
[[models]]
name = "openrouter-gemma3-4b"
model = "google/gemma-3-4b-it"
base_url = "https://openrouter.ai/api/v1"
api_key_env = "OPENROUTER_API_KEY"
n = "never"
""",
        "OPENROUTER_API_KEY",
    ),
}


def render(endpoints: tuple[str, ...] = ()) -> str:
    """A whole file, with these entries switched on, or the default pool when there are none."""
    pool = _switched_off(DEFAULT_POOL) if endpoints else DEFAULT_POOL
    entries = [
        f"{entry.about}\n{entry.toml if name in endpoints else _switched_off(entry.toml)}"
        for name, entry in ENTRIES.items()
    ]
    return "\n".join([HEAD, SETTINGS, pool, *entries])


def _switched_off(toml: str) -> str:
    lines = [line if not line or line.startswith("#") else f"#{line}" for line in toml.split("\n")]
    return "\n".join(lines)
