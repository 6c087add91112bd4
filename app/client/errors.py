"""Errors that end a command; the message of each is the sentence that the user reads."""


class CommandError(Exception):
    """The command failed; the message says why and what to do."""

    exit_code = 1


class BadInput(CommandError):
    """An argument, option, file or setting of the user is invalid."""

    exit_code = 2


class UnknownScorer(BadInput):
    """No usable scorer has the name."""


class Unreachable(CommandError):
    """No callscore service answers at the URL."""


class NotRunning(Unreachable):
    """Nothing listens at the URL."""


class Refused(CommandError):
    """The service answered with an error; `reason` is what the service wrote of it."""

    def __init__(self, sentence: str, status: int, reason: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason
        if status == 422:
            self.exit_code = BadInput.exit_code
