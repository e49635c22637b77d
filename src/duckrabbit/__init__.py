"""duckrabbit: diffusion sampling, guidance, editing and optical illusions.

    import duckrabbit as dr

    model = dr.load("miniature")
    job = dr.anagram(model, {"identity": "a cat", "flip": "a house"}, guidance_scale=7)
    result = dr.run(job, seeds=[180, 181])
    result.save("out")

What there is, is listed in __init__.pyi; names are imported when they are first used, so that
`duckrabbit --help` never loads torch.
"""

import lazy_loader

__version__ = "0.1.0"
_getattr, _dir, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = _names
__getattr__, __dir__ = _getattr, _dir
