// A field map for every run that has one: what the gate rejects is unwrapped by another method, up to three.

include { FIELD as FIRST ; FIELD as SECOND ; FIELD as THIRD } from './field'

workflow FIELDS {
    take:
    ch_scan // [meta, phase, magnitude, acquisition, the user's masks]
    unwrappings
    policy

    main:
    FIRST(ch_scan, unwrappings, policy, 1)
    SECOND(FIRST.out.rejected, unwrappings, policy, 2)
    THIRD(SECOND.out.rejected, unwrappings, policy, 3)
    field = FIRST.out.field.mix(SECOND.out.field, THIRD.out.field)
    phase = FIRST.out.phase.mix(SECOND.out.phase, THIRD.out.phase)
    mask = FIRST.out.mask.mix(SECOND.out.mask, THIRD.out.mask)
    tight = FIRST.out.tight.mix(SECOND.out.tight, THIRD.out.tight)
    files = FIRST.out.files.mix(SECOND.out.files, THIRD.out.files)
    verdicts = FIRST.out.verdicts.mix(SECOND.out.verdicts, THIRD.out.verdicts)

    emit:
    field
    phase
    mask
    tight
    files
    verdicts
}
