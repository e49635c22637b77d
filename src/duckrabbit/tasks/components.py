"""What a request for a hybrid gives each component: a prompt, or the picture. Nothing heavy is imported here."""

from __future__ import annotations

from duckrabbit.errors import UserError
from duckrabbit.guidance.components import COMPONENTS
from duckrabbit.tasks.arguments import refuse_idle
from duckrabbit.tasks.requests import Hybrid


def subjects_of(request: Hybrid) -> tuple[str | None, ...]:
    """A prompt for each component of the family, in its order; None for the one that the picture gives.

    Raises UserError, with what is wanted, for a request that says too little, too much, or what would change nothing.
    """
    given = {name: value for name, value in vars(request).items() if value not in (None, ())}
    if request.sigma == 2.0:
        given.pop("sigma")
    if request.family == "low-high":
        refuse_idle(given, ("prompts",), "the family low-high takes --high and --low", "Name another --family.")
        refuse_idle(given, ("keep",), "the picture gives what is left out of --high and --low")
        refuse_idle(given, ("weights",), "they are of the family composed")
        if [request.high, request.low, request.image].count(None) != 1:
            raise UserError("Say what it is from near (--high) and from afar (--low), or one of them and --image.")
        return request.high, request.low
    why = f"the family {request.family} takes a PROMPT for each component"
    refuse_idle(given, ("high", "low"), why, "Type the prompts without an option before them.")
    refuse_idle(given, ("filter", "sigma"), "they are of the family low-high")
    if request.family != "motion":
        refuse_idle(given, ("kernel",), f"the family {request.family} has none to choose")
    if request.family == "composed":
        return _composed(request, given)
    refuse_idle(given, ("weights",), "they are of the family composed")
    return _placed(request)


def _composed(request: Hybrid, given: dict[str, object]) -> tuple[str, ...]:
    refuse_idle(given, ("image", "keep"), "the family composed parts no picture", "Name another --family.")
    refuse_idle(given, ("animate",), "there is no second look for a film to go to")
    if len(request.prompts) < 2:
        raise UserError("The family composed takes two prompts or more.")
    return request.prompts


def _placed(request: Hybrid) -> tuple[str | None, ...]:
    """The prompts of a family by their places, None in that of the picture."""
    components = COMPONENTS[request.family]
    names = [component.name for component in components]
    keep = request.keep
    if request.image is None and keep is not None:
        raise UserError("--keep names what stays of a picture; give --image too.")
    if keep is not None and keep not in names:
        raise UserError(f"The family {request.family} has no component {keep}; it has {', '.join(names)}.")
    kept = None if request.image is None else keep or names[-1]
    told = [component for component in components if component.name != kept]
    if len(request.prompts) != len(told):
        looks = ", ".join(component.seen for component in told)
        raise UserError(
            f"The family {request.family}{' beside a picture' * (kept is not None)} takes {len(told)} "
            f"prompt{'s' * (len(told) > 1)}: what it is {looks}; not {len(request.prompts)}."
        )
    prompts = iter(request.prompts)
    return tuple(None if name == kept else next(prompts) for name in names)
