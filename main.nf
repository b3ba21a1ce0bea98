#!/usr/bin/env nextflow
// chiflow: DICOM or BIDS multi-echo gradient-echo MRI to quantitative susceptibility maps, all runs in parallel.

include { helpText ; checkedParams ; methodsOf ; unwrappings ; isOfTotalField } from './modules/params'
include { inputFolder ; lockOn ; outputFolder } from './modules/folders'
include { engineFolder ; keepEngineFiles ; resultFolder } from './modules/launch'
include { isBids ; bidsRuns ; refuseOtherKinds } from './modules/bids'
include { givenBy ; notUsed } from './modules/given'
include { givenFor } from './modules/options'
include { begin ; end ; summary ; writeAside ; writeDataset ; writeVersions } from './modules/summary'
include { codeOf } from './modules/code'
include { images ; pipelineFacts } from './modules/images'
include { emptyAfter ; unshared ; workDirectory } from './modules/lean'
include { DICOM } from './modules/dicom'
include { hasSeveralEchoes ; verdictRow } from './modules/records'
include { INTAKE } from './modules/intake'
include { COMBINE } from './modules/combine'
include { FIELDS } from './modules/fields'
include { SOURCE ; SOURCE as TIGHT_SOURCE } from './modules/source'
include { TWOPASS } from './modules/twopass'
include { RELAX } from './modules/relax'
include { SWI } from './modules/swi'
include { RESULTS ; listed } from './modules/results'
include { TRAINING } from './modules/training'

// From the runs [meta, files, inherited sidecars] to the published maps.
workflow SUSCEPTIBILITY {
    take:
    ch_runs
    given // images of the user's own
    options
    facts // JSON of what is known of the pipeline
    outdir

    main:
    INTAKE(ch_runs, codeOf('intake'))
    ch_acquisition = INTAKE.out.acquisition
    COMBINE(INTAKE.out.scan, codeOf('combine'))
    ch_magnitude = COMBINE.out.magnitude
    ch_given = ch_runs.map { meta, _files, _inherited -> [meta, givenFor(given.masks, meta.id)] }

    FIELDS(COMBINE.out.phase.join(ch_magnitude).join(ch_acquisition).join(ch_given), unwrappings(options.unwrapping), options.gate)
    ch_field = FIELDS.out.field
    ch_mask = FIELDS.out.mask

    ch_scan = ch_acquisition.join(ch_magnitude).map { meta, acquisition, magnitude -> [meta, acquisition, magnitude, givenFor(given.references, meta.id)] }
    SOURCE(ch_field, ch_mask, ch_scan, isOfTotalField(options.inversion))
    TIGHT_SOURCE(ch_field, FIELDS.out.tight, ch_scan, isOfTotalField(options.inversion))
    TWOPASS(SOURCE.out.chi.join(SOURCE.out.mask).join(TIGHT_SOURCE.out.chi).join(TIGHT_SOURCE.out.mask), codeOf('twopass'))
    ch_chi = options.two_pass ? TWOPASS.out.files : SOURCE.out.chi
    RELAX(ch_magnitude.join(ch_mask).join(ch_acquisition).filter { parts -> hasSeveralEchoes(parts[3]) }, codeOf('relax'))
    SWI(FIELDS.out.phase.join(ch_magnitude).join(ch_mask).join(ch_acquisition), codeOf('swi'))

    ch_needed = COMBINE.out.files.join(FIELDS.out.files).join(ch_chi)
    ch_maps = [SOURCE.out.local, RELAX.out.files, SWI.out.files].inject(ch_needed) { joined, stage -> joined.join(stage, remainder: true).filter { parts -> parts[1] } }
        .map { parts -> [parts[0], parts.tail().flatten().findAll()] }
    RESULTS(ch_acquisition, ch_maps, given.labels, options.dicom, facts, ch_runs.map { parts -> parts[0].id }, outdir)
    if (options.lean) {
        def folder = workDirectory()
        emptyAfter(unshared(ch_runs), INTAKE.out.scan, folder)
        emptyAfter(INTAKE.out.scan, COMBINE.out.phase, folder)
        emptyAfter(COMBINE.out.phase, FIELDS.out.field, folder)
        emptyAfter(FIELDS.out.phase, SWI.out.files, folder)
        emptyAfter(ch_maps.join(ch_magnitude), RESULTS.out.done, folder)
    }

    records = ch_maps.flatMap { _meta, files -> files }.mix(RESULTS.out.records.flatten()).filter { path -> path.name.endsWith('.json') }
    description = RESULTS.out.description
    ch_verdicts = FIELDS.out.verdicts.map { run, attempt, record -> verdictRow(run, attempt, record) }
    ended = RESULTS.out.ended.combine(listed(ch_verdicts))

    emit:
    records
    description
    ended // [number of runs, their outcomes, [pages], what the gate said]
}

// From an input folder to the published maps.
workflow MAPS {
    take:
    input
    found // runs of a BIDS data set and what is set aside; null where the input is DICOM
    outdir
    options

    main:
    def info = outdir.resolve('pipeline_info')
    def facts = pipelineFacts(methodsOf(options), images(options.registry))
    def given = givenBy(options)
    if (found) {
        ch_runs = channel.fromList(found[0])
        ch_aside = channel.fromList(found[1])
        ch_records = channel.empty()
    }
    else {
        DICOM(input, outputFolder('private_dir', options.private_dir))
        ch_runs = DICOM.out.runs
        ch_aside = DICOM.out.aside
        ch_records = DICOM.out.records
    }
    ch_checked = ch_runs.toList().map { runs -> [runs, notUsed(given, runs.collect { parts -> parts[0].id })] }
    ch_runs = ch_checked.flatMap { runs, _unused -> runs }
    ch_listed = listed(ch_aside.mix(ch_checked.flatMap { _runs, rows -> rows }))
    ch_listed.subscribe { parts -> writeAside(info, parts[0]) }
    SUSCEPTIBILITY(ch_runs, given, options, facts, outdir)
    SUSCEPTIBILITY.out.records.mix(ch_records).collect().subscribe { records -> writeVersions(info, records) }
    SUSCEPTIBILITY.out.description.first().subscribe { files -> writeDataset(outdir, files, found ? input : null, engineFolder()) }
    ended = SUSCEPTIBILITY.out.ended.combine(ch_listed)

    emit:
    ended // [number of runs, their outcomes, [pages], what the gate said, what was set aside]
}

workflow {
    main:
    def told = [aside: [], verdicts: [], cohort: []]
    keepEngineFiles(told)
    if (params.help.toString() == 'true') {
        println(helpText())
        System.exit(0)
    }
    def options = checkedParams(params)
    def input = options.train ? null : inputFolder('input', options.input)
    def found = input && isBids(input) ? bidsRuns(input) : null
    if (input && !found) {
        refuseOtherKinds(input)
    }
    def outdir = resultFolder(options, found != null)
    told.lock = lockOn(outdir.resolve('pipeline_info'), options.outdir)
    told.info = outdir.resolve('pipeline_info')
    begin(outdir, options)
    if (options.train) {
        TRAINING(options, outdir)
        ch_ended = TRAINING.out.ended
    }
    else {
        MAPS(input, found, outdir, options)
        ch_ended = MAPS.out.ended
    }
    ch_ended.subscribe { count, rows, pages, verdicts, aside ->
        def fault = end(outdir, told, count, rows, pages, verdicts, aside)
        if (fault) {
            error(fault)
        }
    }

    workflow.onComplete = {
        println(summary(told, outdir))
    }
}
