"""The index of chunks against a dictionary."""

from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from raftstore.chunks.format.index import MAX_OFFSET, Index, Place

# Few different bytes, so that keys share buckets and occur inside other records.
key = st.lists(st.sampled_from([b"\0\0\0\0", b"\1\0\0\0", b"\0\1\0\0", b"aaaa"]), min_size=4, max_size=4).map(
    b"".join
)
digest = st.one_of(key.map(lambda first: first + bytes(16)), st.binary(min_size=32, max_size=32))
place = st.builds(
    Place,
    st.integers(0, 2**32 - 1),
    st.integers(0, MAX_OFFSET // 16).map(lambda units: units * 16),
    st.integers(0, 2**32 - 1),
)
change = st.one_of(st.tuples(st.just("put"), digest, place), st.tuples(st.just("pop"), digest, st.none()))


@examples(100)
@given(st.lists(change, max_size=200))
def test_index_is_a_dictionary(changes):
    index, model = Index(), {}
    for name, digest, place in changes:
        if name == "put":
            assert index.put(digest, place) == model.get(digest)
            model[digest] = place
        else:
            assert index.pop(digest) == model.pop(digest, None)
        assert len(index) == len(model)
        assert (digest in index) == (digest in model)
    for _, digest, _ in changes:
        assert index.get(digest) == model.get(digest)


def test_index_grows_and_shrinks():
    index = Index(0x9E3779B97F4A7C15)
    digests = [number.to_bytes(4, "big") * 8 for number in range(1, 40_001)]
    for number, digest in enumerate(digests):
        assert index.put(digest, Place(number, number * 16, number)) is None
    for number, digest in enumerate(digests):
        assert index.get(digest) == Place(number, number * 16, number)
    assert len(index._buckets) > 800
    for number, digest in enumerate(digests):
        assert index.pop(digest) == Place(number, number * 16, number)
    assert len(index) == 0
