"""What becomes of parameters."""

from __future__ import annotations

from typing import Any

import pytest

from lambent.core.errors import AwsError
from lambent.core.operations import Operation, Output, Params, Rejection, RequestContext, Service
from lambent.server.parameters import Treatment, UnknownParameter
from lambent.server.protocol import shapes

MODEL = shapes.from_description(
    {
        "metadata": {"protocol": "json", "apiVersion": "1", "endpointPrefix": "toy"},
        "operations": {"Do": {"name": "Do", "input": {"shape": "Input"}}},
        "shapes": {
            "Input": {
                "type": "structure",
                "members": {
                    "Name": {"shape": "Text"},
                    "Other": {"shape": "Text"},
                    "Box": {"shape": "Box"},
                    "Boxes": {"shape": "Boxes"},
                    "Shelf": {"shape": "Shelf"},
                },
            },
            "Box": {
                "type": "structure",
                "members": {"A": {"shape": "Text"}, "B": {"shape": "Text"}, "C": {"shape": "Text"}},
            },
            "Boxes": {"type": "list", "member": {"shape": "Box"}},
            "Shelf": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Boxes"}},
            "Text": {"type": "string"},
        },
    }
)


async def handler(context: RequestContext, params: Params) -> Output:
    return None


def treatment(**declared: Any) -> Treatment:
    service = Service(name="toy", unsupported_code="Unsupported")
    operation = Operation(service=service, name="Do", handler=handler, **declared)
    return Treatment(operation, shapes.resolve(MODEL, MODEL.operations["Do"].input))


def refusal(treated: Treatment, params: Params) -> str:
    with pytest.raises(AwsError) as caught:
        treated.check(params)
    assert caught.value.code == "Unsupported"
    return caught.value.message


def test_enforced_parameters_pass_in_silence() -> None:
    treated = treatment(enforced=("Name", "Box"))
    assert treated.check({}) == ()
    assert treated.check({"Name": "n", "Box": {"A": "1", "C": "2"}}) == ()


def test_what_is_listed_nowhere_is_rejected() -> None:
    treated = treatment(enforced=("Name",))
    assert refusal(treated, {"Other": "x"}) == "Lambent does not support Other yet: it is not implemented"
    assert refusal(treated, {"Box": {"A": "1"}}) == "Lambent does not support Box yet: it is not implemented"
    for harmless in ("", [], {}, None):
        assert treated.check({"Other": harmless}) == ()
    assert refusal(treated, {"Other": False})


def test_rejections_have_reasons_and_harmless_values() -> None:
    treated = treatment(rejected={"Other": Rejection(reason="no", harmless=lambda value: value == "default")})
    assert treated.check({"Other": "default"}) == ()
    assert refusal(treated, {"Other": "x"}) == "Lambent does not support Other yet: no"


def test_simulated_parameters_are_named_once_each() -> None:
    treated = treatment(enforced=("Name",), simulated={"Other": "not really", "Boxes.A": "nor this"})
    assert treated.check({"Name": "n"}) == ()
    given = {"Boxes": [{"A": "1"}, {"A": "2"}], "Other": "x", "Name": "n"}
    assert treated.check(given) == ("Boxes.A", "Other")


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("Box.B", {"Box": {"B": "x"}}),
        ("Boxes.B", {"Boxes": [{"A": "1"}, {"B": "x"}]}),
        ("Shelf.B", {"Shelf": {"A": [{"A": "1"}], "B": [{"B": "x"}]}}),
    ],
)
def test_paths_go_through_structures_lists_and_maps(path: str, params: Params) -> None:
    name = path.partition(".")[0]
    within = treatment(enforced=(name,), rejected={path: Rejection(reason="no")})
    assert refusal(within, params) == f"Lambent does not support {path} yet: no"
    fine = {"Box": {"C": "1"}, "Boxes": [{"C": "1"}], "Shelf": {"B": [{"C": "1"}]}}
    assert within.check({name: fine[name]}) == ()
    only = treatment(enforced=(f"{name}.A",))
    assert refusal(only, params) == f"Lambent does not support {path} yet: it is not implemented"


def test_a_map_key_is_not_a_member() -> None:
    treated = treatment(enforced=("Shelf",), rejected={"Shelf.B": Rejection(reason="no")})
    assert treated.check({"Shelf": {"B": [{"A": "1"}]}}) == ()


@pytest.mark.parametrize("path", ["Nmae", "Name.X", "Box.D", "Boxes.D", "Shelf.key", ""])
def test_paths_must_be_in_the_model(path: str) -> None:
    with pytest.raises(UnknownParameter):
        treatment(enforced=(path,))


def test_a_path_is_listed_once() -> None:
    with pytest.raises(UnknownParameter, match="twice"):
        treatment(enforced=("Name",), simulated={"Name": "x"})


def test_table() -> None:
    treated = treatment(
        enforced=("Name", "Boxes.A", "Shelf"),
        simulated={"Box": "note"},
        rejected={"Box.B": Rejection(reason="no"), "Shelf.C": Rejection(reason="never")},
    )
    assert [(line.path, line.verdict, line.text) for line in treated.members()] == [
        ("Name", "enforced", ""),
        ("Other", "rejected", "it is not implemented"),
        ("Box", "simulated", "note"),
        ("Box.B", "rejected", "no"),
        ("Boxes.A", "enforced", ""),
        ("Boxes.B", "rejected", "it is not implemented"),
        ("Boxes.C", "rejected", "it is not implemented"),
        ("Shelf", "enforced", ""),
        ("Shelf.C", "rejected", "never"),
    ]
