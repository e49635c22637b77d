"""Random guidance trees, a small conditional network, and the slow obvious meaning of a tree."""

import torch
from hypothesis import strategies as st

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import Prediction
from duckrabbit.guidance.filters import Colour, Grey, HighPass, LowPass
from duckrabbit.guidance.nodes import CFG, Bands, Masked, Mean, Prompt, Viewed, Weighted
from duckrabbit.guidance.tree import lower
from duckrabbit.guidance.views.pixels import Compose, Flip, Identity, Negate, Permute, Rotate

SIZE = 8
AT = NoiseLevel(500.0, 0.6, 0.8)
CONDITIONS = ("", "cat", "duck", None, 3)
VIEWS = (Identity(), Flip(-2), Flip(-1), Rotate(1), Rotate(2), Rotate(3), Negate(), Permute(4, 1), Permute(8, 2))
MASK = torch.linspace(0, 1, SIZE * SIZE, dtype=torch.float64).view(1, 1, SIZE, SIZE)

views = st.one_of(
    st.sampled_from(VIEWS),
    st.lists(st.sampled_from(VIEWS), min_size=2, max_size=3).map(lambda vs: Compose(tuple(vs))),
)
filters = st.sampled_from((LowPass(), LowPass(17, 1.0), HighPass(), Grey(), Colour()))


def _grow(child):
    def weighted(children):
        return st.lists(st.floats(-2, 2), min_size=len(children) - 1, max_size=len(children) - 1).map(
            lambda ws: Weighted(tuple(children), (*ws, 1 - sum(ws)))
        )

    def bands(children):
        return st.lists(filters, min_size=len(children) - 1, max_size=len(children) - 1).map(
            lambda fs: Bands(tuple(fs), tuple(children))
        )

    some = st.lists(child, min_size=2, max_size=3)
    return st.one_of(
        st.builds(CFG, child, child, st.floats(-1, 3)),
        st.builds(Viewed, views, child),
        some.map(tuple).map(Mean),
        some.flatmap(weighted),
        some.flatmap(bands),
        st.builds(Masked, st.just(MASK), child, child),
    )


trees = st.recursive(st.sampled_from(CONDITIONS).map(Prompt), _grow, max_leaves=6)
"""Linear guidances on SIZE x SIZE pictures."""


def picture(seed=0, batch=2, size=SIZE, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, size, size, generator=generator, dtype=torch.float64).to(dtype)


def _weights(condition):
    generator = torch.Generator().manual_seed(1 + CONDITIONS.index(condition))
    return torch.randn(9, 3, 3, 3, generator=generator, dtype=torch.float64) / 5


WEIGHTS = {condition: _weights(condition) for condition in CONDITIONS}


def answer(x, condition, with_var=True):
    """A convolution whose kernel belongs to the condition: x0, eps and var_interp, none a function of another."""
    y = torch.conv2d(x, WEIGHTS[condition].to(x), padding=1).tanh()
    return Prediction(y[:, :3], y[:, 3:6], y[:, 6:] if with_var else None)


class Counting:
    """A network that counts its calls and the questions in each."""

    def __init__(self, with_var=True):
        self.with_var = with_var
        self.calls = []

    def __call__(self, queries, at):
        self.calls.append(list(queries))
        return [answer(q.x, q.condition, self.with_var) for q in queries]


def terms(guidance):
    """A tree as its normal form: a list of (W, V, condition) with eps_hat = sum_k W_k eps_theta(V_k x, c_k)."""
    if isinstance(guidance, Prompt):
        return [(lambda e: e, lambda x: x, guidance.condition)]
    if isinstance(guidance, Viewed):
        view = guidance.view
        return [(lambda e, w=w: view.inverse(w(e)), lambda x, v=v: v(view(x)), c) for w, v, c in terms(guidance.child)]
    return [(lambda e, w=w, p=part: p(w(e)), v, c) for part, child in _parts(guidance) for w, v, c in terms(child)]


def _parts(g):
    """(linear part, child) pairs of the nodes that combine; the parts sum to the identity."""
    if isinstance(g, CFG):
        return [(lambda e: g.scale * e, g.conditional), (lambda e: (1 - g.scale) * e, g.unconditional)]
    if isinstance(g, Mean):
        return [(lambda e: e / len(g.children), child) for child in g.children]
    if isinstance(g, Weighted):
        return [(lambda e, w=w: w * e, child) for w, child in zip(g.weights, g.children, strict=True)]
    if isinstance(g, Masked):
        return [(lambda e: MASK * e, g.inside), (lambda e: (1 - MASK) * e, g.outside)]
    remainder = lambda e: e - sum(f(e) for f in g.filters)
    return list(zip((*g.filters, remainder), g.children, strict=True))


def meant(guidance, x):
    """x0 and eps of the normal form, one forward for every term and nothing shared."""
    x0, eps = torch.zeros_like(x), torch.zeros_like(x)
    for w, v, condition in terms(guidance):
        p = answer(v(x), condition)
        x0, eps = x0 + w(p.x0), eps + w(p.eps)
    return x0, eps


def meant_variance(g, x):
    """The learned variance by its own rules, which are not those of the normal form."""
    if isinstance(g, Prompt):
        return answer(x, g.condition).var_interp
    if isinstance(g, CFG):
        return meant_variance(g.conditional, x)
    if isinstance(g, Masked):
        return MASK * meant_variance(g.inside, x) + (1 - MASK) * meant_variance(g.outside, x)
    if isinstance(g, Viewed):
        var = meant_variance(g.child, g.view(x))
        steps = g.view.views if isinstance(g.view, Compose) else (g.view,)
        for view in reversed(steps):
            var = var if isinstance(view, Negate) else view.inverse(var)
        return var
    return sum(meant_variance(child, x) for child in g.children) / len(g.children)


def count_questions(guidance, x, at):
    """How many different questions one evaluation asks."""
    network = Counting()
    lower(guidance, network)(x, at)
    return sum(map(len, network.calls))
