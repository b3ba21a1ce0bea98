// From a field map and a mask to the local field and χ.

include { BACKGROUND } from './background'
include { INVERT } from './invert'
include { codeOf } from './code'

workflow SOURCE {
    take:
    ch_field // [meta, field, noise]
    ch_mask
    ch_acquisition

    main:
    BACKGROUND(ch_field.join(ch_mask).join(ch_acquisition), codeOf('background'))
    ch_noise = ch_field.map { meta, _field, noise -> [meta, noise] }
    INVERT(BACKGROUND.out.local.join(ch_noise).join(ch_acquisition), codeOf('invert'))
    local = BACKGROUND.out.files
    chi = INVERT.out.files
    mask = BACKGROUND.out.local.map { meta, _local, eroded -> [meta, eroded] }

    emit:
    local
    chi
    mask
}
