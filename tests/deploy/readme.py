"""The chart's README, made from its values: every key with its default and the line that stands above it.

Run it to write the page; `test_chart.py` compares.
"""

import json
import re

import yaml

from rendering import CHART

PAGE = CHART / "README.md"

HEAD = """# The chart rollcall

A cluster of [Rollcall](../../README.md) nodes as a StatefulSet. How to use it: [deploy](../../docs/operating/deploy.md),
[scale](../../docs/operating/scale.md), [upgrade](../../docs/operating/upgrade.md),
[monitor](../../docs/operating/monitor.md).

```sh
helm install rollcall helm/rollcall --set image.repository=registry.example/rollcall
helm test rollcall
```

## Values

Made from `values.yaml`; a test compares.

| key | default | what it is |
|---|---|---|
"""


def rows(text):
    """Key, default and description of each value, in the file's order."""
    defaults = yaml.safe_load(text)
    path, described, found = [], None, []
    for number, line in enumerate(text.splitlines(), 1):
        comment = re.match(r"\s*# -- (.*)", line)
        key = re.match(r"(\s*)([A-Za-z]\w*):", line)
        if comment:
            described = comment[1]
        elif key:
            depth = len(key[1]) // 2
            path = path[:depth] + [key[2]]
            if described is not None:
                value = defaults
                for part in path:
                    value = value[part]
                found.append((".".join(path), value, described))
            elif not any(path[: len(known.split("."))] == known.split(".") for known, _, _ in found):
                # A section needs no description; a value does.
                value = defaults
                for part in path:
                    value = value[part]
                if not isinstance(value, dict) or not value:
                    raise AssertionError(f"values.yaml:{number}: {'.'.join(path)} has no description")
            described = None
    return found


def page():
    """The page as it must be."""
    text = (CHART / "values.yaml").read_text()
    lines = [
        f"| `{key}` | `{json.dumps(value, ensure_ascii=False)}` | {described} |" for key, value, described in rows(text)
    ]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
