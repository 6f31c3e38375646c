"""Options of a method that the scripts which predict take for its models."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from core.errors import UserError
from core.options import OPTIONS, EvaluationOptions, Options, PredictionOptions
from core.options.base import option
from core.options.choices import choice_names, choices, with_choices
from core.options.parsing import parse


@dataclass
class Lenses(Options):
    """Lenses (Nobody, 1999)."""

    PREDICTION: ClassVar[tuple[str, ...]] = ("focus", "colour")
    method: str = option("lenses", "which paper")
    focus: int = option(2, "which lens", choices=(1, 2, 3))
    colour: str = option("red", "of the glass")


@pytest.fixture
def lenses(monkeypatch):
    monkeypatch.setitem(OPTIONS, "lenses", Lenses)


def evaluation(*words):
    return parse(with_choices(EvaluationOptions), ["--eval_mono", *words])


def test_typed_and_left_open(lenses):
    options = evaluation("--load_weights_folder", "a", "--focus", "3")
    assert isinstance(options, EvaluationOptions)
    assert choices(options) == dict.fromkeys(choice_names()) | {"focus": 3, "colour": None}
    assert "focus" in choice_names()
    with pytest.raises(UserError, match="option --focus: 4 is none of 1, 2, 3"):
        evaluation("--load_weights_folder", "a", "--focus", "4")
    with pytest.raises(UserError, match="option --focus: expected a whole number, not 'near'"):
        evaluation("--load_weights_folder", "a", "--focus", "near")


def test_scripts_of_before_have_them_not(lenses):
    """`choices` of options made in code."""
    assert choices(EvaluationOptions(load_weights_folder="a", eval_mono=True))["focus"] is None


def test_nothing_predicts(lenses):
    with pytest.raises(
        UserError, match="option focus: no network runs with --ext_disp_to_eval; leave it out"
    ):
        evaluation("--ext_disp_to_eval", "a.npy", "--focus", "3")


def test_help_has_them_under_the_name_of_the_method(lenses, capsys):
    with pytest.raises(SystemExit):
        parse(with_choices(PredictionOptions), ["--help"])
    said = capsys.readouterr().out
    after = said.partition("Models of Lenses (Nobody, 1999):")[2]
    assert "--focus 1|2|3" in after and "none: as in the weights' folder, else 2" in after.replace("\n", " ")


def test_a_name_means_one_thing():
    @dataclass
    class Other(Options):
        """Other."""

        PREDICTION: ClassVar[tuple[str, ...]] = ("focus",)
        focus: int = option(1, "how sharp")

    with pytest.raises(TypeError, match="two classes call different options focus"):
        with_choices(EvaluationOptions, {"lenses": Lenses, "other": Other})

    @dataclass
    class Taken(Options):
        """Taken."""

        PREDICTION: ClassVar[tuple[str, ...]] = ("batch_size",)

    with pytest.raises(TypeError, match="batch_size"):
        with_choices(EvaluationOptions, {"taken": Taken})


def test_what_a_method_has_from_another_one_is_the_same_option():
    @dataclass
    class Bifocals(Lenses):
        """Bifocals."""

        PREDICTION: ClassVar[tuple[str, ...]] = ("focus", "second")
        second: int = option(1, "focus of the lower half")

    made = with_choices(EvaluationOptions, {"bifocals": Bifocals, "lenses": Lenses})
    fields = made.__dataclass_fields__
    assert {"focus", "colour", "second"} <= fields.keys()


def test_every_method_names_options_of_its_own():
    for method in OPTIONS.values():
        assert set(method.PREDICTION) <= set(method.MODEL)
