// From the maps of each run to what is published: regions, derivatives, pages, and one page about all runs.

include { REGIONS } from './regions'
include { PUBLISH } from './publish'
include { REPORT } from './report'
include { EXPORT } from './export'
include { COHORT } from './cohort'
include { codeOf } from './code'
include { givenFor } from './options'
include { failuresOf } from './tasks'

workflow RESULTS {
    take:
    ch_acquisition
    ch_maps // [meta, files]
    labels // the user's label images
    dicom // whether χ is wanted as DICOM, too
    facts // JSON of what is known of the pipeline
    ch_started // names of all runs
    trace // the engine's table of tasks

    main:
    ch_given = ch_maps.map { meta, files -> [meta, files, givenFor(labels, meta.id)] }
        .branch { _meta, _files, given ->
            labelled: given
            plain: true
        }
    REGIONS(ch_given.labelled, codeOf('regions'))
    ch_labelled = ch_maps.join(REGIONS.out.files).map { meta, files, regions -> [meta, files + regions] }
    ch_all = ch_given.plain.map { meta, files, _given -> [meta, files] }.mix(ch_labelled)
    PUBLISH(ch_acquisition.join(ch_all), facts, codeOf('publish'))
    REPORT(ch_acquisition.join(ch_all), codeOf('report'))
    ch_chi = ch_maps.filter { _parts -> dicom }.map { meta, files -> [meta, files.find { path -> path.name == 'chi.nii' }] }
    EXPORT(ch_acquisition.join(ch_chi), codeOf('export'))

    ch_finished = [PUBLISH.out.done, REPORT.out.done] + (dicom ? [EXPORT.out.done] : [])
    done = ch_finished.collect { ch -> ch.map { meta -> [meta, true] } }.inject { joined, ch -> joined.join(ch) }
    ch_missing = ch_started.toList().map { names -> [names] }.combine(done.map { parts -> parts[0].id }.toList().map { names -> [names] })
    COHORT(REPORT.out.summary.flatten().toSortedList { path -> path.name }, ch_missing.map { started, finished -> failuresOf(trace, started - finished) }, codeOf('cohort'))

    description = PUBLISH.out.description
    records = REGIONS.out.files.map { _meta, files -> files }

    emit:
    done
    description
    records
}
