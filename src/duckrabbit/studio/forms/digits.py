"""What the Digits tab asks for: pictures of digits, by models that were trained here."""

from __future__ import annotations

from dataclasses import dataclass

from duckrabbit.errors import UserError
from duckrabbit.studio.forms.drawings import Form, picture_path

ANY, ALL = "any", "all"
DIGITS = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class Digits(Form):
    """Digits from noise: of one class, of all ten, or any that the model likes."""

    kind, verb, tab = "digits", "generate", "digits"
    model: str = "mnist-class"
    digit: str = ALL
    count: int = 2

    def own(self, inputs: str) -> list[str]:
        """The classes, as prompts."""
        return list(DIGITS) if self.digit == ALL else classes(self.digit)

    def title(self) -> str:
        """The digit."""
        return {ALL: "0 to 9", ANY: "any digit"}.get(self.digit, f"the digit {self.digit}")


@dataclass(frozen=True, kw_only=True)
class OneStep(Form):
    """A digit with noise of standard deviation sigma, denoised in one step by a network that does nothing else."""

    kind, verb, tab = "one_step", "denoise", "digits"
    live = "sigma"
    model: str = "mnist-denoiser"
    image: str = ""
    sigma: float = 0.5

    def own(self, inputs: str) -> list[str]:
        """The picture and the noise."""
        return [picture_path(self.image, inputs), "--sigma", f"{self.sigma:g}"]

    def title(self) -> str:
        """The noise."""
        return f"a digit at sigma {self.sigma:g}"


@dataclass(frozen=True, kw_only=True)
class FromT(Form):
    """A digit noised to time t of a diffusion model, and the way back in one step and in many."""

    kind, verb, tab = "from_t", "denoise", "digits"
    live = "t"
    model: str = "mnist-class"
    image: str = ""
    t: int = 150
    digit: str = ANY

    def own(self, inputs: str) -> list[str]:
        """The picture, the time, and which digit the network is told."""
        told = [part for digit in classes(self.digit) for part in ("--prompt", digit)]
        return [picture_path(self.image, inputs), "--t", str(self.t), *told]

    def title(self) -> str:
        """The time."""
        return f"a digit at t = {self.t}"


@dataclass(frozen=True, kw_only=True)
class DigitAnagram(Form):
    """A digit that is another one through a view."""

    kind, verb, tab = "digit_anagram", "anagram", "digits"
    model: str = "mnist-class"
    first: str = "6"
    second: str = "9"
    view: str = "rotate_180"
    count: int = 4

    def own(self, inputs: str) -> list[str]:
        """The view and the digits, with films and a page to print."""
        from duckrabbit.guidance.views.shipped import parse_view

        parse_view(self.view)  # a shipped view, never a file to run
        prompts = [*classes(self.first), *classes(self.second)]
        if len(prompts) != 2:
            raise UserError("An anagram of digits takes two of them, 0 to 9.")
        return ["--view", self.view, "--animate", "mp4,gif", "--print", "pdf", *prompts]

    def title(self) -> str:
        """Both digits."""
        return f"{self.first} | {self.second}"


@dataclass(frozen=True, kw_only=True)
class Curves(Form):
    """How the loss fell while a model was trained."""

    kind, verb, tab = "curves", "curves", "digits"
    computes = False
    model: str = "mnist-class"

    def arguments(self, inputs: str = "inputs/") -> list[str]:
        """The model is all it takes."""
        self.check()
        return [self.verb, *self.own(inputs)]

    def own(self, inputs: str) -> list[str]:
        """The model."""
        return [self.model]

    def title(self) -> str:
        """What it is."""
        return "Training curves"


def classes(digit: str) -> list[str]:
    """The prompt that a choice of digit stands for; none for any. Raises UserError for what is no digit."""
    if digit not in (*DIGITS, ANY):
        raise UserError(f"'{digit}' is no digit; choose 0 to 9, or any.")
    return [] if digit == ANY else [digit]
