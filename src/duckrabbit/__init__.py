"""duckrabbit: diffusion sampling, guidance, editing and optical illusions.

    import duckrabbit as dr
    model = dr.load("miniature")
    result = dr.run(dr.anagram(model, {"identity": "a cat", "flip": "a house"}), seeds=[180])

Names are imported when they are first used, so that `duckrabbit --help` never loads torch.
"""
