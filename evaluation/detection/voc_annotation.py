"""Reads VOC's annotation files.

The files are XML from whoever packed the data set, so they go through
defusedxml: no document type, no entities, no external references.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from xml.etree.ElementTree import Element
from xml.etree.ElementTree import ParseError

import defusedxml.common
import defusedxml.ElementTree

from mtssl_tf.files import whole_file

# ours: of a thousand objects it has half a megabyte.
_MAX_BYTES = 2**24
_EXPECTED = ("filename", "size", "object")
_DIFFICULT = {"0": False, "1": True, "false": False, "true": True}


@dataclasses.dataclass(frozen=True)
class VocObject:
    """An annotated object, as its file has it.

    Attributes:
        name: of the class.
        corners: x_min, y_min, x_max, y_max, 1-based and inclusive.
        is_difficult: whether VOC's scoring ignores it.
    """

    name: str
    corners: tuple[float, float, float, float]
    is_difficult: bool


def load_objects(path: pathlib.Path) -> list[VocObject]:
    """Reads the objects of one annotation file.

    Raises:
        ValueError: the file is not VOC's XML, or XML that is unsafe to read;
            names the file.
    """
    contents = whole_file.load(path, _MAX_BYTES)
    try:
        root = defusedxml.ElementTree.fromstring(contents, forbid_dtd=True)
    except defusedxml.common.DefusedXmlException as error:
        raise ValueError(
            f"{path} declares a document type or entities, which VOC's files "
            f"do not need and which are not read: {error!r}."
        ) from error
    except (ParseError, LookupError, ValueError) as error:
        raise ValueError(f"{path} is not well-formed XML: {error}.") from error
    for node in root.iter():
        # Without its namespace, and <Object> as what it must mean.
        node.tag = node.tag.rpartition("}")[2].lower()
    # A page of a server that wanted a password is well-formed, too.
    if root.tag != "annotation" or not any(
        root.find(name) is not None for name in _EXPECTED
    ):
        raise ValueError(
            f"{path}: expected <annotation> with {', '.join(_EXPECTED)}, got "
            f"<{root.tag}> with {[node.tag for node in root][:5]}."
        )
    return [_read_object(node, path) for node in root.findall("object")]


def _read_object(node: Element, path: pathlib.Path) -> VocObject:
    corners = tuple(
        _read_number(node, f"bndbox/{side}", path)
        for side in ("xmin", "ymin", "xmax", "ymax")
    )
    difficult = (node.findtext("difficult") or "0").strip().lower()
    if difficult not in _DIFFICULT:
        raise ValueError(
            f"{path}: expected one of {', '.join(_DIFFICULT)} in "
            f"object/difficult, got {difficult!r}."
        )
    return VocObject(
        name=(node.findtext("name") or "").strip(),
        corners=(corners[0], corners[1], corners[2], corners[3]),
        is_difficult=_DIFFICULT[difficult],
    )


def _read_number(node: Element, place: str, path: pathlib.Path) -> float:
    text = node.findtext(place)
    try:
        # Python reads 0_12 as 12.
        number = float((text or "").replace("_", "?"))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f"{path}: expected a number in object/{place}, got {text!r}."
        )
    return number
