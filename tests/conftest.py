"""What all tests share: a cache folder of their own."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Keep what is decoded and computed out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLORCNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
