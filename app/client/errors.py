"""What ends a command: each error carries the one sentence that the user reads."""


class CommandError(Exception):
    """The command cannot go on; the message is one sentence that says why and what helps."""

    exit_code = 1


class BadInput(CommandError):
    """What the user gave cannot be used."""

    exit_code = 2


class UnknownScorer(BadInput):
    """No scorer that can be used has the name."""


class Unreachable(CommandError):
    """Nothing that speaks callscore's language answers at the address."""


class NobodyThere(Unreachable):
    """The address takes no connections."""


class Refused(CommandError):
    """The service answered with an error. `reason` is what it said about it, without the frame of the sentence."""

    def __init__(self, sentence: str, status: int, reason: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason
        if status == 422:
            self.exit_code = BadInput.exit_code
