import pytest


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Tests neither read nor fill the user's object cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TDSL_CACHE_DIR", str(tmp_path_factory.mktemp("cache") / "objects"))
        yield
