"""Readings of every bone in every view: given, detected, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from osteoform._by_hand import HandFeatures, merged
from osteoform._crop import read_crop, shows
from osteoform._polarity import read_with_polarity, with_polarity
from osteoform._shape_model import ShapeModel
from osteoform._types import Detection, Detector, Reading, Side, XrayView


@dataclass(frozen=True, kw_only=True)
class BoneReader:
    """What is known of a leg's bones before they are fitted, and whom to ask for the rest.

    Attributes
    ----------
    models
        Of the bones wanted.
    given
        Per bone one detection per view, instead of asking the detector.
    by_hand
        Per name of a view and bone.
    """

    side: Side
    models: Mapping[str, ShapeModel] = field(repr=False)
    detector: Detector = field(repr=False)
    given: Mapping[str, Sequence[Detection]] = field(repr=False)
    by_hand: Mapping[str, Mapping[str, HandFeatures]] = field(repr=False)

    def read(
        self, views: Sequence[XrayView]
    ) -> tuple[list[XrayView], dict[str, list[list[Reading]]]]:
        """Views with their polarity, readings per bone and view."""
        known = list(views)
        readings: dict[str, list[list[Reading]]] = {bone: [] for bone in self.models}
        for index, view in enumerate(views):
            asked = [bone for bone in self.models if self._asks(bone, view)]
            seen: Sequence[Reading] = ()
            if asked:
                view, seen = read_with_polarity(view, self.detector, self.side, asked)
            known[index] = view = with_polarity(view)
            for bone in self.models:
                found = self._given(bone, index) or self._found(bone, seen)
                readings[bone].append(self._with_hand(bone, view, found))
        return known, readings

    def _asks(self, bone: str, view: XrayView) -> bool:
        hand = self._hand(bone, view)
        return bone not in self.given and not (hand and hand.replaces)

    def _hand(self, bone: str, view: XrayView) -> HandFeatures | None:
        return self.by_hand.get(view.name, {}).get(bone)

    def _given(self, bone: str, index: int) -> list[Reading]:
        return [{bone: self.given[bone][index]}] if bone in self.given else []

    def _found(self, bone: str, seen: Sequence[Reading]) -> list[Reading]:
        """Only readings in which the bone was seen; an empty one if it was in none."""
        empty = Detection.empty(bone, len(self.models[bone].point_names))
        return [reading for reading in seen if shows(reading, bone)] or [{bone: empty}]

    def _with_hand(self, bone: str, view: XrayView, found: list[Reading]) -> list[Reading]:
        """Readings with what is given by hand, of the box alone if there is one to look in."""
        hand = self._hand(bone, view)
        if hand is None:
            return found
        told = hand.detection(self.models[bone])
        if hand.looks_in_box:
            in_box = read_crop(view, told.box_px, self.detector, side=self.side, bone=bone)
            found = in_box or found
        return [{bone: merged(reading[bone], told)} for reading in found]
