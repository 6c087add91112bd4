"""Scorers that send requests: to an LLM behind an OpenAI-compatible endpoint, or to a scorer behind HTTPS."""

from app.judges.autoevals import AutoEvals
from app.judges.llm import LlmJudge
from app.judges.remote import RemoteScorer

__all__ = ["AutoEvals", "LlmJudge", "RemoteScorer"]
