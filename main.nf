#!/usr/bin/env nextflow
// chiflow: DICOM or BIDS multi-echo gradient-echo MRI to quantitative susceptibility maps, all runs in parallel.

include { helpText ; checkedParams } from './modules/params'
include { inputFolder ; outputFolder ; privateFolder } from './modules/folders'
include { isBids ; bidsRuns ; masksIn ; maskOf } from './modules/bids'
include { writeParams ; writeVersions ; writeTable ; keepAside ; summary } from './modules/summary'
include { codeOf } from './modules/code'
include { DICOM } from './modules/dicom'
include { INTAKE } from './modules/intake'
include { COMBINE } from './modules/combine'
include { UNWRAP } from './modules/unwrap'
include { FIELDMAP } from './modules/fieldmap'
include { MASK } from './modules/mask'
include { BACKGROUND } from './modules/background'
include { INVERT } from './modules/invert'
include { RELAX } from './modules/relax'
include { PUBLISH } from './modules/publish'

// From the runs [meta, files, inherited sidecars] to the published maps.
workflow SUSCEPTIBILITY {
    take:
    ch_runs
    masks

    main:
    INTAKE(ch_runs, codeOf('intake'))
    ch_magnitude = INTAKE.out.magnitude
    ch_acquisition = INTAKE.out.acquisition
    ch_given = ch_runs.map { meta, _files, _inherited -> [meta, maskOf(masks, meta.id)] }

    COMBINE(INTAKE.out.scan, codeOf('combine'))
    UNWRAP(COMBINE.out.phase.join(ch_magnitude).join(ch_acquisition), codeOf('unwrap'))
    FIELDMAP(UNWRAP.out.phase.join(ch_magnitude).join(ch_acquisition), codeOf('fieldmap'))
    MASK(FIELDMAP.out.quality.join(ch_magnitude).join(ch_acquisition).join(ch_given), codeOf('mask'))
    BACKGROUND(FIELDMAP.out.field.join(MASK.out.mask).join(ch_acquisition), codeOf('background'))
    INVERT(BACKGROUND.out.local.join(FIELDMAP.out.noise).join(ch_acquisition), codeOf('invert'))
    RELAX(ch_magnitude.join(MASK.out.mask).join(ch_acquisition), codeOf('relax'))

    ch_needed = [UNWRAP, FIELDMAP, MASK, BACKGROUND, INVERT].inject(COMBINE.out.files) { joined, stage -> joined.join(stage.out.files) }
    ch_maps = ch_needed.join(RELAX.out.files, remainder: true).filter { parts -> parts[1] }.map { parts -> [parts[0], parts.tail().flatten().findAll()] }
    PUBLISH(ch_acquisition.join(ch_maps), codeOf('publish'))

    records = ch_maps.flatMap { _meta, files -> files }.filter { path -> path.name.endsWith('.json') }
    description = PUBLISH.out.description

    emit:
    records
    description
}

workflow {
    main:
    if (params.help) {
        println(helpText())
        System.exit(0)
    }
    def options = checkedParams(params)
    def input = inputFolder(options.input)
    def outdir = outputFolder('outdir', options.outdir)
    def info = outputFolder('outdir', "${outdir}/pipeline_info")
    def masks = options.masks ? masksIn(options.masks) : []
    writeParams(info, options)
    writeTable(info.resolve('set_aside.tsv'), ['name', 'reason'], [])

    if (isBids(input)) {
        def (runs, aside) = bidsRuns(input)
        ch_runs = channel.fromList(runs)
        ch_aside = channel.fromList(aside)
        ch_records = channel.empty()
    }
    else {
        DICOM(input, privateFolder(options.private_dir, outdir))
        ch_runs = DICOM.out.runs
        ch_aside = DICOM.out.aside
        ch_records = DICOM.out.records
    }
    ch_counted = ch_runs.count().combine(ch_aside.toSortedList().map { rows -> [rows] })
    ch_counted.subscribe { count, rows -> keepAside(info, count, rows) }
    SUSCEPTIBILITY(ch_runs, masks)
    SUSCEPTIBILITY.out.records.mix(ch_records).collect().subscribe { records -> writeVersions(info, records) }
    SUSCEPTIBILITY.out.description.first().subscribe { path -> path.copyTo(outdir.resolve('dataset_description.json')) }

    workflow.onComplete = {
        println(summary(info, outdir))
    }
}
