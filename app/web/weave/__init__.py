"""Weave's own paths, as far as its SDK needs them; agents and other views know nothing of them."""
