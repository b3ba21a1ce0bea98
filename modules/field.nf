// One attempt at a field map: unwrapped by one method, fitted, masked, judged. What the gate rejects goes to the next attempt.

include { UNWRAP } from './unwrap'
include { FIELDMAP } from './fieldmap'
include { MASK } from './mask'
include { GATE } from './gate'
include { codeOf ; weightsOf } from './code'
include { contentOf } from './records'

workflow FIELD {
    take:
    ch_scan // [meta, phase, magnitude, acquisition, the user's masks]
    unwrappings // in the order of the attempts
    policy
    attempt // 1, 2 …

    main:
    ch_phase = ch_scan.map { meta, phase, _magnitude, _acquisition, _given -> [meta, phase] }
    ch_magnitude = ch_scan.map { meta, _phase, magnitude, _acquisition, _given -> [meta, magnitude] }
    ch_acquisition = ch_scan.map { meta, _phase, _magnitude, acquisition, _given -> [meta, acquisition] }
    ch_given = ch_scan.map { meta, _phase, _magnitude, _acquisition, given -> [meta, given] }

    UNWRAP(ch_phase.join(ch_magnitude).join(ch_acquisition), unwrappings[attempt - 1], weightsOf(['unwrapping']), codeOf('unwrap'))
    FIELDMAP(UNWRAP.out.phase.join(ch_magnitude).join(ch_acquisition), codeOf('fieldmap'))
    MASK(FIELDMAP.out.quality.join(ch_magnitude).join(ch_acquisition).join(ch_given), weightsOf(['brain_mask']), codeOf('mask'))
    ch_fitted = FIELDMAP.out.field.map { meta, field, _noise -> [meta, field] }.join(FIELDMAP.out.quality).join(MASK.out.brain)
    GATE(UNWRAP.out.phase.join(ch_magnitude).join(ch_fitted).join(ch_acquisition), [unwrappings[attempt - 1], policy, attempt == unwrappings.size()], codeOf('gate'))

    ch_judged = GATE.out.verdict.branch { _meta, record ->
        rejected: policy == 'fallback' && contentOf(record).Figures?.Verdict == 'fail'
        accepted: true
    }
    ch_files = [UNWRAP, FIELDMAP, MASK].inject(ch_judged.accepted) { joined, stage -> joined.join(stage.out.files) }
    files = ch_files.map { parts -> [parts[0], parts.tail().flatten()] }
    field = ch_judged.accepted.join(FIELDMAP.out.field).map { meta, _record, map, noise -> [meta, map, noise] }
    phase = ch_judged.accepted.join(UNWRAP.out.phase).map { meta, _record, unwrapped -> [meta, unwrapped] }
    mask = ch_judged.accepted.join(MASK.out.mask).map { meta, _record, map -> [meta, map] }
    tight = ch_judged.accepted.join(MASK.out.tight).map { meta, _record, map -> [meta, map] }
    verdicts = GATE.out.verdict.map { meta, record -> [meta.id, attempt, record] }
    rejected = ch_scan.join(ch_judged.rejected).map { parts -> parts[0..4] }

    emit:
    files
    field
    phase
    mask
    tight
    verdicts
    rejected
}
