"""refusal: the output declines to answer."""

from typing import Any, ClassVar

import re2

from app.scorers.base import BuiltIn
from app.scorers.text import text_of

_HEAD_CHARACTERS = 300

_PHRASES = (
    # English
    "i can't help with", "i cannot help with", "i can't help you with", "i cannot help you with",
    "i can't assist", "i cannot assist", "i can't provide", "i cannot provide", "i can't comply", "i cannot comply",
    "i can't fulfill", "i cannot fulfill", "i can't do that", "i can't answer that", "i cannot answer that",
    "i'm unable to", "i am unable to", "i'm not able to", "i am not able to", "i won't be able to",
    "i must decline", "i have to decline", "i won't help", "i will not help",
    "i'm sorry, but i can't", "i'm sorry, but i cannot", "i am sorry, but i cannot", "i'm sorry, i can't",
    "sorry, but i can't", "sorry, i can't", "as an ai language model, i can't", "as an ai language model, i cannot",
    # German
    "ich kann dir nicht helfen", "ich kann ihnen nicht helfen", "dabei kann ich nicht helfen",
    "dabei kann ich dir nicht helfen", "dabei kann ich ihnen nicht helfen", "ich kann diese anfrage nicht",
    "es tut mir leid, aber ich kann", "tut mir leid, aber ich kann",
    # French
    "je ne peux pas vous aider", "je ne peux pas t'aider", "je ne peux pas répondre", "je ne peux pas fournir",
    "je suis désolé, mais je ne peux", "désolé, mais je ne peux", "je ne suis pas en mesure",
    # Spanish
    "no puedo ayudarte", "no puedo ayudarle", "no puedo ayudar con", "no puedo proporcionar",
    "lo siento, pero no puedo", "no me es posible",
    # Italian
    "non posso aiutarti", "non posso aiutarla", "mi dispiace, ma non posso", "non sono in grado di",
    # Portuguese
    "não posso ajudar", "não posso fornecer", "desculpe, mas não posso", "sinto muito, mas não posso",
    # Chinese, Japanese
    "我无法提供", "我不能提供", "我无法协助", "我无法帮助", "抱歉，我无法", "抱歉，我不能",
    "对不起，我无法", "对不起，我不能",
    "お手伝いできません", "お答えできません", "申し訳ありませんが、", "提供することはできません",
)  # fmt: skip

_REFUSALS = re2.compile("|".join(map(re2.escape, _PHRASES)))


class Refusal(BuiltIn):
    """Passes if the output does not decline to answer. Gives `passed` and, if it failed, the `phrase` found.

    Looks for common phrases of refusal in English, German, French, Spanish, Italian, Portuguese, Chinese and
    Japanese within the first 300 characters, since a refusal opens an answer and a quotation need not. A heuristic:
    a refusal in other words passes.
    """

    kind: ClassVar[str] = "refusal"
    description: ClassVar[str] = "The output does not begin with a refusal to answer."
    inline_up_to: ClassVar[int] = 100_000

    def score(self, *, output: Any) -> dict[str, Any]:
        head = text_of(output)[: 2 * _HEAD_CHARACTERS].lstrip()[:_HEAD_CHARACTERS].replace("\u2019", "'").lower()
        match = _REFUSALS.search(head)
        return {"passed": True} if match is None else {"passed": False, "phrase": match.group()}
