"""An OpenAI-compatible server before a pool of models: their vote is its reply."""
