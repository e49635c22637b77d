"""A list of subjects: each has pictures of its own, the very ones that it has alone, in one batch."""

import json

import numpy as np
import pytest
import torch

import duckrabbit as dr
from duckrabbit.guidance.nodes import Prompt
from duckrabbit.tasks.reading import open_picture

SUBJECTS = [
    "a red circle",
    {"identity": "a red triangle", "rotate_90": "a blue square"},
    dr.Weighted((Prompt("a cross"), Prompt("a circle")), (1.5, -0.5)),
    "a red circle",
]


def same(listed, alone, most=1e-5):
    assert listed.shape == alone.shape
    assert (listed - alone).abs().max() <= most


def test_prompts_anagrams_and_trees_in_one_batch(oracle):
    listed = dr.run(dr.generate(oracle, SUBJECTS, steps=8), [4, 9])
    alone = [dr.run(dr.generate(oracle, subject, steps=8), [4, 9]).images for subject in SUBJECTS]
    same(listed.images, torch.cat(alone))
    assert not torch.allclose(alone[0], alone[1], atol=0.1)
    assert listed.seeds == (4, 9) * 4
    assert [made.prompt for made in listed] == [title for title in titles() for _ in range(2)]
    assert listed[5].seed == 9


def titles():
    return ["a red circle", "a red triangle | a blue square", "Weighted", "a red circle"]


def test_every_subject_shares_every_network_call(tiny):
    """Both stages; what stage II enlarges is each row's own, turned with its view."""
    unets = [tiny.memory.use(unet) for unet in tiny.unets]
    sizes = [[], []]
    handles = [
        unet.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(len(inputs[0])))
        for unet, seen in zip(unets, sizes, strict=True)
    ]
    subjects = ["a cat", {"identity": "a cat", "rotate_90": "a house"}]
    options = {"steps": 3, "steps_stage2": 2}
    listed = dr.run(dr.generate(tiny, subjects, **options), [1, 2])
    for handle in handles:
        handle.remove()
    assert sizes == [[12] * 3, [12] * 2]  # two seeds of: one prompt and two, each with its null prompt
    same(listed.images, torch.cat([dr.run(dr.generate(tiny, s, **options), [1, 2]).images for s in subjects]), 1e-4)


def test_paired_seeds_are_one_for_each_subject(oracle):
    prompts = ["a red circle", "a blue cross", "a green square"]
    paired = dr.run(dr.generate(oracle, prompts, steps=6), [5, 5, 7], paired=True)
    assert paired.seeds == (5, 5, 7)
    alone = [dr.run(dr.generate(oracle, p, steps=6), s).images for p, s in zip(prompts, [5, 5, 7], strict=True)]
    same(paired.images, torch.cat(alone))
    last = list(dr.walk(dr.generate(oracle, prompts, steps=6), [5, 5, 7], paired=True))[-1].x
    same(last, paired.images, 0)


@pytest.mark.parametrize("labels", [[3, 5], (3, 5), range(3, 7, 2), np.array([3, 5]), torch.tensor([3, 5])])
def test_labels_of_digits(labels):
    model = dr.load("mnist-class")
    listed = dr.run(dr.generate(model, labels, steps=3), 1)
    same(listed.images, torch.cat([dr.run(dr.generate(model, k, steps=3), 1).images for k in (3, 5)]), 1e-4)


def test_every_task_takes_a_list(oracle, photo, half):
    two, options = ["a red circle", "a blue cross"], {"steps": 6}
    jobs = {
        "edit": lambda s: dr.edit(oracle, photo, s, start=3, **options),
        "inpaint": lambda s: dr.inpaint(oracle, photo, half, s, **options),
        "denoise": lambda s: dr.denoise(oracle, photo, 500, s, **options),
        "low and high": lambda s: dr.hybrid(oracle, s, s[::-1] if isinstance(s, list) else other(s), **options),
        "one low": lambda s: dr.hybrid(oracle, "a green square", s, **options),
        "a photograph": lambda s: dr.hybrid(oracle, None, s, image=photo, **options),
    }
    other = dict(zip(two, two[::-1], strict=True)).get
    for name, job in jobs.items():
        listed = dr.run(job(two), [1, 2])
        assert len(listed) == 4, name
        same(listed.images, torch.cat([dr.run(job(one), [1, 2]).images for one in two]))


def test_a_list_is_saved_and_replayed(oracle, tmp_path):
    result = dr.run(dr.generate(oracle, SUBJECTS[:2], steps=6), [1, 2])
    paths = result.save(tmp_path)
    names = [f"image-subject{k}-seed{seed}.png" for k in (1, 2) for seed in (1, 2)]
    assert [path.rpartition("/")[2] for path in paths] == names
    assert np.array_equal(np.array(open_picture(tmp_path / names[3])), result.pixels[3].numpy())
    again = dr.replay(tmp_path / names[1], model=oracle)
    assert again.same
    assert again.result.prompts == result.prompts
    assert json.loads((tmp_path / "image.json").read_text())["subjects"] == list(titles()[:2])
    result.save(tmp_path)
    assert (tmp_path / "image-2-subject1-seed1.png").is_file()


def test_the_cost_of_a_list_is_that_of_its_subjects(tiny):
    one, two = dr.cost(dr.generate(tiny, "a cat")), dr.cost(dr.generate(tiny, ["a cat", "a house"]))
    assert [c.calls for c in one] == [c.calls for c in two]
    assert [2 * c.pictures for c in one] == [c.pictures for c in two]


def test_a_list_shows_its_subjects(oracle):
    many = dr.generate(oracle, ["a red circle", "a cross", "a circle", "a red cross", "a square"], steps=2)
    assert many.title == "a red circle, a cross, a circle and 2 more"
    page = dr.run(many, 3)._repr_html_()
    assert all(f"{prompt}, seed 3" in page for prompt in many.subjects)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: dr.generate(m, []), "holds one or more"),
        (lambda m: dr.generate(m, [["a cross"]]), "no lists"),
        (lambda m: dr.generate(m, ["a cross", None]), "not None"),
        (lambda m: dr.generate(m, b"a cross"), "not b'a cross'"),
        (lambda m: dr.hybrid(m, ["a cross"], ["a circle", "a square"]), "lists of one length, .* not of 1 and 2"),
        (
            lambda m: dr.run(dr.generate(m, ["a cross", "a circle"]), range(3), paired=True),
            "2 subjects take a seed each",
        ),
        (lambda m: dr.run(dr.generate(m, ["a cross", "a circle"]), 1, paired=True), "2 subjects take a seed each"),
        (lambda m: dr.run(dr.generate(m, ["a cross", "a circle"]), [1, 1, 2, 3], paired=True), "Seed 1 is there twice"),
        (lambda m: dr.generate(m, ["a cross", Prompt("a circle")], guidance_scale=3), "guidance_scale would change"),
    ],
)
def test_lists_that_are_none(oracle, call, sentence):
    with pytest.raises(dr.UserError, match=sentence):
        call(oracle)
