"""Property tests draw the same examples each time; `make fuzz` draws new ones."""

from hypothesis import settings

settings.register_profile("new", deadline=None)
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")
