"""Sorts converted images into runs, by their sidecars alone.

A run is the two stacks of one scan, magnitude and phase or real and imaginary part, with echo times in common; of repeated scans those
nearest in their series numbers. The difference of two phases is a run with the magnitudes of its two echoes. Combined coils go before
single coils, the phase of each echo before a difference.
"""

from pathlib import Path

from chiflow.arrange.stacks import SAME_TIME_S, Member, Stack, same_grid, scans, stacked, without_copies
from chiflow.core.conversion import Aside, ConvertedImage, Run, Runs

Pair = tuple[Stack, Stack]
NO_PHASE = "a magnitude without phase: export the phase images of the scan as well"
SCANNER_FIELD_MAP = "a field map in Hz made by the scanner is not phase: export the phase images of the echoes"
OTHER_PART = {"mag": "phase", "phase": "magnitude", "real": "imaginary part", "imag": "real part"}


def arrange(sidecars: list[Path]) -> Runs:
    """The runs in a set of sidecars, whatever their order. Raises ChiflowError naming a sidecar that cannot be read."""
    members, aside = without_copies([Member(path.name.removesuffix(".json") + ".nii", ConvertedImage.read(path)) for path in sorted(sidecars)])
    field_maps = [member for member in members if member.image.part == "fieldmap"]
    members = [member for member in members if member.image.part != "fieldmap"]
    runs = Runs(aside=aside)
    for scan in scans(members):
        stacks = stacked(scan)
        pairs = paired(stacks)
        runs.aside += [entry for pair in pairs for entry in without_partner(*pair)]
        used = {member.name for pair in pairs for stack in pair for member in stack.members}
        used_series = {member.image.series for member in members if member.name in used}
        runs.runs += [Run(id=run_id(pair), files=files_of(pair, field_maps)) for pair in pairs]
        for stack in stacks:
            left = [member for member in stack.members if member.name not in used and (stack.of_coils or member.image.series not in used_series)]
            runs.aside += [Aside(name=member.series, reason=why_aside(stack, stacks, pairs)) for member in left]
    used_maps = {name for run in runs.runs for name in run.files}
    runs.aside += [Aside(name=member.series, reason=SCANNER_FIELD_MAP) for member in field_maps if member.name not in used_maps]
    runs.runs = unique_ids(sorted(runs.runs, key=lambda run: run.id))
    runs.aside = [Aside(name=name, reason=reason) for name, reason in sorted({(entry.name, entry.reason) for entry in runs.aside})]
    return runs


def paired(stacks: list[Stack]) -> list[Pair]:
    """The pairs of stacks that are a run each: of combined coils, of single coils where those are missing, and differences with magnitudes."""
    stacks = [stack for stack in stacks if not stack.is_planar_volume]
    combined = echo_pairs([stack for stack in stacks if not stack.of_coils])
    coils = echo_pairs([stack for stack in stacks if stack.of_coils])
    for pair in combined[:len(coils)]:
        coils.remove(min(coils, key=lambda other: abs(other[0].number - pair[0].number)))
    return combined + coils + difference_pairs(stacks, [stack for pair in combined + coils for stack in pair])


def echo_pairs(stacks: list[Stack]) -> list[Pair]:
    """Magnitude and phase of each run, or real and imaginary part where those are missing or the phase images of the vendor may be filtered."""
    cartesian = matched(stacks, "real", "imag")
    polar = matched([stack for stack in stacks if not stack.source_times], "mag", "phase")
    is_ge = bool(stacks) and (stacks[0].first.manufacturer or "").upper().startswith("GE")
    return (cartesian or polar) if is_ge else (polar or cartesian)


def matched(stacks: list[Stack], left: str, right: str) -> list[Pair]:
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


def difference_pairs(stacks: list[Stack], used: list[Stack]) -> list[Pair]:
    """Each difference of two phases with the magnitudes of its echoes, those nearest in their series numbers; not where each echo has a phase."""
    magnitudes = [stack for stack in stacks if stack.part == "mag" and not stack.of_coils and not any(stack is other for other in used)]
    pairs = []
    for difference in (stack for stack in stacks if stack.source_times):
        sources = [sources_of(difference, stack) for stack in magnitudes]
        candidates = [(-len(source), abs(stack.number - difference.number), i) for i, (source, stack) in enumerate(zip(sources, magnitudes)) if source]
        if candidates:
            *_, nearest = min(candidates)
            pairs.append((Stack("mag", sources[nearest]), difference))
            magnitudes.pop(nearest)
    return pairs


def sources_of(difference: Stack, magnitude: Stack) -> list[Member]:
    """The magnitudes of the one or two echoes between which a difference is taken."""
    return [member for member in magnitude.members if any(abs(member.time - time) < SAME_TIME_S for time in difference.source_times)]


def without_partner(one: Stack, two: Stack) -> list[Aside]:
    """Leave out, in place, the echoes that one of two stacks lacks, when at least two others remain: their slices or files were lost.

    What remains of two echoes is left for the intake to name: a lone phase may be a difference.
    """
    if two.source_times or one.shared_times(two) < 2:
        return []
    aside = []
    for stack, other in ((one, two), (two, one)):
        lone = [member for member in stack.members if not other.has_time(member.time)]
        stack.members = [member for member in stack.members if member not in lone]
        missing = f"has no {OTHER_PART[stack.part]}: the run goes on without it"
        aside += [Aside(name=member.series, reason=f"the echo at {1000 * member.time:g} ms {missing}") for member in lone]
    return aside


def why_aside(stack: Stack, stacks: list[Stack], pairs: list[Pair]) -> str:
    """Why a stack belongs to no run, and what would help."""
    if stack.is_planar_volume:
        return "a single echo of an echo-planar sequence (of a time series, or its reference): QSM needs a gradient echo with more"
    if stack.source_times and any(two.part != "phase" or len(two.times) > 1 for _, two in pairs):
        return "the difference of two phases: the scan is processed from the phase of each echo"
    if stack.source_times:
        one, two = (f"{1000 * time:g}" for time in stack.source_times)
        return f"the difference of two phases (TE {one} and {two} ms) is not an echo and has no magnitude: export the magnitude of the scan too"
    if stack.of_coils and any(not one.of_coils for one, _ in pairs):
        return "images of single coils: the scan is processed from its combined images"
    if stack.part in ("real", "imag") and pairs:
        return "the scan is processed from its magnitude and phase"
    if stack.part != "mag" and any(one.part == "real" for one, _ in pairs):
        return "the scan is processed from its real and imaginary part"
    if stack.part != "mag":
        return f"{stack.part} images without a {OTHER_PART[stack.part]} of the same grid, protocol and echo times: export that too"
    if any(other.part == "phase" for other in stacks) and pairs:
        return "a second magnitude, the phase of the scan belongs to another one"
    return f"a single echo without phase: {NO_PHASE.split(': ')[1]}, if it is a gradient echo" if len(stack.times) == 1 else NO_PHASE


def files_of(pair: Pair, field_maps: list[Member]) -> list[str]:
    """Names of the images of a run, and of the scanner's field maps on its grid: they tell the sign of the phase."""
    first = pair[0].first
    maps = [member for member in field_maps if (member.image.subject, member.image.session) == (first.subject, first.session)
            and same_grid(member.image, first)]
    return [member.name for stack in pair for member in stack.members] + [member.name for member in maps]


def run_id(pair: Pair) -> str:
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
