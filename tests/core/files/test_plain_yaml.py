"""The one reader of YAML: what it makes of values, and what it refuses, in one line and without waiting."""

import math
import re

import pytest

from core.errors import UserError
from core.files import plain_yaml
from core.files.plain_yaml import NotPlainError, parse
from core.files.whole import yaml_text
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("192", 192),
        ("-1", -1),
        ("+7", 7),
        ("0100", "0100"),
        ("0x10", "0x10"),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2011_09_26", "2011_09_26"),
        ("2011-09-26", "2011-09-26"),
        ("2.5", 2.5),
        ("1.0e-05", 1e-5),
        ("1e-4", "1e-4"),
        (".5", 0.5),
        ("-.5", "-.5"),
        ("-.inf", -math.inf),
        ("9" * 41, "9" * 41),
        ("yes", True),
        ("OFF", False),
        ("yEs", "yEs"),
        ("~", None),
        ("", None),
        ("'192'", "192"),
        ('"a\\nb"', "a\nb"),
        ("=", "="),
        ("(192, 640)", "(192, 640)"),
    ],
)
def test_scalars(text, value):
    assert parse(f"key: {text}") == {"key": value}


def test_nested_values():
    text = "a:\n  b: [1, [x, {c: 2.0}], []]\n  d: |\n    two\n    lines\n'3': {}\n3: null\n"
    assert parse(text) == {"a": {"b": [1, ["x", {"c": 2.0}], []], "d": "two\nlines\n"}, "3": {}, 3: None}
    assert parse("") is None and parse("# nothing") is None and parse("- 1") == [1] and parse("x") == "x"
    assert math.isnan(parse("a: .NaN")["a"])
    assert parse("<<: {a: 1}") == {"<<": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 1", "'a' stands there twice; keep one (line 3)"),
        ("a: {b: 1, 'b': 2}", "'b' stands there twice"),
        ("1: a\ntrue: b", "True stands there twice"),
        ("a: !!bool x", "has tags (!name); write the value alone (line 1)"),
        ("a: !!timestamp x", "has tags"),
        ("a: !!set {}", "has tags"),
        ("- !own [1]", "has tags"),
        ("a: &x 1\nb: *x", "has aliases (*name); write their values out (line 2)"),
        ("a: &a [*a]", "has aliases"),
        ("<<: *x", "has aliases"),
        ("? [a]\n: b", "a list or mapping is no key"),
        ("{{a: 1}: 2}", "a list or mapping is no key"),
        ("a: 1\n---\na: 2", "several documents"),
        ("a: [1", "expected ',' or ']', but got '<stream end>'"),
        ("a: b: c", "mapping values are not allowed here (line 1)"),
        ("a: '\x01'", "special characters are not allowed"),
        ("%YAML 9.9\n---\na: 1", "incompatible"),
    ],
)
def test_what_is_refused(text, reason):
    with pytest.raises(NotPlainError) as error:
        parse(text)
    assert reason in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 400


DEEP = ["[" * 60_000, "{a: " * 15_000, "[\n" * 30_000, "- " * 30_000, "[a, " * 15_000, "[" * 500 + "]" * 500]


@pytest.mark.parametrize("text", DEEP, ids=[text[:4].strip() for text in DEEP])
def test_brackets_in_brackets_end_at_once(text, monkeypatch):
    """What takes the time is reading on: no more than a line's worth of tokens is looked at."""
    import yaml

    taken = 0
    fetch = yaml.SafeLoader.fetch_more_tokens

    def counted(self):
        nonlocal taken
        taken += 1
        return fetch(self)

    monkeypatch.setattr(yaml.SafeLoader, "fetch_more_tokens", counted)
    with pytest.raises(NotPlainError, match="levels in each other"):
        parse(text)
    assert taken < 1200


def test_a_file_in_one_line_with_its_name(tmp_path):
    path = tmp_path / "camera.yaml"
    path.write_bytes(b"\xef\xbb\xbffx: 1\r\nfy: 2\r\n")
    assert plain_yaml.read(path) == {"fx": 1, "fy": 2}
    for content, reason in [
        (b"\xff\xff", "not a text file in UTF-8"),
        (b"\xff\xfea\0", "it is UTF-16; save it as UTF-8"),
        (b"#" * (64 << 10) + b"#", "it has more than 64 KiB"),
        (b"a: *b", "has aliases"),
    ]:
        path.write_bytes(content)
        with pytest.raises(UserError) as error:
            plain_yaml.read(path, "no camera", "calibrate again")
        assert str(error.value).startswith(f"{path}: no camera: {reason}")
        assert str(error.value).endswith("; calibrate again")
    with pytest.raises(UserError, match="no_such: not valid YAML: No such file"):
        plain_yaml.read(tmp_path / "no_such")


def test_what_is_written_reads_back():
    """A list that stands in a record twice, too, and text that looks like something else."""
    twice = [0.5, -1e-7, 1e20]
    record = {
        "a": twice,
        "b": {"c": twice},
        "words": ["0100", "1:30", "yes", "1e-4", "-.5", "~", "", "2.5", "=", "<<"],
    }
    assert parse(yaml_text(record)) == record


def test_nothing_else_reads_yaml():
    """Of all that is not a test."""
    places = [*ROOT.glob("*.py"), *(ROOT / "core").rglob("*.py"), *(ROOT / "backends").rglob("*.py")]
    assert len(places) > 100
    assert [
        path for path in places if re.search(r"yaml\.(\w+_)?load", path.read_text(encoding="utf-8"))
    ] == []
