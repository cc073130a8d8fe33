"""The part of JSON Schema that docs/schemas uses; a keyword it does not know is an error, so that none is ignored."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "docs/schemas"
SAID = {"$schema", "$id", "$defs", "title", "description"}
KNOWN = SAID | {
    "$ref",
    "type",
    "const",
    "enum",
    "anyOf",
    "pattern",
    "required",
    "properties",
    "additionalProperties",
    "items",
}
KINDS: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "object": dict,
    "array": list,
}


@cache
def schema(name: str) -> dict[str, Any]:
    found = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def problems(value: object, rule: dict[str, Any], home: dict[str, Any], at: str = "$") -> list[str]:
    """What about `value` is not as `rule` says; empty when all is well."""
    assert set(rule) <= KNOWN, f"{at}: the validator does not know {set(rule) - KNOWN}"
    if "$ref" in rule:
        file, _, pointer = rule["$ref"].partition("#/$defs/")
        home = schema(file.removesuffix(".json")) if file else home
        return problems(value, home["$defs"][pointer], home, at)
    if "anyOf" in rule:
        tried = [problems(value, each, home, at) for each in rule["anyOf"]]
        return [] if any(not each for each in tried) else [f"{at}: fits none of {len(tried)}: {min(tried, key=len)}"]
    kinds = rule.get("type", list(KINDS))
    if not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return [f"{at}: {value!r:.60} is no {kinds}"]
    found = [f"{at}: {value!r:.60} is not {rule['const']!r}"] if "const" in rule and value != rule["const"] else []
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{at}: {value!r:.60} is none of {rule['enum']}")
    if "pattern" in rule and isinstance(value, str) and re.search(rule["pattern"], value) is None:
        found.append(f"{at}: {value!r:.60} does not look like {rule['pattern']}")
    if isinstance(value, dict):
        known, more = rule.get("properties", {}), rule.get("additionalProperties", {})
        found += [f"{at}: {name} is missing" for name in rule.get("required", ()) if name not in value]
        for name, item in value.items():
            if name not in known and more is False:
                found.append(f"{at}: {name} is not in the schema")
            else:
                found += problems(item, known.get(name, more), home, f"{at}.{name}")
    if isinstance(value, list):
        found += [
            line for i, item in enumerate(value) for line in problems(item, rule.get("items", {}), home, f"{at}[{i}]")
        ]
    return found


def _is(value: object, kind: str) -> bool:
    return isinstance(value, KINDS[kind]) and not (kind == "integer" and isinstance(value, bool))


def invalid(document: Any) -> list[str]:
    """Why a document of ours is not what its `schema` says."""
    name = str(document["schema"]).removeprefix("perpsctl.").removesuffix("/1")
    return problems(document, schema(name), schema(name))
