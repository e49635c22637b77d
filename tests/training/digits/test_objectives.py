"""What is learned, checked against answers known beforehand."""

from dataclasses import replace

import pytest
import torch

from duckrabbit.diffusion.levels import NoiseLevel
from duckrabbit.diffusion.prediction import read_output
from duckrabbit.diffusion.schedules import DiscreteSchedule, linear, rescale_zero_terminal_snr
from duckrabbit.errors import UserError
from duckrabbit.networks.unet_28 import NO_CLASS
from duckrabbit.training.digits.recipe import RECIPES, find_recipe
from duckrabbit.training.objectives import Denoising, Diffusion, Draws, Flow, snr_weight, target

X0 = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(3))
LABELS = torch.arange(6)


def draws(step=0, total=6, rows=slice(None)):
    return Draws(7, step, total, rows)


@pytest.mark.parametrize(
    ("objective", "kind", "level"),
    [
        (Diffusion(linear(300)), "epsilon", None),
        (Diffusion(rescale_zero_terminal_snr(linear(300)), "v_prediction"), "v_prediction", None),
        (Diffusion(linear(300), "sample", stratified=True), "sample", None),
        (Flow(), "flow", "flow"),
    ],
)
def test_whoever_knows_the_picture_has_no_loss(objective, kind, level):
    """The answer that `read_output`, the engine's own reading, turns back into x0 is the target."""

    def knowing(x, t, labels):
        outputs = []
        for one, time, x0 in zip(x, t, X0, strict=True):
            if level == "flow":
                at = NoiseLevel(0.0, float(time), 1 - float(time))  # told the course's time: 1 at the picture
            else:
                at = objective.schedule.level(round(float(time) * 300) - 1)
            outputs.append({
                "epsilon": (one - at.alpha * x0) / at.sigma,
                "sample": x0,
                "v_prediction": (at.alpha * one - x0) / at.sigma,
                "flow": (x0 - one) / at.sigma,
            }[kind])  # fmt: skip
            torch.testing.assert_close(read_output(kind, one, at, outputs[-1]).x0, x0, atol=2e-3, rtol=1e-3)
        return torch.stack(outputs)

    assert objective.loss(knowing, X0, LABELS, draws()).max() < 1e-5


def test_the_best_denoiser_of_pure_noise_is_the_mean_of_the_training_set():
    objective = Denoising(pure_noise=True)
    saw = []

    def mean(z, t, labels):
        saw.append(z)
        return X0.mean(0).expand_as(z)

    loss = objective.loss(mean, X0, LABELS, draws())
    assert loss.mean() == pytest.approx(float(X0.var(0, correction=0).mean()), rel=1e-5)
    assert abs(torch.corrcoef(torch.stack([saw[0].flatten(), X0.flatten()]))[0, 1]) < 0.05


def test_denoising_adds_the_noise_it_says():
    z = []
    Denoising(0.5).loss(lambda x, t, labels: z.append(x) or x, X0, LABELS, draws())
    assert float((z[0] - X0).std()) == pytest.approx(0.5, rel=0.05)
    torch.testing.assert_close(z[0] - X0, 0.5 * draws().normal(X0))


def test_labels_are_withheld_as_often_as_asked():
    seen = []
    objective = Diffusion(linear(300), conditional=True, p_uncond=0.1)
    many, labels = torch.zeros(5000, 1, 1, 1), torch.full((5000,), 3)
    objective.loss(lambda x, t, y: seen.append(y) or x, many, labels, draws(total=5000))
    assert set(seen[0].tolist()) == {3, NO_CLASS}
    assert float((seen[0] == NO_CLASS).float().mean()) == pytest.approx(0.1, abs=0.015)  # 3.5 standard errors


def test_times_are_uniform_and_stratified_ones_even():
    u = draws(total=400).stratified(torch.zeros(400, 1))
    assert torch.equal((u * 400).floor().sort().values, torch.arange(400.0))
    seen = []
    Diffusion(linear(300)).loss(
        lambda x, t, y: seen.append(t) or x, torch.zeros(6000, 1, 1, 1), None, draws(total=6000)
    )
    assert float(seen[0].min()) == pytest.approx(1 / 300)
    assert float(seen[0].max()) == 1
    assert float(seen[0].mean()) == pytest.approx(0.5, abs=0.02)


