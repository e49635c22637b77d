"""Forms of the studio, for its tests."""

from duckrabbit.studio.forms.plain import form_of, to_address, to_settings


def create(prompt="x", **values):
    """A picture from noise."""
    return form_of("generate", {"prompts": [prompt], **values})


def address(form):
    """The query that shows it."""
    return to_address(form.kind, to_settings(form))
