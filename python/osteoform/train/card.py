"""The card of a network: what made it, what was measured, where it fails."""

from __future__ import annotations

from osteoform._split import held_out
from osteoform.train.loop import TrainingReport
from osteoform.train.validate import DetectorScore

_ORIGIN = """# Detector network

Finds femur, tibia, fibula and patella in X-rays: a box, feature points and feature ellipses each.
Trained on simulated X-rays only; no real X-ray was ever shown to it.

- Made by: {origin}
- Seen in the last run: {images} images, each once, made of {scenes} scenes, in {steps} steps,
  {minutes:.0f} minutes, {precision} precision
- Bones: LLP26 (MPL-2.0), mixed, deformed, scaled 0.88-1.15, knee bent 0-110 degrees;
  people {people}
- Held out, never trained on: people {held_out} (`split.toml`)
- Input: grey image, longer side 256 px, logarithmic, local contrast (`_normalize.py`); right legs,
  so left images are mirrored; upright, so images are read at every likely quarter turn
"""

MEASURED_HEADING = "## Measured on "

_MEASURED = """{heading}{num_images} simulated X-rays of the people held out

Same randomness as in training (any direction, wires, collimators, noise, flexion), knee, femur,
hip, ankle, shank and whole leg mixed. Errors are of the points that were reported and are in view.

| bone | points | median px | median mm | p90 mm | found | false | box IoU | ellipse size |
|---|---|---|---|---|---|---|---|---|
{rows}

Pixels are the network's (1/256 of the image's longer side). "found": share of the points in view
that are reported; "false": share of the reported points that are not in view; "ellipse size":
median relative error of the mean radius.

How the leg lies in the image, of the same images read at their four quarter turns: the likeliest
quarter turn is right in {turn:.1f} %, the right one would not be tried in {missed:.1f} %. Of upright
images of a known side the direction of the beam is right within 45 degrees in {direction:.1f} %
(median error {angle:.0f} degrees), its name (AP, PA, either lateral, oblique) in {named:.0f} %.

Standard deviations of points, by how far their probability spreads: {sharpest:.1f} to
{vaguest:.1f} network px per axis, of which {together:.2f} times is for errors that a bone's features
have in common: so much more are they off together than if each erred by itself.

## Known failures

- Medial and lateral condyle can be exchanged in pure lateral views: both look alike there, and the
  class probabilities of the two places say so.
- Close-ups of the hip and the ankle are read poorly, and their quarter turn with them.
- Points along a shaft are guesses along its direction where neither end of the bone is in view.
- Images that show the other leg too: the network may report its features.
- Implants, casts and feet are crude solids in the simulated X-rays; fractures were not simulated.
"""

_ROW = (
    "| {0.bone} | {0.num_points} | {0.median_px:.2f} | {0.median_mm:.1f} | {0.p90_mm:.1f} "
    "| {1:.0f} % | {2:.0f} % | {0.box_iou:.2f} | {3} |"
)


def card(report: TrainingReport, score: DetectorScore, origin: str) -> str:
    """The text that goes with a network file; `origin` tells the command and the seed."""
    text = _ORIGIN.format(
        origin=origin,
        images=report.images,
        scenes=report.scenes,
        steps=report.steps,
        minutes=report.minutes,
        precision=report.precision,
        people=", ".join(map(str, report.people)),
        held_out=", ".join(map(str, held_out())),
    )
    return text + measured(score)


def measured(score: DetectorScore) -> str:
    """The part that tells what was measured, from MEASURED_HEADING to the end."""
    rows = [
        _ROW.format(
            bone,
            100 * bone.found_share,
            100 * bone.false_share,
            "-" if bone.size_error is None else f"{100 * bone.size_error:.0f} %",
        )
        for bone in score.bones
    ]
    return _MEASURED.format(
        heading=MEASURED_HEADING,
        sharpest=score.calibration.sd_px[0],
        vaguest=score.calibration.sd_px[-1],
        together=score.calibration.together,
        num_images=score.num_images,
        rows="\n".join(rows),
        turn=100 * score.attitude.turn_share,
        missed=100 * score.attitude.turn_missed_share,
        direction=100 * score.attitude.direction_share,
        angle=score.attitude.direction_median_deg,
        named=100 * score.attitude.name_share,
    )
