"""Sorts converted images into runs, by their sidecars alone.

A stack is one part (mag, phase, real, imag) of one scan: its echoes, from one series or several. Stacks of one scan are found by what the
scanner cannot change between them: grid, repetition time, flip angle, protocol and echo times; of repeated scans, by nearness of series numbers.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from chiflow.core.contracts import Aside, ConvertedImage, Run, Runs
from chiflow.core.nifti import SAME_PLACE_MM, grid_distance

SAME_TIME_S = 1e-5  # echo times are given to 10 µs by every vendor
SAME_REPETITION_S = 1e-4
SAME_ANGLE_DEG = 0.01
PART_WORDS = {"mag", "magnitude", "m", "pha", "phase", "ph", "p", "real", "r", "re", "imag", "imaginary", "i", "im", "phase map"}
PHASE_NEEDED = "the phase of each echo is needed"
NO_PHASE = f"a magnitude without phase: {PHASE_NEEDED}"
ONE_ECHO = "a single echo without phase: not a multi-echo gradient echo"
OTHER_PART = {"phase": "magnitude", "real": "imaginary part", "imag": "real part"}


@dataclass(frozen=True)
class Member:
    """An image of a stack: name of its file and sidecar."""

    name: str
    image: ConvertedImage

    @property
    def series(self) -> str:
        """What a reader knows the series by."""
        return f"sub-{self.image.subject}_ses-{self.image.session} series {self.image.series_number}"


@dataclass
class Stack:
    """The echoes of one part of one scan."""

    part: str
    members: list[Member] = field(default_factory=list)

    @property
    def first(self) -> ConvertedImage:
        """The image that stands for all."""
        return self.members[0].image

    @property
    def number(self) -> int:
        """Series number of the first echo."""
        return self.first.series_number

    @property
    def series(self) -> set[str]:
        """The series its images come from."""
        return {member.image.series for member in self.members}

    @property
    def processing(self) -> set[str]:
        """What the scanner did to the images (NORM, DIS2D …)."""
        return {word for word in self.first.image_type if word.lower() not in PART_WORDS}

    @property
    def times(self) -> list[float]:
        """Echo times in s."""
        return [member.image.echo_time_s or 0.0 for member in self.members]

    def has_time(self, time: float) -> bool:
        """Whether an echo of this time is there."""
        return any(abs(time - other) < SAME_TIME_S for other in self.times)

    def shared_times(self, other) -> int:
        """Number of echo times that both stacks have."""
        return sum(other.has_time(time) for time in self.times)

    @property
    def is_difference(self) -> bool:
        """Whether this is the difference of two phases: a lone image that names two echo times."""
        image = self.first
        return self.part == "phase" and len(self.members) == 1 and image.echo_time1_s is not None and image.echo_time2_s is not None


def arrange(sidecars: list[Path]) -> Runs:
    """The runs in a set of sidecars, whatever their order. Raises ChiflowError naming a sidecar that cannot be read."""
    members, aside = without_copies([Member(path.name.removesuffix(".json") + ".nii", ConvertedImage.read(path)) for path in sorted(sidecars)])
    runs = Runs(aside=aside)
    for scan in scans(members):
        stacks = stacked(scan)
        pairs = paired(stacks)
        paired_series = {series for pair in pairs for stack in pair for series in stack.series}
        used = {id(stack) for stack in stacks if stack.series <= paired_series}
        runs.runs += [Run(id=run_id(pair), files=[member.name for stack in pair for member in stack.members]) for pair in pairs]
        left = [stack for stack in stacks if id(stack) not in used]
        runs.aside += [Aside(name=member.series, reason=why_aside(stack, stacks, pairs)) for stack in left for member in stack.members]
    runs.runs = unique_ids(sorted(runs.runs, key=lambda run: run.id))
    runs.aside = [Aside(name=name, reason=reason) for name, reason in sorted({(entry.name, entry.reason) for entry in runs.aside})]
    return runs


def without_copies(members: list[Member]) -> tuple[list[Member], list[Aside]]:
    """Each image once. A copy has the voxels, the part and the echo time of another image of its session; what has only the name is unclear."""
    kept, aside, seen = [], [], {}
    for member in sorted(members, key=lambda m: (m.image.subject, m.image.session, m.image.series_number, m.name)):
        image = member.image
        same = (image.subject, image.session, image.part, image.content, image.echo_time_s)
        if same in seen:
            aside.append(Aside(name=member.series, reason=f"a copy of series {seen[same].image.series_number}"))
        else:
            kept.append(member)
            seen[same] = member
    names = [member.name for member in kept]
    unclear = [member for member in kept if names.count(member.name) > 1]
    aside += [Aside(name=member.series, reason="two folders hold different images of this series: put them into one") for member in unclear]
    return [member for member in kept if member not in unclear], aside


def scans(members: list[Member]) -> list[list[Member]]:
    """Images that may belong to one scan or its repetitions, in the order of their series numbers."""
    groups = []
    for member in members:
        group = next((group for group in groups if same_scan(member.image, group[0].image)), None)
        if group is None:
            groups.append([member])
        else:
            group.append(member)
    return groups


def same_scan(one: ConvertedImage, other: ConvertedImage) -> bool:
    """Whether two images have subject, session, protocol, grid, repetition time and flip angle in common."""
    if (one.subject, one.session, one.shape, protocol(one)) != (other.subject, other.session, other.shape, protocol(other)):
        return False
    near = [(one.repetition_time_s, other.repetition_time_s, SAME_REPETITION_S), (one.flip_angle_deg, other.flip_angle_deg, SAME_ANGLE_DEG)]
    if any(a is not None and b is not None and abs(a - b) > most for a, b, most in near):
        return False
    return grid_distance(np.array(one.affine), np.array(other.affine), tuple(one.shape)) < SAME_PLACE_MM


def protocol(image: ConvertedImage) -> str:
    """Name of the protocol without the words for its parts."""
    return " ".join(word for word in re.split(r"[\W_]+", (image.protocol_name or "").lower()) if word not in PART_WORDS)


def stacked(scan: list[Member]) -> list[Stack]:
    """The stacks of one scan and its repetitions: an echo time that a stack has already begins the next one."""
    by_series = defaultdict(list)
    for member in scan:
        by_series[member.image.series_number, member.image.series, member.image.part].append(member)
    stacks = []
    for (_, _, part), members in sorted(by_series.items()):
        last = next((stack for stack in reversed(stacks) if stack.part == part), None)
        if last is None or any(last.has_time(member.image.echo_time_s or 0.0) for member in members):
            last = Stack(part)
            stacks.append(last)
        last.members += sorted(members, key=lambda m: (m.image.echo_time_s or 0.0, m.name))
    return stacks


def paired(stacks: list[Stack]) -> list[tuple[Stack, Stack]]:
    """Magnitude and phase of each run, or real and imaginary part where those are missing or the phase images of the vendor may be filtered."""
    cartesian = matched(stacks, "real", "imag")
    polar = matched([stack for stack in stacks if not stack.is_difference], "mag", "phase")
    is_ge = (stacks[0].first.manufacturer or "").upper().startswith("GE")
    return (cartesian or polar) if is_ge else (polar or cartesian)


def matched(stacks: list[Stack], left: str, right: str) -> list[tuple[Stack, Stack]]:
    """Pairs of stacks of two parts, each in one pair only: the most echo times in common, processed alike, nearest in their series numbers."""
    lefts, rights = ([stack for stack in stacks if stack.part == part] for part in (left, right))
    in_step = len(lefts) == len(rights)  # as many of both: the first belongs to the first, in whatever order they were sent
    candidates = [(-one.shared_times(two) / max(len(one.times), len(two.times)), len(one.processing ^ two.processing),
                   abs(i - j) if in_step else abs(one.number - two.number), i, j)
                  for i, one in enumerate(lefts) for j, two in enumerate(rights) if one.shared_times(two)]
    pairs, used_left, used_right = [], set(), set()
    for *_, i, j in sorted(candidates):
        if i not in used_left and j not in used_right:
            pairs.append((lefts[i], rights[j]))
            used_left.add(i)
            used_right.add(j)
    return pairs


def why_aside(stack: Stack, stacks: list[Stack], pairs: list[tuple[Stack, Stack]]) -> str:
    """Why a stack belongs to no run."""
    differences = [other for other in stacks if other.is_difference]
    if stack.is_difference:
        times = f"TE {1000 * stack.first.echo_time1_s:g} and {1000 * stack.first.echo_time2_s:g} ms"
        return f"the difference of two phases ({times}) is not an echo: {PHASE_NEEDED}"
    if stack.part in ("real", "imag") and pairs:
        return "the scan is processed from its magnitude and phase"
    if stack.part != "mag":
        return f"{stack.part} images without a {OTHER_PART[stack.part]} of the same grid, protocol and echo times"
    if differences:
        return f"a magnitude that has only the difference of two phases (series {differences[0].number}): {PHASE_NEEDED}"
    if any(other.part == "phase" for other in stacks):
        return "a second magnitude, the phase of the scan belongs to another one"
    return ONE_ECHO if len(stack.members) == 1 else NO_PHASE


def run_id(pair: tuple[Stack, Stack]) -> str:
    """BIDS name of a run: subject, session, and the series number of the magnitude (or real part)."""
    return f"sub-{pair[0].first.subject}_ses-{pair[0].first.session}_run-{pair[0].number}"


def unique_ids(runs: list[Run]) -> list[Run]:
    """The runs with a number more where two series of one session have one number."""
    seen = set()
    for run in runs:
        number = 1
        while run.id in seen:
            number += 1
            run.id = f"{run.id.rpartition('-')[0]}-{run.id.rpartition('-')[2]}0{number}"
        seen.add(run.id)
    return runs
