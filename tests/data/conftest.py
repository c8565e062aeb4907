import pytest
from small_pairs import encoded, make_manifest, picture


@pytest.fixture
def manifest(tmp_path):
    return make_manifest(tmp_path, [encoded(picture(seed), quality=90) for seed in range(6)])
