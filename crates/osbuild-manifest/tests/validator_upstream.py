"""Writes uses of every upstream module, right and wrong ones, and what upstream's validator says of them.

One JSON object a line: kind, name, version, value, errors (list of [path, message]). Arguments: checkout, number of
values for each schema. Needs jsonschema.
"""
import json
import os
import random
import sys

root, count = sys.argv[1], int(sys.argv[2])
sys.path.insert(0, root)
from osbuild import meta  # noqa: E402

STRINGS = [
    "", "a", "x y", "it's", '"', "ä", "\u0308", "😀", "\ud800", "a\nb", "a\n", "tree:///etc", "mount://root/x", "input://a/b",
    "sha256:" + "0" * 64, "sha256:" + "0" * 63, "md5:" + "f" * 32, "a.conf", "grün.conf", "a.service", "1.2.3.4",
    "/etc/x", "/etc/../x", "../x", "0644", "644", "u:1:2:3", "name:build", "org.osbuild.source", "org.osbuild.pipeline",
    "org.osbuild.tree", "org.osbuild.files", "00000000-0000-0000-0000-000000000000", "ABCD-1234", "a" * 300, "\u00a0",
    "\x1c", "\x7f", "null", "true", "-", "+", "[a]", "a{2}", "٣", "100%FREE", "10G", "layer.1", "vmx-9",
]
NUMBERS = [0, 1, -1, 2, 3, 1.0, 0.5, -0.0, 1e100, 10**30, -10**30, 512, 4096, 65535, 65536, float("nan"), float("inf")]


def junk(rng, depth=0):
    pick = rng.randrange(8 if depth < 2 else 5)
    if pick == 0:
        return None
    if pick == 1:
        return rng.random() < 0.5
    if pick in (2, 3):
        return rng.choice(STRINGS)
    if pick == 4:
        return rng.choice(NUMBERS)
    if pick in (5, 6):
        return [junk(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(STRINGS): junk(rng, depth + 1) for _ in range(rng.randrange(4))}


def pointer(top, ref):
    node = top
    for step in ref[2:].split("/"):
        node = node[step]
    return node


def likely(rng, top, schema, depth=0):
    """A value that the schema may well allow."""
    if not isinstance(schema, dict) or rng.random() < 0.04 or depth > 12:
        return junk(rng)
    if "$ref" in schema:
        try:
            return likely(rng, top, pointer(top, schema["$ref"]), depth + 1)
        except (KeyError, TypeError):
            return junk(rng)
    for group in ("oneOf", "anyOf", "allOf"):
        if group in schema and rng.random() < 0.8:
            value = likely(rng, top, rng.choice(schema[group]), depth + 1)
            if isinstance(value, dict) and "properties" in schema and rng.random() < 0.7:
                rest = {k: v for k, v in schema.items() if k != group}
                other = likely(rng, top, rest, depth + 1)
                if isinstance(other, dict):
                    value = {**other, **value}
            return value
    if "enum" in schema:
        return rng.choice(schema["enum"]) if rng.random() < 0.9 else rng.choice(STRINGS)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = rng.choice(kind)
    if kind is None:
        kind = "object" if "properties" in schema or "patternProperties" in schema else \
            "array" if "items" in schema else rng.choice(["string", "object", "integer"])
    if kind == "object":
        return an_object(rng, top, schema, depth)
    if kind == "array":
        items = schema.get("items", {})
        if isinstance(items, list):
            return [likely(rng, top, s, depth + 1) for s in items][:rng.randrange(len(items) + 2)]
        value = [likely(rng, top, items, depth + 1) for _ in range(rng.choice([0, 1, 1, 2, 3]))]
        return value + value[:1] if rng.random() < 0.1 else value
    if kind == "string":
        return rng.choice(STRINGS)
    if kind in ("integer", "number"):
        return rng.choice(NUMBERS + [schema.get("minimum", 1), schema.get("maximum", 1)])
    if kind == "boolean":
        return rng.random() < 0.5
    return None if kind == "null" else junk(rng)


def an_object(rng, top, schema, depth):
    value = {}
    required = schema.get("required", [])
    for name, sub in schema.get("properties", {}).items():
        if rng.random() < (0.93 if isinstance(required, list) and name in required else 0.4):
            value[name] = likely(rng, top, sub, depth + 1)
    for sub in schema.get("patternProperties", {}).values():
        for _ in range(rng.randrange(3)):
            value[rng.choice(STRINGS)] = likely(rng, top, sub, depth + 1)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict) and rng.random() < 0.7:
        value[rng.choice(STRINGS)] = likely(rng, top, extra, depth + 1)
    if rng.random() < 0.12:
        value[rng.choice(STRINGS + ["fileame", "zz"])] = junk(rng)
        if rng.random() < 0.3:
            value["unknown"] = 1
    return value


def main():
    index = meta.Index(root)
    work = [("Manifest", None, version) for version in ("1", "2")]
    for klass, folder in meta.ModuleInfo.MODULES.items():
        if klass == "Runner":
            continue
        names = sorted({n[:-len(".meta.json")] if n.endswith(".meta.json") else n
                        for n in os.listdir(os.path.join(root, folder)) if n.startswith("org.")})
        work += [(klass, name, version) for name in names for version in ("1", "2")]
    rng = random.Random(20261122)
    for klass, name, version in work:
        # Moving `definitions` up changes what the index keeps, so each version starts afresh.
        index = meta.Index(root)
        try:
            schema = index.get_schema(klass, name, version)
        except (ValueError, KeyError, TypeError):
            print(json.dumps({"kind": klass, "name": name, "version": version, "value": {}, "errors": None}))
            continue
        for _ in range(count):
            value = likely(rng, schema.data, schema.data)
            try:
                errors = [[list(e.path), e.message] for e in schema.validate(value)]
            except Exception as error:  # upstream's own crash
                print(f"{klass} {name}: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            print(json.dumps({"kind": klass, "name": name, "version": version, "value": value, "errors": errors}))


main()
