"""Loading: one thread at a time, and what others say is said as before when it is over."""

import threading

import pytest
from diffusers.utils import logging as d
from transformers.utils import logging as t

from duckrabbit.networks.loading import LOADING, quietly_loading


def said():
    return d.get_verbosity(), t.get_verbosity(), t.is_progress_bar_enabled()


@pytest.fixture
def _as_before():
    levels, bar = (d.get_verbosity(), t.get_verbosity()), t.is_progress_bar_enabled()
    yield
    d.set_verbosity(levels[0])
    t.set_verbosity(levels[1])
    (t.enable_progress_bar if bar else t.disable_progress_bar)()


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("bar", [True, False])
def test_only_errors_are_told_while_loading_and_all_that_was_told_afterwards(bar):
    d.set_verbosity_info()
    t.set_verbosity_debug()
    (t.enable_progress_bar if bar else t.disable_progress_bar)()
    before = said()
    with quietly_loading():
        assert said() == (d.ERROR, t.ERROR, False)
    assert said() == before == (d.INFO, t.DEBUG, bar)

    def fail():
        with quietly_loading():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert said() == before


def test_no_other_thread_loads_meanwhile():
    got = []

    def other():
        got.append(LOADING.acquire(blocking=False))
        if got[-1]:
            LOADING.release()

    def ask():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    with quietly_loading(), quietly_loading():  # the same thread may, a cascade loads its parts
        ask()
    ask()
    assert got == [False, True]
