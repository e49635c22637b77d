"""A validator of JSON schemas, of as much of draft 2020-12 as rows need; what it does not know is an error."""

TYPES = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}
SILENT = {"$schema", "title", "description", "default", "format"}
BOUNDS = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
}


def is_valid(schema, value):
    return all(_keeps(schema, key, rule, value) for key, rule in schema.items() if key not in SILENT)


def _keeps(schema, key, rule, value):
    if key == "type":
        return _is(rule, value)
    if key == "const":
        return value == rule
    if key == "enum":
        return value in rule
    if key == "anyOf":
        return any(is_valid(one, value) for one in rule)
    if key == "oneOf":
        return sum(is_valid(one, value) for one in rule) == 1
    if key in BOUNDS:  # these speak of numbers and of arrays alone
        wanted = list if key.endswith("Items") else (int, float)
        return not isinstance(value, wanted) or BOUNDS[key](value, rule)
    if key == "items":
        return not isinstance(value, list) or all(is_valid(rule, v) for v in value)
    if key == "prefixItems":
        return not isinstance(value, list) or all(map(is_valid, rule, value))
    if key == "properties":
        return not isinstance(value, dict) or all(is_valid(rule[k], v) for k, v in value.items() if k in rule)
    if key == "required":
        return not isinstance(value, dict) or set(rule) <= set(value)
    assert (key, rule) == ("additionalProperties", False)
    return not isinstance(value, dict) or set(value) <= set(schema["properties"])


def _is(kind, value):
    if isinstance(value, bool):
        return kind == "boolean"
    if kind in ("number", "integer"):
        return isinstance(value, (int, float)) and (kind == "number" or value == int(value))
    return isinstance(value, TYPES[kind])
