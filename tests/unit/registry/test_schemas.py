"""JSON Schemas that come from outside run at a bounded cost; documents are compared and merged as JSON."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tercio_registry.state import schemas
from tercio_registry.state.documents import DocumentError, canonical, differences, merged, parse
from tercio_registry.state.schemas import Schema


def fields(schema: object, document: object) -> list[str]:
    return [violation.field for violation in Schema(json.dumps(schema)).violations(document)]


def test_every_violation_is_named_by_its_path() -> None:
    schema = {
        "properties": {"ports": {"items": {"type": "integer"}}, "name": {"pattern": "^[a-z]+$"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    assert fields(schema, {"ports": [1, "x"], "name": "A", "more": 1}) == ["$.ports[1]", "$.name", "$"]
    assert fields(schema, {"name": "a"}) == []


def test_references_within_the_schema_are_followed() -> None:
    assert fields({"$ref": "#/$defs/port", "$defs": {"port": {"required": ["port"]}}}, {}) == ["$"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/missing"},
        {"type": "nothing"},
        {"pattern": "(?=a)"},
        {"pattern": "(a)\\1"},
        {"pattern": "x" * 2_000},
        {"patternProperties": {"^a": True}},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"properties": {"a": {"$schema": "https://json-schema.org/draft/2020-12/schema"}}},
        {"description": "x" * 20_000},
        [],
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_a_schema_that_is_not_supported_is_refused(schema: object) -> None:
    with pytest.raises(DocumentError):
        Schema(json.dumps(schema))


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        pytest.param(
            {"allOf": [{"pattern": f".{{0,900}}{n}"} for n in range(330)]}, "too costly together", id="repeats"
        ),
        pytest.param(
            {"allOf": [{"pattern": f"\\PL{{0,9}}{n}"} for n in range(330)]}, "too costly together", id="classes"
        ),
        pytest.param({"allOf": [{}] * 3_900}, "more than 400 objects", id="objects"),
        pytest.param({"enum": [{"a": {}}] * 300}, "more than 400 objects", id="objects in values"),
    ],
)
def test_a_new_schema_that_is_costly_to_compile_is_refused_and_one_that_was_taken_is_read(
    schema: object, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(schemas, "_compiled", lambda pattern: _counted(pattern, compiled))
    with pytest.raises(DocumentError, match=complaint):
        Schema(json.dumps(schema), new=True)
    assert len(compiled) < 30, "it stops as soon as it is too much"
    assert Schema(json.dumps(schema)).violations("a") is not None


def _counted(pattern: str, compiled: list[str]) -> SimpleNamespace:
    compiled.append(pattern)
    return SimpleNamespace(programsize=9_000, search=lambda _text: True)


def test_a_large_schema_of_an_ordinary_kind_is_taken() -> None:
    properties = {f"p{n}": {"type": "string", "pattern": f"^[a-z]{{1,{n + 1}}}$"} for n in range(200)}
    assert Schema(json.dumps({"properties": properties}), new=True).violations({"p1": "A"})


def test_patterns_are_left_to_re2_alone() -> None:
    """What `re` would take 10 ms each for, and what only RE2 knows."""
    wide = {"allOf": [{"pattern": f"(?i)[!-\uffff]{n}"} for n in range(300)]}
    assert fields(wide, "x0") == ["$"] * 20
    assert fields({"pattern": "^\\pL$"}, "1") == ["$"]


def test_a_pattern_that_would_backtrack_for_ever_takes_linear_time() -> None:
    assert fields({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 50_000 + "!"}) == ["$.a"]


def test_a_schema_that_names_its_draft_and_itself_keeps_its_bounds() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {"a": {"pattern": "^(a+)+$"}, "b": {"$ref": "#"}},
    }
    assert fields(schema, {"b": {"a": "a" * 50_000 + "!"}}) == ["$.b.a"]


@pytest.mark.parametrize(
    ("keyword", "document"),
    [
        ({"additionalProperties": True}, {f"k{n}": 1 for n in range(5_000)}),
        ({"uniqueItems": True}, [["x" * 50_000]]),
        ({"pattern": "(a|b|ab){0,300}(.{0,200})x"}, "ab" * 25_000),
        ({"not": {"anyOf": [{"type": "null"}] * 2}, "anyOf": [{"type": "null"}, True]}, "é" * 25_000),
    ],
    ids=["members", "elements", "characters", "messages"],
)
def test_looking_at_much_again_and_again_is_given_up(keyword: object, document: object) -> None:
    schema = {
        "properties": {"a": {"allOf": [{"$ref": "#/$defs/many"}] * 60}},
        "$defs": {"many": {"allOf": [{"$ref": "#/$defs/one"}] * 60}, "one": keyword},
    }
    (violation,) = Schema(json.dumps(schema)).violations({"a": document})
    assert "too many steps" in violation.description


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"multipleOf": 0.1}, 10**400),
        ({"$ref": "#/x", "x": {"type": "nothing"}}, 1),
        ({"$ref": "#/x", "x": {"pattern": ["a"]}}, "a"),
    ],
    ids=["number", "type", "pattern"],
)
def test_what_a_schema_cannot_be_applied_to_does_not_conform(schema: dict[str, object], value: object) -> None:
    (violation,) = Schema(json.dumps({"properties": {"a": schema}, **schema})).violations({"a": value})
    assert "cannot be applied" in violation.description


def test_alternatives_that_grow_exponentially_are_given_up() -> None:
    levels = {f"l{n}": {"anyOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(40)} | {"l40": False}
    (violation,) = Schema(json.dumps({"$ref": "#/$defs/l0", "$defs": levels})).violations({})
    assert "too many steps" in violation.description


def test_a_schema_that_refers_to_itself_is_given_up() -> None:
    assert fields({"$ref": "#"}, {}) == ["$"]


def test_equal_elements_are_found_in_linear_time() -> None:
    schema = {"properties": {"a": {"uniqueItems": True}}}
    assert fields(schema, {"a": [{"n": n} for n in range(5_000)]}) == []
    assert fields(schema, {"a": [{"n": 1}, {"n": 1}]}) == ["$.a"]


def test_what_differs_below_a_long_name_does_not_repeat_it_for_each_member() -> None:
    before, after = ({"k" * 30_000: {f"{each:04}": number for each in range(3_000)}} for number in (1, 2))
    (found,) = differences(before, after)
    assert (json.loads(found.before), json.loads(found.after)) == (*before.values(), *after.values())


def test_differences_are_named_by_json_pointer() -> None:
    before = {"a": 1, "b": {"c": [1, 2], "d/e": True}}
    after = {"a": 1.0, "b": {"c": [1], "f": None}}
    assert list(differences(before, after)) == [
        ("/a", "1", "1.0"), ("/b/c", "[1,2]", "[1]"), ("/b/d~1e", "true", ""), ("/b/f", "", "null"),
    ]  # fmt: skip
    assert list(differences(before, before)) == []


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_rfc_7396_says(target: object, patch: object, result: object) -> None:
    assert merged(target, patch) == result


def test_a_document_is_written_in_one_way() -> None:
    assert canonical(parse('{ "b": 1, "a": "é" }')) == '{"a":"é","b":1}'
