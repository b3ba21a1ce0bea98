// From the maps of each run to what is published: regions, derivatives, pages, and one page about all runs.

include { REGIONS } from './regions'
include { PUBLISH } from './publish'
include { REPORT } from './report'
include { EXPORT } from './export'
include { COHORT } from './cohort'
include { codeOf } from './code'
include { givenFor } from './options'
include { placesOf ; put } from './outputs'
include { hasFailed ; outcomes } from './tasks'

workflow RESULTS {
    take:
    ch_acquisition
    ch_maps // [meta, files]
    labels // the user's label images
    dicom // whether χ is wanted as DICOM, too
    facts // JSON of what is known of the pipeline
    ch_started // names of all runs
    outdir

    main:
    ch_given = ch_maps.map { meta, files -> [meta, files, givenFor(labels, meta.id)] }
        .branch { _meta, _files, given ->
            labelled: given
            plain: true
        }
    REGIONS(ch_given.labelled, codeOf('regions'))
    ch_labelled = ch_given.labelled.map { meta, files, _given -> [meta, files] }.join(REGIONS.out.files, remainder: true)
        .map { meta, files, regions -> [meta, files + (regions ?: [])] }
    ch_all = ch_given.plain.map { meta, files, _given -> [meta, files] }.mix(ch_labelled)
    PUBLISH(ch_acquisition.join(ch_all), facts, codeOf('publish'))
    REPORT(ch_acquisition.join(ch_all), codeOf('report'))
    ch_chi = ch_maps.filter { _parts -> dicom }.map { meta, files -> [meta, files.find { path -> path.name == 'chi.nii' }] }
    EXPORT(ch_acquisition.join(ch_chi), codeOf('export'))

    ch_parts = [PUBLISH.out.derivatives, REPORT.out.pages] + (dicom ? [EXPORT.out.slices] : [])
    ch_made = ch_parts.inject { joined, part -> joined.join(part, remainder: true) }.filter { parts -> parts[1] }
    ch_placed = ch_made.map { parts -> [parts[0].id, publishedRun(outdir, parts[0].id, parts.tail().flatten().findAll())] }
    done = ch_parts.inject { joined, part -> joined.join(part) }.map { parts -> [parts[0]] }.filter { meta -> !hasFailed(meta[0].id) }

    ch_outcomes = listed(ch_started).combine(listed(ch_placed)).map { started, placed -> [started.size(), outcomes(started, placed)] }
    ch_told = ch_outcomes.filter { _count, rows -> rows }.map { _count, rows -> groovy.json.JsonOutput.toJson(rows.findAll { row -> row[1] != 'done' }) }
    COHORT(REPORT.out.summary.flatten().toSortedList { path -> path.name }, ch_told, codeOf('cohort'))

    description = PUBLISH.out.description
    records = REGIONS.out.files.map { _meta, files -> files }
    ch_pages = ch_outcomes.combine(listed(COHORT.out.pages))
    ended = ch_pages.map { count, rows, pages -> [count, rows + outcomes([], []).findAll { row -> row[2] == 'COHORT' }, pages] }

    emit:
    done
    description
    records
    ended
}

// The files of a run in OUT; the page of all runs is that of an earlier launch then, and goes.
def publishedRun(outdir, run, files) {
    put(outdir, 'cohort', [:], true)
    return put(outdir, run, placesOf(files), !hasFailed(run))
}

// All items of a channel as one item.
def listed(items) {
    return items.toList().map { list -> [list] }
}
