"""Readings of every bone in every view: given, detected, or both."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from osteoform._by_hand import HandFeatures, merged
from osteoform._crop import in_box, read_box, shows
from osteoform._polarity import read_with_polarity, with_polarity
from osteoform._shape_model import ShapeModel
from osteoform._types import Detection, Detector, Reading, Side, XrayView


@dataclass(frozen=True, kw_only=True)
class BoneReader:
    """Whom to ask what is seen of a leg's bones.

    Attributes
    ----------
    models
        Of the bones wanted.
    by_hand
        Per name of a view and bone.
    """

    side: Side
    models: Mapping[str, ShapeModel] = field(repr=False)
    detector: Detector = field(repr=False)
    by_hand: Mapping[str, Mapping[str, HandFeatures]] = field(repr=False)

    def see(
        self, views: Sequence[XrayView], given: Mapping[str, Sequence[Detection]]
    ) -> tuple[list[XrayView], dict[str, list[list[Reading]]]]:
        """Views with their polarity, readings per bone and view without what is given by hand.

        A bone that is `given`, one detection per view, or replaced by hand is not asked for.
        """
        known: list[XrayView] = []
        readings: dict[str, list[list[Reading]]] = {bone: [] for bone in self.models}
        for index, view in enumerate(views):
            asked = [b for b in self.models if b not in given and not self._hand(b, view).replaces]
            seen: Sequence[Reading] = ()
            if asked:
                view, seen = read_with_polarity(view, self.detector, self.side, asked)
            known.append(with_polarity(view))
            for bone in self.models:
                found = self._found(bone, seen)
                if bone in given:
                    found = [{bone: given[bone][index]}]
                readings[bone].append(found)
        return known, readings

    def corrected(
        self, views: Sequence[XrayView], seen: Mapping[str, Sequence[Sequence[Reading]]]
    ) -> BoneReader:
        """The same with only what is given by hand and not seen in the same way anyhow."""
        by_hand = {
            view.name: {
                bone: hand.without([r[bone] for r in seen[bone][index]], self.models[bone])
                for bone, hand in self.by_hand.get(view.name, {}).items()
            }
            for index, view in enumerate(views)
        }
        return replace(self, by_hand=by_hand)

    def with_hand(self, bone: str, view: XrayView, found: list[Reading]) -> list[Reading]:
        """Readings with what is given by hand; if there is a box to look in, those that lie there."""
        hand = self._hand(bone, view)
        if hand == HandFeatures():
            return found
        told = hand.detection(self.models[bone])
        if hand.looks_in_box:
            closer = read_box(view, told.box_px, self.detector, side=self.side, bone=bone)
            found = [*closer, *in_box(found, bone, told.box_px)] or found
        return [{bone: merged(reading[bone], told)} for reading in found]

    def untouched(self, view: XrayView, given: Collection[str]) -> list[str]:
        """Bones of which the detector alone tells in a view."""
        return [b for b in self.models if b not in given and self._hand(b, view) == HandFeatures()]

    def fixed(self, views: Sequence[XrayView]) -> list[str]:
        """Bones of which the detector has no say in any view."""
        return [b for b in self.models if all(self._hand(b, view).is_complete for view in views)]

    def _hand(self, bone: str, view: XrayView) -> HandFeatures:
        return self.by_hand.get(view.name, {}).get(bone, HandFeatures())

    def _found(self, bone: str, seen: Sequence[Reading]) -> list[Reading]:
        """Only readings in which the bone was seen; an empty one if it was in none."""
        empty = Detection.empty(bone, len(self.models[bone].point_names))
        return [reading for reading in seen if shows(reading, bone)] or [{bone: empty}]
