"""Texts as values of annotated types, and fields changed by them."""

import dataclasses

import pytest

from mtssl_tf import settings


@dataclasses.dataclass(frozen=True)
class _Toy:
    steps: int = 3
    rate: float = 0.5
    is_on: bool = True
    folder: str = ""
    sizes: tuple[int, ...] = (1, 2)
    ratios: tuple[float, ...] = (1.0,)
    units: tuple[int, int] | None = None

    def __post_init__(self):
        if self.steps < 0:
            raise ValueError(f"steps must be >= 0, got {self.steps}.")


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("steps", " 12", 12),
        ("rate", "2e-3", 2e-3),
        ("rate", "4", 4.0),
        ("is_on", "false", False),
        ("is_on", "FALSE", False),
        ("is_on", "True", True),
        ("folder", "12", "12"),
        ("folder", "true", "true"),
        ("sizes", "480,576", (480, 576)),
        ("sizes", "(480, 576)", (480, 576)),
        ("sizes", "[480]", (480,)),
        ("sizes", "480", (480,)),
        ("sizes", "480,", (480,)),
        ("sizes", "", ()),
        ("ratios", "1,0.5", (1.0, 0.5)),
        ("units", "(1,2)", (1, 2)),
        ("units", "None", None),
    ],
)
def test_a_text_becomes_a_value_of_the_fields_type(key, text, value):
    found = getattr(settings.replace(_Toy(units=(3, 3)), key, text), key)
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, tuple):
        assert [type(each) for each in found] == [type(each) for each in value]


@pytest.mark.parametrize(
    "key, text, said",
    [
        ("step", "3", "no setting 'step'. Known: steps, rate"),
        ("steps", "many", "type int, got 'many'"),
        ("steps", "1.5", "type int, got '1.5'"),
        ("steps", "true", "type int, got 'true'"),
        ("is_on", "1", "type bool, got '1'"),
        ("sizes", "many", "type tuple, got 'many'"),
        ("units", "__import__('os')", "type tuple or NoneType, got"),
        ("steps", "-1", "steps must be >= 0, got -1"),
        # A kind of fault: what no computation with it can hold.
        ("steps", "-" * 3000 + "1", "type int, got"),
        ("steps", "1" + "0" * 400, "between 1e-30 and 9.0072e.15 in size"),
        ("rate", "1" + "0" * 400, "rate must be finite, got inf"),
        ("rate", "1e308", "rate must be 0, or between"),
        ("rate", "5e-324", "rate must be 0, or between"),
        ("rate", "nan", "type float"),
        ("ratios", "1,1e300", "ratios must be 0, or between"),
    ],
)
def test_a_mistake_is_named(key, text, said):
    with pytest.raises(ValueError, match=said):
        settings.replace(_Toy(), key, text)


@dataclasses.dataclass(frozen=True)
class _Kind:
    size: int | None = 3
    name: str = "x"
    kind: str = settings.deciding("small", "size")


def test_what_others_depend_on_takes_them_back_where_it_changes():
    given = _Kind(size=7, name="y")
    assert settings.replace(given, "kind", "large") == _Kind(3, "y", "large")
    assert settings.replace(given, "kind", "small") == given
    assert settings.replace(given, "size", "4").kind == "small"
    assert settings.decides(_Kind, "kind")
    assert not settings.decides(_Kind, "size")
    assert not settings.decides(_Kind, "nothing")
