"""Forms of the studio, for its tests."""

from duckrabbit.studio.forms.plain import form_of, settings_of, to_address, to_settings


def create(prompt="x", **values):
    """A picture from noise."""
    return form_of("generate", {"prompts": [prompt], **values})


def address(form):
    """The query that shows it."""
    return to_address(form.kind, to_settings(form))


def positional(**values):
    """The values of /generate in the order of its parameters, as Gradio's protocol wants them."""
    asked = {"prompts": ["a red circle"], "model": "oracle", **values}
    return [asked.get(f.name) for f in settings_of("generate")]
