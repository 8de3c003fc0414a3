"""A seal names what is not as it was, whatever was done to the rows."""

from hypothesis import given
from hypothesis import strategies as st

from domain.seal import Head, Leaf, differences, head_of, leaf, read_head, root_over, seal


def leaves(rows: dict[int, bytes]) -> list[Leaf]:
    return [leaf(position, "run_1", position, "log.written", state) for position, state in sorted(rows.items())]


@st.composite
def logs(draw: st.DrawFn) -> dict[int, bytes]:
    """Rows at growing positions, with gaps as PostgreSQL leaves them."""
    steps = draw(st.lists(st.integers(1, 400), min_size=2, max_size=30))
    positions = [sum(steps[: number + 1]) for number in range(len(steps))]
    return {position: draw(st.binary(max_size=40)) for position in positions}


@given(logs())
def test_rows_as_they_were_differ_nowhere(rows):
    sealed = seal(Head(), leaves(rows))
    assert differences(sealed, leaves(rows)) == []
    assert sealed.root == root_over(sealed.previous, (digest for _, digest in leaves(rows)))
    assert (sealed.first, sealed.last, sealed.count) == (1, max(rows), len(rows))


@given(logs(), st.data())
def test_one_changed_bit_is_named(rows, data):
    sealed = seal(Head(), leaves(rows))
    position = data.draw(st.sampled_from(sorted(rows)))
    bit = data.draw(st.integers(0, 8 * len(rows[position])))
    state = bytearray(rows[position] + b"\0")
    state[bit // 8] ^= 1 << bit % 8
    changed = {**rows, position: bytes(state)}
    assert differences(sealed, leaves(changed)) == [(position, "changed")]
    assert root_over(sealed.previous, (digest for _, digest in leaves(changed))) != sealed.root


@given(logs(), st.data())
def test_a_removed_row_is_named(rows, data):
    sealed = seal(Head(), leaves(rows))
    position = data.draw(st.sampled_from(sorted(rows)))
    del rows[position]
    assert differences(sealed, leaves(rows)) == [(position, "removed")]


@given(logs(), st.data())
def test_an_inserted_row_is_named(rows, data):
    sealed = seal(Head(), leaves(rows))
    position = data.draw(st.integers(1, max(rows)).filter(lambda one: one not in rows))
    assert differences(sealed, leaves({**rows, position: b"new"})) == [(position, "inserted")]


@given(logs(), st.data())
def test_swapped_rows_are_both_named(rows, data):
    sealed = seal(Head(), leaves(rows))
    one, other = data.draw(st.lists(st.sampled_from(sorted(rows)), min_size=2, max_size=2, unique=True))
    swapped = [
        leaf(position, "run_1", {one: other, other: one}.get(position, position), "log.written", state)
        for position, state in sorted({**rows, one: rows[other], other: rows[one]}.items())
    ]
    assert differences(sealed, swapped) == [(position, "changed") for position in sorted((one, other))]


@given(logs(), logs())
def test_a_root_stands_for_all_that_came_before(rows, others):
    second = leaves({position + max(rows): state for position, state in others.items()})
    honest = seal(head_of(seal(Head(), leaves(rows))), second)
    forged = seal(head_of(seal(Head(), leaves({**rows, max(rows): b"forged" * 9}))), second)
    assert honest.leaves == forged.leaves
    assert honest.root != forged.root


def test_no_byte_can_move_from_one_part_of_a_row_into_another():
    assert leaf(1, "a", 1, "bc", b"d").digest != leaf(1, "ab", 1, "c", b"d").digest
    assert leaf(1, "a", 1, "b", b"cd").digest != leaf(1, "a", 1, "bc", b"d").digest


@given(st.text(max_size=90))
def test_only_a_head_reads_as_one(text):
    head = read_head(text)
    assert head is None or str(head).split(":")[1] == text.strip().split(":")[1]
    assert read_head(f" {Head(7, 'ab' * 32)}\n") == Head(7, "ab" * 32)
