"""Networks are made and loaded by one thread at a time.

While from_pretrained of transformers or diffusers runs, it has changed what holds for the whole process: the
default dtype, how weights are initialised, on which device parameters are made, what is logged. Of two that run
at once the later one puts back what the earlier one had changed, and every network made after that is broken.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOADING = threading.RLock()
"""Held wherever a network is made or loaded, and where transformers and diffusers are first imported.

Whoever holds it waits for no other lock. Sampling does not take it: it names every dtype and device itself.
"""


@contextmanager
def quietly_loading() -> Iterator[None]:
    """LOADING, without the progress bars and advice of transformers and diffusers, which are for their own users."""
    with LOADING:
        from diffusers.utils import logging as d
        from transformers.utils import logging as t

        levels, bar = (d.get_verbosity(), t.get_verbosity()), t.is_progress_bar_enabled()
        d.set_verbosity_error()
        t.set_verbosity_error()
        t.disable_progress_bar()
        try:
            yield
        finally:
            d.set_verbosity(levels[0])
            t.set_verbosity(levels[1])
            if bar:
                t.enable_progress_bar()
