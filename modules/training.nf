// From label maps to the weights of the learned inversion.

include { TRAIN } from './train'
include { codeOf } from './code'
include { labelMaps ; outputFolder } from './folders'
include { placesOf ; put } from './outputs'
include { outcomes } from './tasks'

workflow TRAINING {
    take:
    options
    outdir

    main:
    def labels = options.labels ? labelMaps(options.labels) : []
    outputFolder('train_cache', "${options.train_cache}/inversion")
    TRAIN(labels, file(options.train_cache, glob: false), codeOf('train', ['simulate', 'invert', 'unwrap', 'phantom']))
    ch_placed = TRAIN.out.files.map { files -> ['inversion', put(outdir, 'inversion', placesOf(files), true)] }
    ended = ch_placed.toList().map { placed -> [1, outcomes(['inversion'], placed), [], [], []] }

    emit:
    ended
}
