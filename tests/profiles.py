"""ICC profiles and the colours they mean, from the formulas: no colour engine has a hand in this."""

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
"""Linear sRGB to XYZ under D50."""
RGB = {
    "Display P3": (
        [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]],
        None,
    ),
    "Adobe RGB": (
        [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]],
        2.19921875,
    ),
    "ProPhoto": (
        [[0.7976749, 0.1351917, 0.0313534], [0.2880402, 0.7118741, 0.0000857], [0.0, 0.0, 0.82521]],
        1.80078125,
    ),
}
"""Matrix to XYZ under D50, and gamma; None is the curve of sRGB."""


def linear(v):
    """sRGB in [0, 1] to light."""
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def curved(v):
    """Light to sRGB in [0, 1]."""
    v = np.clip(v, 0, 1)
    return np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)


def encode(srgb, name):
    """sRGB (..., 3) in [0, 1] as the numbers that mean the same colours in a space of RGB."""
    matrix, gamma = RGB[name]
    light = linear(srgb) @ SRGB.T @ np.linalg.inv(np.array(matrix)).T
    return curved(light) if gamma is None else np.clip(light, 0, 1) ** (1 / gamma)


def decode(numbers, name):
    """What numbers (..., 3) in [0, 1] of a space of RGB are in sRGB."""
    matrix, gamma = RGB[name]
    light = linear(numbers) if gamma is None else numbers**gamma
    return curved(light @ np.array(matrix).T @ np.linalg.inv(SRGB).T)


def lab_to_srgb(lab):
    """CIE L*a*b* under D50 to sRGB in [0, 1]."""
    y = (lab[0] + 16) / 116
    f = np.array([y + lab[1] / 500, y, y - lab[2] / 200])
    xyz = D50 * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    return curved(np.linalg.inv(SRGB) @ xyz)


def rgb_profile(name):
    """A matrix profile."""
    matrix, gamma = RGB[name]
    columns = np.array(matrix).T
    tags = {f"{c}XYZ": _xyz(columns[k]) for k, c in enumerate("rgb")} | {f"{c}TRC": _curve(gamma) for c in "rgb"}
    return _profile("mntr", "RGB ", "XYZ ", tags)


def grey_profile(gamma):
    """A profile of greys."""
    return _profile("mntr", "GRAY", "XYZ ", {"kTRC": _curve(gamma)})


def ink_profile(labs):
    """A profile of CMYK whose 16 corners have these colours; labs[c][m][y][k] is (L, a, b)."""
    identity = bytes(range(256))
    table = b"".join(
        bytes([round(lab[0] * 2.55), round(lab[1]) + 128, round(lab[2]) + 128])
        for c in labs
        for m in c
        for y in m
        for lab in y
    )
    matrix = struct.pack(">9i", *(65536 * (k % 4 == 0) for k in range(9)))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + identity * 4 + table + identity * 3
    return _profile("prtr", "CMYK", "Lab ", {"A2B0": lut})


def _xyz(values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def _curve(gamma):
    if gamma is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    table = (linear(np.linspace(0, 1, 1024)) * 65535).round().astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", 1024) + table.tobytes()


def _profile(kind, space, connection, tags):
    text = b"made by hand\0"
    tags = {
        "desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        "cprt": b"text\0\0\0\0" + text,
        "wtpt": _xyz(D50),
        **tags,
    }
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name.encode() + struct.pack(">II", start + len(body), len(content))
        body += content
    head = struct.pack(">I4s4s", start + len(body), b"none", b"\x02\x40\0\0") + (kind + space + connection).encode()
    head += struct.pack(">6H", 2025, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