def test_a_split_step_draws_what_the_whole_one_does():
    whole = draws()
    parts = [draws(rows=slice(rank, None, 2)) for rank in (0, 1)]
    for method in ("normal", "uniform", "stratified"):
        expected = getattr(whole, method)(X0)
        for rank, part in enumerate(parts):
            assert torch.equal(getattr(part, method)(X0[rank::2]), expected[rank::2])
    assert not torch.equal(draws(1).normal(X0), draws(2).normal(X0))


def test_min_snr_weights_every_goal_alike_on_the_picture():
    """The weight of || x0_hat - x0 ||^2 is min(snr, 5) whatever is predicted (Hang et al. 2023)."""
    for kind in ("epsilon", "sample", "v_prediction"):
        alpha, sigma = torch.tensor([0.9, 0.3]), torch.tensor([(1 - 0.81) ** 0.5, (1 - 0.09) ** 0.5])
        snr = (alpha / sigma) ** 2
        # errors of the output, per unit error of x0: alpha / sigma for eps, 1 / sigma for v
        scale = {"epsilon": snr, "sample": torch.ones(2), "v_prediction": 1 / sigma**2}[kind]
        torch.testing.assert_close(snr_weight("min_snr", kind, alpha, sigma) * scale, snr.clamp(max=5))


def test_one_time_counts_as_another_unless_weights_are_asked_for():
    assert snr_weight("uniform", "epsilon", torch.tensor([0.9]), torch.tensor([0.1])) == 1
    with pytest.raises(KeyError):
        snr_weight("min_snr", "flow", torch.tensor([0.5]), torch.tensor([0.5]))


def test_a_loss_is_the_weighted_square_of_its_own_times():
    """Naively, picture by picture, for a network that says nothing; the times are those that it was told."""
    times, schedule = [], linear(300)
    objective = Diffusion(schedule, "v_prediction", weighting="min_snr")
    loss = objective.loss(lambda x, t, y: times.append(t) or torch.zeros_like(x), X0, None, draws())
    again = draws()
    again.uniform(X0)
    eps = again.normal(X0)
    for k, t in enumerate(times[0].tolist()):
        at = schedule.level(round(t * 300) - 1)
        snr = at.alpha**2 / at.sigma**2
        error = (at.alpha * eps[k] - at.sigma * X0[k]).square().mean().item()
        assert loss[k].item() == pytest.approx(min(snr, 5) / (snr + 1) * error, rel=1e-4)


def test_a_flow_goes_straight_and_withholds_labels_too():
    seen = []
    objective = Flow(conditional=True, p_uncond=0.25)
    many, labels = torch.ones(4000, 1, 1, 1), torch.full((4000,), 3)
    loss = objective.loss(
        lambda x, t, y: seen.append((x, t, y)) or torch.zeros_like(x), many, labels, draws(total=4000)
    )
    ((x, t, y),) = seen
    again = draws(total=4000)
    sigma = again.uniform(many)
    eps = again.normal(many)
    torch.testing.assert_close(t, 1 - sigma)
    torch.testing.assert_close(x.flatten(), (1 - sigma) + sigma * eps.flatten())
    torch.testing.assert_close(loss, (1 - eps).square().flatten())
    assert float((y == NO_CLASS).float().mean()) == pytest.approx(0.25, abs=0.025)
    assert set(y.tolist()) == {3, NO_CLASS}


@pytest.mark.parametrize(
    "objective", [Diffusion(linear(300)), Flow(), Diffusion(linear(300), stratified=True), Flow(stratified=True)]
)
def test_a_network_without_conditions_is_told_no_labels_and_times_are_as_asked(objective):
    seen = []
    net = lambda x, t, y: seen.append((t, y)) or x
    objective.loss(net, torch.zeros(400, 1, 1, 1), torch.zeros(400).long(), draws(total=400))
    ((t, labels),) = seen
    assert labels is None
    cells = ((1 - t if isinstance(objective, Flow) else t - 0.5 / 300) * 100).floor().long()
    each = torch.bincount(cells.clamp(0, 99), minlength=100)
    assert bool(each.max() - each.min() <= 2) is objective.stratified  # 4 in each hundredth, or a lottery


def test_what_is_used_unless_it_is_said():
    assert (Denoising().sigma, Denoising().pure_noise) == (0.5, False)
    plain = Diffusion(linear(300))
    assert (plain.prediction, plain.conditional, plain.p_uncond, plain.weighting, plain.stratified) == (
        "epsilon", False, 0.1, "uniform", False,
    )  # fmt: skip
    assert (Flow().conditional, Flow().p_uncond, Flow().stratified) == (False, 0.1, False)
    with pytest.raises(UserError, match="A chain is not trained to predict 'flow'"):
        Diffusion(linear(300), "flow")


