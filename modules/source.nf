// From a field map and a mask to the local field and χ; an inversion of the total field needs no local field.

include { BACKGROUND } from './background'
include { INVERT } from './invert'
include { codeOf } from './code'
include { isOfTotalField } from './params'
include { maskOf } from './bids'

workflow SOURCE {
    take:
    ch_field // [meta, field, noise]
    ch_mask
    ch_scan // [meta, acquisition, magnitude]
    inversion
    references

    main:
    ch_acquisition = ch_scan.map { meta, acquisition, _magnitude -> [meta, acquisition] }
    ch_masked = ch_field.join(ch_mask).join(ch_acquisition)
    BACKGROUND(ch_masked.filter { _part -> !isOfTotalField(inversion) }, codeOf('background'))
    ch_total = ch_field.map { meta, field, _noise -> [meta, field] }.join(ch_mask)
    ch_input = isOfTotalField(inversion) ? ch_total : BACKGROUND.out.local
    ch_noise = ch_field.map { meta, _field, noise -> [meta, noise] }
    ch_guided = ch_input.join(ch_noise).join(ch_scan).map { parts -> parts + [maskOf(references, parts[0].id)] }
    INVERT(ch_guided, isOfTotalField(inversion) ? 'hz' : 'ppm', codeOf('invert'))
    local = BACKGROUND.out.files
    chi = INVERT.out.files
    mask = ch_input.map { meta, _field, inside -> [meta, inside] }

    emit:
    local
    chi
    mask
}
