"""NaN and overflow: told soon after they arose, whatever is clamped, and without waiting for the device."""

from types import SimpleNamespace

import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.prediction import clip, dynamic_threshold, from_eps, from_x0
from duckrabbit.tasks import finite as module
from duckrabbit.tasks.finite import BEHIND, finite


@pytest.mark.parametrize("solver", ["ddpm", "dpm++"])
@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_network_that_overflows_at_move_3_of_25(oracle, monkeypatch, solver, scale, value):
    """One pixel of one answer is enough. Clamped to the range, an infinity would be a black or a white dot."""
    network, moves, calls = oracle.network, [], []

    def broken(*arguments, **options):
        inner = network(*arguments, **options)

        def call(queries, at):
            calls.append(at)
            answers = inner(queries, at)
            if len(calls) == 3:
                answers[0].eps[0, 0, 5, 7] = value
                answers[0] = from_eps(queries[0].x, at, answers[0].eps)
            return answers

        return call

    monkeypatch.setattr(oracle, "network", broken)
    job = dr.generate(oracle, "a circle", steps=25, solver=solver, guidance_scale=scale)
    with pytest.raises(dr.UserError, match=r"not finite \(NaN or infinite\) after 3 of 25 moves "):
        dr.run(job, 7, on_state=lambda _, state: moves.append(state.i))
    assert moves == [0, 1]
    assert len(calls) == 3


def broken_on(model, monkeypatch, **options):
    """The sentence on a network that answers with infinities."""
    network = model.network

    def infinite(*arguments, **more):
        inner = network(*arguments, **more)
        return lambda queries, at: [from_eps(q.x, at, q.x * torch.inf) for q in inner and queries]

    monkeypatch.setattr(model, "network", infinite)
    with pytest.raises(dr.UserError) as told:
        dr.run(dr.generate(model, "a circle", steps=2, **options), 7)
    return str(told.value)


def test_half_precision_is_at_fault_only_where_it_is_half(oracle, monkeypatch):
    said = broken_on(oracle, monkeypatch)
    assert "recision" not in said
    assert said.endswith("Its weights may be damaged: get the model again.")
    for dtype in ("float16", "bfloat16"):
        monkeypatch.setattr(oracle, "dtype", dtype)
        assert f"Half precision ({dtype}) may be too coarse for it: try --dtype float32" in broken_on(
            oracle, monkeypatch
        )


def test_a_very_large_guidance_scale_is_at_fault_before_all_else(oracle):
    """1e300 is more than a float32 holds, whatever the weights are."""
    for subject in ("a circle", {"identity": "a circle", "flip": "a cross"}):
        with pytest.raises(dr.UserError, match=r"A guidance scale of 1e\+300 is very large: lower it"):
            dr.run(dr.generate(oracle, subject, steps=2, guidance_scale=1e300), 7)


def test_clamping_leaves_what_is_finite_as_it_is(oracle):
    """The naive clamp, bit for bit, zeros with their signs; and what is not finite becomes NaN, there alone."""
    at = oracle.stages[0].schedule.level(500)
    x, x0 = torch.randn(2, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x0[0, 0, 0, :3] = torch.tensor([0.0, -0.0, 3e38])
    clipped = clip(from_x0(x, at, x0), x, at).x0
    assert torch.equal(clipped.view(torch.int32), x0.clamp(-1, 1).view(torch.int32))
    x0[1, 2, 3, 4:7] = torch.tensor([torch.inf, -torch.inf, torch.nan])
    for made in (clip(from_x0(x, at, x0), x, at), dynamic_threshold(from_x0(x, at, x0), x, at)):
        assert made.x0[1, 2, 3, 4:7].isnan().all()
        assert made.x0[0].isfinite().all()
    assert clip(from_x0(x, at, x0), x, at).x0.isnan().sum() == 3


class Device:
    """Stands for a device: it has made move k only when the loop has given it `late` moves more."""

    def __init__(self, late):
        self.late, self.given, self.waits = late, 0, []

    def look(self, x):
        device, made = self, self.given

        class FiniteCheck:
            @property
            def known(self):
                return device.given >= made + device.late

            @property
            def finite(self):
                if not self.known:
                    device.waits.append(device.given - made)
                return bool(torch.isfinite(x).all())

        return FiniteCheck()

    def states(self, moves, sick=None):
        for self.given in range(1, moves + 1):
            x = torch.zeros(1)
            yield SimpleNamespace(i=self.given, x=x / 0 if self.given == sick else x)


@pytest.mark.parametrize("late", [0, 1, BEHIND, 3, 100])
def test_a_device_is_waited_for_at_the_end_and_where_it_is_far_behind(late, monkeypatch):
    stage = SimpleNamespace(plan=range(25), index=0, guidance=dr.Prompt(""))
    device = Device(late)
    monkeypatch.setattr(module, "FiniteCheck", device.look)
    assert len(list(finite(device.states(25), stage))) == 25
    assert all(behind >= BEHIND for behind in device.waits[: -BEHIND - 1])
    if late <= BEHIND:
        assert len(device.waits) == late  # of the last moves alone
    for sick in (1, 3, 24, 25):
        seen = []
        device = Device(late)
        monkeypatch.setattr(module, "FiniteCheck", device.look)
        with pytest.raises(dr.UserError, match=f"after {sick} of 25 moves"):
            seen.extend(state.i for state in finite(device.states(25, sick), stage))
        assert device.given <= sick + BEHIND
        assert seen == list(range(1, device.given))
        assert 25 not in seen


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_is_not_waited_for():
    stage = SimpleNamespace(plan=range(25), index=0, guidance=dr.Prompt(""))

    def states(sick):
        x = torch.ones(256, 256, device="cuda")
        for i in range(24):
            x = (x @ x) / 256 + (torch.inf if i == sick else 0)
            yield SimpleNamespace(i=i, x=x)

    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(finite(states(None), stage))) == 24
        with pytest.raises(dr.UserError, match="after 4 of 25 moves"):
            list(finite(states(3), stage))
    finally:
        torch.cuda.set_sync_debug_mode("default")