def test_draws_are_made_where_they_say_whatever_the_default_device_is():
    methods = {"normal": (), "uniform": (), "stratified": (), "integers": (7,)}
    for method, first in methods.items():
        expected = getattr(draws(), method)(*first, X0)
        with torch.device("meta"):
            got = getattr(draws(), method)(*first, X0)
        assert got.device.type == "cpu"
        assert torch.equal(got, expected)


def test_little_noise_is_not_lost_in_rounding():
    """1 - abar of a float32 near 1 would be off by a fifth here, and sigma by a tenth."""
    seen = []
    objective = Diffusion(DiscreteSchedule((1 - 1e-7,)))
    objective.loss(lambda x, t, y: seen.append(x) or x, torch.zeros(6, 1, 1, 1), None, draws())
    again = draws()
    again.uniform(torch.zeros(6))
    torch.testing.assert_close(seen[0], 1e-7**0.5 * again.normal(torch.zeros(6, 1, 1, 1)), rtol=1e-4, atol=0)


def test_a_chain_has_no_velocity():
    with pytest.raises(UserError, match="not trained to predict 'flow'"):
        target("flow", X0, X0, torch.ones(()), torch.ones(()))


def test_whole_numbers_are_drawn_evenly_and_split_alike():
    whole = draws(total=6000).integers(3, torch.zeros(6000, 1))
    assert torch.bincount(whole).tolist() == pytest.approx([2000] * 3, abs=150)  # 4 standard errors
    part = draws(total=6000, rows=slice(1, None, 2)).integers(3, torch.zeros(3000, 1))
    assert torch.equal(part, whole[1::2])


def test_noise_cannot_be_predicted_at_zero_terminal_snr():
    with pytest.raises(UserError, match="zero terminal SNR"):
        Diffusion(rescale_zero_terminal_snr(linear(300)), "epsilon")


def test_the_course_presets_are_the_pages_numbers():
    course, denoiser, flow = (find_recipe(n) for n in ("cs180-class", "cs180-denoiser", "cs180-flow-class"))
    assert (course.hidden, course.batch, course.epochs, course.rate) == (64, 128, 20, 1e-3)
    assert (course.steps, course.p_uncond, course.zero_terminal_snr, course.ema) == (300, 0.1, False, 0)
    assert course.schedule().alphas_cumprod[-1] == pytest.approx(0.0481, abs=1e-4)
    assert course.learning_rate(469 * 20, 469) == pytest.approx(1e-4)
    assert course.learning_rate(468, 469) == 1e-3
    assert (denoiser.hidden, denoiser.batch, denoiser.epochs, denoiser.rate, denoiser.sigma) == (128, 256, 5, 1e-4, 0.5)
    assert (flow.batch, flow.epochs, flow.rate, flow.edition) == (64, 10, 1e-2, "flow")


@pytest.mark.parametrize(("year", "goal", "epochs"), [(2024, "epsilon", 20), (2025, "flow", 10), (2026, "flow", 10)])
def test_the_course_by_its_year(year, goal, epochs):
    for task in ("time", "class"):
        recipe = find_recipe(f"cs180-{year}-{task}")
        assert (recipe.task, recipe.goal, recipe.epochs) == (task, goal, epochs)
        assert {1, 5, 10} <= set(recipe.snapshots) | ({1} if year == 2024 else set())
    assert find_recipe(f"cs180-{year}-denoiser") == find_recipe("cs180-denoiser")
    with pytest.raises(UserError, match="no recipe 'cs180-2023-class'"):
        find_recipe("cs180-2023-class")


def test_a_cosine_rises_falls_and_ends_at_nothing():
    recipe = replace(find_recipe("fast-class"), epochs=1, warmup=0.1, rate=1.0)
    rates = [recipe.learning_rate(i, 100) for i in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert max(rates) == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3


def test_recipes_read_back_and_wrong_ones_are_refused():
    for recipe in RECIPES.values():
        assert type(recipe).from_json(recipe.to_json()) == recipe
        assert recipe.objective() is not None
    with pytest.raises(UserError, match="another version"):
        type(recipe).from_json({**recipe.to_json(), "layers": 3})
    with pytest.raises(UserError, match="choose from cs180-class"):
        find_recipe("slow")
    with pytest.raises(UserError, match="predicts the picture"):
        replace(find_recipe("fast-denoiser"), goal="epsilon")
