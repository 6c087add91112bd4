"""What clients assume unless told otherwise."""

DEFAULT_URL = "http://127.0.0.1:6066"
