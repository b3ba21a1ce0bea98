// From a field map and a mask to the local field and χ; an inversion of the total field needs no local field.

include { BACKGROUND } from './background'
include { INVERT } from './invert'
include { codeOf ; weightsOf } from './code'

workflow SOURCE {
    take:
    ch_field // [meta, field, noise]
    ch_mask
    ch_scan // [meta, acquisition, magnitude, the user's reference region]
    single_step

    main:
    ch_masked = ch_field.join(ch_mask).join(ch_scan.map { meta, acquisition, magnitude, _region -> [meta, acquisition, magnitude] })
    BACKGROUND(ch_masked.filter { _part -> !single_step }, weightsOf(['total']), codeOf('background'))
    ch_total = ch_field.map { meta, field, _noise -> [meta, field] }.join(ch_mask)
    ch_input = single_step ? ch_total : BACKGROUND.out.local
    ch_noise = ch_field.map { meta, _field, noise -> [meta, noise] }
    INVERT(ch_input.join(ch_noise).join(ch_scan), single_step ? 'hz' : 'ppm', weightsOf(['inversion', 'total']), codeOf('invert'))
    local = BACKGROUND.out.files
    chi = INVERT.out.files
    mask = ch_input.map { meta, _field, inside -> [meta, inside] }

    emit:
    local
    chi
    mask
}
