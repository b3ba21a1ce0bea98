"""Stacks: the echoes of one part of one scan, from one series or several.

Images of one scan are found by what the scanner cannot change between them: grid, repetition time, flip angle and protocol.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from chiflow.core.conversion import Aside, ConvertedImage
from chiflow.core.spaces import grid_distance

SAME_TIME_S = 1e-5  # echo times are given to 10 µs by every vendor
SAME_REPETITION_S = 1e-4
SAME_ANGLE_DEG = 0.01
ROUNDED_MM = 0.2  # positions that a program rounded to 0.1 mm lie up to 0.09 mm off, both ways; two scans of a session lie farther apart
PART_WORDS = {"mag", "magnitude", "m", "pha", "phase", "ph", "p", "real", "r", "re", "imag", "imaginary", "i", "im", "phase map"}


@dataclass(frozen=True)
class Member:
    """An image of a stack: name of its file and sidecar."""

    name: str
    image: ConvertedImage

    @property
    def series(self) -> str:
        """What a reader knows the series by."""
        return f"sub-{self.image.subject}_ses-{self.image.session} series {self.image.series_number}"

    @property
    def time(self) -> float:
        """Echo time in s, 0 when unknown."""
        return self.image.echo_time_s or 0.0


@dataclass
class Stack:
    """The echoes of one part of one scan: of combined coils, or of every coil."""

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
    def of_coils(self) -> bool:
        """Whether its coils are not combined."""
        return self.first.coil is not None

    @property
    def is_planar_volume(self) -> bool:
        """Whether this is a single echo of an echo-planar sequence."""
        return len(self.times) == 1 and "EP" in re.split(r"\W+", str(self.first.scanning_sequence or "").upper())

    @property
    def times(self) -> list[float]:
        """Echo times in s, each once."""
        return sorted({member.time for member in self.members})

    def has_time(self, time: float) -> bool:
        """Whether an echo of this time is there."""
        return any(abs(time - other) < SAME_TIME_S for other in self.times)

    def has(self, member: Member) -> bool:
        """Whether the place of an image, its echo and coil, is taken."""
        return any(abs(member.time - other.time) < SAME_TIME_S and member.image.coil == other.image.coil for other in self.members)

    def shared_times(self, other) -> int:
        """Number of echo times that both stacks have."""
        return sum(other.has_time(time) for time in self.times)

    @property
    def source_times(self) -> tuple[float, float] | None:
        """TE1 and TE2 in s when this is the difference of two phases: a lone image at TE2 that names both."""
        image = self.first
        one, two = image.echo_time1_s, image.echo_time2_s
        lone = self.part == "phase" and len(self.members) == 1 and one is not None and two is not None
        return (one, two) if lone and abs((image.echo_time_s or two) - two) < SAME_TIME_S else None


def without_copies(members: list[Member]) -> tuple[list[Member], list[Aside]]:
    """Each image once. A copy has the voxels, the part and the echo time of another image of its session; what has only the name is unclear."""
    kept, aside, seen = [], [], {}
    for member in sorted(members, key=lambda m: (m.image.subject, m.image.session, m.image.series_number, m.name)):
        image = member.image
        same = (image.subject, image.session, image.part, image.content, image.echo_time_s, image.coil)
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
    if (one.subject, one.session, protocol(one)) != (other.subject, other.session, protocol(other)):
        return False
    near = [(one.repetition_time_s, other.repetition_time_s, SAME_REPETITION_S), (one.flip_angle_deg, other.flip_angle_deg, SAME_ANGLE_DEG)]
    if any(a is not None and b is not None and abs(a - b) > most for a, b, most in near):
        return False
    return same_grid(one, other)


def same_grid(one: ConvertedImage, other: ConvertedImage) -> bool:
    """Whether the voxels of two images lie at one place, but for what their headers round to."""
    return one.shape == other.shape and grid_distance(np.array(one.affine), np.array(other.affine), tuple(one.shape)) < ROUNDED_MM


def protocol(image: ConvertedImage) -> str:
    """Name of the protocol without the words for its parts."""
    return " ".join(word for word in re.split(r"[\W_]+", (image.protocol_name or "").lower()) if word not in PART_WORDS)


def stacked(scan: list[Member]) -> list[Stack]:
    """The stacks of one scan and its repetitions: an echo (of a coil) that a stack has already begins the next one."""
    by_series = defaultdict(list)
    for member in scan:
        by_series[member.image.series_number, member.image.series, member.image.part, member.image.coil is not None].append(member)
    stacks = []
    for (_, _, part, of_coils), members in sorted(by_series.items()):
        last = next((stack for stack in reversed(stacks) if (stack.part, stack.of_coils) == (part, of_coils)), None)
        if last is None or any(last.has(member) for member in members):
            last = Stack(part)
            stacks.append(last)
        last.members += sorted(members, key=lambda m: (m.time, m.image.coil or 0, m.name))
    return stacks
