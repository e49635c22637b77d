"""Guidance row by row means what each row's guidance means alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.errors import UserError
from duckrabbit.guidance.each import Each
from duckrabbit.guidance.nodes import Prompt, Viewed
from duckrabbit.guidance.tree import lower
from duckrabbit.guidance.views.pixels import Flip
from trees import AT, Counting, picture, trees

CAT, DUCK = Prompt("cat"), Prompt("duck")


@given(st.lists(trees, min_size=1, max_size=3), st.integers(1, 2))
def test_each_picture_is_guided_as_it_would_be_alone(children, share):
    """One call a round, whatever the trees; the rows that a question names are those that it shows."""
    x, network = picture(batch=share * len(children)), Counting()
    listed = lower(Each(tuple(children)), network)(x, AT)
    assert len(network.calls) == 1
    for k, child in enumerate(children):
        rows = slice(k * share, (k + 1) * share)
        alone = lower(child, Counting())(x[rows], AT)
        for part in ("x0", "eps", "var_interp"):
            torch.testing.assert_close(getattr(listed, part)[rows], getattr(alone, part), atol=1e-10, rtol=1e-10)
    for query in network.calls[0]:
        seen = x[list(query.rows)]
        for view in query.views:
            seen = view(seen)
        assert torch.equal(query.x, seen)


def test_each_within_each_counts_its_rows_in_the_whole_batch():
    x, network = picture(batch=4), Counting()
    lower(Each((Each((CAT, DUCK)), Viewed(Flip(-1), Each((DUCK, CAT))))), network)(x, AT)
    assert {(q.condition, q.rows) for q in network.calls[0]} == {
        ("cat", (0,)), ("duck", (1,)), ("duck", (2,)), ("cat", (3,)),
    }  # fmt: skip


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_that_has_no_equal_shares_is_refused(batch):
    with pytest.raises(UserError, match="2 guidances, each for its own pictures"):
        lower(Each((CAT, DUCK)), Counting())(picture(batch=batch), AT)
